"""Claims against facts under scopes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from voxtile_datasets.captions.checker.extraction.claims import ELSEWHERE, LOCAL, Claim
from voxtile_datasets.captions.checker.extraction.numbers.amount import COUNT, SHARE
from voxtile_datasets.captions.checker.extraction.relations import OPPOSITE, PASSIVE
from voxtile_datasets.captions.checker.judging.changes import is_of_change, judge_change
from voxtile_datasets.captions.checker.judging.details import detail_faults, is_other
from voxtile_datasets.captions.checker.judging.directions import judge_direction
from voxtile_datasets.captions.checker.judging.fact_lookup import Facts
from voxtile_datasets.captions.checker.judging.general_words import is_mass_of_none, is_no_mass
from voxtile_datasets.captions.checker.judging.held import row_that_is_denied, row_that_names
from voxtile_datasets.captions.checker.judging.imaging import judge_beyond, judge_imaging
from voxtile_datasets.captions.checker.judging.loose import judge_loose
from voxtile_datasets.captions.checker.judging.normality import judge_whole, wrong_there
from voxtile_datasets.captions.checker.verdict import ORDER, Fault, FaultKind, Judgement, best, worst
from voxtile_datasets.captions.checker.vocabulary import NORMAL


def judge(claim: Claim, facts: Facts, *, about_birth: bool = False) -> list[Fault]:
    """What is wrong with a claim; nothing where it is supported.

    Args:
        claim: what is said.
        facts: what is known.
        about_birth: the text speaks of a birth or a death, so that a date identifies.
    """
    if claim.kind == "identity":
        return [_identity(claim) if facts.vocabulary.is_about_patients or claim.text != "place" else _place(claim)]
    if claim.kind == "foreign":
        why = f"'{claim.words}' is not in English, and is not read."
        return [_fault(claim, "language", "unknown", why)]
    if claim.kind == "date":
        return _date(claim, facts, about_birth=about_birth)
    if claim.kind == "relation":
        return _relation(claim, facts)
    if claim.kind == "normal":
        return _normal(claim, facts)
    if claim.kind == "change":
        return judge_change(claim, facts)
    if claim.kind == "imaging":
        return judge_imaging(claim, facts)
    if claim.kind == "beyond":
        return judge_beyond(claim, facts)
    if claim.kind == "loose":
        return judge_loose(claim, facts)
    there = tuple(c for c in claim.concepts if facts.strength(c) == "present")
    meant = there if there and claim.polarity == "present" and _is_little(claim) else _meant(claim, facts)
    if claim.polarity == "absent" and facts.vocabulary.natural:  # "0 houses" denies what the scope calls house
        meant = [c for c in meant if facts.lists(c) and facts.closed is not None] or meant
    found = {concept: _concept(claim, concept, facts) for concept in meant}
    if claim.polarity == "absent":
        return _worst_denial(found) or _denial_by_name(claim, facts)
    faults = _best_meaning(found, facts)
    if faults and _badness(faults) != ORDER.index("contradicted") and (row := row_that_names(claim, facts)):
        return [fault for c in facts.vocabulary.resolve(row.name) for fault in detail_faults(claim, c, facts)]
    return faults


def _denial_by_name(claim: Claim, facts: Facts) -> list[Fault]:
    """A denial of what a fact states under the same name: "no nodule" where the thyroid has one."""
    row = row_that_is_denied(claim, facts)
    if (
        row is None
        or claim.text == ELSEWHERE
        or is_other(claim, [row], facts.vocabulary)
        or (claim.text and facts.is_pair)
    ):
        return []
    why = f"'{claim.words}' is denied, but the facts say that there is {row.name.replace('_', ' ')}."
    return [_fault(claim, "polarity", "contradicted", why)]


def _meant(claim: Claim, facts: Facts) -> Sequence[str]:
    """What words can mean; where that is a diagnosis, not what is more general: a metastasis is not any lesion."""
    if claim.polarity == "absent" or not facts.metadata:
        return claim.concepts
    special = [name for name in claim.concepts if _is_diagnosis(name, facts)]
    if special and facts.vocabulary.has_sides:
        return special  # "uterine sarcoma" is not any lesion of the uterus
    general = {more for name in special for more in facts.vocabulary.above(name) - {name}}
    general = {name for name in general if not _is_diagnosis(name, facts)}
    return [name for name in claim.concepts if name not in general] or claim.concepts


def _worst_denial(found: Mapping[str, list[Fault]]) -> list[Fault]:
    """The judgement of a denied word with several meanings: whatever of them is there makes the denial wrong."""
    wrong = [faults for faults in found.values() if faults and _badness(faults) == ORDER.index("contradicted")]
    return wrong[0] if wrong else min(found.values(), key=lambda faults: _badness(faults) if faults else -1)


def _best_meaning(found: Mapping[str, list[Fault]], facts: Facts) -> list[Fault]:
    """The judgement of a word with several meanings: by what is there; else by what the facts know of."""
    if any(not faults for faults in found.values()):
        return []
    there = [faults for concept, faults in found.items() if facts.rows(concept)]
    if there:
        return min(there, key=_badness)
    return max(found.values(), key=_badness)


def _badness(faults: Sequence[Fault]) -> int:
    return ORDER.index(worst([fault.judgement for fault in faults]))


_WIDE_KINDS = 12  # kinds of what is named so generally that it can be elsewhere
_ROUNDED = 0.03  # shares are stated as whole percents


def _identity(claim: Claim) -> Fault:
    what = "names, addresses, dates and numbers of records"
    why = f"'{claim.words}' identifies a person, a record or a place; leave out {what}."
    return _fault(claim, "identity", "contradicted", why)


def _place(claim: Claim) -> Fault:
    why = f"'{claim.words}' is not in the facts: they name no such place."
    return _fault(claim, "place", "unsupported", why)


def _fault(claim: Claim, kind: FaultKind, judgement: Judgement, why: str) -> Fault:
    return Fault(kind, judgement, claim.words, claim.start, claim.end, why)


def _date(claim: Claim, facts: Facts, *, about_birth: bool) -> list[Fault]:
    said = claim.text or ""
    month = said[2:] if said.startswith("--") else ""
    if any(
        known.startswith(said) or (month and known.zfill(2) == month) or (month and known[5 : 5 + len(month)] == month)
        for known in facts.dates
    ):
        return []
    is_day = said.lstrip("-").count("-") == (1 if month else 2)  # --04-11, 2023-04-11
    if facts.vocabulary.is_about_patients and (about_birth or is_day):
        return [_identity(claim)]
    why = f"'{claim.words}' is not in the facts: they state no such date."
    return [_fault(claim, "date", "unsupported", why)]


def _concept(claim: Claim, concept: str, facts: Facts) -> list[Fault]:
    judgement, why = _presence(claim, concept, facts)
    if judgement != "supported" and claim.polarity == "present" and _is_hardly_any(claim, concept, facts):
        return []
    if judgement == "supported":
        if claim.polarity != "absent" and facts.strength(concept) in ("present", "uncertain"):
            return detail_faults(claim, concept, facts)
        return []
    if judgement == "unknown" and claim.polarity != "absent" and (faults := _of_more_general(claim, concept, facts)):
        return faults
    kind: FaultKind = "polarity" if judgement == "contradicted" else "concept"
    return [_fault(claim, kind, judgement, why)]


def _is_hardly_any(claim: Claim, concept: str, facts: Facts) -> bool:
    """Whether so little is claimed ("hardly any trees") that there may be none, and there is none."""
    known = facts.strength(concept)
    return _is_little(claim) and (known == "absent" or (known is None and facts.is_closed(concept)))


def _is_little(claim: Claim) -> bool:
    return any(low == 0 for d in claim.details for low, _ in d.bounds if d.dimension in (SHARE, COUNT))


def _of_more_general(claim: Claim, concept: str, facts: Facts) -> list[Fault]:
    """What is wrong with the details where the facts state only something more general."""
    vocabulary = facts.vocabulary
    alike = (
        (vocabulary.above(concept) | vocabulary.kin(concept)) & facts.present()
        if vocabulary.has_sides
        else (vocabulary.above(concept) & facts.present())
    )
    if vocabulary.has_sides and not alike and not any(vocabulary.is_region(name) for name in vocabulary.above(concept)):
        kinds = vocabulary.above(concept) - _ANYTHING - {concept}
        alike = frozenset(name for name in facts.present() if vocabulary.above(name) & kinds)
        if len(alike) > 1:
            return []
    for general in sorted(alike):
        faults = [f for f in detail_faults(claim, general, facts) if f.judgement == "contradicted"]
        if faults:
            return faults
    return []


def _presence(claim: Claim, concept: str, facts: Facts) -> tuple[Judgement, str]:
    """Whether a concept is there, is not, or may be there, as a claim says."""
    known, name = facts.strength(concept), concept.replace("_", " ")
    if claim.polarity == "absent":
        return _absence(claim, concept, known, facts)
    if known == "present" or (known == "uncertain" and claim.polarity == "uncertain"):
        return "supported", ""
    if known == "uncertain":
        return "unsupported", f"'{claim.words}' is said too firmly: the facts leave {name} open."
    if known == "absent":
        return "contradicted", f"'{claim.words}' is wrong: the facts say that there is no {name}."
    if concept not in facts.vocabulary.concepts and facts.rows(concept):
        return "supported", ""  # a structure that was measured, or that something else is said to lie beside
    there = facts.present()
    missing = {whole for whole in facts.wholes(concept) if facts.strength(whole) != "present"}
    is_open = not facts.closed and bool(facts.scoped & {*claim.concepts, *missing})
    if facts.is_optional(concept) and facts.has_whole(concept) and not is_open:
        return (
            "unsupported",
            f"'{claim.words}' is not in the facts: not each such thing has it, and they do not name it.",
        )
    if other := sorted(there & facts.vocabulary.excluded(concept)):
        return "contradicted", f"'{claim.words}' is wrong: the facts say {other[0].replace('_', ' ')}."
    if NORMAL in there:
        return "unsupported", f"'{claim.words}' is not in the facts: they call the picture normal."
    if there & facts.vocabulary.kin(concept) and not facts.lists(concept):
        return "unknown", f"'{claim.words}' is not known: the facts state something like {name}, but not that."
    if facts.metadata and _is_diagnosis(concept, facts) and (known_as := _other_diagnoses(concept, facts)):
        if any(row.numbers.get("uptake") for name in known_as for row in facts.rows_of(name)):
            return "unknown", f"'{claim.words}' is not known: the facts state its uptake, and not what it is."
        what = known_as[0].replace("_", " ")
        return (
            "unsupported",
            f"'{claim.words}' is more than the facts say: they state {what}, and not that it is {name}.",
        )
    similar = facts.vocabulary.above(concept) | facts.vocabulary.kin(concept)
    special = there & (facts.vocabulary.above(concept) - {concept})
    if special and not facts.lists(concept) and facts.closed and special & facts.closed and facts.vocabulary.natural:
        general = sorted(special)[0].replace("_", " ")
        return "unsupported", f"'{claim.words}' is not in the facts: they say {general} and not which kind of it."
    if there & similar and not facts.lists(concept):
        return "unknown", f"'{claim.words}' is not known: the facts state something like {name}, but not that."
    if kinds := facts.all_kinds_absent(concept):
        what = kinds[0].replace("_", " ")
        return "contradicted", f"'{claim.words}' is wrong: the facts say that there is no {what}."
    if facts.is_closed(concept) or is_mass_of_none(claim, concept, facts):
        return (
            "unsupported",
            f"'{claim.words}' is not in the facts, which list everything of the kind: leave {name} out.",
        )
    if any(
        low > facts.share_left(concept) + _ROUNDED for d in claim.details if d.dimension == SHARE for low, _ in d.bounds
    ):
        return "contradicted", f"'{claim.words}' is wrong: what the facts state leaves no such share to {name}."
    if concept in facts.vocabulary.concepts and facts.vocabulary.concepts[concept].is_recorded:
        return "unsupported", f"'{claim.words}' is not in the facts: no record states {name}."
    return "unknown", f"'{claim.words}' is not known: the facts say nothing of {name}."


def _is_diagnosis(concept: str, facts: Facts) -> bool:
    known = facts.vocabulary.concepts
    return concept in known and known[concept].is_diagnosis


def _other_diagnoses(concept: str, facts: Facts) -> list[str]:
    """What facts state that is more general than a diagnosis, or another lesion of the same part of the body."""
    vocabulary = facts.vocabulary
    above = vocabulary.above(concept) - {concept}
    kinds = {name for name in above if not vocabulary.is_region(name)} - _ANYTHING
    kinds -= frozenset() if vocabulary.has_sides else _WIDE
    region = {name for name in above if vocabulary.is_region(name)}
    others = {
        name
        for name in facts.present() - vocabulary.kin(concept)
        if vocabulary.above(name) & kinds and _is_of_region(vocabulary.above(name), region, facts)
    }
    return sorted(((facts.present() & above) - _ANYTHING) | others)


_ANYTHING = frozenset(["finding"])
_WIDE = frozenset(["lesion"])  # of which dead tissue is one, too


def _is_of_region(names: frozenset[str], region: set[str], facts: Facts) -> bool:
    """Whether concepts are of a region, or one of both has none."""
    regions = {name for name in names if facts.vocabulary.is_region(name)}
    return not regions or not region or bool(regions & region)


def _absence(claim: Claim, concept: str, known: str | None, facts: Facts) -> tuple[Judgement, str]:
    name = concept.replace("_", " ")
    if known == "present":
        if claim.text == LOCAL and len(facts.vocabulary.below(concept)) > _WIDE_KINDS:
            return "unknown", f"Whether there is '{claim.words}' of that alone is not known."
        if claim.text == ELSEWHERE or is_no_mass(claim, concept, facts):
            return "supported", ""
        if is_other(claim, facts.rows(concept), facts.vocabulary) or is_of_change(claim, concept, facts):
            return "supported", ""
        return "contradicted", f"'{claim.words}' is denied, but the facts say that there is {name}."
    if known == "uncertain":
        return "unsupported", f"'{claim.words}' is denied too firmly: the facts leave {name} open."
    there = facts.present()
    general = sorted(
        name for name in there & (facts.vocabulary.above(concept) - {concept}) if not _is_told(name, concept, facts)
    )
    closed = facts.is_closed(concept) and not general
    implied = NORMAL in there or there & facts.vocabulary.excluded(concept) or closed
    if known == "absent" or facts.lists(concept) or (implied and not there & facts.vocabulary.kin(concept)):
        return "supported", ""
    if general:
        what = general[0].replace("_", " ")
        return "unsupported", f"'{claim.words}' is denied, but the facts state {what} and not which kind of it."
    return "unknown", f"Whether there is '{claim.words}' is not known: the facts say nothing of {name}."


def _is_told(general: str, concept: str, facts: Facts) -> bool:
    """Whether the facts say which kind of something general is there, and that it is another than a concept."""
    above = facts.vocabulary.above(concept)
    special = facts.present() & (facts.vocabulary.below(general) - {general})
    return any(name not in above and concept not in facts.vocabulary.above(name) for name in special)


def _normal(claim: Claim, facts: Facts) -> list[Fault]:
    if claim.concepts == (NORMAL,):
        return judge_whole(claim, facts)
    found = [_normality(claim, concept, facts) for concept in claim.denies]
    contradicting = next(((j, why) for j, why in found if j == "contradicted"), None)
    if claim.polarity == "absent":
        if contradicting:
            return []
        judgement: Judgement = "contradicted" if all(j == "supported" for j, _ in found) else "unknown"
        return [
            _fault(claim, "polarity", judgement, f"'{claim.words}' is denied, but the facts name nothing wrong there.")
        ]
    if contradicting:
        return [_fault(claim, "polarity", *contradicting)]
    judgement = best([j for j, _ in found])
    return [] if judgement == "supported" else [_fault(claim, "concept", judgement, found[0][1])]


def _normality(claim: Claim, concept: str, facts: Facts) -> tuple[Judgement, str]:
    """Whether a concept that a statement of normality denies is there."""
    there = wrong_there(claim, concept, facts)
    if there is not None:
        name = there.replace("_", " ")
        return "contradicted", f"'{claim.words}' is denied, but the facts say that there is {name}."
    judgement, why = _absence(claim, concept, facts.strength(concept), facts)
    return ("supported", "") if judgement == "contradicted" else (judgement, why)


def _relation(claim: Claim, facts: Facts) -> list[Fault]:
    kind = claim.relation or ""
    pairs = [(s, o) for s in claim.concepts for o in claim.others]
    known = frozenset().union(*(facts.relations(subject, other) for subject, other in pairs))
    if any(other in facts.vocabulary.above(s) | facts.vocabulary.below(s) for s, other in pairs) and not known:
        return []  # a carcinoma and the tumour are one
    if kind in _COMPARED:
        return _comparison(claim, kind, facts)
    if kind in OPPOSITE:
        return judge_direction(claim, known & OPPOSITE.keys(), facts)
    if not known:
        return _crossing_of_another(claim, kind, facts)
    names = f"{claim.concepts[0]} and {claim.others[0]}".replace("_", " ")
    if kind == "in" and "in of" in known and "in" not in known:
        return [_fault(claim, "relation", "contradicted", f"'{claim.words}' is the wrong way round for {names}.")]
    stated = {name.removesuffix(PASSIVE) for name in known}
    if (_IMPOSSIBLE.get(kind, frozenset()) & stated) and not _POSSIBLE.get(kind, frozenset([kind])) & stated:
        said = " and ".join(sorted(stated & _IMPOSSIBLE[kind]))
        return [
            _fault(claim, "relation", "contradicted", f"'{claim.words}' is wrong: the facts say '{said}' of {names}.")
        ]
    if kind in known or kind in _LOOSE or _POSSIBLE.get(kind, frozenset([kind])) & stated:
        return []
    return [_fault(claim, "relation", "unknown", f"'{claim.words}' is not known: the facts do not relate {names} so.")]


def _crossing_of_another(claim: Claim, kind: str, facts: Facts) -> list[Fault]:
    """What is wrong where a bridge is said to cross one thing and the facts have it cross another."""
    if kind not in _CROSSING or not facts.vocabulary.natural:
        return []
    crossed = sorted(frozenset().union(*(facts.partners(c, _CROSSING) for c in claim.concepts)) - {*claim.others})
    if not crossed or any(facts.strength(other) != "present" for other in claim.others[:1]):
        return []
    why = f"'{claim.words}' is not in the facts: they say it of {crossed[0].replace('_', ' ')}."
    return [_fault(claim, "relation", "unsupported", why)]


_CROSSING = frozenset(["crossing", "through"])
_COMPARED = {"more": (1.0, math.inf), "less": (0.0, 1.0), "equal": (0.8, 1.25)}  # first by second


def _comparison(claim: Claim, kind: str, facts: Facts) -> list[Fault]:
    pairs = [found for s in claim.concepts for o in claim.others if (found := facts.amount(s, o))]
    low, high = _COMPARED[kind]
    if not pairs or any(low <= first / second <= high for first, second in pairs):
        return []
    why = f"'{claim.words}' is wrong: the facts say {pairs[0][0]:g} and {pairs[0][1]:g}."
    return [_fault(claim, "number", "contradicted", why)]


# What is said of the place of two things → what it cannot be by the facts, and what of them makes it right.
_IMPOSSIBLE = {
    "beside": frozenset(["in", "crossing"]), "along": frozenset(["in", "crossing"]), "crossing": frozenset(["beside"]),
    "in": frozenset(["beside", "crossing"]), "opposite": frozenset(["in", "crossing"]),
    "away": frozenset(["in", "crossing", "beside"]),
}  # fmt: skip
_POSSIBLE = {
    "beside": frozenset(["beside", "along", "around"]), "along": frozenset(["beside", "along", "around"]),
    "crossing": frozenset(["crossing", "in"]), "around": frozenset(["around", "beside", "in"]),
    "through": frozenset(["crossing", "in", "through"]),
}  # fmt: skip
_LOOSE = frozenset(["near", "around", "through"])

"""Whether the sides, places, numbers, counts and the like of a claim are those of one and the same fact."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from voxtile.words.tokens import words_of
from voxtile_datasets.captions.checker.extraction.claims import PART, Claim, Detail
from voxtile_datasets.captions.checker.extraction.grammar import load_grammar
from voxtile_datasets.captions.checker.extraction.numbers.amount import SHARE
from voxtile_datasets.captions.checker.extraction.numbers.imaging_numbers import RESOLUTION
from voxtile_datasets.captions.checker.fact import Fact
from voxtile_datasets.captions.checker.judging.agreement import agrees, agrees_with_any
from voxtile_datasets.captions.checker.judging.fact_lookup import Facts
from voxtile_datasets.captions.checker.judging.held import is_held
from voxtile_datasets.captions.checker.parts import organs_in
from voxtile_datasets.captions.checker.verdict import Fault, Judgement
from voxtile_datasets.captions.checker.vocabulary import Vocabulary

# Details that the facts lack: invented where they can be measured, else merely not known.
_LACKING: dict[str, Judgement] = {
    "side": "unsupported", "place": "unsupported", "number": "unsupported", "count": "unsupported",
    "position": "unsupported", "colour": "unknown", "shape": "unknown", "rank": "unknown",
    "severity": "unknown", "change": "unknown",
}  # fmt: skip
# What lies on other things and gives them its colour.
_COVERINGS = frozenset({"snow", "snow and ice", "sea_ice"})
_BOTH = frozenset(["left", "right"])
_NO_DYES = frozenset(["green", "emerald", "orange"])  # of haematoxylin and eosin
_SIDES = _BOTH | {"bilateral", "both"}


def detail_faults(claim: Claim, concept: str, facts: Facts) -> list[Fault]:
    """What is wrong with the details of a claim that is present in the facts.

    A detail counts where a fact has it that differs in none of the others, so that the size of one nodule and the side
    of another do not make a third.
    """
    rows = facts.rows(concept) or facts.rows_of_part(concept) or facts.rows_of_wholes(concept)
    stated = frozenset().union(*(row.colours for row in rows))
    outside = [d for d in claim.details if d.is_outside]
    if outside and rows and all(agrees(d, row, facts.vocabulary) for d in outside for row in rows):
        first, last = outside[0], outside[-1]
        why = f"'{claim.words}' is wrong: the facts say that all of it is there and not outside."
        return [Fault(first.kind, "contradicted", first.words, first.start, last.end, why)]
    claim = replace(claim, details=tuple(d for d in claim.details if d not in outside))
    counted = [d for d in claim.details if d.kind == "count" and _is_counted(d, claim, rows, facts.vocabulary)]
    left = [d for d in claim.details if d not in counted]
    details = [replace(d, is_exact=d.kind == "colour" and d.value in stated) for d in left]
    fitting = [row for row in rows if not any(agrees(d, row, facts.vocabulary) is False for d in details)]
    if (others := _beside_a_list(details, rows, fitting, facts.vocabulary)) is not None:
        details = others
        fitting = [row for row in rows if not any(agrees(d, row, facts.vocabulary) is False for d in details)]
    listed = _lists(details)
    is_in_pairs = _is_in_pairs(listed)
    held = [any(agrees(d, row, facts.vocabulary) for row in rows) for d in details]
    faults = []
    for detail, is_of_any in zip(details, held, strict=True):
        told_by = fitting if all(held) else rows  # what no row has is wrong, and not what stands beside it
        if any(agrees(detail, row, facts.vocabulary) for row in told_by) or _agrees_with_all(
            detail, rows, concept, facts
        ):
            continue
        if is_of_any and not fitting and listed and not is_in_pairs:
            continue  # "T8, L3, R iliac bone, L rib": one of each
        if fault := _fault(detail, rows, concept, facts):
            faults.append(fault)
    return faults


def _lists(details: Sequence[Detail]) -> dict[str, list[Detail]]:
    """Details of which a text gives several of a kind; "the lower pole of the kidney" is one place."""
    found = {kind: [d for d in details if d.kind == kind] for kind in ("side", "place", "number")}
    found["place"] = [d for d in found["place"] if not _is_organ(d)] or found["place"]
    return {kind: many for kind, many in found.items() if len(many) > 1}


def _is_in_pairs(listed: Mapping[str, Sequence[Detail]]) -> bool:
    """Whether each place goes with the size beside it: "RUL 6 mm, LLL 4 mm", and not "T8, L3, right and left ilium"."""
    if len(listed) < 2 or len({len(many) for many in listed.values()}) > 1:
        return False
    groups = list(zip(*listed.values(), strict=True))
    return all(max(d.start for d in one) < min(d.start for d in other) for one, other in itertools.pairwise(groups))


def _beside_a_list(
    details: Sequence[Detail], rows: Sequence[Fact], fitting: Sequence[Fact], vocabulary: Vocabulary
) -> list[Detail] | None:
    """The details beside a list of places or sizes each of which is one fact's; None where nothing is listed.

    "Fractures at T8, T10 and L1"; of "segment 2 31 mm, segment 6 12 mm" each place goes with the size that follows it.
    """
    listed = _lists(details)
    if not listed or any(all(agrees(d, row, vocabulary) for many in listed.values() for d in many) for row in fitting):
        return None
    others = [d for d in details if d.kind not in listed]
    suited = [row for row in rows if not any(agrees(d, row, vocabulary) is False for d in others)]
    groups: list[tuple[Detail, ...]] = [(d,) for many in listed.values() for d in many]
    if _is_in_pairs(listed):
        groups = list(zip(*listed.values(), strict=True))
    is_told = all(any(all(agrees(d, row, vocabulary) for d in group) for row in suited) for group in groups)
    return others if is_told else None


def _is_counted(detail: Detail, claim: Claim, rows: Sequence[Fact], vocabulary: Vocabulary) -> bool:
    """Whether so many single things are listed on that side and in that place, or of that size too.

    "Three cysts, the largest 2 cm" counts all of them; "two 8 mm cysts" those of that size. Of a name that means more
    than one kind of thing, all of them or those of one kind.
    """
    single = {id(row): row for row in rows if row.is_one}.values()  # a row may be of two concepts
    for kinds in (("side", "place"), ("side", "place", "number")):
        limits = [d for d in claim.details if d.kind in kinds]
        listed = [row for row in single if not any(agrees(d, row, vocabulary) is False for d in limits)]
        counts = [len(listed), *Counter(row.name for row in listed).values()] if listed else []
        if any(low <= count <= high for count in counts for low, high in detail.bounds):
            return True
    # Sizes agree within a margin, so that more than are meant may be of one.
    is_of_size = bool(listed) and any(d.kind == "number" for d in claim.details)
    return is_of_size and any(low <= len(listed) for low, _ in detail.bounds)


def is_other(claim: Claim, rows: Sequence[Fact], vocabulary: Vocabulary) -> bool:
    """Whether a denial is of another side, place or grade than all facts: "no large effusion", "none on the left".

    A grade or share that is part of the name ("the heart is mildly enlarged", "large bowel") limits it only where the
    facts state another.
    """
    if outside := [d for d in claim.details if d.is_outside]:
        return bool(rows) and all(agrees(d, row, vocabulary) for d in outside for row in rows)
    limits = [d for d in claim.details if d.kind in ("side", "place", "severity", "number")]
    limits += [d for d in claim.details if d.kind == "position" and not d.is_vague]
    limits = [d for d in limits if d.kind != "severity" or d.value != "0"]  # "not a trace of" denies it all
    return bool(limits and rows) and all(
        any(
            agrees(d, row, vocabulary) is False
            or (d.kind in ("severity", "number") and not _is_named(d, claim) and not _has(d, row))
            for d in limits
        )
        for row in rows
    )


def is_elsewhere(claim: Claim, rows: Sequence[Fact], vocabulary: Vocabulary) -> bool:
    """Whether all facts are of another side or place than a claim: "the left lung is clear"."""
    limits = [d for d in claim.details if d.kind in ("side", "place")]
    return bool(limits and rows) and all(any(agrees(d, row, vocabulary) is False for d in limits) for row in rows)


def _is_named(detail: Detail, claim: Claim) -> bool:
    """Whether a detail stands within the name of what is claimed."""
    return claim.start <= detail.start and detail.end <= claim.end


def _has(detail: Detail, row: Fact) -> bool:
    return bool(row.grades) if detail.kind == "severity" else bool(row.numbers.get(detail.dimension or ""))


def _agrees_with_all(detail: Detail, rows: Sequence[Fact], concept: str, facts: Facts) -> bool:
    """What several facts say together: both sides, and how many regions they list."""
    if detail.kind == "side" and detail.value == "bilateral":
        return frozenset().union(*(row.sides for row in rows)) >= _BOTH
    if detail.kind == "rank":
        ranks = facts.share_ranks(concept)
        return not ranks or detail.value in ranks
    if detail.dimension == SHARE:
        known = _share(concept, facts)
        return bool(known) and any(low <= known <= high for low, high in detail.bounds)
    if detail.kind == "count":
        known = any(row.counts for row in rows)
        if facts.is_pair and len(rows) > 1:  # of ten houses seven are gone and three are left
            counts = sorted({row.counts[0][0] for row in rows if row.counts})
            totals = {sum(counts), counts[-1] - counts[0]} if counts else set()
            if any(low <= total <= high for low, high in detail.bounds for total in totals):
                return True
        listed = facts.objects(concept)
        if not known and listed:
            return any(low <= listed <= high for low, high in detail.bounds)
        rows_of = Counter(row.source for row in rows if row.is_detailed)
        if not known and any(low <= count <= high for count in rows_of.values() for low, high in detail.bounds):
            return True
        kinds = {row.name for row in rows}  # "two tubes": one of each of two kinds
        if not known and len(kinds) > 1 and any(low <= len(kinds) <= high for low, high in detail.bounds):
            return True
        if not known:
            return detail.is_vague or detail.bounds == ((1.0, 1.0),) or _is_any(detail)
    return False


def _share(concept: str, facts: Facts) -> float:
    """The share that the facts state of a concept, else of what it is a kind of: of a carcinoma that of the tumour."""
    general = facts.present() & (facts.vocabulary.above(concept) - {concept})
    return facts.share(concept) or max((facts.share(name) for name in general), default=0.0)


def _is_organ(detail: Detail) -> bool:
    return detail.dimension == PART and bool(organs_in((detail.value,)))


def _is_any(detail: Detail) -> bool:
    """Whether a count says no more than that there is one: "at least one"."""
    return all(low <= 1 and math.isinf(high) for low, high in detail.bounds)


def _fault(detail: Detail, rows: Sequence[Fact], concept: str, facts: Facts) -> Fault | None:
    said = [
        _said(detail, row) for row in rows if detail.kind != "place" or agrees(detail, row, facts.vocabulary) is False
    ]
    known = list(dict.fromkeys(text for text in said if text))
    if _is_organ(detail) and not known:
        return None  # where facts name no organ, any may be meant
    if detail.kind == "rank":
        known = ["another order of shares"] if facts.share_ranks(concept) else []
    name = concept.replace("_", " ")
    if detail.kind == "count" and not known and (listed := facts.objects(concept)):
        known = [str(listed)]
    if detail.dimension == "length" and facts.metadata.agrees_in_number(RESOLUTION, detail.bounds[0]):
        return None  # ", 10 m," of the picture
    if known:
        why = f"'{detail.words}' is wrong: the facts say {' and '.join(known[:3])} of {name}."
        return Fault(detail.kind, "contradicted", detail.words, detail.start, detail.end, why)
    coloured = {concept, *(_COVERINGS & set(facts.present()))}  # white peaks under snow
    if detail.kind in ("shape", "rank") or (
        detail.kind == "colour" and any(_is_natural(detail.value, name, facts.vocabulary) for name in coloured)
    ):
        return None
    if is_held(detail, concept, facts):
        return None
    if _is_no_dye(detail, facts):
        why = f"'{detail.words}' is wrong: haematoxylin and eosin dye nothing so."
        return Fault(detail.kind, "contradicted", detail.words, detail.start, detail.end, why)
    why = f"'{detail.words}' is not in the facts: they state no {_NAMES[detail.kind]} of {name}."
    is_share = detail.dimension == SHARE and facts.vocabulary.is_about_patients
    if is_share and (share := _share(concept, facts)):
        why = f"'{detail.words}' is wrong: the facts say {share:g} of {name}."
        return Fault(detail.kind, "contradicted", detail.words, detail.start, detail.end, why)
    if is_share and agrees_with_any(detail, facts.all_rows(), facts.vocabulary):
        return Fault(detail.kind, "unknown", detail.words, detail.start, detail.end, why)  # of what else is there
    # How long ago, or how old: reports compare with other days, and facts are of this one.
    is_implied = detail.kind == "place" and detail.value in facts.vocabulary.implied_places
    is_open = is_implied or detail.dimension == "time" or (detail.kind in ("position", "number") and detail.is_vague)
    is_open |= detail.value == "unilateral" or (detail.kind == "count" and detail.words.lower() == "both")
    is_open |= is_share and not _is_fraction(detail)  # "a sliver of", "nothing but"
    located = [row for row in rows if row.located and not row.positions]
    is_open |= bool(located) and detail.kind in ("position", "place")
    is_open |= detail.kind == "side" and any(_SIDES & set(row.located) for row in located)
    if facts.vocabulary.natural:  # what another fact holds is read wrongly rather than invented
        is_open |= detail.kind == "position" or (detail.kind in ("number", "count") and facts.holds(detail))
    judgement = "unknown" if is_open else _LACKING[detail.kind]
    if detail.kind == "colour" and facts.vocabulary.natural:
        judgement = "unsupported"
    return Fault(detail.kind, judgement, detail.words, detail.start, detail.end, why)


def _is_no_dye(detail: Detail, facts: Facts) -> bool:
    """Whether the stain of a slide gives no such colour."""
    if detail.kind != "colour" or detail.value not in _NO_DYES or "stain" not in facts.vocabulary.imaging:
        return False
    return bool(facts.metadata.agrees("stain", ("H&E",)))


def _is_fraction(detail: Detail) -> bool:
    """Whether a share is said in figures or as a fraction: not "a sliver of", "nothing but"."""
    words = words_of(detail.words).words
    return any(word[0].isdecimal() or word in load_grammar().fractions for word in words)


def _is_natural(colour: str, concept: str, vocabulary: Vocabulary) -> bool:
    """Whether a thing has a colour by nature, so that it needs no fact: green trees."""
    similar = [name for name in (colour, "green" if colour == "emerald" else colour)]
    return any(vocabulary.natural.get(name, frozenset()) & set(similar) for name in vocabulary.above(concept))


_NAMES = {
    "side": "side", "place": "place", "number": "such number", "count": "count", "position": "place in the picture",
    "colour": "colour", "severity": "grade", "change": "change", "shape": "form", "rank": "rank",
}  # fmt: skip


def _said(detail: Detail, row: Fact) -> str:
    """What a fact says of the kind of a detail, in words."""
    if detail.kind == "number":
        base = {"length": "mm", "area": "mm²", "volume": "ml", "attenuation": "HU", "uptake": "SUV"}
        unit = base.get(detail.dimension or "", "")
        return " and ".join(f"{value:g} {unit}".strip() for value in row.numbers.get(detail.dimension or "", ())[:2])
    if detail.kind == "count":
        return " or ".join(f"{low:g}" if low == high else f"{low:g} or more" for low, high in row.counts[:2])
    values = {
        "side": row.sides, "place": row.places or frozenset([" ".join(row.located)]),
        "colour": row.colours, "change": row.changes,
        "shape": row.shapes, "rank": frozenset(),
        "position": row.positions | (row.bearings if detail.is_vague else frozenset()),
    }  # fmt: skip
    if detail.kind == "severity":
        return "another grade" if row.grades else ""
    return ", ".join(sorted(values[detail.kind]))

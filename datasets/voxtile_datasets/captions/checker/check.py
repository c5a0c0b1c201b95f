"""The checker: does a text say what the facts of a sample say, under what was looked for?

`supported`: every claim follows from the facts and closed scopes. `contradicted`: a fact says otherwise, or the text
names a person or a record. `unsupported`: a closed scope leaves it out, or the text gives a side, a number, a place or
a date that the facts lack, or what no picture shows (a cause, an advice). `unknown`: the scope is open, and the facts
are silent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from voxtile.words.phrases import Phrases
from voxtile.words.tokens import words_of
from voxtile_datasets.captions.checker.completeness import completeness
from voxtile_datasets.captions.checker.extraction.claims import Claim, Detail
from voxtile_datasets.captions.checker.extraction.extract import claims_of
from voxtile_datasets.captions.checker.extraction.identity import is_of_birth
from voxtile_datasets.captions.checker.extraction.numbers.amount import SHARE
from voxtile_datasets.captions.checker.judging.agreement import agrees_with_any
from voxtile_datasets.captions.checker.judging.fact_lookup import Facts
from voxtile_datasets.captions.checker.judging.judge import judge
from voxtile_datasets.captions.checker.judging.neighbours import of_neighbours
from voxtile_datasets.captions.checker.judging.unseen import stories
from voxtile_datasets.captions.checker.verdict import ORDER, Fault, Verdict, worst
from voxtile_datasets.captions.checker.vocabulary import Vocabulary

NAME = "claims"
VERSION = "3"

__all__ = ["NAME", "VERSION", "Fault", "Known", "Verdict", "check"]


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of a sample.

    Attributes:
        facts: rows of the facts table, `attributes` as JSON or as a mapping.
        scopes: rows of the scopes table.
        identifiers: names and numbers of the sample's subject, where they are known; none may be in a text.
        metadata: columns of the sample's own row and its attributes in one mapping: modality, body_part, mpp, sex, …
        languages: of the texts, ISO 639-1; claims are read in English only, so that a text in another language says
            nothing that could be judged.
    """

    facts: Sequence[Mapping[str, Any]]
    scopes: Sequence[Mapping[str, Any]]
    identifiers: Sequence[str] = ()
    languages: Sequence[str] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    _read: dict[int, Facts] = field(default_factory=dict, repr=False)

    def read(self, vocabulary: Vocabulary) -> Facts:
        """The facts by concept of a vocabulary; read once."""
        if id(vocabulary) not in self._read:
            self._read[id(vocabulary)] = Facts(self.facts, self.scopes, vocabulary, self.metadata)
        return self._read[id(vocabulary)]


def check(text: str, known: Known, vocabulary: Vocabulary) -> Verdict:
    """Judge a text.

    Args:
        text: a caption.
        known: facts, scopes and identifiers of its sample.
        vocabulary: what captions of the domain can claim.
    """
    facts = known.read(vocabulary)
    claims = claims_of(
        text,
        vocabulary,
        identifiers=known.identifiers,
        is_english=not known.languages or "en" in known.languages,
        allowed=frozenset(facts.words),
        extra=_names(frozenset(facts.unknown_names)),
    )
    faults: list[Fault] = []
    of_birth = is_of_birth(text)
    for claim in claims:
        faults += judge(claim, facts, about_birth=of_birth)
    faults = [_in_place_of_another(fault, claims, facts) for fault in faults]
    faults = [fault for fault in faults if not _is_of_unnamed(fault, text, claims, facts)]
    if vocabulary.natural:
        faults = stories(faults, text)
        faults = [of_neighbours(fault, text, claims, facts) for fault in faults]
    if not claims:
        why = "The text says nothing that can be checked in English: no word of it is in the vocabulary."
        fault = Fault("nothing-said", "unknown", text[:80], 0, len(text), why)
        nothing = completeness((), facts)
        return Verdict("unknown", (fault,), (), nothing.share, nothing.left_out)
    faults.sort(key=lambda fault: -ORDER.index(fault.judgement))
    told = completeness(claims, facts)
    judgement = worst([f.judgement for f in faults]) if faults else "supported"
    return Verdict(judgement, tuple(faults), claims, told.share, told.left_out)


def _in_place_of_another(fault: Fault, claims: Sequence[Claim], facts: Facts) -> Fault:
    """What is not known is invented where a text has it in place of what the facts state: a railway for the road."""
    claim = next((c for c in claims if c.kind == "concept" and (c.start, c.end) == (fault.start, fault.end)), None)
    if fault.judgement != "unknown" or fault.kind != "concept" or claim is None or claim.polarity != "present":
        return fault
    vocabulary = facts.vocabulary
    said = {
        c
        for other in claims
        if other.kind == "concept"
        for name in other.concepts
        for c in (_related(name, vocabulary) if not _is_wide(name, vocabulary) else vocabulary.above(name))
    }
    if name := _of_same_size(claim, said, facts):
        why = f"'{fault.words}' is not in the facts: what they state of that size is {name.replace('_', ' ')}."
        return replace(fault, judgement="unsupported", why=why)
    if vocabulary.natural and (name := _of_same_share(claim, said, facts)):
        why = f"'{fault.words}' is not in the facts: what they state of that share is {name.replace('_', ' ')}."
        return replace(fault, judgement="unsupported", why=why)
    if vocabulary.natural and facts.scoped & {c for name in claim.concepts for c in _related(name, vocabulary)}:
        return fault  # an open scope leaves it open
    for concept in claim.concepts:
        alike = vocabulary.alike.get(concept, frozenset()) - vocabulary.kin(concept) - said
        stems = {word[:_STEM] for word in concept.split("_")}
        alike = frozenset(name for name in alike if not _is_named_alike(name, stems))
        if missing := sorted(name for name in alike if facts.rows(name) and facts.strength(name) == "present"):
            why = f"'{fault.words}' is not in the facts: they state {missing[0].replace('_', ' ')} in its place."
            return replace(fault, judgement="unsupported", why=why)
    return fault


def _is_wide(name: str, vocabulary: Vocabulary) -> bool:
    """Whether so much is a kind of a concept that its name says nothing of which one is meant: a lesion."""
    return len(vocabulary.below(name)) > _WIDEST


def _of_same_share(claim: Claim, said: set[str], facts: Facts) -> str | None:
    """What of the facts has the share of the picture that a claim gives to another cover, and is not named itself."""
    shares = [d for d in claim.details if d.dimension == SHARE and any(letter.isdecimal() for letter in d.words)]
    if len(shares) != 1:
        return None
    low, high = shares[0].bounds[0]
    unsaid = [name for name in sorted(facts.present() - said) if low <= facts.share(name) <= high]
    return unsaid[0] if len(unsaid) == 1 else None


def _of_same_size(claim: Claim, said: set[str], facts: Facts) -> str | None:
    """What of the facts has the size that a claim gives to something else, and is not named itself."""
    sizes = [d for d in claim.details if d.kind == "number" and d.dimension in ("length", "uptake", "volume")]
    if not sizes or not facts.vocabulary.has_sides:
        return None
    named = {c for concept in claim.concepts for c in facts.vocabulary.above(concept)}
    if set(words_of(claim.words).words) <= _GENERAL:
        return None  # "a soft tissue mass" may be what the facts call by another name
    said = said - named
    stems = {word[:_STEM] for word in words_of(f"{claim.words} {' '.join(claim.concepts)}".replace("_", " ")).words}
    kin = {c for concept in claim.concepts for c in facts.vocabulary.kin(concept)}
    unsaid = sorted(n for n in facts.present() - said - kin if not _is_named_alike(n, stems))
    return next((n for n in unsaid if all(agrees_with_any(d, facts.rows_of(n), facts.vocabulary) for d in sizes)), None)


def _is_named_alike(name: str, stems: set[str]) -> bool:
    """Whether a concept's name has a word that begins like one of others: a cavity and a cavitating lesion."""
    return any(word[:_STEM] in stems for word in name.split("_") if len(word) >= _STEM)


def _is_of_unnamed(fault: Fault, text: str, claims: Sequence[Claim], facts: Facts) -> bool:
    """Whether a detail that stands apart can be of a fact that the text names in words that no vocabulary has.

    "Fluid on the left, heart a touch big": the left is that of an effusion, and not of the heart. A measurement can be
    wherever it stands, "a bleed of 32 mm that pushes the midline by 6 mm", but beside a name it is of that: "a tumor
    of 12 mm".
    """
    place = (fault.start, fault.end)
    detail = next((d for claim in claims for d in claim.details if (d.start, d.end) == place), None)
    if detail is None or not (detail.is_apart or detail.dimension in _MEASURED or _is_far(detail, claims)):
        return False
    if _is_beside_name(detail, text, claims):
        return False
    if detail.kind == "count" and facts.vocabulary.natural:
        return False  # many things are two or three
    said = {c for claim in claims for name in claim.concepts for c in _related(name, facts.vocabulary)}
    rows = [row for name in facts.present() - said for row in facts.rows_of(name)]
    return agrees_with_any(detail, rows, facts.vocabulary)


def _is_beside_name(detail: Detail, text: str, claims: Sequence[Claim]) -> bool:
    """Whether a measurement is part of a name or its apposition: "a 12 mm pancreatic tumor", "a tumor of 12 mm".

    All of a bracket behind a name is: "a stone (9 mm, left)".
    """
    owner = next((claim for claim in claims if detail in claim.details), None)
    if owner is None:
        return False
    between = text[owner.end : detail.start].lstrip()
    if between.startswith("(") and ")" not in between:
        return True
    if detail.dimension not in _MEASURED:
        return False
    before = detail.end <= owner.start and not text[detail.end : owner.start].strip(" -")
    return before or text[owner.end : detail.start].strip().casefold() in ("of", "measuring", "measures")


def _is_far(detail: Detail, claims: Sequence[Claim]) -> bool:
    """Whether a place stands so far behind the name that it is taken to be said of that it may be another's."""
    owner = next((claim for claim in claims if detail in claim.details), None)
    return owner is not None and detail.kind == "place" and detail.start - owner.end > _FAR


def _related(concept: str, vocabulary: Vocabulary) -> frozenset[str]:
    return vocabulary.above(concept) | vocabulary.below(concept)


@lru_cache(maxsize=1000)
def _names(concepts: frozenset[str]) -> Phrases[str] | None:
    """Phrases of concepts that only the facts know, by their own names."""
    named = [(name.replace("_", " ").translate(_BRACKETS), name) for name in sorted(concepts)]
    return Phrases((phrase, name) for phrase, name in named if phrase.strip()) if named else None


# General words for what facts may call by a name of its own: "a soft tissue mass", "a bulge", "a simple cyst".
_GENERAL = frozenset(
    ["mass", "lesion", "tumor", "growth", "lump", "bump", "bulge", "swelling", "nodule", "cyst", "collection", "focus",
     "spot", "shadow", "area", "node", "deposit", "clot", "bleed", "stone", "soft", "tissue", "simple", "solid",
     "cystic", "round", "rounded", "focal", "target", "space", "occupying", "finding", "abnormality", "thing",
     "structure", "a", "fluid", "in", "it", "of", "the", "opacity", "density", "patch", "neoplasm"]
)  # fmt: skip
_STEM = 5  # letters that two forms of a word share
_WIDEST = 12  # kinds of a concept whose name still tells which one is meant
_FAR = 20  # characters
_MEASURED = frozenset(["length", "volume", "area", "uptake", "attenuation", "angle"])
_BRACKETS = str.maketrans("", "", "()[]|")

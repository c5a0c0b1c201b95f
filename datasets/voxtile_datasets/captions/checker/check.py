"""The checker: does a text say what the facts of a sample say, under what was looked for?

`supported`: every claim follows from the facts and closed scopes. `contradicted`: a fact says otherwise, or the text
names a person or a record. `unsupported`: a closed scope leaves it out, or the text gives a side, a number, a place or
a date that the facts lack, or what no picture shows (a cause, an advice). `unknown`: the scope is open, and the facts
are silent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from voxtile.words.phrases import Phrases
from voxtile_datasets.captions.checker.completeness import completeness
from voxtile_datasets.captions.checker.extraction.claims import Claim, Detail
from voxtile_datasets.captions.checker.extraction.extract import claims_of
from voxtile_datasets.captions.checker.extraction.identity import is_of_birth
from voxtile_datasets.captions.checker.judging.agreement import agrees_with_any
from voxtile_datasets.captions.checker.judging.alternatives import left_open
from voxtile_datasets.captions.checker.judging.fact_lookup import Facts
from voxtile_datasets.captions.checker.judging.judge import judge
from voxtile_datasets.captions.checker.judging.neighbours import of_neighbours
from voxtile_datasets.captions.checker.judging.restricted import of_what_is_denied
from voxtile_datasets.captions.checker.judging.results import names_of_tests, with_margins_and_nodes, with_results
from voxtile_datasets.captions.checker.judging.sides_compared import wrong_sides
from voxtile_datasets.captions.checker.judging.substitutes import in_place_of_another
from voxtile_datasets.captions.checker.judging.unseen import stories
from voxtile_datasets.captions.checker.verdict import ORDER, Fault, Verdict, worst
from voxtile_datasets.captions.checker.vocabulary import Vocabulary

NAME = "claims"
_LONGEST = 20_000  # characters; claims are compared with each other, and the longest reports have half of that
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
    if len(text) > _LONGEST:
        why = f"The text has more than {_LONGEST:,} characters and is not read."
        return _unread(Fault("too-long", "unknown", text[:80], 0, len(text), why), facts)
    claims = claims_of(
        text,
        vocabulary,
        identifiers=known.identifiers,
        is_english=not known.languages or "en" in known.languages,
        allowed=frozenset(facts.words),
        extra=_names(frozenset(facts.unknown_names), id(vocabulary), vocabulary),
    )
    claims = with_results(claims, text, known.facts, vocabulary)
    faults: list[Fault] = []
    of_birth = is_of_birth(text)
    for claim in claims:
        faults += judge(claim, facts, about_birth=of_birth)
    faults = left_open(faults, claims, text)
    faults = [in_place_of_another(fault, claims, facts) for fault in faults]
    faults = [fault for fault in faults if not _is_of_unnamed(fault, text, claims, facts)]
    if vocabulary.is_about_patients:
        faults = [*of_what_is_denied(faults, text, claims, facts), *wrong_sides(text, claims, facts)]
    if vocabulary.natural:
        faults = stories(faults, text)
        faults = [of_neighbours(fault, text, claims, facts) for fault in faults]
    faults, is_of_specimen = with_margins_and_nodes(faults, text, known.facts)
    if not claims and not is_of_specimen:
        why = "The text says nothing that can be checked in English: no word of it is in the vocabulary."
        return _unread(Fault("nothing-said", "unknown", text[:80], 0, len(text), why), facts)
    faults.sort(key=lambda fault: -ORDER.index(fault.judgement))
    told = completeness(claims, facts)
    judgement = worst([f.judgement for f in faults]) if faults else "supported"
    return Verdict(judgement, tuple(faults), claims, told.share, told.left_out)


def _unread(fault: Fault, facts: Facts) -> Verdict:
    """Of a text in which nothing can be judged."""
    nothing = completeness((), facts)
    return Verdict("unknown", (fault,), (), nothing.share, nothing.left_out)


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
    said = {c for claim in claims for name in claim.concepts for c in facts.vocabulary.related(name)}
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


@lru_cache(maxsize=1000)
def _names(concepts: frozenset[str], _: int, vocabulary: Vocabulary) -> Phrases[str] | None:
    """Phrases of concepts that only the facts know, by their own names, and of stains by their short ones."""
    named = [(name.replace("_", " ").translate(_BRACKETS), name) for name in sorted(concepts)]
    named += names_of_tests(sorted(concepts), vocabulary)
    return Phrases((phrase, name) for phrase, name in named if phrase.strip()) if named else None


_FAR = 20  # characters
_MEASURED = frozenset(["length", "volume", "area", "uptake", "attenuation", "angle"])
_BRACKETS = str.maketrans("", "", "()[]|")

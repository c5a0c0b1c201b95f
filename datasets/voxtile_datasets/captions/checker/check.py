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
from voxtile_datasets.captions.checker.extraction.extract import claims_of
from voxtile_datasets.captions.checker.extraction.identity import is_of_birth
from voxtile_datasets.captions.checker.fact_lookup import Facts
from voxtile_datasets.captions.checker.judge import judge
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
    if not claims:
        why = "The text says nothing that can be checked in English: no word of it is in the vocabulary."
        return Verdict("unknown", (Fault("nothing-said", "unknown", text[:80], 0, len(text), why),), ())
    faults.sort(key=lambda fault: -ORDER.index(fault.judgement))
    return Verdict(worst([f.judgement for f in faults]) if faults else "supported", tuple(faults), claims)


@lru_cache(maxsize=1000)
def _names(concepts: frozenset[str]) -> Phrases[str] | None:
    """Phrases of concepts that only the facts know, by their own names."""
    named = [(name.replace("_", " ").translate(_BRACKETS), name) for name in sorted(concepts)]
    return Phrases((phrase, name) for phrase, name in named if phrase.strip()) if named else None


_BRACKETS = str.maketrans("", "", "()[]|")

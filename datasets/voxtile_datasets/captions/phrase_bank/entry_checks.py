"""Whether a proposed wording or description says its concept and nothing else, by the checker of captions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from voxtile.words.tokens import normal_form
from voxtile_datasets.captions.checker.check import NAME, VERSION, Known, check
from voxtile_datasets.captions.checker.verdict import Verdict
from voxtile_datasets.captions.checker.vocabulary import Vocabulary
from voxtile_datasets.captions.language import is_other_language
from voxtile_datasets.captions.phrase_bank.bank_file import Entry, Kind, mark_of
from voxtile_datasets.captions.sentences import fields_for, picture_names, wordings_of
from voxtile_datasets.captions.stated_facts import Fact
from voxtile_datasets.captions.wordings import FIELDS, POLARITIES, Bank, fields_of, fill

CHECKER = f"{NAME}@{VERSION}"
_WORD = re.compile(r"[^\W\d_]+")
_NUMBER = re.compile(r"(?<![\w-])\d")  # not that of "T2-weighted" and COVID-19
_NO_NAME = re.compile(r"^(an?|the|no|some)\b|[.!?;:]\s*$", re.I)
_PLACEHOLDER = re.compile(r"\{[^{}]*\}")
_SHORTEST, _LONGEST = 1, 45  # words
_LONGEST_NAME = 9  # words
_IMAGE = "image"  # what a bank calls the pictures ("H&E patch") is its own claim, and not the entry's
_NAMED = "There {is} {finding}."
# A fact of which nothing more is known, and one with details.
_PROBES: tuple[dict[str, Any], ...] = ({}, {"laterality": "left", "size_mm": [12.0]})


@dataclass(frozen=True, eq=False)
class EntryCheck:
    """Checks entries of one concept.

    Attributes:
        concept: as facts call it.
        bank: of wordings; knows the concept's names.
        vocabulary: of the domain.
        modality: of the samples that have the concept.
    """

    concept: str
    bank: Bank
    vocabulary: Vocabulary
    modality: str | None

    def __call__(self, kind: Kind, text: str, modalities: Sequence[str] = ()) -> str | None:
        """Why an entry is refused, as one sentence; None if it may be used.

        Args:
            kind: of the entry.
            text: with its fields.
            modalities: of the pictures it is kept to; those of the concept's samples for none.
        """
        if fault := _form_fault(kind, text):
            return fault
        for modality in modalities or (self.modality,):
            if kind == "descriptions":
                fault = self._description_fault(text, modality)
            else:
                fault = self._wording_fault(text, modality) if kind == "wordings" else self._name_fault(text, modality)
            if fault:
                return fault
        return None

    def passed(self, kind: Kind, text: str, by: str, modalities: Sequence[str] = ()) -> Entry | None:
        """The entry with the checker's mark; None if it is refused."""
        if self(kind, text, modalities) is not None:
            return None
        return Entry(text, by, f"{CHECKER} {mark_of(text, modalities)}", modalities=tuple(modalities))

    def _name_fault(self, text: str, modality: str | None) -> str | None:
        return self._wording_fault(_NAMED, modality, name=text) or self._stray(text)

    def _wording_fault(self, text: str, modality: str | None, *, name: str | None = None) -> str | None:
        tried = 0
        for attributes in _PROBES:
            sentence = self._filled(text, attributes, name)
            if sentence is None:
                continue
            tried += 1
            if fault := self._fault_of(sentence, attributes, modality, needed="supported"):
                return fault
            turned = self._check(sentence, attributes, "absent", modality)
            if turned.verdict != "contradicted":
                return "It would not be false where the finding is absent, so that it does not say it."
            if self._check(sentence, attributes, "uncertain", modality).verdict == "supported":
                return "It says only that the finding may be there."
        if not tried:
            return "No fact has all that it needs; every field but {finding} or {found} belongs in brackets."
        return self._stray(text)

    def _description_fault(self, text: str, modality: str | None) -> str | None:
        if fields_of(text):
            return "A description has no fields."
        return self._fault_of(text, {}, modality, needed="description")

    def _fault_of(
        self, sentence: str, attributes: Mapping[str, Any], modality: str | None, *, needed: str
    ) -> str | None:
        verdict = self._check(sentence, attributes, "present", modality)
        if verdict.verdict == "supported":
            return None
        silent = all(fault.kind == "nothing-said" for fault in verdict.faults)
        if needed == "description" and verdict.verdict == "unknown" and silent:
            return None
        return verdict.faults[0].why

    def _check(self, sentence: str, attributes: Mapping[str, Any], polarity: str, modality: str | None) -> Verdict:
        row = {"concept": self.concept, "polarity": polarity, "value": None, "unit": None, "attributes": attributes}
        metadata = {"modality": modality} if modality else {}
        return check(sentence, Known([row], [], metadata=metadata), self.vocabulary)

    def _filled(self, text: str, attributes: Mapping[str, Any], name: str | None = None) -> str | None:
        side, size = attributes.get("laterality"), "12 mm" if attributes else None
        fact = Fact(self.concept, "present", size, side)
        wording = self.bank.wording_of(self.concept)
        name = name or wording.name or self.concept.replace("_", " ")
        return fill(text, fields_for(fact, wording, name, _IMAGE, None, {}))

    def _stray(self, text: str) -> str | None:
        """A word of the field that has nothing to do with the concept: "a consolidation of the liver"."""
        allowed = self.own_words
        words = _WORD.findall(_PLACEHOLDER.sub(" ", text))
        stray = next((w for w in words if normal_form(w) not in allowed and self._is_of_field(normal_form(w))), None)
        return f"'{stray}' has nothing to do with the concept." if stray else None

    def _is_of_field(self, word: str) -> bool:
        """Whether a word alone names an organ, a place or a finding."""
        phrases = (self.vocabulary.terms, self.vocabulary.structures, self.vocabulary.places)
        return any(found is not None and found[0] == 1 for own in phrases if (found := own.longest_at([word], 0)))

    @cached_property
    def own_words(self) -> frozenset[str]:
        """Words of the concept's names and plain wordings, of the picture, and those by which the checker knows it."""
        texts = [self.concept.replace("_", " "), *picture_names(self.bank, self.modality, None)]
        for polarity in POLARITIES:
            texts += wordings_of(Fact(self.concept, polarity), self.bank, self.modality)
        own, vocabulary = set(self.vocabulary.resolve(self.concept)), self.vocabulary
        pairs = {pair for pair, concepts in vocabulary.pairs.items() if own & set(concepts)}
        known = [words for words, concept in vocabulary.terms if concept in own]
        known += [words for words, structure in vocabulary.structures if structure in {pair[0] for pair in pairs}]
        known += [words for words, quality in vocabulary.qualities if quality in {pair[1] for pair in pairs}]
        return _forms(texts).union(*known)


def with_fields(text: str, names: Iterable[str]) -> str:
    """A proposed sentence with fields in the place of the concept's own name, and the place in brackets.

    Args:
        text: as a model wrote it.
        names: of the concept, without an article.
    """
    text = " ".join(text.split())
    if not {"finding", "found", "name", "a_name"} & fields_of(text):
        for name in sorted(names, key=len, reverse=True):
            pattern = re.compile(rf"\b(?:(an?)\s+)?{re.escape(name)}\b", re.I)
            if found := pattern.search(text):
                field = "{finding}" if found[1] else "{found}"
                text = text[: found.start()] + field + text[found.end() :]
                break
    text = re.sub(r"\b[Aa]n?\s+\{(finding|a_name)\}", "{finding}", text)
    text = re.sub(r"\b(in|at) (the )?\{(place|location)\}", "{place}", text)
    if not re.search(r"\[[^\]]*\{place\}", text):
        text = re.sub(r"\s*\{place\}", "[ {place}]", text)
    return text if text.endswith((".", "!", "?")) else f"{text}."


def words_of(text: str) -> tuple[str, ...]:
    """The words by which two entries are the same."""
    return tuple(normal_form(word) for word in _WORD.findall(text))


def _form_fault(kind: Kind, text: str) -> str | None:
    words = _WORD.findall(text)
    longest = _LONGEST_NAME if kind == "names" else _LONGEST
    if not _SHORTEST <= len(words) <= longest:
        return f"It has {len(words)} words; {_SHORTEST} to {longest} are wanted."
    if kind == "names" and (fields_of(text) or _NO_NAME.search(text)):
        return "A name is a noun phrase without article, field and full stop."
    if unknown := sorted(fields_of(text) - FIELDS):
        return f"It has the unknown field '{unknown[0]}'."
    if _NUMBER.search(_PLACEHOLDER.sub("", text)):
        return "It holds a number, which no fact gives."
    if re.search(r"[<>*#|]|https?:", text) or not text[:1].strip():
        return "It holds marks that are no prose."
    other = None if kind == "names" else is_other_language(_PLACEHOLDER.sub("", text), "en")
    return f"It is written in '{other}', not in English." if other else None


def _forms(texts: Sequence[str]) -> frozenset[str]:
    return frozenset(normal_form(word) for text in texts for word in _WORD.findall(text))

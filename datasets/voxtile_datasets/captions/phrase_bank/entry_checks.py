"""Whether a proposed wording or description says its concept and nothing else, by the checker of captions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from voxtile.words.tokens import normal_form
from voxtile_datasets.captions.checker.check import NAME, VERSION, Known, check
from voxtile_datasets.captions.checker.verdict import Verdict
from voxtile_datasets.captions.checker.vocabulary import Vocabulary
from voxtile_datasets.captions.language import is_other_language
from voxtile_datasets.captions.phrase_bank.bank_file import Entry, Kind, mark_of
from voxtile_datasets.captions.sentences import Fact, fields_for, picture_names, wordings_of
from voxtile_datasets.captions.wordings import FIELDS, POLARITIES, Bank, fields_of, fill

CHECKER = f"{NAME}@{VERSION}"
_WORD = re.compile(r"[^\W\d_]+")
_PLACEHOLDER = re.compile(r"\{[^{}]*\}")
_SHORTEST, _LONGEST = 1, 45  # words
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

    def __call__(self, kind: Kind, text: str) -> str | None:
        """Why an entry is refused, as one sentence; None if it may be used.

        Args:
            kind: of the entry.
            text: with its fields.
        """
        if fault := _form_fault(kind, text):
            return fault
        return self._wording_fault(text) if kind == "wordings" else self._description_fault(text)

    def passed(self, kind: Kind, text: str, by: str) -> Entry | None:
        """The entry with the checker's mark; None if it is refused."""
        return Entry(text, by, f"{CHECKER} {mark_of(text)}") if self(kind, text) is None else None

    def _wording_fault(self, text: str) -> str | None:
        tried = 0
        for attributes in _PROBES:
            sentence = self._filled(text, attributes)
            if sentence is None:
                continue
            tried += 1
            if fault := self._fault_of(sentence, attributes, polarity="present", needed="supported"):
                return fault
            turned = self._check(sentence, attributes, "absent")
            if turned.verdict != "contradicted":
                return "It would not be false where the finding is absent, so that it does not say it."
            if self._check(sentence, attributes, "uncertain").verdict == "supported":
                return "It says only that the finding may be there."
        if not tried:
            return "No fact has all that it needs; every field but {finding} or {found} belongs in brackets."
        return self._stray(text)

    def _description_fault(self, text: str) -> str | None:
        if fields_of(text):
            return "A description has no fields."
        return self._fault_of(text, {}, polarity="present", needed="description")

    def _fault_of(self, sentence: str, attributes: Mapping[str, Any], *, polarity: str, needed: str) -> str | None:
        verdict = self._check(sentence, attributes, polarity)
        if verdict.verdict == "supported":
            return None
        silent = all(fault.kind == "nothing-said" for fault in verdict.faults)
        if needed == "description" and verdict.verdict == "unknown" and silent:
            return None
        return verdict.faults[0].why

    def _check(self, sentence: str, attributes: Mapping[str, Any], polarity: str) -> Verdict:
        row = {"concept": self.concept, "polarity": polarity, "value": None, "unit": None, "attributes": attributes}
        return check(sentence, Known([row], []), self.vocabulary)

    def _filled(self, text: str, attributes: Mapping[str, Any]) -> str | None:
        side, size = attributes.get("laterality"), "12 mm" if attributes else None
        fact = Fact(self.concept, "present", size, side)
        wording = self.bank.wording_of(self.concept)
        name = wording.name or self.concept.replace("_", " ")
        image = picture_names(self.bank, self.modality, None)[0]
        return fill(text, fields_for(fact, wording, name, image, None, {}))

    def _stray(self, text: str) -> str | None:
        """A word of the field that has nothing to do with the concept: "a consolidation of the liver"."""
        allowed = self.own_words()
        words = _WORD.findall(_PLACEHOLDER.sub(" ", text))
        stray = next((w for w in words if normal_form(w) not in allowed and self._is_of_field(normal_form(w))), None)
        return f"'{stray}' has nothing to do with the concept." if stray else None

    def _is_of_field(self, word: str) -> bool:
        """Whether a word alone names an organ, a place or a finding."""
        phrases = (self.vocabulary.terms, self.vocabulary.structures, self.vocabulary.places)
        return any(found is not None and found[0] == 1 for own in phrases if (found := own.longest_at([word], 0)))

    def own_words(self) -> frozenset[str]:
        """Words of the concept's names, of the plain wordings of it, and of the picture."""
        texts = [self.concept.replace("_", " "), *picture_names(self.bank, self.modality, None)]
        for polarity in POLARITIES:
            texts += wordings_of(Fact(self.concept, polarity), self.bank, self.modality)
        return _forms(texts)


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
    if not _SHORTEST <= len(words) <= _LONGEST:
        return f"It has {len(words)} words; {_SHORTEST} to {_LONGEST} are wanted."
    if unknown := sorted(fields_of(text) - FIELDS):
        return f"It has the unknown field '{unknown[0]}'."
    if re.search(r"\d", _PLACEHOLDER.sub("", text)):
        return "It holds a number, which no fact gives."
    if re.search(r"[<>*#|]|https?:", text) or not text[:1].strip():
        return "It holds marks that are no prose."
    if kind == "wordings" and not {"finding", "found", "name", "a_name", "size", "side"} & fields_of(text):
        return "It neither has a field nor the concept's own name."
    other = is_other_language(_PLACEHOLDER.sub("", text), "en")
    return f"It is written in '{other}', not in English." if other else None


def _forms(texts: Sequence[str]) -> frozenset[str]:
    return frozenset(normal_form(word) for text in texts for word in _WORD.findall(text))

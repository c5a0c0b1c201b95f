"""Sentences of a sample from a phrase bank: which wording and which description, by the sample's uid and a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voxtile_datasets.captions.phrase_bank.bank_file import Entry, PhraseBank
from voxtile_datasets.captions.sentences import (
    Fact,
    Subject,
    chosen_names,
    fields_for,
    fields_needed,
    pick,
    sentence_of,
    share_of,
)
from voxtile_datasets.captions.wordings import Bank, fields_of, fill


@dataclass(frozen=True)
class Composition:
    """How a phrase bank is used.

    Attributes:
        bank: the entries.
        seed: another one chooses other entries.
        described: share of the present findings that get a description, 0 to 1.
        signed_only: leave out entries that nobody signed.
    """

    bank: PhraseBank
    seed: int = 0
    described: float = 0.5
    signed_only: bool = False

    def say(self, fact: Fact, subject: Subject, bank: Bank, variant: int) -> str:
        """The sentence of a fact: an entry that says all that is known, else the plain one.

        Args:
            fact: to word.
            subject: whose it is.
            bank: plain wordings.
            variant: number of the wording.
        """
        plain = sentence_of(fact, subject, bank, variant)
        entries = self.bank.of(fact.concept)
        if entries is None or fact.polarity != "present":
            return plain
        said, name, image, key = chosen_names(fact, subject, bank, variant)
        fields = fields_for(said, bank.wording_of(said.concept), name, image, subject.body, bank.places)
        needed = fields_needed(said, fields)
        key = f"{self.seed}|{key}"
        filled = [
            text
            for entry in self._usable(entries.wordings)
            if (needed is None or needed & fields_of(entry.text)) and (text := fill(entry.text, fields))
        ]
        sentence = pick(filled, key + "|wording") if filled else plain
        sentence = sentence[0].upper() + sentence[1:]
        descriptions = [entry.text for entry in self._usable(entries.descriptions)]
        if descriptions and share_of(key + "|described") < self.described:
            sentence += f" {pick(descriptions, key + '|description')}"
        return sentence

    def lacks(self, concept: str) -> bool:
        """Whether a concept has no entry that may be used."""
        entries = self.bank.of(concept)
        return entries is None or not self._usable((*entries.wordings, *entries.descriptions))

    def _usable(self, entries: Sequence[Entry]) -> list[Entry]:
        return [entry for entry in entries if entry.signed or not self.signed_only]

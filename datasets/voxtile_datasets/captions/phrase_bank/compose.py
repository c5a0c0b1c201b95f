"""Sentences of a sample from a phrase bank: which name, wording and description, by the sample's uid and a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voxtile_datasets.captions.keyed_choice import pick, share_of
from voxtile_datasets.captions.phrase_bank.bank_file import ConceptEntries, Entry, PhraseBank
from voxtile_datasets.captions.sentences import chosen_names, fields_for, fields_needed, sentence_of
from voxtile_datasets.captions.stated_facts import Fact, Subject
from voxtile_datasets.captions.wordings import Bank, fields_of, fill

_OPENERS = frozenset(["at", "from", "in", "on", "under", "within"])


@dataclass(frozen=True)
class Composition:
    """How a phrase bank is used.

    Attributes:
        bank: the entries.
        seed: another one chooses other entries.
        described: share of the present findings that get a description, 0 to 1.
        signed_only: leave out entries that nobody signed, or that were changed since.
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
        entries = self._of(fact.concept, subject.modality, bank) if fact.polarity == "present" else ConceptEntries()
        if not entries.entries:
            return sentence_of(fact, subject, bank, variant)
        names = [entry.text for entry in entries.names]
        said, name, image, key = chosen_names(fact, subject, bank, variant, names)
        fields = fields_for(said, bank.wording_of(said.concept), name, image, subject.body, bank.places)
        needed = fields_needed(said, fields)
        key = f"{self.seed}|{key}"
        filled = [
            text
            for entry in entries.wordings
            if (needed is None or needed & fields_of(entry.text)) and (text := fill(entry.text, fields))
        ]
        sentence = pick(filled, key + "|wording") if filled else sentence_of(fact, subject, bank, variant, names)
        sentence = sentence[0].upper() + sentence[1:]
        words = sentence.casefold().split()
        descriptions = [entry.text for entry in entries.descriptions if not _repeats(entry.text, words)]
        is_first = next((one for one in subject.facts if one.concept == fact.concept), fact) == fact
        if descriptions and is_first and share_of(key + "|described") < self.described:
            sentence += f" {pick(descriptions, key + '|description')}"
        return sentence

    def lacks(self, concept: str, modality: str | None, bank: Bank) -> bool:
        """Whether a concept has no entry that may be used of such samples.

        Args:
            concept: as facts call it.
            modality: of the samples.
            bank: their plain wordings, which know the concept's other names.
        """
        return not self._of(concept, modality, bank).entries

    def _of(self, concept: str, modality: str | None, bank: Bank) -> ConceptEntries:
        """The entries of a concept that may be used of a sample, by any of its names in facts."""
        found = (self.bank.of(name) for name in (concept, *bank.names_in_facts(concept)))
        entries = next((own for own in found if own), ConceptEntries())
        return ConceptEntries(
            self._usable(entries.names, modality),
            self._usable(entries.wordings, modality),
            self._usable(entries.descriptions, modality),
        )

    def _usable(self, entries: Sequence[Entry], modality: str | None) -> tuple[Entry, ...]:
        return tuple(
            entry
            for entry in entries
            if (entry.is_signed or not self.signed_only) and (not entry.modalities or modality in entry.modalities)
        )


def _repeats(description: str, said: Sequence[str]) -> bool:
    """Whether a description is opened as the sentence before it is closed or opened: "… from above. From above, …"."""
    opening = tuple(word.casefold().strip(",") for word in description.split()[:2])
    bare = [word.strip(".,") for word in said]
    return opening[0] in _OPENERS and opening in {tuple(bare[i : i + 2]) for i in range(len(bare) - 1)}

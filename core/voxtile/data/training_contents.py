"""What there is to learn from in a training split: what objectives ask before a run begins."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from voxtile.corpus.view.text import text_hash
from voxtile.data.draws import DrawDataset
from voxtile.data.mixture.draws import MixtureDataset
from voxtile.data.source import DataSource
from voxtile.types import Turn

_LOOKED_AT = 1000  # items, evenly spaced: enough to see whether there is anything of a kind


class TrainingContents(ABC):
    """Texts, facts, regions, dialogues and dates of the training split of a datamodule."""

    @property
    @abstractmethod
    def fact_names(self) -> tuple[str, ...]:
        """Concepts of `Batch.facts`, in order."""

    @abstractmethod
    def _dataset(self, role: str) -> DrawDataset | MixtureDataset:
        """That of a split: `train`, `val` or `test`."""

    @abstractmethod
    def _sources(self) -> Sequence[DataSource]:
        """What is drawn from, with views compiled."""

    def training_texts(self, items: int = 100_000) -> list[str]:
        """Distinct texts of the training split, for tokenizers that are trained.

        Args:
            items: at most so many items are looked at, evenly spaced.
        """
        return self._dataset("train").texts(items)

    def training_turns(self) -> list[Turn]:
        """Questions and answers of the training split that `data.dialogues` may draw."""
        return list(self._dataset("train").turns())

    @property
    def has_talks(self) -> bool:
        """Whether the training split has a dialogue of several questions that `data.dialogues` may draw."""
        return self._dataset("train").has_talks

    @property
    def has_preferences(self) -> bool:
        """Whether the training split has a pair of answers that `data.preferences` may draw."""
        return self._dataset("train").has_preferences

    @property
    def has_texts(self) -> bool:
        """Whether any of a thousand evenly spaced items of the training split has a text that may be used."""
        return bool(self.training_texts(_LOOKED_AT))

    @property
    def states_facts(self) -> bool:
        """Whether it is known of any text of a thousand evenly spaced training items that it states a fact."""
        hashes = [text_hash(text) for text in self.training_texts(_LOOKED_AT)]
        sources = self._sources()
        return any((source.compiled.text_facts(hashes) >= 0).any() for source in sources)

    @property
    def contrasts_facts(self) -> bool:
        """Whether of a thousand evenly spaced training items some have a fact that others are known not to have."""
        states = self._dataset("train").fact_states(_LOOKED_AT)
        return any((name, not there) in states for name, there in states)

    @property
    def region_phrases(self) -> int:
        """How many different phrases the regions of the training split bear."""
        return len(self._dataset("train").region_phrases())

    @property
    def region_names(self) -> tuple[str, ...]:
        """What the regions of the training split are called, as `data.regions` asks for them."""
        return tuple(self._dataset("train").region_names())

    @property
    def has_dates(self) -> bool:
        """Whether any of a thousand evenly spaced items of the training split has images of different dates."""
        return self._dataset("train").dated(_LOOKED_AT)

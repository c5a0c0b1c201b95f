"""A concept that a sentence names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from voxtile_datasets.captions.checker.extraction.claims import Polarity
from voxtile_datasets.captions.checker.vocabulary import NORMAL

OPPOSITE: Mapping[Polarity, Polarity] = {"present": "absent", "absent": "present", "uncertain": "uncertain"}


@dataclass(frozen=True)
class Mention:
    """A concept named in a sentence.

    Attributes:
        concepts: what the words can mean.
        polarity: as judged there.
        start, end: words that name it, half-open; of a structure and a quality the quality.
        structure: words of the structure, where one takes part.
        denies: of a statement of normality, the concepts that it denies.
    """

    concepts: tuple[str, ...]
    polarity: Polarity
    start: int
    end: int
    structure: tuple[int, int] | None = None
    denies: tuple[str, ...] = ()

    @property
    def is_normality(self) -> bool:
        """Whether it says that something is as it should be."""
        return bool(self.denies) or self.concepts == (NORMAL,)

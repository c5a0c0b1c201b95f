"""A concept that a sentence names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from voxtile_datasets.captions.checker.extraction.claims import Polarity
from voxtile_datasets.captions.checker.vocabulary import NORMAL

OPPOSITE: Mapping[Polarity, Polarity] = {"present": "absent", "absent": "present", "uncertain": "uncertain"}
_SIMILES = frozenset(["like", "resembling", "resemble", "resembles", "reminiscent", "recalls", "recalling"])
_FURTHEST_SIMILE = 4  # words between the comparison and what it names


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


def is_simile(words: tuple[str, ...], start: int) -> bool:
    """Whether a word only says what something is like: "winds like a snake", "as flat as a pancake"."""
    before = words[max(0, start - _FURTHEST_SIMILE) : start]
    for offset, word in enumerate(before):
        rest = before[offset + 1 :]
        if word in _SIMILES and rest[:1] and rest[0] in ("a", "an", "the", "of", "so", "one") and "," not in rest:
            return True
        if word == "as" and rest[:1] in (("a",), ("an",)) and "," not in rest:
            return True
    return False

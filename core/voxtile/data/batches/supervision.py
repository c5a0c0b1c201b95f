"""What is drawn for an item beside captions and facts: phrases with masks, dialogues, pairs of answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from voxtile.corpus.remote.announcing import Place
from voxtile.corpus.view.view import CompiledView, Entry
from voxtile.data.batches import streams
from voxtile.data.batches.other_images import rows_of
from voxtile.data.dialogues import DialogueDraws, PreferenceDraws
from voxtile.data.presets.base import Preset
from voxtile.data.regions.marked import Dialogues, MarkedRegions
from voxtile.data.regions.regions import Asked, Placed, RegionDraws
from voxtile.errors import ConfigError
from voxtile.types import Preferred, Turn

Pixels = Callable[[], np.random.Generator | None]  # the randomness of an item's image, from its start


@dataclass(kw_only=True)
class Supervision:
    """Draws it for the items of a split; what a view has not, or nobody asked for, is None.

    Attributes:
        view: the compiled view.
        seed: of the run.
        split: of the items, or None for the whole view.
        of_samples: whether an item is a sample, whose dialogues may then show others beside it, and not a study.
        one_image: whether an item has one image, as masks need.
        regions: draws phrases with their masks.
        dialogues: draws questions and answers.
        marked: places regions that their questions mark.
        preferences: draws pairs of answers.

    Raises:
        ConfigError: masks are asked for, and items have several images.
    """

    view: CompiledView = field(kw_only=False)
    seed: int
    split: str | None
    of_samples: bool
    one_image: bool
    regions: RegionDraws | None = None
    dialogues: DialogueDraws | None = None
    marked: MarkedRegions | None = None
    preferences: PreferenceDraws | None = None

    def __post_init__(self) -> None:
        if self.regions is not None and not self.one_image:
            raise ConfigError(
                "data.regions: masks lie on one image; set data.unit to sample, take a preset that makes one of a "
                "study (StudyPreset), or remove data.regions"
            )
        if self.marked is not None and not self.one_image:
            raise ConfigError(
                "data.dialogues.marked: a marked region lies on one image; set data.unit to sample, take a preset that "
                "makes one of a study (StudyPreset), or set it to false"
            )

    def asked(self, entries: Sequence[Entry], facts: npt.NDArray[np.int8], number: int | None) -> list[Asked]:
        """Phrases that an item is asked about.

        Args:
            entries: samples whose regions count.
            facts: [F] of the item.
            number: keys the randomness; None in evaluation.
        """
        if self.regions is None:
            return []
        return self.regions.ask(_uids(entries), facts, streams.generator(self.seed, streams.REGION, number))

    def masks(self, entries: Sequence[Entry], asked: Sequence[Asked], preset: Preset, pixels: Pixels) -> list[Placed]:
        """Masks of what is asked of an image, placed with the randomness of its pixels."""
        if self.regions is None:
            return []
        metas = {entry.uid: self.view.meta(entry) for entry in entries}
        return self.regions.place(metas, asked, preset, pixels)

    def places(self, asked: Iterable[Asked]) -> Iterator[Place]:
        """Where these masks lie, for remote corpora."""
        if self.regions is not None:
            yield from self.regions.places(asked)

    def dialogues_of(self, entries: Sequence[Entry], number: int | None) -> Dialogues | None:
        """Some dialogues of an item; None where none are drawn of any."""
        if self.dialogues is None:
            return None
        rng = streams.generator(self.seed, streams.DIALOGUE, number)
        return self.dialogues.draw(_uids(entries), rng, self._rows_of_others)

    def marked_in(
        self, entries: Sequence[Entry], drawn: Dialogues | None, preset: Preset, pixels: Pixels, number: int | None
    ) -> tuple[Dialogues | None, list[Placed]]:
        """The dialogues that can be shown, and regions that they mark, placed with the randomness of the pixels."""
        if self.marked is None or drawn is None:
            return drawn, []
        metas = {entry.uid: self.view.meta(entry) for entry in entries}
        return self.marked.place(metas, drawn, preset, pixels, streams.generator(self.seed, streams.MARK, number))

    def shown_besides(self, entries: Sequence[Entry], drawn: Dialogues | None) -> list[Entry]:
        """What dialogues show beside the images of their item, each once."""
        own = {entry.uid for entry in entries}
        shown = dict.fromkeys(image.uid for turns in drawn or () for image in turns[0].images)
        return [self.view.entry(self._rows_of_others[uid]) for uid in shown if uid not in own]

    def pairs(self, entries: Sequence[Entry], number: int | None) -> tuple[Preferred, ...] | None:
        """Some pairs of answers about an item; None where none are drawn of any."""
        if self.preferences is None:
            return None
        return self.preferences.draw(_uids(entries), streams.generator(self.seed, streams.PREFERENCE, number))

    def turns_of(self, entries: Sequence[Entry]) -> Iterator[Turn]:
        """Questions and answers of an item that may be drawn."""
        if self.dialogues is not None:
            for dialogue in self.dialogues.of(_uids(entries), self._rows_of_others):
                yield from dialogue

    def has_talks(self, entries: Sequence[Entry]) -> bool:
        """Whether an item has a dialogue of several questions that may be drawn."""
        dialogues = () if self.dialogues is None else self.dialogues.of(_uids(entries), self._rows_of_others)
        return any(len(dialogue) > 1 for dialogue in dialogues)

    def has_pairs(self, entries: Sequence[Entry]) -> bool:
        """Whether an item has a pair of answers that may be drawn."""
        return self.preferences is not None and bool(self.preferences.of(_uids(entries)))

    @cached_property
    def _rows_of_others(self) -> Mapping[str, int]:
        """Rows of the split's samples that a dialogue of another item shows."""
        wanted = self.dialogues.other_uids if self.dialogues is not None and self.of_samples else frozenset()
        return rows_of(self.view, self.split, wanted) if wanted else {}


def _uids(entries: Sequence[Entry]) -> list[str]:
    return [entry.uid for entry in entries]

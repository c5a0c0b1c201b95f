"""Draws to batches: the dataset behind every loader. A batch is a pure function of the view, the seed and its draws."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from voxtile.corpus.view import CompiledView, Entry
from voxtile.data.captions import CaptionPolicy, Text
from voxtile.data.directions import TurningPreset, names_direction
from voxtile.data.memory import BaseCache, CacheablePreset
from voxtile.data.order import derive_key
from voxtile.data.preset import Preset, SampleSource
from voxtile.errors import CorpusError, VoxtileError
from voxtile.types import Batch

Unit = Literal["sample", "study"]

_CAPTION_STREAM, _SUBSET_STREAM, _PIXEL_STREAM = 1, 2, 3  # the pixel stream of a study's image i is 3 + i


@runtime_checkable
class PackedPreset(Protocol):
    """A preset that leaves normalisation for later, so that bytes and not floats move between processes."""

    def pixels(self, source: SampleSource, rng: np.random.Generator | None) -> Tensor:
        """All but the normalisation of one sample."""

    def unpack(self, pixels: Tensor) -> Tensor:
        """Normalise a batch [S, C, *grid] to float32."""


class Draws(NamedTuple):
    """What one loader worker turns into a batch.

    Attributes:
        items: item numbers (rows, or studies) within the split.
        numbers: global draw indices, the key of all randomness; None in evaluation.
    """

    items: npt.NDArray[np.int64]
    numbers: npt.NDArray[np.int64] | None


@dataclass
class DrawDataset(torch.utils.data.Dataset[Any]):
    """Turns draws into a batch.

    Attributes:
        view: the compiled view.
        preset: preprocessing.
        captions: caption policy.
        seed: of the run.
        split: split of the items, or None for the whole view.
        unit: whether an item is a sample or a study.
        max_images_per_item: a study with more images gives a random subset in training, and evenly spaced ones
            otherwise.
        cache: deterministic parts kept in memory, or None.
    """

    view: CompiledView
    preset: Preset
    captions: CaptionPolicy
    seed: int = 0
    split: str | None = None
    unit: Unit = "sample"
    max_images_per_item: int = 0
    cache: BaseCache | None = None
    _first: int = field(init=False, default=0)
    _count: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        items = self.view.rows(self.split) if self.unit == "sample" else self.view.studies(self.split)
        self._first, self._count = items.start, len(items)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, draws: Draws) -> Batch | Failed:
        """Load a batch, or say what is wrong with a sample of it."""
        try:
            return self.load(draws)
        except VoxtileError as error:
            return Failed(str(error))

    def load(self, draws: Draws) -> Batch:
        """Load a batch; images are as `PackedPreset.pixels` leaves them where the preset is packed.

        Raises:
            CorpusError: a sample is damaged.
        """
        keyed = draws.numbers is not None
        numbers = draws.numbers if draws.numbers is not None else draws.items
        pairs = zip(draws.items.tolist(), numbers.tolist(), strict=True)
        items = [self._item(item, number if keyed else None) for item, number in pairs]
        texts = [text for item in items for text in item.texts]
        return Batch(
            images=torch.stack(_one_type([image for item in items for image in item.images])),
            image_item=_owners([len(item.images) for item in items]),
            texts=[text.text for text in texts],
            text_item=_owners([len(item.texts) for item in items]),
            study=torch.tensor([item.lead.study for item in items], dtype=torch.int64),
            subject=torch.tensor([item.lead.subject for item in items], dtype=torch.int64),
            text_hash=torch.tensor([text.text_hash for text in texts], dtype=torch.int64),
            facts=torch.from_numpy(np.stack([item.facts for item in items])),
            fact_names=self.view.concepts,
            uids=[item.lead.uid for item in items],
            draws=torch.tensor(numbers, dtype=torch.int64),
            text_facts=torch.from_numpy(self.view.text_facts([text.text_hash for text in texts])),
        )

    def texts(self, items: int) -> list[str]:
        """Distinct texts that the policy allows, of at most `items` evenly spaced items, in order."""
        policy, found = replace(self.captions, per_item=0), dict[int, str]()
        for item in np.linspace(0, len(self) - 1, min(items, len(self))).round().astype(int).tolist():
            captions = [c for entry in self._entries(item) for c in self.view.captions(entry)]
            for text in policy.choose(captions, None):
                found.setdefault(text.text_hash, text.text)
        return list(found.values())

    def _entries(self, item: int) -> list[Entry]:
        number = self._first + item
        return [self.view.entry(row) for row in ([number] if self.unit == "sample" else self.view.study_rows(number))]

    def _item(self, item: int, number: int | None) -> _Item:
        """Load one item; `number` keys its randomness, None means evaluation."""
        entries = self._entries(item)
        captions = [caption for entry in entries for caption in self.view.captions(entry)]
        chosen = self._limited(entries, number)
        texts = self.captions.choose(captions, self._rng(number, _CAPTION_STREAM))
        preset = self.preset
        if isinstance(preset, TurningPreset) and any(names_direction(text.text) for text in texts):
            preset = preset.upright
        return _Item(
            lead=entries[0],
            images=[self._image(preset, entry, self._rng(number, _PIXEL_STREAM + i)) for i, entry in enumerate(chosen)],
            texts=texts,
            facts=_any_sample([self.view.facts(entry) for entry in entries]),
        )

    def _limited(self, entries: list[Entry], number: int | None) -> list[Entry]:
        limit = self.max_images_per_item
        if not limit or len(entries) <= limit:
            return entries
        rng = self._rng(number, _SUBSET_STREAM)
        if rng is None:
            kept = np.linspace(0, len(entries) - 1, limit).round().astype(int)
        else:
            kept = np.sort(rng.choice(len(entries), limit, replace=False))
        return [entries[i] for i in kept]

    def _image(self, preset: Preset, entry: Entry, rng: np.random.Generator | None) -> Tensor:
        source = self.view.source(entry)
        try:
            if self.cache is not None and isinstance(preset, CacheablePreset):
                return preset.finish(self.cache.get(entry.row, lambda: preset.base(source)), rng)
            return preset.pixels(source, rng) if isinstance(preset, PackedPreset) else preset(source, rng)
        except VoxtileError as error:
            raise CorpusError(f"sample {entry.uid} cannot be loaded: {error}") from error

    def _rng(self, number: int | None, stream: int) -> np.random.Generator | None:
        """Philox keyed by the seed and stream, and by the draw: independent of what was drawn before."""
        if number is None:
            return None
        return np.random.Generator(np.random.Philox(key=[derive_key(self.seed, stream), number]))


class Failed(NamedTuple):
    """What a worker hands back instead of a batch: torch would wrap the exception in a traceback of its own."""

    message: str


class _Item(NamedTuple):
    lead: Entry
    images: list[Tensor]
    texts: list[Text]
    facts: npt.NDArray[np.int8]


def _owners(counts: list[int]) -> Tensor:
    """Owner of each element of flattened lists of these lengths."""
    return torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts, dtype=torch.int64))


def _any_sample(facts: list[npt.NDArray[np.int8]]) -> npt.NDArray[np.int8]:
    """Facts of a study: present if any sample shows it, else absent if any sample denies it, else unknown."""
    known: npt.NDArray[np.int8] = np.max(np.stack(facts), axis=0)
    return known


def _one_type(images: list[Tensor]) -> list[Tensor]:
    """Pictures and windowed arrays may meet in one batch: bytes then become floats."""
    return images if len({image.dtype for image in images}) == 1 else [image.float() for image in images]

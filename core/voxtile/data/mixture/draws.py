"""Batches of a mixture: draws are handed to the dataset of their source, and what comes back is put together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor

from voxtile.corpus.remote.announcing import Place
from voxtile.data.batches.collated import one_type
from voxtile.data.batches.dataset import BatchDataset, Draws, OrderedDraws, PackedPreset
from voxtile.data.batches.other_images import unpack_images
from voxtile.data.draws import DrawDataset
from voxtile.data.presets.base import Preset
from voxtile.data.sample_cache import BaseCache
from voxtile.types import Batch, OtherImages, Regions, RowsOf, Turn


class MixtureDataset(BatchDataset):
    """The items of several datasets, numbered through; facts are those of any of them.

    Args:
        datasets: of the sources, by name.
        fact_names: concepts of the batches' facts; -1 (unknown) where a source knows nothing of one.
    """

    def __init__(self, datasets: dict[str, DrawDataset], fact_names: Sequence[str]) -> None:
        self.datasets = datasets
        self.fact_names = tuple(fact_names)

    @cached_property
    def _parts(self) -> list[DrawDataset]:
        return list(self.datasets.values())

    @cached_property
    def _starts(self) -> Any:  # noqa: ANN401 - [sources + 1] int64
        return np.concatenate([[0], np.cumsum([len(part) for part in self._parts])])

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def sizes(self) -> list[int]:
        """Items of each source."""
        return [len(part) for part in self._parts]

    @cached_property
    def preset(self) -> Preset | None:
        """That of all sources; None where they differ, and each normalises its own images here."""
        first = self._parts[0].preset
        return first if all(part.preset == first for part in self._parts) else None

    @property
    def cache(self) -> BaseCache | None:
        """That of any source."""
        return next((part.cache for part in self._parts if part.cache is not None), None)

    def places(self, draws: Draws) -> Iterator[Place]:
        """Where the images lie that a batch is made of, for remote corpora."""
        owners = np.searchsorted(self._starts, draws.items, side="right") - 1
        for place, owner in enumerate(owners.tolist()):
            here = slice(place, place + 1)
            numbers = None if draws.numbers is None else draws.numbers[here]
            yield from self._parts[owner].places(Draws(draws.items[here] - self._starts[owner], numbers))

    @property
    def is_remote(self) -> bool:
        """Whether any of the corpora is."""
        return any(part.is_remote for part in self._parts)

    def load(self, draws: Draws) -> Batch:
        """Load a batch, as `DrawDataset.load`.

        Raises:
            CorpusError: a sample is damaged.
        """
        owners = np.searchsorted(self._starts, draws.items, side="right") - 1
        parts, places = [], []
        for owner in np.unique(owners).tolist():
            here = np.flatnonzero(owners == owner)
            numbers = None if draws.numbers is None else draws.numbers[here]
            batch = self._parts[owner].load(Draws(draws.items[here] - self._starts[owner], numbers, draws.is_announced))
            preset = self._parts[owner].preset
            if self.preset is None and isinstance(preset, PackedPreset):
                unpack_images(batch, preset)
            parts.append(self._with_all_facts(batch))
            places.append(torch.from_numpy(here))
        batch = merged(parts, places)
        batch.source, batch.source_names = torch.from_numpy(owners.astype(np.int64)), tuple(self.datasets)
        if batch.samples is not None:
            batch.samples.source, batch.samples.source_names = batch.source[batch.image_item], batch.source_names
        return batch

    def texts(self, items: int) -> list[str]:
        """Distinct texts of at most `items` items, as `DrawDataset.texts`, of all sources alike."""
        each = -(-items // len(self._parts))
        return list(dict.fromkeys(text for part in self._parts for text in part.texts(each)))

    def dated(self, items: int) -> bool:
        """Whether any of some items of any source has images of different dates, as `DrawDataset.dated`."""
        return any(part.dated(-(-items // len(self._parts))) for part in self._parts)

    def fact_states(self, items: int) -> set[tuple[str, bool]]:
        """Facts that some items of any source have and have not, as `DrawDataset.fact_states`."""
        each = -(-items // len(self._parts))
        return set().union(*(part.fact_states(each) for part in self._parts))

    def turns(self) -> Iterator[Turn]:
        """Questions and answers that may be drawn, of all sources in order."""
        for part in self._parts:
            yield from part.turns()

    @property
    def has_talks(self) -> bool:
        """Whether any item has a dialogue of several questions that may be drawn."""
        return any(part.has_talks for part in self._parts)

    @property
    def has_preferences(self) -> bool:
        """Whether any item has a pair of answers that may be drawn."""
        return any(part.has_preferences for part in self._parts)

    def region_phrases(self) -> list[str]:
        """Different phrases of regions of all sources, in order."""
        return list(dict.fromkeys(phrase for part in self._parts for phrase in part.region_phrases()))

    def region_names(self) -> list[str]:
        """Different names of regions of all sources, in order."""
        return list(dict.fromkeys(name for part in self._parts for name in part.region_names()))

    def _with_all_facts(self, batch: Batch) -> Batch:
        columns = torch.tensor([self.fact_names.index(name) for name in batch.fact_names], dtype=torch.int64)

        def widened(facts: Tensor) -> Tensor:
            wide = torch.full((len(facts), len(self.fact_names)), -1, dtype=torch.int8)
            wide[:, columns] = facts
            return wide

        return replace(
            batch,
            facts=widened(batch.facts),
            fact_names=self.fact_names,
            text_facts=None if batch.text_facts is None else widened(batch.text_facts),
            samples=None if batch.samples is None else self._with_all_facts(batch.samples),
        )


class OrderedBySource(torch.utils.data.Sampler[Draws]):
    """Every item of one source after another, once, in order; no batch holds items of two."""

    def __init__(self, sizes: Sequence[int], batch_size: int, rank: int = 0, ranks: int = 1) -> None:
        self._sizes = sizes
        self._parts = [OrderedDraws(size, batch_size, rank, ranks) for size in sizes]

    def __iter__(self) -> Iterator[Draws]:
        first = 0
        for size, part in zip(self._sizes, self._parts, strict=True):
            for draws in part:
                yield draws._replace(items=draws.items + first)
            first += size

    def __len__(self) -> int:
        return sum(len(part) for part in self._parts)


def merged(parts: Sequence[Batch], places: Sequence[Tensor]) -> Batch:
    """One batch of several.

    Args:
        parts: with the same facts.
        places: for each part, where its items stand in the whole: int64; together a permutation.
    """
    return parts[0] if len(parts) == 1 else _joined(parts).select(torch.argsort(torch.cat(list(places))))


def _joined(parts: Sequence[Batch]) -> Batch:
    """The items of several batches, one part after the other; what any part does not know, but days, is not known."""
    samples = [part.samples for part in parts if part.samples is not None]
    regions = [part.regions for part in parts if part.regions is not None]
    marked = [part.marked for part in parts if part.marked is not None]
    items = [len(part) for part in parts]
    joined = {
        name: _one_after_another([part.rows_of(rows)[name] for part in parts])
        for rows in get_args(RowsOf)
        for name in parts[0].rows_of(rows)
    }
    joined |= {
        "images": torch.cat(one_type([part.images for part in parts])),
        "image_item": _counted_on([part.image_item for part in parts], items),
        "text_item": _counted_on([part.text_item for part in parts], items),
        "image_days": _all_days(parts),
        "samples": _joined(samples) if len(samples) == len(parts) else None,
        "regions": _joined_regions(regions, items) if len(regions) == len(parts) else None,
        "marked": _joined_regions(marked, items) if len(marked) == len(parts) else None,
        "others": _joined_others(parts, items),
    }
    return replace(parts[0], **joined)


def _one_after_another(values: Sequence[Any]) -> Any:  # noqa: ANN401 - tensors, lists, or None where it is not known
    if any(value is None for value in values):
        return None
    return [one for value in values for one in value] if isinstance(values[0], list) else torch.cat(list(values))


def _counted_on(owners: Sequence[Tensor], items: Sequence[int]) -> Tensor:
    """Owners of all, each part's counted from where its items begin."""
    return torch.cat([part + sum(items[:place]) for place, part in enumerate(owners)])


def _all_days(parts: Sequence[Batch]) -> Tensor | None:
    """Days of all images, NaN in a part that knows none."""
    if all(part.image_days is None for part in parts):
        return None
    unknown = [torch.full((len(part.image_item),), torch.nan) for part in parts]
    days = [other if part.image_days is None else part.image_days for part, other in zip(parts, unknown, strict=True)]
    return torch.cat(days)


def _joined_others(parts: Sequence[Batch], items: Sequence[int]) -> OtherImages | None:
    """What dialogues of any part show beside its items' own images."""
    found = [(part.others, sum(items[:place])) for place, part in enumerate(parts) if part.others is not None]
    if not found:
        return None
    return OtherImages(
        images=torch.cat(one_type([others.images for others, _ in found])),
        item=torch.cat([others.item + before for others, before in found]),
        uids=[uid for others, _ in found for uid in others.uids],
    )


def _joined_regions(parts: Sequence[Regions], items: Sequence[int]) -> Regions:
    named = any(part.names is not None for part in parts)
    return Regions(
        phrases=[phrase for part in parts for phrase in part.phrases],
        item=_counted_on([part.item for part in parts], items),
        masks=torch.cat([part.masks for part in parts]),
        boxed=torch.cat([part.boxed for part in parts]),
        weight=torch.cat([part.weight for part in parts]),
        names=[name for part in parts for name in part.names or part.phrases] if named else None,
    )

"""Batches of a mixture: draws are handed to the dataset of their source, and what comes back is put together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from voxtile.data.draws import DrawDataset, Draws, Failed, OrderedDraws, PackedPreset, one_type
from voxtile.data.memory import BaseCache
from voxtile.data.presets.base import Preset
from voxtile.errors import VoxtileError
from voxtile.types import Batch, Regions


class MixtureDataset(torch.utils.data.Dataset[Any]):
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

    def __getitem__(self, draws: Draws) -> Batch | Failed:
        """Load a batch, or say what is wrong with a sample of it."""
        try:
            return self.load(draws)
        except VoxtileError as error:
            return Failed(str(error))

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
            batch = self._parts[owner].load(Draws(draws.items[here] - self._starts[owner], numbers))
            preset = self._parts[owner].preset
            if self.preset is None and isinstance(preset, PackedPreset):
                batch.images = preset.unpack(batch.images)
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

    def region_phrases(self) -> list[str]:
        """Different phrases of regions of all sources, in order."""
        return list(dict.fromkeys(phrase for part in self._parts for phrase in part.region_phrases()))

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
                yield Draws(draws.items + first, None)
            first += size

    def __len__(self) -> int:
        return sum(len(part) for part in self._parts)


def merged(parts: Sequence[Batch], places: Sequence[Tensor]) -> Batch:
    """One batch of several.

    Args:
        parts: with the same facts.
        places: for each part, where its items stand in the whole: int64; together a permutation.
    """
    if len(parts) == 1:
        return parts[0]
    items = torch.argsort(torch.cat(list(places)))
    image_item, images = _in_order([place[part.image_item] for part, place in zip(parts, places, strict=True)])
    text_item, texts = _in_order([place[part.text_item] for part, place in zip(parts, places, strict=True)])
    of_texts = [text for part in parts for text in part.texts]
    uids = [uid for part in parts for uid in part.uids]
    evidence = [part.text_facts for part in parts if part.text_facts is not None]
    kinds = [kind for part in parts for kind in part.text_kinds or ()]
    regions = [part.regions for part in parts if part.regions is not None]
    samples = [part.samples for part in parts if part.samples is not None]
    pixels = torch.cat(one_type([part.images for part in parts]))
    return Batch(
        images=pixels[images] if len(pixels) else pixels,
        image_item=image_item,
        texts=[of_texts[place] for place in texts.tolist()],
        text_item=text_item,
        study=torch.cat([part.study for part in parts])[items],
        subject=torch.cat([part.subject for part in parts])[items],
        text_hash=torch.cat([part.text_hash for part in parts])[texts],
        facts=torch.cat([part.facts for part in parts])[items],
        fact_names=parts[0].fact_names,
        uids=[uids[place] for place in items.tolist()],
        draws=torch.cat([part.draws for part in parts])[items],
        text_facts=torch.cat(evidence)[texts] if len(evidence) == len(parts) else None,
        text_kinds=[kinds[place] for place in texts.tolist()] if len(kinds) == len(of_texts) else None,
        samples=merged(samples, _image_places(images, samples)) if samples else None,
        regions=_merged_regions(regions, places) if len(regions) == len(parts) else None,
        image_days=None if all(part.image_days is None for part in parts) else torch.cat(_all_days(parts))[images],
    )


def _all_days(parts: Sequence[Batch]) -> list[Tensor]:
    unknown = [torch.full((len(part.image_item),), torch.nan) for part in parts]
    return [other if part.image_days is None else part.image_days for part, other in zip(parts, unknown, strict=True)]


def _image_places(order: Tensor, samples: Sequence[Batch]) -> Sequence[Tensor]:
    """Where the images of each part stand in the whole, from the order that sorts them."""
    return torch.split(torch.argsort(order), [len(part) for part in samples])


def _in_order(owners: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Sorted owners, and the order that sorts them."""
    sorted_owners, order = torch.cat(list(owners)).sort(stable=True)
    return sorted_owners, order


def _merged_regions(parts: Sequence[Regions], places: Sequence[Tensor]) -> Regions:
    item, order = _in_order([place[part.item] for part, place in zip(parts, places, strict=True)])
    phrases = [phrase for part in parts for phrase in part.phrases]
    return Regions(
        phrases=[phrases[place] for place in order.tolist()],
        item=item,
        masks=torch.cat([part.masks for part in parts])[order],
        boxed=torch.cat([part.boxed for part in parts])[order],
        weight=torch.cat([part.weight for part in parts])[order],
    )

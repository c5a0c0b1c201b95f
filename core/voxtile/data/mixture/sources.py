"""The sources of a datamodule's mixture, opened: one dataset, one order and one identity for all of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from operator import methodcaller
from typing import TypeVar, cast

from voxtile.corpus.reader import Corpus
from voxtile.data.epoch_order import derive_key
from voxtile.data.mixture.draws import MixtureDataset
from voxtile.data.mixture.mixture import Mixture, MixtureSource
from voxtile.data.mixture.order import MixtureOrder
from voxtile.data.presets.base import Preset
from voxtile.data.source import DataSource
from voxtile.errors import ConfigError, CorpusError, InputError, PresetError

_Value = TypeVar("_Value")


@dataclass(kw_only=True)
class MixedSources:
    """The sources of a mixture.

    Attributes:
        mixture: as the config states it.
        common: settings of the datamodule, which hold where a source has none of its own.
        batch_size: items of a step.

    Raises:
        ConfigError: the settings do not go together.
    """

    mixture: Mixture
    common: DataSource
    batch_size: int

    def __post_init__(self) -> None:
        """Refuse what needs one source, or several towers."""
        self.mixture.check()
        if self.common.folders:
            raise ConfigError("data.corpus and data.mixture are both set; name the corpora in data.mixture alone")
        if self.common.max_images_per_batch:
            raise ConfigError(
                "data.max_images_per_batch: a budget cannot be shared by the sources of a mixture; set "
                "data.max_images_per_item"
            )
        if self.batch_size % self.mixture.group:
            raise ConfigError(
                f"data.mixture.group: batches of {self.batch_size} items cannot be made of groups of "
                f"{self.mixture.group}; give a divisor of data.batch_size"
            )
        for name, source in self.sources.items():
            _check_tower(name, source.preset, self.common.preset)

    @cached_property
    def sources(self) -> dict[str, DataSource]:
        """Each source with its own settings, or the common ones."""
        return {name: self._source(source) for name, source in self.mixture.sources.items()}

    def _source(self, own: MixtureSource) -> DataSource:
        selection = {"name": own.view, "where": own.where, "facts_source": own.facts_source}
        return replace(
            self.common,
            folders=[own.corpus] if isinstance(own.corpus, str) else own.corpus,
            phantom=own.phantom,
            preset=cast(Preset, own.preset or self.common.preset),
            captions=own.captions or self.common.captions,
            selection=self.common.selection | {key: value for key, value in selection.items() if value is not None},
        )

    @property
    def corpus(self) -> Corpus:
        """The corpora that `data.preset` reads, joined: what the model is evaluated on.

        Raises:
            ConfigError: every source has another preset.
        """
        readable = [name for name, source in self.sources.items() if source.preset == self.common.preset]
        if not readable:
            raise ConfigError(
                "data.mixture: every source has a preset of its own, so that there is nothing to evaluate by "
                "data.preset, which the checkpoint keeps; give data.preset the settings of one of them"
            )
        roots = [root for name in readable for root in self._named(name, lambda source: source.corpus).roots]
        return Corpus(*dict.fromkeys(roots))

    @cached_property
    def packed_preset(self) -> Preset | None:
        """The preset of all sources; None where they differ, and their images come normalised."""
        presets = [source.preset for source in self.sources.values()]
        return presets[0] if all(preset == presets[0] for preset in presets) else None

    @cached_property
    def fact_names(self) -> tuple[str, ...]:
        """Concepts of any source, sorted."""
        return tuple(sorted({name for source in self.open() for name in source.compiled.concepts}))

    def open(self) -> list[DataSource]:
        """The sources, with their views compiled."""
        for name in self.sources:
            self._named(name, lambda source: source.compiled)
        return list(self.sources.values())

    def dataset(self, role: str) -> MixtureDataset:
        """The sources' items of a split. For training all sources have some; else those without are left out.

        Raises:
            ConfigError: a source has nothing to train on, or none has anything in this split.
        """
        self.open()
        used = [name for name in self.sources if role == "train" or self.sources[name].size(role)]
        if not used:
            raise ConfigError(f"data.mixture: no source has a sample in split '{self.common.splits[role]}'")
        datasets = {name: self._named(name, lambda source: source.dataset(role)) for name in used}
        return MixtureDataset(datasets, self.fact_names)

    @cached_property
    def order(self) -> MixtureOrder:
        """In which training draws.

        Raises:
            ConfigError: the shares draw nothing.
        """
        seed = self.common.seed
        keys = {name: derive_key(seed, place) if place else seed for place, name in enumerate(self.sources)}
        orders = [self._named(name, methodcaller("order", key)) for name, key in keys.items()]
        sizes = [order.size for order in orders]
        return MixtureOrder(
            orders=orders,
            phases=self.mixture.phases(sizes),
            batch_size=self.batch_size,
            group=self.mixture.group,
            size=self.mixture.epoch_items or sum(sizes),
            seed=seed,
        )

    @property
    def identity(self) -> str:
        """All that the order depends on: views, shares, steps and groups."""
        sizes = [source.size("train") for source in self.open()]
        known = {
            "views": {name: source.compiled.key for name, source in self.sources.items()},
            "phases": self.mixture.phases(sizes),
            "group": self.mixture.group,
            "batch_size": self.batch_size if self.mixture.curriculum else None,
            "epoch_items": self.mixture.epoch_items,
        }
        return hashlib.sha256(json.dumps(known).encode()).hexdigest()

    def check_ranks(self, ranks: int) -> None:
        """Refuse images of several sizes where they would meet in one tensor.

        Raises:
            ConfigError: names the sources.
        """
        if self.mixture.group % (self.batch_size // ranks) == 0:
            return
        grids = {name: source.preset.grid for name, source in self.sources.items()}
        first, grid = next(iter(grids.items()))
        for name, other in grids.items():
            if other != grid:
                raise ConfigError(
                    f"data.mixture: the images of '{first}' are {_times(grid)} and those of '{name}' {_times(other)}, "
                    f"which cannot be in one batch; set data.mixture.group to {self.batch_size // ranks}, or give them "
                    "one size"
                )

    def _named(self, name: str, made: Callable[[DataSource], _Value]) -> _Value:
        with _in_source(name):
            return made(self.sources[name])


@contextmanager
def _in_source(name: str) -> Iterator[None]:
    """Say of which source an error is."""
    prefix = f"data.mixture: source '{name}': "
    try:
        yield
    except (ConfigError, CorpusError, InputError, PresetError) as error:
        raise type(error)(f"{prefix}{error}") from error


def _check_tower(name: str, preset: Preset, common: Preset) -> None:
    own, main = (preset.channels, len(preset.grid)), (common.channels, len(common.grid))
    if own != main:
        raise ConfigError(
            f"data.mixture: source '{name}' gives {own[0]} channels in {own[1]}D, but data.preset gives {main[0]} in "
            f"{main[1]}D; one image tower cannot read both, so give it a preset of the same kind, or train them apart"
        )


def _times(grid: tuple[int, ...]) -> str:
    return "×".join(map(str, grid))

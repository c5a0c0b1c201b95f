"""What a datamodule draws from: a selection of corpora with its preset, its view, and its datasets by split."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from voxtile.console import note
from voxtile.corpus.reader import Corpus
from voxtile.corpus.view.view import CompiledView, compile_view
from voxtile.data.captions import CaptionPolicy
from voxtile.data.dialogues import DialogueDraws, DialoguePolicy, PreferenceDraws, PreferencePolicy
from voxtile.data.draws import DrawDataset, Unit
from voxtile.data.epoch_order import EpochOrder, WeightedOrder
from voxtile.data.phantom import PhantomSpec, phantom_corpus
from voxtile.data.presets.base import Preset
from voxtile.data.presets.roles import StudyReader
from voxtile.data.regions.marked import MarkedRegions
from voxtile.data.regions.masks import masking
from voxtile.data.regions.policy import RegionPolicy
from voxtile.data.regions.regions import RegionDraws
from voxtile.data.sample_cache import BaseCache
from voxtile.distributed import place
from voxtile.errors import ConfigError, PresetError


@dataclass(kw_only=True)
class DataSource:
    """A selection of corpora; see `CorpusDataModule` for what the attributes mean.

    Attributes:
        selection: view, scheme, condition and source of facts, as `compile_view` takes them.
        splits: name of the split of each role (train, val, test).
    """

    preset: Preset
    folders: list[str] | None
    phantom: PhantomSpec | None
    selection: dict[str, Any]
    splits: Mapping[str, str]
    unit: Unit = "sample"
    captions: CaptionPolicy = field(default_factory=CaptionPolicy)
    sample_captions: CaptionPolicy | None = None
    regions: RegionPolicy | None = None
    dialogues: DialoguePolicy | None = None
    preferences: PreferencePolicy | None = None
    max_images_per_item: int = 0
    max_images_per_batch: int = 0
    cache_in_memory: bool = False
    view_folder: Path | None = None
    seed: int = 0
    _datasets: dict[str, DrawDataset] = field(init=False, default_factory=dict)

    @cached_property
    def corpus(self) -> Corpus:
        """The corpus, or the phantom's where none was given.

        Raises:
            ConfigError: neither was given.
            CorpusError: a folder is not a corpus.
        """
        if self.folders:
            return Corpus(*map(Path, self.folders))
        if self.phantom is None:
            raise ConfigError("data.corpus: no corpus was given; set --data.corpus PATH, or data.phantom to make one")
        return Corpus(phantom_corpus(self.phantom))

    @cached_property
    def compiled(self) -> CompiledView:
        """The compiled view, whose samples the preset can read."""
        view = compile_view(self.corpus, **self.selection, folder=self.view_folder)
        _check_readable(self.preset, view.metas())
        if view.outgrown and place()[0] == 0:
            note(view.outgrown)
        return view

    def adopt(self, folder: Path, key: str) -> None:
        """Take the view that rank 0 has opened and looked through, and read no table for it.

        Where the folder is not the same one here (a machine with a copy of the corpus), it is opened as by rank 0.

        Raises:
            ConfigError: what is here is another view.
        """
        if "compiled" not in self.__dict__ and (folder / "view.json").is_file():
            view = CompiledView(folder, tuple(Path(root) for root in self.corpus.roots))
            if view.key == key:
                self.compiled = view
        if self.compiled.key != key:
            raise ConfigError(
                f"view: '{self.compiled.folder}' on this machine ({platform.node()}) is {self.compiled.key[:12]}, but "
                f"that of rank 0 is {key[:12]}: the copies of the corpus differ; copy it anew, or use one that all "
                "machines share"
            )

    def concepts_of(self, source: str | None) -> tuple[str, ...]:
        """The concepts of the view that facts of a source are about, or scopes of that name; all with None.

        Args:
            source: beginning of a fact's source, or several separated by commas, as `facts_source`.
        """
        if source is None:
            return self.compiled.concepts
        with closing(self.corpus.connection()) as connection:
            prefixes = [name.strip() for name in source.split(",")]
            rows = connection.execute(
                "SELECT concept FROM facts WHERE list_bool_or([starts_with(coalesce(source, ''), p) FOR p IN ?]) "
                "UNION SELECT unnest(concepts) FROM scopes WHERE list_contains(?, vocabulary)",
                [prefixes, prefixes],
            ).fetchall()
        found = {row[0] for row in rows}
        return tuple(name for name in self.compiled.concepts if name in found)

    def size(self, role: str) -> int:
        """Items of a split; 0 where it holds none."""
        split = self.splits[role]
        if split not in self.compiled.split_names:
            return 0
        return len(self.compiled.rows(split) if self.unit == "sample" else self.compiled.studies(split))

    def order(self, seed: int) -> EpochOrder | WeightedOrder:
        """In which the items of the training split are drawn.

        Raises:
            ConfigError: none of them may be drawn.
        """
        split = self.splits["train"]
        order = EpochOrder.automatic(len(self.dataset("train")), seed)
        sums = self.compiled.cumulative_weights(split, studies=self.unit == "study")
        if sums is None:
            return order
        if not sums[-1] > sums[0]:
            raise ConfigError(f"view: every sample of split '{split}' has the sampling weight 0; curate it again")
        return WeightedOrder(order, sums)

    def dataset(self, role: str) -> DrawDataset:
        """What loads a split.

        Raises:
            ConfigError: no sample is in it, or the settings do not go together.
        """
        if role not in self._datasets:
            split = self.splits[role]
            slots = self.compiled.studies if isinstance(self.preset, StudyReader) else self.compiled.rows
            cache = BaseCache(slots(split), self.preset) if self.cache_in_memory else None
            self._datasets[role] = DrawDataset(
                self.compiled,
                self.preset,
                self.captions,
                seed=self.seed,
                split=split,
                unit=self.unit,
                max_images_per_item=self.max_images_per_item,
                cache=cache,
                sample_captions=self.sample_captions,
                max_images_per_batch=self.max_images_per_batch,
                regions=self._region_draws,
                dialogues=self._dialogue_draws,
                marked=self._marked_regions,
                preferences=self._preference_draws,
            )
        return self._datasets[role]

    @cached_property
    def _region_draws(self) -> RegionDraws | None:
        if self.regions is None:
            return None
        return RegionDraws(self.corpus, self.regions, self.preset, self.compiled.concepts)

    @cached_property
    def _dialogue_draws(self) -> DialogueDraws | None:
        return None if self.dialogues is None else DialogueDraws(self.corpus, self.dialogues)

    @cached_property
    def _marked_regions(self) -> MarkedRegions | None:
        if self.dialogues is None or not self.dialogues.marked:
            return None
        masking(self.preset)
        return MarkedRegions(self.corpus, self.dialogues.boxes)

    @cached_property
    def _preference_draws(self) -> PreferenceDraws | None:
        return None if self.preferences is None else PreferenceDraws(self.corpus, self.preferences)


def _check_readable(preset: Preset, metas: Sequence[Mapping[str, Any]]) -> None:
    """Refuse samples that a preset cannot read; where a column tells them from those that it can, say how to choose.

    Raises:
        PresetError: of the first of them.
    """
    try:
        preset.check(metas)
    except PresetError as error:
        readable = [_is_readable(preset, meta) for meta in metas]
        for column in ("kind", "modality", "units"):
            ours = {meta.get(column) for meta, reads in zip(metas, readable, strict=True) if reads}
            others = {meta.get(column) for meta, reads in zip(metas, readable, strict=True) if not reads}
            if ours and ours.isdisjoint(others) and None not in ours:
                chosen = " OR ".join(f"{column} = '{value}'" for value in sorted(map(str, ours)))
                raise PresetError(f'{error}; to leave out what it cannot read: --data.where "{chosen}"') from None
        raise


def _is_readable(preset: Preset, meta: Mapping[str, Any]) -> bool:
    try:
        preset.check([meta])
    except PresetError:
        return False
    return True

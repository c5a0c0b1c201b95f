"""`CorpusDataModule`: from one or more corpora to batches, in an order that survives interruption."""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as pl
import torch

from voxtile.corpus.reader import Corpus
from voxtile.corpus.view import CompiledView, compile_view
from voxtile.data.base import BasePreset
from voxtile.data.captions import CaptionPolicy
from voxtile.data.cursor import Cursor, CursorCallback
from voxtile.data.draws import DrawDataset, PackedPreset, Unit
from voxtile.data.loader import BatchLoader, OrderedDraws, TrainingDraws
from voxtile.data.memory import BaseCache
from voxtile.data.order import EpochOrder, WeightedOrder
from voxtile.data.phantom import PhantomSpec, phantom_corpus
from voxtile.data.preset import Preset
from voxtile.data.regions import RegionDraws, RegionPolicy
from voxtile.data.roles import StudyReader
from voxtile.errors import ConfigError
from voxtile.types import Batch


class CorpusDataModule(pl.LightningDataModule):
    """Batches of images with texts and facts.

    Args:
        preset: the model's preprocessing; a corpus that cannot satisfy it is refused.
        corpus: folder of a corpus, or several, which are joined; with null the phantom is used.
        view: name of the view: `all`, or one that `voxtile curate` made, whose weights say how often each sample is
            drawn in training.
        scheme: split scheme.
        where: SQL condition on the samples table that selects what the view holds.
        facts_source: only facts whose source begins so (`reports`, `labels`), or with one of several names separated by
            commas, are seen in training; null for all.
        batch_size: items of one batch over all ranks; each rank loads an equal part of it.
        unit: an item is a `sample`, or a `study` with all its samples; a preset that reads studies by the roles of
            their samples (`StudyPreset`) makes one image of each and needs `study`.
        captions: which texts go with an item.
        num_workers: loader processes a rank; 0 loads in the training process.
        seed: key of the order, the augmentation and the choice of texts.
        phantom: corpus to make on the spot when `corpus` is null.
        train_split, val_split, test_split: names of the splits.
        max_images_per_item: most images of a study that are loaded; 0 for all.
        max_images_per_batch: budget of images of a rank's batch of studies, shared so that small studies give all of
            theirs first; which images are drawn is keyed by the draw. 0 for none.
        sample_captions: which texts go with each image of a study by itself, for objectives over samples
            (`OfSamples`); null for none.
        regions: phrases with their masks and boxes, for objectives that ground; null for none.
        cache_in_memory: keep the deterministic part of the preset (resampling) in memory shared by the workers.
        pin_memory: put batches into page-locked memory, for training on a GPU.
        view_folder: folder for compiled views instead of the corpus's `views`, where that is read-only.
    """

    def __init__(
        self,
        preset: BasePreset,
        corpus: str | list[str] | None = None,
        *,
        view: str = "all",
        scheme: str = "default",
        where: str | None = None,
        facts_source: str | None = None,
        batch_size: int = 64,
        unit: Unit = "sample",
        captions: CaptionPolicy | None = None,
        num_workers: int = 0,
        seed: int = 0,
        phantom: PhantomSpec | None = None,
        train_split: str = "train",
        val_split: str = "val",
        test_split: str = "test",
        max_images_per_item: int = 0,
        max_images_per_batch: int = 0,
        sample_captions: CaptionPolicy | None = None,
        regions: RegionPolicy | None = None,
        cache_in_memory: bool = False,
        pin_memory: bool = False,
        view_folder: str | None = None,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ConfigError(f"batch_size: {batch_size} is not a positive number of items")
        if sample_captions is not None and unit != "study":
            raise ConfigError("sample_captions: texts of single samples beside those of items need unit: study")
        self.preset = cast(Preset, preset)
        self.batch_size = batch_size
        self.seed = seed
        self.unit: Unit = unit
        self.captions = captions or CaptionPolicy()
        self._folders = [corpus] if isinstance(corpus, str) else corpus
        self._phantom = phantom
        self._selection: dict[str, Any] = {
            "name": view,
            "scheme": scheme,
            "where": where,
            "facts_source": facts_source,
        }
        self._view_folder = Path(view_folder) if view_folder else None
        self._splits = {"train": train_split, "val": val_split, "test": test_split}
        self._num_workers = num_workers
        self._max_images = max_images_per_item
        self._budget = max_images_per_batch
        self._sample_captions = sample_captions
        self._region_policy = regions
        self._cache_in_memory = cache_in_memory
        self._pin_memory = pin_memory
        self._view: CompiledView | None = None
        self._cursor: Cursor | None = None
        self._restored: dict[str, Any] | None = None
        self._datasets: dict[str, DrawDataset] = {}

    @cached_property
    def corpus(self) -> Corpus:
        """The corpus, or the phantom's where none was given.

        Raises:
            ConfigError: neither was given.
            CorpusError: a folder is not a corpus.
        """
        if self._folders:
            return Corpus(*map(Path, self._folders))
        if self._phantom is None:
            raise ConfigError("data.corpus: no corpus was given; set --data.corpus PATH, or data.phantom to make one")
        return Corpus(phantom_corpus(self._phantom))

    @property
    def compiled(self) -> CompiledView:
        """The compiled view; it is opened on first use."""
        if self._view is None:
            self._view = compile_view(self.corpus, **self._selection, folder=self._view_folder)
            self.preset.check(list(self._view.metas()))
        return self._view

    @property
    def fact_names(self) -> tuple[str, ...]:
        """Concepts of `Batch.facts`, in order."""
        return self.compiled.concepts

    def training_texts(self, items: int = 100_000) -> list[str]:
        """Distinct texts of the training split, for tokenizers that are trained.

        Args:
            items: at most so many items are looked at, evenly spaced.
        """
        return self._dataset("train").texts(items)

    @property
    def cursor(self) -> Cursor:
        """Where training is in the data."""
        if self._cursor is None:
            identity = f"{self.compiled.key} {self._splits['train']} {self.unit}"
            self._cursor = Cursor(self.seed, hashlib.sha256(identity.encode()).hexdigest()[:32])
            if self._restored is not None:
                self._cursor.load_state_dict(self._restored)
        return self._cursor

    def prepare_data(self) -> None:
        """Build the phantom and compile the view, in one process a machine."""
        _ = self.compiled

    def setup(self, stage: str | None = None) -> None:
        """Open the view; for training, have the cursor follow the steps."""
        _ = self.compiled
        trainer = self.trainer
        if (
            stage == "fit"
            and trainer is not None
            and not any(isinstance(c, CursorCallback) for c in _callbacks(trainer))
        ):
            # First in the list: before any checkpoint callback saves the state.
            _callbacks(trainer).insert(0, CursorCallback(self.cursor, self.batch_size, len(self._dataset("train"))))

    def train_dataloader(self) -> BatchLoader:
        """Shuffled batches from the cursor on; what does not fill a batch waits for another epoch."""
        dataset = self._dataset("train")
        rank, ranks = self._place()
        if self.batch_size % ranks:
            raise ConfigError(f"batch_size: {self.batch_size} items cannot be shared equally by {ranks} ranks")
        if len(dataset) < self.batch_size:
            raise ConfigError(
                f"batch_size: {self.batch_size} is more than the {len(dataset)} items of split "
                f"'{self._splits['train']}'; make it smaller"
            )
        order = EpochOrder.automatic(len(dataset), self.seed)
        sums = self.compiled.cumulative_weights(self._splits["train"], studies=self.unit == "study")
        if sums is not None and not sums[-1] > sums[0]:
            raise ConfigError(
                f"view: every sample of split '{self._splits['train']}' has the sampling weight 0; curate it again"
            )
        drawn = order if sums is None else WeightedOrder(order, sums)
        return self._loader(dataset, TrainingDraws(drawn, self.cursor, self.batch_size, rank, ranks))

    def val_dataloader(self) -> BatchLoader | list[BatchLoader]:
        """The validation split in order, without randomness; nothing where the corpus has none."""
        if self._splits["val"] not in self.compiled.split_names:
            return []
        return self._ordered("val")

    def test_dataloader(self) -> BatchLoader:
        """The test split in order, without randomness."""
        return self._ordered("test")

    def predict_dataloader(self) -> BatchLoader:
        """The test split in order, without randomness."""
        return self._ordered("test")

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Move a batch, and normalise packed images there."""
        if device.type == "cpu":
            return batch
        moved = batch.to(device, non_blocking=self._pin_memory)
        if isinstance(self.preset, PackedPreset):
            moved.images = self.preset.unpack(moved.images)
        return moved

    def state_dict(self) -> dict[str, Any]:
        """The pipeline's whole state: seed, epoch, consumed, view."""
        return self.cursor.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue where a checkpoint was saved.

        Raises:
            CheckpointError: the view or the seed is another one.
        """
        self._restored = state_dict
        if self._cursor is not None:
            self._cursor.load_state_dict(state_dict)

    def _place(self) -> tuple[int, int]:
        """This process's rank and the number of ranks."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer is not None else (0, 1)

    def _dataset(self, role: str) -> DrawDataset:
        if role not in self._datasets:
            split = self._splits[role]
            slots = self.compiled.studies if isinstance(self.preset, StudyReader) else self.compiled.rows
            cache = BaseCache(slots(split), self.preset) if self._cache_in_memory else None
            self._datasets[role] = DrawDataset(
                self.compiled,
                self.preset,
                self.captions,
                seed=self.seed,
                split=split,
                unit=self.unit,
                max_images_per_item=self._max_images,
                cache=cache,
                sample_captions=self._sample_captions,
                max_images_per_batch=self._budget,
                regions=self._region_draws,
            )
        return self._datasets[role]

    @cached_property
    def _region_draws(self) -> RegionDraws | None:
        if self._region_policy is None:
            return None
        return RegionDraws(self.corpus, self._region_policy, self.preset, self.compiled.concepts)

    def _ordered(self, role: str) -> BatchLoader:
        dataset = self._dataset(role)
        return self._loader(dataset, OrderedDraws(len(dataset), self.batch_size, *self._place()))

    def _loader(self, dataset: DrawDataset, draws: TrainingDraws | OrderedDraws) -> BatchLoader:
        on_cpu = self.trainer is None or self.trainer.strategy.root_device.type == "cpu"
        return BatchLoader(dataset, draws, num_workers=self._num_workers, pin_memory=self._pin_memory, unpack=on_cpu)


def _callbacks(trainer: pl.Trainer) -> list[pl.Callback]:
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]  # set by Lightning's connector
    return callbacks

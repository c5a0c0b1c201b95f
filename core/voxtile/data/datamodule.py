"""`CorpusDataModule`: from one or more corpora to batches, in an order that survives interruption."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import lightning.pytorch as pl
import torch
from lightning.pytorch.trainer.states import TrainerFn

from voxtile.corpus.reader import Corpus
from voxtile.corpus.view.view import CompiledView
from voxtile.data.batches.dataset import OrderedDraws, PackedPreset
from voxtile.data.captions import CaptionPolicy
from voxtile.data.cursor import Cursor, CursorCallback
from voxtile.data.dialogues import DialoguePolicy, PreferencePolicy
from voxtile.data.draws import DrawDataset, Unit
from voxtile.data.loader import WORKER_TIMEOUT, BatchLoader, TrainingDraws
from voxtile.data.mixture.draws import MixtureDataset, OrderedBySource
from voxtile.data.mixture.mixture import Mixture
from voxtile.data.mixture.sources import MixedSources
from voxtile.data.phantom import PhantomSpec
from voxtile.data.presets.base import BasePreset, Preset
from voxtile.data.regions.policy import RegionPolicy
from voxtile.data.seen_samples import TrainingMarks
from voxtile.data.small_corpora import fitting_batch, say_missing
from voxtile.data.source import DataSource
from voxtile.data.training_contents import TrainingContents
from voxtile.data.training_terms import refuse_forbidden
from voxtile.distributed import made_by_each, made_by_rank_0
from voxtile.errors import ConfigError
from voxtile.types import Batch


class CorpusDataModule(TrainingContents, pl.LightningDataModule):
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
        closed_facts: concepts that a text would have mentioned: absent in training where a sample has facts, but none
            of them, also no doubtful one. Of all others silence says nothing.
        batch_size: items of one batch over all ranks; each rank loads an equal part of it. Of a smaller corpus a batch
            holds all items, and a note says so.
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
        sample_facts_source: facts of which source are of single samples where an item is a study, as `facts_source`;
            null for all. `OfSamples` takes its concepts from them.
        regions: phrases with their masks and boxes, for objectives that ground; null for none.
        dialogues: questions and answers of the corpus, for objectives that answer; null for none.
        preferences: pairs of answers of the corpus, for tuning by preferences; null for none.
        cache_in_memory: keep the deterministic part of the preset (resampling) in memory shared by the workers.
        worker_timeout: seconds that a worker process may take for a batch; one that takes longer ends the run.
        pin_memory: put batches into page-locked memory, for training on a GPU.
        view_folder: folder for compiled views instead of the corpus's `views`, where that is read-only.
        mixture: several sources with shares, in place of `corpus`; null for one.

    Raises:
        ConfigError: a number that cannot be, or texts of single samples where an item is a sample.
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
        closed_facts: Sequence[str] = (),
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
        sample_facts_source: str | None = None,
        regions: RegionPolicy | None = None,
        cache_in_memory: bool = False,
        pin_memory: bool = False,
        view_folder: str | None = None,
        mixture: Mixture | None = None,
        worker_timeout: float = WORKER_TIMEOUT,
        dialogues: DialoguePolicy | None = None,
        preferences: PreferencePolicy | None = None,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ConfigError(f"batch_size: {batch_size} is not a positive number of items")
        if num_workers < 0:
            raise ConfigError(f"num_workers: {num_workers} is negative; 0 loads in the training process")
        if not worker_timeout > 0:
            raise ConfigError(f"worker_timeout: {worker_timeout} is no number of seconds above 0")
        if sample_captions is not None and unit != "study":
            raise ConfigError("sample_captions: texts of single samples beside those of items need unit: study")
        self.preset = cast(Preset, preset)
        self.batch_size = batch_size
        self.seed = seed
        self.unit: Unit = unit
        self._num_workers = num_workers
        self._worker_timeout = worker_timeout
        self._pin_memory = pin_memory
        self._sample_facts_source = sample_facts_source
        self._splits = {"train": train_split, "val": val_split, "test": test_split}
        self._source = DataSource(
            preset=self.preset,
            folders=[corpus] if isinstance(corpus, str) else corpus,
            phantom=phantom,
            selection={
                "name": view,
                "scheme": scheme,
                "where": where,
                "facts_source": facts_source,
                "closed_facts": tuple(closed_facts),
            },
            splits=self._splits,
            unit=unit,
            captions=captions or CaptionPolicy(),
            sample_captions=sample_captions,
            regions=regions,
            dialogues=dialogues,
            preferences=preferences,
            max_images_per_item=max_images_per_item,
            max_images_per_batch=max_images_per_batch,
            cache_in_memory=cache_in_memory,
            view_folder=Path(view_folder) if view_folder else None,
            seed=seed,
        )
        self._mixed = MixedSources(mixture=mixture, common=self._source, batch_size=batch_size) if mixture else None
        self._cursor: Cursor | None = None
        self._restored: dict[str, Any] | None = None
        self._datasets: dict[str, DrawDataset | MixtureDataset] = {}

    @property
    def corpus(self) -> Corpus:
        """The corpus, or the phantom's where none was given; of a mixture, what `data.preset` reads of it.

        Raises:
            ConfigError: neither was given.
            CorpusError: a folder is not a corpus.
        """
        return (self._mixed or self._source).corpus

    @property
    def compiled(self) -> CompiledView:
        """The compiled view; it is opened on first use.

        Raises:
            ConfigError: a mixture has one for each source.
        """
        if self._mixed is not None:
            raise ConfigError("data.mixture: each source has a view of its own; there is none for all")
        return self._source.compiled

    @property
    def fact_names(self) -> tuple[str, ...]:
        """Concepts of `Batch.facts`, in order."""
        return self._source.compiled.concepts if self._mixed is None else self._mixed.fact_names

    @property
    def sample_fact_names(self) -> tuple[str, ...]:
        """Those of them that facts of single samples are about (`sample_facts_source`)."""
        sources = self._sources()
        found = {name for source in sources for name in source.concepts_of(self._sample_facts_source)}
        return tuple(name for name in self.fact_names if name in found)

    @property
    def draws_reports(self) -> bool:
        """Whether captions of kind `raw`, reports as they were written, are drawn as a whole."""
        policy = self._source.captions
        return policy.unit == "caption" and (not policy.kinds or policy.kinds.get("raw", 0) > 0)

    @property
    def source_names(self) -> tuple[str, ...]:
        """The sources of the mixture; none without one."""
        return () if self._mixed is None else tuple(self._mixed.sources)

    @cached_property
    def training_marks(self) -> TrainingMarks | None:
        """Hashes of what is trained on, for the checkpoint; None in all processes but the first, which writes it."""
        if self._place()[0]:
            return None
        sources = [source for source in self._sources() if source.size("train")]
        rows = sum(len(source.compiled.rows(source.splits["train"])) for source in sources)
        views = ((source.compiled, source.splits["train"], of) for source in sources for of in ("uid", "digest"))
        return TrainingMarks.of_parts(
            (part for view, split, of in views for part in view.uid_marks(split, of)), 2 * rows
        )

    @property
    def cursor(self) -> Cursor:
        """Where training is in the data."""
        if self._cursor is None:
            key = self._source.compiled.key if self._mixed is None else self._mixed.identity
            identity = f"{key} {self._splits['train']} {self.unit}"
            self._cursor = Cursor(self.seed, hashlib.sha256(identity.encode()).hexdigest()[:32])
            if self._restored is not None:
                self._cursor.load_state_dict(self._restored)
        return self._cursor

    def prepare_data(self) -> None:
        """Build the phantom and compile the view, in one process a machine."""
        _ = self.fact_names

    def setup(self, stage: str | None = None) -> None:
        """Open the view; for training, have the cursor follow the steps.

        Rank 0 reads the corpus's tables for all; the others map the view.
        """
        opened = made_by_rank_0(lambda: [(s.compiled.folder, s.compiled.key) for s in self._sources()])
        made_by_each(lambda: self._adopt(opened))
        _ = self.fact_names
        trainer = self.trainer
        if stage == "fit":
            made_by_rank_0(lambda: refuse_forbidden(self._sources()))
            made_by_each(self._fit_batch)
            say_missing({role: self._size(role) for role in self._splits}, self._splits)
        if (
            stage == "fit"
            and trainer is not None
            and not any(isinstance(c, CursorCallback) for c in _callbacks(trainer))
        ):
            # First in the list: before any checkpoint callback saves the state.
            _callbacks(trainer).insert(0, CursorCallback(self.cursor, self.batch_size, self._epoch_items()))

    def train_dataloader(self) -> BatchLoader:
        """Shuffled batches from the cursor on; what does not fill a batch waits for another epoch.

        Raises:
            ConfigError: the batch cannot be shared equally by the processes.
        """
        dataset = self._dataset("train")
        rank, ranks = self._place()
        if self.batch_size % ranks:
            raise ConfigError(
                f"data.batch_size: {self.batch_size} items cannot be shared equally by {ranks} processes; set it to a "
                f"multiple, e.g. {-(-self.batch_size // ranks) * ranks}, or change trainer.devices"
            )
        self._fit_batch()
        if self._mixed is not None:
            self._mixed.check_ranks(ranks)
        order = self._source.order(self.seed) if self._mixed is None else self._mixed.order
        return self._loader(dataset, TrainingDraws(order, self.cursor, self.batch_size, rank, ranks))

    def train_once_dataloader(self) -> BatchLoader:
        """Every item of the training split once, in order, without randomness, and in every process."""
        dataset = self._dataset("train")
        if isinstance(dataset, MixtureDataset):
            return self._loader(dataset, OrderedBySource(dataset.sizes, self.batch_size))
        return self._loader(dataset, OrderedDraws(len(dataset), self.batch_size))

    def keep_images_still(self) -> None:
        """Augment neither the images of the training split nor what lies on them; before the first batch."""
        dataset = self._dataset("train")
        for part in dataset.datasets.values() if isinstance(dataset, MixtureDataset) else (dataset,):
            part.still = True

    def leave_images_out(self, *, regions: bool = False) -> None:
        """Load no images of the training split any more; loader workers that run already, and mixtures, still do.

        Args:
            regions: go on placing regions.
        """
        dataset = self._dataset("train")
        if isinstance(dataset, DrawDataset):
            dataset.with_images, dataset.with_regions = False, regions

    def val_dataloader(self) -> BatchLoader | list[BatchLoader]:
        """The validation split in order, without randomness; in a fit nothing where the corpus has none.

        Raises:
            ConfigError: it is empty, and nothing else was asked for.
        """
        sources = self._sources()
        alone = self.trainer is not None and self.trainer.state.fn == TrainerFn.VALIDATING
        if not alone and not any(source.size("val") for source in sources):
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
        preset = self.preset if self._mixed is None else self._mixed.packed_preset
        if isinstance(preset, PackedPreset) and moved.images.numel():
            moved.images = preset.unpack(moved.images)
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

    def _adopt(self, opened: Sequence[tuple[Path, str]]) -> None:
        for source, (folder, key) in zip(self._sources(adopted=True), opened, strict=True):
            source.adopt(folder, key)

    def _dataset(self, role: str) -> DrawDataset | MixtureDataset:
        if role not in self._datasets:
            self._datasets[role] = (self._mixed or self._source).dataset(role)
        return self._datasets[role]

    def _size(self, role: str) -> int:
        """Items of a split, over all sources."""
        return sum(source.size(role) for source in self._sources())

    def _sources(self, *, adopted: bool = False) -> list[DataSource]:
        """What is drawn from, with views compiled; those that are yet to be adopted from rank 0 as they are."""
        if self._mixed is None:
            return [self._source]
        return list(self._mixed.sources.values()) if adopted else self._mixed.open()

    def _fit_batch(self) -> None:
        """Make batches no larger than what there is to train on. A loss over a stated global batch is as stated."""
        module = getattr(self.trainer, "lightning_module", None)
        items, split = self._epoch_items(), self._splits["train"]
        if items < self.batch_size and (self._mixed is not None or getattr(module, "large_batch", None) is not None):
            raise ConfigError(
                f"batch_size: {self.batch_size} is more than the {items} items of split '{split}'; make it smaller"
            )
        self.batch_size = fitting_batch(self.batch_size, items, self._place()[1], split)

    def _epoch_items(self) -> int:
        """Draws an epoch."""
        return len(self._dataset("train")) if self._mixed is None else self._mixed.order.size

    def _ordered(self, role: str) -> BatchLoader:
        dataset = self._dataset(role)
        if isinstance(dataset, MixtureDataset):
            return self._loader(dataset, OrderedBySource(dataset.sizes, self.batch_size, *self._place()))
        return self._loader(dataset, OrderedDraws(len(dataset), self.batch_size, *self._place()))

    def _loader(
        self, dataset: DrawDataset | MixtureDataset, draws: TrainingDraws | OrderedDraws | OrderedBySource
    ) -> BatchLoader:
        on_cpu = self.trainer is None or self.trainer.strategy.root_device.type == "cpu"
        return BatchLoader(
            dataset,
            draws,
            num_workers=self._num_workers,
            worker_timeout=self._worker_timeout,
            pin_memory=self._pin_memory,
            unpack=on_cpu,
        )


def _callbacks(trainer: pl.Trainer) -> list[pl.Callback]:
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]  # set by Lightning's connector
    return callbacks

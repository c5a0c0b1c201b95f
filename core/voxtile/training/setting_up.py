"""What happens once, before the first step: what is learned is made, and a run that cannot be right is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities import rank_zero_info

from voxtile.data.presets.base import Preset
from voxtile.distributed import made_by_rank_0
from voxtile.models.dual import DualEncoder
from voxtile.models.tower import require_described
from voxtile.objectives.base import Objective
from voxtile.training.checks import check_accumulation, check_data, check_encoder, check_grid
from voxtile.training.objective_states import take_states
from voxtile.training.step.large_batch import LargeBatch
from voxtile.training.step.locked_images import ImageLock, check_cache
from voxtile.training.step.seeds import heads_seed


class TrainingData(Protocol):
    """What the module asks of a datamodule."""

    @property
    def preset(self) -> Preset:
        """Preprocessing; stored in the checkpoint."""

    @property
    def fact_names(self) -> tuple[str, ...]:
        """Concepts of `Batch.facts`, in order."""

    def training_texts(self) -> Sequence[str]:
        """Distinct texts of the training split, for tokenizers that are trained."""


def taken_preset(encoder: DualEncoder, data: TrainingData) -> dict[str, Any]:
    """The preset of the data, as checkpoints keep it.

    Raises:
        ConfigError: the image tower takes another number of channels or of dimensions, or a tower says too little.
    """
    require_described(encoder.image, "channels", "dimensions")
    require_described(encoder.text, "tokenizer")
    check_grid(encoder.image, data.preset)
    return data.preset.to_config()


def freeze(encoder: DualEncoder) -> None:
    """Train nothing of the towers; they are then in evaluation mode, whatever mode the encoder is in."""
    encoder.requires_grad_(False)
    encoder.train(encoder.training)


def set_up(objectives: Mapping[str, Objective], encoder: DualEncoder, fact_names: tuple[str, ...]) -> None:
    """Create what objectives learn, with the same draws in every process.

    Args:
        objectives: by name.
        encoder: the towers.
        fact_names: concepts of `Batch.facts`, in order.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(heads_seed(torch.initial_seed()))  # a distributed run starts the generator anew before
        for objective in objectives.values():
            objective.setup_encoder(encoder)
            objective.setup(
                image_width=encoder.image.width,
                text_width=encoder.text.width,
                embed_dim=encoder.embed_dim,
                fact_names=fact_names,
            )


def learn_from(data: TrainingData, encoder: DualEncoder, objectives: Mapping[str, Objective]) -> None:
    """Learn from the training split what a run needs before its first step, unless a checkpoint gave it."""
    if not encoder.text.tokenizer.ready:
        _learn_vocabulary(encoder, data)
    take_states(objectives, data)
    _say_loaded(encoder)


def _learn_vocabulary(encoder: DualEncoder, data: TrainingData) -> None:
    """Train the tokenizer on the texts of the training split, in one process for all."""
    tokenizer = encoder.text.tokenizer

    def learned() -> str | None:
        tokenizer.train(data.training_texts())
        return tokenizer.to_json()

    tokenizer.from_json(made_by_rank_0(learned))


def _say_loaded(encoder: DualEncoder) -> None:
    """Say, once, what of their pretrained weights the towers took."""
    for tower in (encoder.image, encoder.text):
        if (report := getattr(tower, "load_report", None)) is not None:
            rank_zero_info("%s", report)


def check_run(
    trainer: pl.Trainer,
    encoder: DualEncoder,
    objectives: Mapping[str, Objective],
    large_batch: LargeBatch | None,
    image_lock: ImageLock,
) -> None:
    """Refuse a training whose data, sizes or processes do not fit its objectives.

    Args:
        trainer: with its datamodule.
        encoder: the towers.
        objectives: by name.
        large_batch: sizes of a large-batch step, or None.
        image_lock: says whether what a locked tower gives is kept, and from the first step on.

    Raises:
        ConfigError: says what does not fit, and what to set.
    """
    data = trainer.datamodule  # type: ignore[attr-defined]  # set by Lightning's connector
    check_data(objectives, data)
    if image_lock.keeps:
        check_cache(objectives, trainer.world_size, large_batch is not None, frozen=image_lock.from_start)
    if large_batch is not None:
        size = int(getattr(data, "batch_size", large_batch.total))
        large_batch.check(encoder, objectives, size, trainer.world_size)
    check_encoder(encoder, data)
    check_accumulation(objectives, trainer.accumulate_grad_batches)

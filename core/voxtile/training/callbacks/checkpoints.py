"""Checkpoints by step."""

from __future__ import annotations

from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Checkpoint

from voxtile.errors import ConfigError
from voxtile.types import Batch


class RunCheckpoint(Checkpoint):
    """Writes `checkpoints/last.ckpt` in the run's folder every so many steps and at the end.

    Args:
        every_n_train_steps: steps between checkpoints.
        keep: also keep each as `step-N.ckpt`.

    Raises:
        ConfigError: `every_n_train_steps` below 1.
    """

    def __init__(self, *, every_n_train_steps: int = 200, keep: bool = False) -> None:
        if every_n_train_steps < 1:
            raise ConfigError(f"checkpoint.every_n_train_steps must be at least 1, not {every_n_train_steps}")
        self.every_n_train_steps = every_n_train_steps
        self.keep = keep
        self._saved = -1

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: object, batch: Batch, batch_idx: int
    ) -> None:
        """Save when the step's number asks for it; before the first step is done there is nothing to go on from."""
        if trainer.global_step and trainer.global_step % self.every_n_train_steps == 0:
            self.save(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the final state."""
        self.save(trainer)

    def save(self, trainer: pl.Trainer, *, again: bool = False) -> None:
        """Save the state after this step, once, or `again` where it says more than before."""
        step = trainer.global_step
        if trainer.log_dir is None or getattr(trainer, "fast_dev_run", False) or (step == self._saved and not again):
            return
        folder = Path(trainer.log_dir) / "checkpoints"
        trainer.save_checkpoint(folder / "last.ckpt", weights_only=False)
        if self.keep:
            trainer.save_checkpoint(folder / f"step-{step}.ckpt", weights_only=False)
        self._saved = step

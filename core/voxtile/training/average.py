"""An exponential moving average of the weights: what is validated, saved and used, while training goes on beside it."""

from __future__ import annotations

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from voxtile.errors import ConfigError
from voxtile.training.checkpoint import Checkpoint

_RAW = "voxtile_raw_state"


class WeightAverage(pl.Callback):
    """Averages the weights over the steps (Polyak and Juditsky 1992, with exponential forgetting).

    A checkpoint's `state_dict` holds the average, so that whoever loads it gets that; the weights in training are kept
    beside it and a resumed run goes on from them.

    Args:
        decay: share of the old average that a step keeps. Early steps keep less: min(decay, (1 + n) / (10 + n)).
    """

    def __init__(self, *, decay: float = 0.99) -> None:
        if not 0 <= decay < 1:
            raise ConfigError(f"the decay of a weight average must be at least 0 and below 1, not {decay}")
        self.decay = decay
        self._average: dict[str, Tensor] | None = None
        self._raw: dict[str, Tensor] | None = None  # while the module holds the average

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start from the first weights, unless a checkpoint gave an average.

        Raises:
            ConfigError: the weights are sharded.
        """
        if any(isinstance(parameter, DTensor) for parameter in pl_module.parameters()):
            raise ConfigError("WeightAverage needs whole weights; use trainer.strategy ddp, or remove it")
        if self._average is None:
            self._average = _copy(pl_module)
        device = pl_module.device
        self._average = {name: value.to(device) for name, value in self._average.items()}

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        """Move the average a little towards the weights."""
        assert self._average is not None
        step = trainer.global_step
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        for name, value in pl_module.state_dict().items():
            if value.is_floating_point():
                self._average[name].lerp_(value, share)
            else:
                self._average[name].copy_(value)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Validate the average."""
        if self._average is not None and self._raw is None:
            self._raw = _copy(pl_module)
            pl_module.load_state_dict(self._average)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Go back to the weights in training."""
        if self._raw is not None:
            pl_module.load_state_dict(self._raw)
            self._raw = None

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Leave the average in the module, after the last checkpoint was written."""
        if self._average is not None:
            pl_module.load_state_dict(self._average)

    def on_save_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: Checkpoint) -> None:
        """Put the average where loaders look, and the weights in training beside it."""
        if self._average is not None:
            checkpoint[_RAW] = checkpoint["state_dict"] if self._raw is None else self._raw
            checkpoint["state_dict"] = dict(self._average)

    def on_load_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: Checkpoint) -> None:
        """Take both up again when a fit is resumed; other commands use the average that was loaded."""
        if trainer.state.fn == "fit":
            self._average = {name: value.clone() for name, value in checkpoint["state_dict"].items()}
            pl_module.load_state_dict(checkpoint[_RAW if _RAW in checkpoint else "state_dict"])


def _copy(module: pl.LightningModule) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}

"""An exponential moving average of the weights: what is validated, saved and used, while training goes on beside it."""

from __future__ import annotations

import lightning.pytorch as pl
import torch
from torch import Tensor

from voxtile.distributed import is_sharded
from voxtile.errors import ConfigError
from voxtile.training.checkpoint import Checkpoint

_RAW = "voxtile_raw_state"


class WeightAverage(pl.Callback):
    """Averages the weights over the steps (Polyak and Juditsky 1992, with exponential forgetting).

    A checkpoint's `state_dict` holds the average, so that whoever loads it gets that; the weights in training are kept
    beside it and a resumed run goes on from them. Of sharded weights (FSDP2) each process keeps the average of its own
    shards, and a checkpoint's is put together from them, so that it says nothing of how many there were.

    Args:
        decay: share of the old average that a step keeps. Early steps keep less: min(decay, (1 + n) / (10 + n)).

    Raises:
        ConfigError: `decay` is not at least 0 and below 1.
    """

    def __init__(self, *, decay: float = 0.99) -> None:
        if not 0 <= decay < 1:
            raise ConfigError(f"the decay of a weight average must be at least 0 and below 1, not {decay}")
        self.decay = decay
        self._average: dict[str, Tensor] | None = None
        self._raw: dict[str, Tensor] | None = None  # while the module holds the average
        self._step = 0  # the last one that was averaged

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start from the first weights, unless a checkpoint gave an average."""
        if self._average is None:
            self._average = _copy(pl_module)
        device = pl_module.device
        self._average = {name: value.to(device) for name, value in self._average.items()}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin at the step that a checkpoint left off at."""
        self._step = trainer.global_step

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        """Move the average a little towards the weights, once a step, of however many batches that is."""
        assert self._average is not None
        step = trainer.global_step
        if step == self._step:
            return
        self._step = step
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
            checkpoint[_RAW] = checkpoint["state_dict"] if self._raw is None else _whole(self._raw, trainer)
            checkpoint["state_dict"] = _whole(self._average, trainer)

    def on_load_checkpoint(self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: Checkpoint) -> None:
        """Take both up again when a fit is resumed; other commands use the average that was loaded."""
        if trainer.state.fn != "fit":
            return
        if "state_dict" in checkpoint:  # which the strategy for sharded weights has loaded, and taken out
            pl_module.load_state_dict(checkpoint["state_dict"])
        self._average = _copy(pl_module)
        if _RAW in checkpoint:
            _load_whole(pl_module, checkpoint[_RAW])


def _whole(values: dict[str, Tensor], trainer: pl.Trainer) -> dict[str, Tensor]:
    """Put sharded values together, on the CPU of rank 0, as the strategy does with the weights; others as they are."""
    if not any(is_sharded(value) for value in values.values()):
        return dict(values)
    found = {}
    for name, value in values.items():
        whole = value.full_tensor() if is_sharded(value) else value  # all processes must ask
        if trainer.is_global_zero:
            found[name] = whole.cpu()
    return found


def _load_whole(module: pl.LightningModule, values: dict[str, Tensor]) -> None:
    """Load what `_whole` made into weights that are sharded or not."""
    if any(is_sharded(parameter) for parameter in module.parameters()):
        from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict

        set_model_state_dict(module, dict(values), options=StateDictOptions(full_state_dict=True))
    else:
        module.load_state_dict(values)


def _copy(module: pl.LightningModule) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in module.state_dict().items()}

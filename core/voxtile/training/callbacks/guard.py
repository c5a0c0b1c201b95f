"""Stops a run whose loss is no number, before it spoils the weights, and names the samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import lightning.pytorch as pl
import torch
from torch import Tensor

from voxtile.errors import TrainingError
from voxtile.types import Batch

_SHOWN = 8  # uids in a message


class FiniteLoss(pl.Callback):
    """Raises `TrainingError` at the first loss that is NaN or infinite, before the weights are updated with it.

    The message names the terms that are not finite and the samples of the batch: those whose own images hold such
    values, else all. Where the weights were not finite already, the fault lies in the step before, whose samples are
    named instead.
    """

    def __init__(self) -> None:
        self._batch: Batch | None = None
        self._before: Sequence[str] = ()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Remember what the loss is of."""
        self._batch = batch

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        """Check the loss.

        Raises:
            TrainingError: it is not finite.
        """
        if bool(torch.isfinite(loss.detach()).all()):
            return
        step = trainer.global_step
        if any(not bool(torch.isfinite(p.detach()).all()) for p in pl_module.parameters()):
            raise TrainingError(
                f"the weights are not finite since the update before step {step}, on {_named(self._before)}; go on "
                "from the last checkpoint with a lower learning rate, or with trainer.gradient_clip_val"
            )
        raise TrainingError(
            f"the loss at step {step} is {float(loss.detach()):g}{_terms(pl_module)}, on {self._found()}"
        )

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: object, batch: Batch, batch_idx: int
    ) -> None:
        """Remember the uids of the step before."""
        self._before, self._batch = batch.uids, None

    def _found(self) -> str:
        batch = self._batch
        if batch is None:
            return "an unknown batch"
        images = batch.images
        broken = ~torch.isfinite(images).flatten(1).all(1) if images.is_floating_point() else torch.zeros(len(images))
        at_fault = sorted(set(batch.image_item.to(broken.device)[broken.bool()].tolist()))
        if at_fault:
            uids = [batch.uids[item] for item in at_fault]
            return f"{_named(uids)}, whose image holds values that are not finite; leave it out with data.where"
        return f"{_named(batch.uids)}; look at these, or lower the learning rate"


def _terms(module: pl.LightningModule) -> str:
    """The terms of the loss that are not finite."""
    terms: Mapping[str, Tensor] = getattr(module, "terms", {})
    names = [name for name, value in terms.items() if not _finite(value)]
    return f" (by {', '.join(names)})" if names else ""


def _finite(value: Tensor) -> bool:
    return bool(torch.isfinite(torch.as_tensor(value)).all())


def _named(uids: Iterable[str]) -> str:
    known = list(uids)
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return f"sample{'s' if len(known) != 1 else ''} {', '.join(known[:_SHOWN])}{more}" if known else "no sample"

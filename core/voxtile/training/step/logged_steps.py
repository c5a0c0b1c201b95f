"""Which steps are logged. Lightning takes as long for a figure as for a small layer, also where it then drops it."""

from __future__ import annotations

import time
from collections.abc import Mapping

import lightning.pytorch as pl
import torch
from torch import Tensor

from voxtile.models.dual import DualEncoder

SECONDS = 1.0  # after which a step is shown though it is not logged


class StepLog:
    """Writes figures of steps down: those that are shown at its time, the rest at logged ones.

    Args:
        encoder: whose scales are written.
    """

    def __init__(self, encoder: DualEncoder) -> None:
        self._encoder = encoder
        self._shown = float("-inf")  # when the last figures were written down

    def note(
        self, module: pl.LightningModule, loss: Tensor, terms: Mapping[str, Tensor], items: int, cut_texts: int
    ) -> None:
        """Write down the step that is under way, if it is one of those.

        Args:
            module: in training.
            loss: the weighted sum.
            terms: the unweighted ones by name.
            items: of the batch.
            cut_texts: how many texts were cut so far.
        """
        whole = is_shown(module.trainer)
        if whole or time.monotonic() - self._shown > SECONDS:
            self._write(module, loss, terms if whole else {}, items)
        if whole:
            module.log("train/cut_texts", float(cut_texts), batch_size=items, reduce_fx="sum", sync_dist=True)

    def _write(self, module: pl.LightningModule, loss: Tensor, terms: Mapping[str, Tensor], items: int) -> None:
        self._shown = time.monotonic()
        log_figures(module, {"loss": loss}, items, prog_bar=True)
        figures: dict[str, Tensor | float] = {"scale": self._encoder.logit_scale.detach(), **terms}
        if terms:
            if (scales := self._encoder.source_scales) is not None:
                figures |= zip((f"scale_{name}" for name in scales.names), scales.log_scale.detach().exp(), strict=True)
            figures["lr"] = max(g["lr"] for g in module.trainer.optimizers[0].param_groups)
        log_figures(module, {f"train/{name}": value for name, value in figures.items()}, items)


def is_logged(trainer: pl.Trainer) -> bool:
    """Whether the step that is under way is one that Lightning logs."""
    return bool(trainer._logger_connector.should_update_logs)


def is_shown(trainer: pl.Trainer) -> bool:
    """The same, and the first and the last step of the run, so that there is something to show of a short one."""
    step = trainer.global_step
    return step == 0 or step + 1 >= trainer.estimated_stepping_batches or is_logged(trainer)


def log_figures(
    module: pl.LightningModule, figures: Mapping[str, Tensor | float], items: int, *, prog_bar: bool = False
) -> None:
    """`module.log` of figures of the step that is under way.

    A name that was logged before by the same hook takes its new value only: Lightning would copy and look through all
    that it keeps of it, each time.

    Args:
        module: in training.
        figures: by name; scalars.
        items: of the batch.
        prog_bar: also for the progress bar.
    """
    trainer, hook = module.trainer, str(module._current_fx_name)
    results = trainer._results
    for name, value in figures.items():
        key = f"{hook}.{name}"
        if results is not None and key in results and not trainer._logger_connector.should_reset_tensors(hook):
            results.update_metrics(key, torch.as_tensor(value, device=module.device).detach(), items)
        else:
            module.log(name, value, prog_bar=prog_bar, batch_size=items)

"""Which steps are logged. Lightning takes as long for a figure as for a small layer, also where it then drops it."""

from __future__ import annotations

from collections.abc import Mapping

import lightning.pytorch as pl
import torch
from torch import Tensor

SECONDS = 1.0  # after which a step is shown though it is not logged


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

"""Which steps are logged. Lightning takes as long for a figure as for a small layer, also where it then drops it."""

from __future__ import annotations

import lightning.pytorch as pl

SECONDS = 1.0  # after which a step is shown though it is not logged


def is_logged(trainer: pl.Trainer) -> bool:
    """Whether the step that is under way is one that Lightning logs."""
    return bool(trainer._logger_connector.should_update_logs)


def is_shown(trainer: pl.Trainer) -> bool:
    """The same, and the first and the last step of the run, so that there is something to show of a short one."""
    step = trainer.global_step
    return step == 0 or step + 1 >= trainer.estimated_stepping_batches or is_logged(trainer)

"""A run that is told to end, as a cluster tells it, after a step that the test chooses."""

import os
import signal

from lightning.pytorch import Callback


class LeaveAfter(Callback):
    """Sends SIGTERM to its own process.

    Args:
        step: after which one.
    """

    def __init__(self, step: int) -> None:
        self._step = step

    def on_train_batch_end(self, trainer, *_):
        """After each step."""
        if trainer.global_step == self._step:
            os.kill(os.getpid(), signal.SIGTERM)

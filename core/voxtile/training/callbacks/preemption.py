"""SIGTERM, by which schedulers ask for their machine back: all processes save at the end of one step and leave."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

import lightning.pytorch as pl
import torch
import torch.distributed as dist
from lightning.pytorch.utilities.exceptions import SIGTERMException

from voxtile.console import note
from voxtile.training.callbacks.checkpoints import RunCheckpoint

_AGREE_EVERY = 8  # steps between the moments at which processes ask each other


class Preemption(pl.Callback):
    """Saves and stops after SIGTERM.

    Lightning's own handler sends a message to the other processes from within the signal, in the midst of whatever they
    exchange; here each notes the signal, and they agree between two steps.

    Raises:
        SIGTERMException: at the end of a step, in all processes; the program ends with status 143.
    """

    def __init__(self) -> None:
        self._asked = False
        self._before: Any = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listen."""
        if threading.current_thread() is threading.main_thread():
            self._before = signal.getsignal(signal.SIGTERM)
            signal.signal(signal.SIGTERM, lambda number, frame: self._note(trainer, number, frame))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        """Save and leave if any process was asked to."""
        if trainer.world_size > 1:
            if trainer.global_step % _AGREE_EVERY:
                return
            asked = torch.tensor(int(self._asked), device=pl_module.device)
            dist.all_reduce(asked, dist.ReduceOp.MAX)
            self._asked = bool(asked)
        if self._asked and trainer.global_step:
            for callback in trainer.checkpoint_callbacks:
                if isinstance(callback, RunCheckpoint):
                    callback.save(trainer)
            if trainer.is_global_zero:
                note(f"SIGTERM: step {trainer.global_step} is saved; go on with --ckpt_path last")
            raise SIGTERMException(128 + signal.SIGTERM)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Listen no more."""
        if self._before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._before)
            self._before = None

    def _note(self, trainer: pl.Trainer, number: int, frame: FrameType | None) -> None:
        if not self._asked and trainer.strategy.launcher is not None and hasattr(trainer.strategy.launcher, "kill"):
            trainer.strategy.launcher.kill(number)  # the processes that this one started
        self._asked = True

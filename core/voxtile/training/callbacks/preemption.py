"""SIGTERM, by which schedulers ask for their machine back: all processes save at the end of one step and leave.

A validation is left in its midst, since it may take longer than the time that is granted: what is saved is the step
before it, and the run that goes on validates first.
"""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType
from typing import Any

import lightning.pytorch as pl
import torch
import torch.distributed as dist
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.exceptions import SIGTERMException

from voxtile.console import note
from voxtile.training.callbacks.checkpoints import RunCheckpoint

_AGREE_EVERY = 8  # steps at most between the moments at which processes ask each other
_AGREE_S = 2.0  # seconds that pass between them at most, of steps shorter than that: launchers grant as few as 30


class Preemption(pl.Callback):
    """Saves and stops after SIGTERM.

    Lightning's own handler sends a message to the other processes from within the signal, in the midst of whatever they
    exchange; here each notes the signal, and they agree between two steps, or two batches of a validation.

    Raises:
        SIGTERMException: at the end of a step, in all processes; the program ends with status 143.
    """

    def __init__(self) -> None:
        self._asked = False
        self._before: dict[signal.Signals, Any] = {}
        self._next = 0  # step at whose end the processes ask each other, the same in all
        self._since: tuple[int, float] | None = None  # when they did so last
        self._left_validation = False  # which the run that goes on makes anew

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say where the time that was granted is over before the first step."""
        callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]  # set by Lightning's connector
        remaining = [timer.time_remaining() for timer in callbacks if isinstance(timer, pl.callbacks.Timer)]
        if trainer.is_global_zero and any(seconds is not None and seconds <= 0 for seconds in remaining):
            note(
                "trainer.max_time counts all starts of a run together, and those before have used it up, so that this "
                "one makes no step; give a longer one, or none"
            )

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listen; make the validation anew in which the run was stopped."""
        self._next, self._since = trainer.global_step + 1, None
        if threading.current_thread() is threading.main_thread():
            for asking in _signals(trainer):
                self._before[asking] = signal.signal(asking, lambda number, frame: self._note(trainer, number, frame))
        if self._left_validation:
            self._left_validation = False
            validation = trainer.fit_loop.epoch_loop.val_loop
            validation.restarting = False  # from its first batch on: figures of those that were seen are not kept
            trainer.validating = True  # as Lightning's own loop does between two steps
            validation.run()
            trainer.training = True

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        """Save and leave if any process was asked to."""
        self._leave_if_asked(trainer, pl_module, trainer.global_step)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count batches, which are as many in all processes."""
        self._next, self._since = 1, None

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Save the last step and leave, as after a step, from a validation of a fit."""
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self._leave_if_asked(trainer, pl_module, batch_idx + 1)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count steps again."""
        self._next, self._since = trainer.global_step + 1, None

    def state_dict(self) -> dict[str, Any]:
        """Whether the step was saved in the midst of a validation."""
        return {"left_validation": True} if self._left_validation else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Know of a validation that was left."""
        self._left_validation = bool(state_dict.get("left_validation"))

    def _leave_if_asked(self, trainer: pl.Trainer, pl_module: pl.LightningModule, counted: int) -> None:
        if trainer.world_size > 1:
            if counted < self._next:
                return
            self._agree(counted, pl_module.device)
        if self._asked and trainer.global_step:
            self._left_validation = trainer.validating
            for callback in trainer.checkpoint_callbacks:
                if isinstance(callback, RunCheckpoint):
                    callback.save(trainer, again=self._left_validation)
            if trainer.is_global_zero:
                left = "; the validation was left, and is made anew then" * self._left_validation
                note(f"SIGTERM: step {trainer.global_step} is saved; go on with --ckpt_path last{left}")
            raise SIGTERMException(128 + signal.SIGTERM)

    def _agree(self, step: int, device: torch.device) -> None:
        """Ask each other, and settle when to ask again by the pace of the slowest."""
        now = time.monotonic()
        pace = 0.0 if self._since is None else (now - self._since[1]) / max(1, step - self._since[0])
        told = torch.tensor([float(self._asked), pace], device=device)
        dist.all_reduce(told, dist.ReduceOp.MAX)
        self._asked, pace = bool(told[0]), float(told[1])
        self._next, self._since = step + steps_apart(pace), (step, now)

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Listen no more."""
        if self._before and threading.current_thread() is threading.main_thread():
            for asking, before in self._before.items():
                signal.signal(asking, before)
            self._before = {}

    def _note(self, trainer: pl.Trainer, number: int, frame: FrameType | None) -> None:
        if not self._asked and trainer.strategy.launcher is not None and hasattr(trainer.strategy.launcher, "kill"):
            trainer.strategy.launcher.kill(number)  # the processes that this one started
        self._asked = True


def _signals(trainer: pl.Trainer) -> tuple[signal.Signals, ...]:
    """By which a run is asked for its machine: of Slurm also the one that Lightning's pages have jobs send.

    Lightning's own answer to that is a checkpoint which any later run of the folder would go on from.
    """
    environment = getattr(trainer.strategy, "cluster_environment", None)
    return (signal.SIGTERM, signal.SIGUSR1) if isinstance(environment, SLURMEnvironment) else (signal.SIGTERM,)


def steps_apart(pace: float) -> int:
    """After how many steps of so many seconds processes ask each other again; 1 where it is not known yet."""
    return max(1, min(_AGREE_EVERY, int(_AGREE_S / pace))) if pace else 1

"""A process of a distributed run that dies: the others say which it was, and stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence

import lightning.pytorch as pl
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.utilities.exceptions import SIGTERMException

from voxtile.errors import TrainingError, VoxtileError

_EVERY = 0.5  # seconds between looks
_GRACE = 1.5  # seconds in which a death may turn out to be the end of the whole run, as after Ctrl-C
_PATIENCE = 10.0  # seconds that an error waits for the news of a death that would explain it
_ASKED = (0, 128 + signal.SIGTERM, -signal.SIGTERM)  # statuses of processes that ended as they should
_LEFT = 1  # status of a process that leaves since another one died


class LostProcess(pl.Callback):
    """Watches the processes that the command line started on this machine, from the first step to the last.

    Without it those that are left wait for the dead one, or fail at their connection to it. The first process watches
    the others; they watch the first. Processes that something else started (torchrun, Slurm) are watched by it.
    """

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._watch: threading.Thread | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Begin to watch."""
        environment = getattr(trainer.strategy, "cluster_environment", None)
        if trainer.world_size == 1 or not isinstance(environment, LightningEnvironment):
            return
        started: Sequence[subprocess.Popen[bytes]] = getattr(trainer.strategy.launcher, "procs", ())
        others = {environment.local_rank() + number: process for number, process in enumerate(started, 1)}
        if not others and environment.local_rank() == 0:
            return
        self._stop.clear()
        self._watch = threading.Thread(target=self._look, args=(others, os.getppid()), daemon=True)
        self._watch.start()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Let a death that explains the error be told in its place."""
        if self._watch is None:
            return
        if not isinstance(exception, KeyboardInterrupt | SIGTERMException | VoxtileError):
            self._watch.join(_PATIENCE)
        self._stop.set()

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Watch no more."""
        self._stop.set()

    def _look(self, others: Mapping[int, subprocess.Popen[bytes]], parent: int) -> None:
        while not self._stop.wait(_EVERY):
            found = died(others) if others else _orphaned(parent)
            if found is None or self._stop.wait(_GRACE):
                continue
            sys.stderr.write(f"voxtile: error: {died(others) or found}\n")
            sys.stderr.flush()
            for process in others.values():
                process.kill()
            os._exit(TrainingError.exit_status if others else _LEFT)


def died(processes: Mapping[int, subprocess.Popen[bytes]]) -> str | None:
    """What became of the first process by its rank that should not have ended, or None while all go on.

    One that was killed counts before those that left because of it.
    """
    ended = {rank: status for rank, p in processes.items() if (status := p.poll()) not in (None, *_ASKED)}
    if not ended:
        return None
    rank, status = min(ended.items(), key=lambda item: (item[1] == _LEFT, item[0]))
    if status < 0:
        how, look = f"was killed by {signal.Signals(-status).name}", "see whether memory ran out"
    else:
        how, look = f"ended with status {status}", "see its own message"
    return (
        f"the process of rank {rank} (process id {processes[rank].pid}) {how}, so that all others were stopped; "
        f"{look}, and go on with --ckpt_path last"
    )


def _orphaned(parent: int) -> str | None:
    if os.getppid() == parent:
        return None
    return (
        f"the process of rank 0 (process id {parent}) died, so that this one, of another rank, stops; go on with "
        "--ckpt_path last"
    )

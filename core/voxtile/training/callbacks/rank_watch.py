"""The processes of a distributed run watch each other: who is gone, who stands still, and whom all others wait for."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import lightning.pytorch as pl
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.utilities.exceptions import SIGTERMException

from voxtile.console import note
from voxtile.distributed import made_by_rank_0, place
from voxtile.errors import ConfigError, TrainingError, VoxtileError
from voxtile.training.callbacks.rank_channel import Address, Hub, Line, Message, connected
from voxtile.training.callbacks.stragglers import Stragglers, Timing
from voxtile.training.step.logged_steps import is_logged
from voxtile.types import Batch

_BEAT = 1.0  # seconds between two signs of life
_GRACE = 2.0  # seconds in which a death may turn out to be the end of the whole run
_LAUNCHERS_GRACE = 10.0  # the same where `LostProcess` sees how the process ended, and says more
_PATIENCE = 15.0  # seconds that an error waits for the news of a death that would explain it
_LEFT = 1  # status of a process that leaves since another one is gone
_GO_ON = "go on with --ckpt_path last"


class Who(NamedTuple):
    """A process as messages name it."""

    rank: int
    pid: int
    host: str

    def __str__(self) -> str:
        return f"the process of rank {self.rank} (process id {self.pid} on {self.host})"


class RankWatch(pl.Callback):
    """Says which process of a run is gone, stands still or keeps all others waiting, and ends a run that cannot go on.

    A collective operation says none of it: those that are left wait for half an hour, or fail at their connection.
    Each process tells rank 0 each second that it lives, how far it is and what it does; rank 0 tells them the same. One
    that dies, ends with an error or gives no sign of life for `end_after` ends the run in all processes, with one
    sentence on each machine. One that lives but waits for its data for `note_after` is named, and the run goes on.

    At each logged step `stragglers.csv` of the run's folder gets a line with the slowest process, and `ranks.csv` the
    times of all; a process that is half as slow again as the others is named in the terminal once.

    Args:
        note_after: seconds of waiting after which it is said who is waited for.
        end_after: seconds without a sign of life after which the run ends.

    Raises:
        ConfigError: `note_after` is not above 0, or is longer than `end_after`.
    """

    def __init__(self, *, note_after: float = 60.0, end_after: float = 600.0) -> None:
        if not 0 < note_after <= end_after:
            raise ConfigError(
                f"ranks: note_after ({note_after:g} s) must be above 0 and no more than end_after ({end_after:g} s)"
            )
        self._note_after, self._end_after = note_after, end_after
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._hub: Hub | None = None
        self._line: Line | None = None
        self._timing = Timing()
        self._folder: Path | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Connect the processes; where that fails, the run goes on without."""
        if trainer.world_size == 1 or stage != "fit" or place()[1] != trainer.world_size:
            return
        self._who = Who(trainer.global_rank, os.getpid(), platform.node())
        self._ranks, self._local_rank = trainer.world_size, trainer.local_rank
        environment = getattr(trainer.strategy, "cluster_environment", None)
        own_launcher = isinstance(environment, LightningEnvironment) and trainer.num_nodes == 1
        self._grace = _LAUNCHERS_GRACE if own_launcher else _GRACE
        main = str(getattr(environment, "main_address", "127.0.0.1"))
        address, first = made_by_rank_0(lambda: (self._listen(main, alone=trainer.num_nodes == 1), self._who))
        self._stop.clear()
        if self._hub is not None:
            self._stragglers, self._watched = Stragglers(self._ranks), Watched(self._ranks)
            self._start(self._lead)
        else:
            self._connect(address, first)

    def _listen(self, host: str, *, alone: bool) -> Address:
        self._hub = Hub.listening(host, alone=alone)
        return self._hub.address

    def _connect(self, address: Address, first: Who) -> None:
        try:
            self._line = connected(address)
        except OSError as error:
            note(
                f"rank 0 cannot be reached at {address.host}:{address.port} ({error}), so that nobody says which "
                "process of the run is slow or gone; let the machines reach each other's ports"
            )
            return
        self._line.send({"token": address.token, **self._who._asdict()})
        self._first = first
        self._start(self._follow)

    def _start(self, work: Callable[[], None]) -> None:
        self._thread = threading.Thread(target=work, daemon=True)
        self._thread.start()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Know where reports go."""
        self._folder = Path(trainer.log_dir) if trainer.log_dir else None
        self._timing.begin(pl_module)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """The batch has come."""
        self._timing.batch_came()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: object, batch: Batch, batch_idx: int
    ) -> None:
        """The step is done; report on those since the last time."""
        self._timing.step_ended(trainer.global_step, pl_module)
        if self._thread is not None and is_logged(trainer):
            self._tell({"report": self._timing.report()})

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Nobody waits for a training batch now."""
        self._timing.pause()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The next batch is waited for from now on."""
        self._timing.resume()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Let what explains the error be told in its place, or tell the others of it."""
        if self._thread is None:
            return
        if isinstance(exception, KeyboardInterrupt | SIGTERMException):
            self._end({"bye": True})
            return
        if not isinstance(exception, VoxtileError):
            self._thread.join(_PATIENCE)
        lines = str(exception).strip().splitlines()
        self._end({"failed": f"{type(exception).__name__}: {lines[0] if lines else ''}"[:500]})

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Part from the others; rank 0 takes in what they have reported."""
        self._end({"bye": True}, at_last=True)

    def _tell(self, message: Message) -> None:
        if self._line is not None:
            self._line.send(message)
        elif self._hub is not None:
            self._stragglers.add(self._who.rank, message["report"])

    def _end(self, word: Message, *, at_last: bool = False) -> None:
        if self._thread is None:
            return
        self._stop.set()
        self._thread.join(5 * _BEAT)
        until = time.monotonic() + 5 * _BEAT
        while at_last and self._hub is not None and time.monotonic() < until:
            self._take_in(self._hub)
            if not self._watched.staying:
                break
            time.sleep(_BEAT / 50)
        if self._line is not None:
            self._line.send(word)
            self._line.close()
        if self._hub is not None:
            self._hub.tell(word)
            self._hub.close()
        self._thread = self._line = self._hub = None

    def _follow(self) -> None:
        """What every process but the first does."""
        line, heard, said = self._line, time.monotonic(), False
        assert line is not None
        for gap in self._beats():
            heard += gap  # this process itself stood still
            line.send(self._timing.state())
            for message in line.received():
                heard, said = time.monotonic(), False
                if "bye" in message:
                    return
                over = self._over_by(message)
                if over is not None and not self._stop.wait(_BEAT):
                    self._leave(over, telling=self._local_rank == 0)
            silent = time.monotonic() - heard
            if not line.open and not self._stop.wait(self._grace):
                self._leave(_gone(self._first), telling=self._tells_of_first())
            elif silent > self._end_after:
                self._leave(_silent(self._first, silent), telling=self._tells_of_first())
            elif silent > self._note_after and not said and self._tells_of_first():
                said = True
                note(_waiting(self._first, silent))

    def _over_by(self, message: Message) -> str | None:
        """Why rank 0 says that the run cannot go on, or None."""
        if "failed" in message:
            return f"{self._first} ended with: {message['failed']}; {_GO_ON}"
        return str(message["end"]) if "end" in message else None

    def _tells_of_first(self) -> bool:
        """Whether this process speaks for its machine where the first one cannot."""
        return self._local_rank == int(self._who.host == self._first.host)

    def _lead(self) -> None:
        """What the first process does."""
        hub, watched = self._hub, self._watched
        assert hub is not None
        for gap in self._beats():
            watched.forgive(gap)
            self._take_in(hub)
            hub.tell({"beat": True})
            if (sentence := watched.verdict(self._end_after)) is not None and not self._stop.wait(self._grace):
                hub.tell({"end": sentence})
                self._leave(sentence, telling=True)
            for sentence in watched.news(self._note_after, self._timing.state()):
                note(sentence)

    def _take_in(self, hub: Hub) -> None:
        """What the others have sent, and what follows of it for the tables."""
        for rank, message in hub.received():
            if "report" in message:
                self._stragglers.add(rank, message["report"])
            self._watched.hear(rank, message)
        for rank, line in hub.lines.items():
            self._watched.connection(rank, open_=line.open)
        hosts = {rank: who.host for rank, who in self._watched.known.items()} | {0: self._who.host}
        for sentence in self._stragglers.write(self._folder, hosts):
            note(sentence)

    def _beats(self) -> Iterator[float]:
        """Beats, each with how much longer than it should have this process itself stood still before."""
        beat = min(_BEAT, self._note_after / 4)
        last = time.monotonic()
        while not self._stop.wait(beat):
            now = time.monotonic()
            yield now - last - beat if now - last > 3 * beat else 0.0
            last = now

    def _leave(self, sentence: str, *, telling: bool) -> None:
        if telling:
            sys.stderr.write(f"voxtile: error: {sentence}\n")
            sys.stderr.flush()
        with contextlib.suppress(OSError):
            time.sleep(0.1)  # what was sent to the others is on its way
        os._exit(TrainingError.exit_status if telling else _LEFT)


class Watched:
    """What rank 0 knows of the others.

    Args:
        ranks: of the run.
    """

    def __init__(self, ranks: int) -> None:
        self._ranks = ranks
        self.known: dict[int, Who] = {}
        self._heard: dict[int, float] = {}
        self._state: dict[int, Message] = {}
        self._left: set[int] = set()
        self._over: str | None = None
        self._told: set[int] = set()

    @property
    def staying(self) -> bool:
        """Whether some have not parted yet."""
        return self._over is None and len(self._left) < self._ranks - 1

    def forgive(self, seconds: float) -> None:
        """Count no silence while this process itself stood still."""
        self._heard = {rank: at + seconds for rank, at in self._heard.items()}

    def hear(self, rank: int, message: Message) -> None:
        """Take in a message."""
        self._heard[rank] = time.monotonic()
        if "host" in message:
            self.known[rank] = Who(rank, int(message["pid"]), str(message["host"]))
        elif "bye" in message:
            self._left.add(rank)
        elif "failed" in message:
            self._left.add(rank)
            self._over = self._over or f"{self._named(rank)} ended with: {message['failed']}; {_GO_ON}"
        elif "step" in message:
            self._state[rank] = message

    def connection(self, rank: int, *, open_: bool) -> None:
        """Note whether a connection still stands."""
        if not open_ and rank not in self._left and self._over is None:
            self._over = _gone(self._named(rank))

    def verdict(self, end_after: float) -> str | None:
        """Why the run cannot go on, or None."""
        if self._over is None:
            now = time.monotonic()
            for rank, heard in self._heard.items():
                if rank not in self._left and now - heard > end_after:
                    self._over = _silent(self._named(rank), now - heard)
        return self._over

    def news(self, note_after: float, own: Message) -> Iterator[str]:
        """Sentences on whom all others wait for; each once until it has come on."""
        now = time.monotonic()
        nothing = {"step": 0, "waits": False, "seconds": 0.0}
        states = {0: own, **dict.fromkeys(self._heard, nothing), **self._state}
        furthest = max(int(state["step"]) for state in states.values())
        for rank, state in states.items():
            silent = now - self._heard[rank] if rank else 0.0
            idle = float(state["seconds"]) + silent
            waits = state["waits"] and int(state["step"]) == min(int(s["step"]) for s in states.values())
            others = all(s["waits"] for s in states.values()) and len(states) > 1
            if silent > note_after and rank not in self._left:
                sentence = _waiting(self._named(rank), silent)
            elif waits and not others and idle > note_after and int(state["step"]) <= furthest:
                sentence = (
                    f"{self._named(rank)} waits for its data since {idle:.0f} s, after step {state['step']}, and the "
                    "others wait for it: look at the disk and the loader's processes of that machine"
                )
            else:
                self._told.discard(rank)
                continue
            if rank not in self._told:
                self._told.add(rank)
                yield sentence

    def _named(self, rank: int) -> Who | str:
        return self.known.get(rank, f"the process of rank {rank}")


def _gone(who: Who | str) -> str:
    return (
        f"{who} is gone, so that all others were stopped; see its own message, and on its machine whether memory ran "
        f"out, and {_GO_ON}"
    )


def _silent(who: Who | str, seconds: float) -> str:
    return (
        f"{who} has given no sign of life for {seconds:.0f} s (it is stopped, or its machine cannot be reached), so "
        f"that all others were stopped; end it, and {_GO_ON}, or raise ranks.end_after"
    )


def _waiting(who: Who | str, seconds: float) -> str:
    return f"{who} has given no sign of life for {seconds:.0f} s, and the others wait for it"

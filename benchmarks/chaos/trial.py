"""One trial: a command disturbed, run again without faults until it is through, and compared with the undisturbed."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from commands import Commands, Ended, Running
from disturbances import DISTURBANCES, Disturbance
from injection import Plan, cut_power, write_plan
from stages import INLINE, Stage
from trees import differences, tree
from trees import rows as table_rows

from voxtile.errors import VoxtileError
from voxtile.stages.verify.corpus import verify

ERROR = "voxtile: error: "
SEEN_STOPPED_S = 0.05  # from the signal to the process standing still
ORPHAN_S = 0.5
AGAIN = 1 / 3  # of the runs that were disturbed, those whose repair is, too
KILLED_AGAIN = DISTURBANCES["SIGKILL group"]
RERUNS = 3


@dataclass
class Trial:
    """What happened.

    Attributes:
        fired: how often the fault met a call.
        status: of the disturbed command.
        said: its last sentence.
        twice: the command that was to repair it was killed as well.
        reruns: commands without faults until one ended with 0.
        seconds: of all, by the clock.
        processor_s: of all commands and their workers.
        problems: what was not as it must be.
    """

    number: int
    stage: str
    fault: str
    argv: list[str]
    at: int = 0
    fired: int = 0
    status: int = 0
    said: str = ""
    twice: bool = False
    reruns: int = 0
    retried: bool = False
    seconds: float = 0.0
    processor_s: float = 0.0
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Undisturbed:
    """What a stage makes when nothing happens, and the calls that it takes."""

    tree: dict[str, str]
    rows: dict[str, str]
    plan: Plan


class Bench:
    """Runs trials.

    Args:
        folder: with `sources` and `bases`.
        commands: runs them.
    """

    def __init__(self, folder: Path, commands: Commands) -> None:
        self._folder, self._commands = folder, commands
        self._undisturbed: dict[str, Undisturbed] = {}

    def undisturbed(self, stage: Stage) -> Undisturbed:
        """Run a stage without a fault, once."""
        if stage.name not in self._undisturbed:
            work = self._work(stage)
            plan = self._plan(stage, work, {})
            ended = self._wait(self._start(work, _argv(stage, self._folder)), plan)
            if ended.status:
                raise RuntimeError(f"'{stage.name}' fails undisturbed: {ended.err[-2000:]}")
            made = Undisturbed(tree(work), _rows(stage, work), Plan.from_buffer_copy(plan))
            self._undisturbed[stage.name] = made
        return self._undisturbed[stage.name]

    def modules(self, stage: Stage, file: Path, learn: Callable[[Sequence[str]], None]) -> None:
        """Give the names of the modules that a stage and its readers import."""
        work = self._work(stage)
        for argv in (_argv(stage, self._folder), ["verify", stage.corpora[-1]], ["inspect", stage.corpora[-1]]):
            ended = self._commands.run(work, argv, file)
            if ended.status:
                raise RuntimeError(f"'{' '.join(argv)}' fails undisturbed: {ended.err[-2000:]}")
            learn(json.loads(file.read_text()))

    def warm(self, stage: Stage) -> None:
        """Have the parent of all commands load what a stage needs, in a folder that no trial sees."""
        elsewhere = self._folder / "warm"
        shutil.rmtree(elsewhere, ignore_errors=True)
        shutil.copytree(self._folder / "bases" / stage.base, elsewhere)
        self._commands.warm(elsewhere, _argv(stage, self._folder, INLINE))

    def trial(self, number: int, stage: Stage, name: str, disturbance: Disturbance, rng: random.Random) -> Trial:
        """Disturb a stage and see whether that shows in the end."""
        expected = self.undisturbed(stage)
        started, processor = time.monotonic(), self._commands.processor_s()
        work = self._work(stage)
        argv = _argv(stage, self._folder, rng.choice(stage.engines))
        trial = Trial(number, stage.name, name, argv)
        plan = self._plan(stage, work, disturbance.plan(expected.plan, rng))
        trial.at = plan.at
        orphan = self._disturb(trial, stage, disturbance, work, plan)
        if trial.status and not orphan and rng.random() < AGAIN:
            self._look(trial, stage, work)
            self._disturb(
                trial, stage, KILLED_AGAIN, work, self._plan(stage, work, KILLED_AGAIN.plan(expected.plan, rng))
            )
            trial.twice = True
        if trial.status == 0:
            trial.problems += [f"exit 0, but {line}" for line in differences(tree(work), expected.tree)]
        self._look(trial, stage, work)
        self._again(trial, stage, disturbance, work, orphan)
        if trial.retried:
            trial.problems += differences(_rows(stage, work), expected.rows)
        else:
            trial.problems += differences(tree(work), expected.tree)
        self._verify(trial, stage, work)
        trial.processor_s = round(self._commands.processor_s() - processor, 2)
        trial.seconds = round(time.monotonic() - started, 2)
        if not trial.problems:
            shutil.rmtree(work)
        return trial

    def _disturb(self, trial: Trial, stage: Stage, how: Disturbance, work: Path, plan: Plan) -> int:
        """Run the command with the fault; the process that stands still after it, or 0."""
        child = self._start(work, trial.argv)
        orphan = 0

        def meanwhile() -> None:
            nonlocal orphan
            stopped, plan.stopped = plan.stopped, 0
            if not stopped:
                return
            time.sleep(SEEN_STOPPED_S)
            if how.leaves == "orphan" and stopped != child.pid:
                orphan = stopped
                os.kill(child.pid, signal.SIGKILL)
                return
            self._look(trial, stage, work)
            os.kill(stopped, signal.SIGCONT)

        ended = self._wait(child, plan, meanwhile)
        if plan.power:
            cut_power(self._folder / "plan", _roots(stage, work))
        trial.status, trial.fired = ended.status, trial.fired + plan.fired
        trial.said = next(reversed(ended.err.strip().splitlines()), "")[-400:]
        trial.problems += _manners(ended, silent=how.is_silent)
        return orphan

    def _again(self, trial: Trial, stage: Stage, how: Disturbance, work: Path, orphan: int) -> None:
        argv = list(trial.argv)
        for _ in range(RERUNS):
            trial.reruns += 1
            begun = time.monotonic()

            def meanwhile(begun: float = begun) -> None:
                nonlocal orphan
                if orphan and time.monotonic() - begun > ORPHAN_S:
                    with suppress(ProcessLookupError):
                        os.kill(orphan, signal.SIGCONT)
                    orphan = 0

            ended = self._commands.wait(self._commands.start(work, argv), lambda: 0, meanwhile)
            trial.problems += _manners(ended, silent=False)
            if ended.status == 0:
                break
            if how.may_fail_items and ended.status == 1 and "--retry" not in argv:
                argv, trial.retried = [*argv, "--retry"], True
                continue
            trial.problems.append(f"run again: exit {ended.status}: {ended.err.strip()[-400:]}")
        else:
            trial.problems.append(f"not through after {RERUNS} runs without a fault")
        if orphan:
            with suppress(ProcessLookupError):
                os.kill(orphan, signal.SIGCONT)

    def _look(self, trial: Trial, stage: Stage, work: Path) -> None:
        """What readers say of a corpus as it is now: nothing, or one sentence."""
        for corpus in stage.corpora:
            # Verifying starts a process of its own, which costs more than the rest of a trial.
            for command in ("inspect", "verify") if trial.number % 3 == 0 else ("inspect",):
                ended = self._commands.run(work, [command, corpus])
                trial.problems += [f"voxtile {command}: {line}" for line in _manners(ended, silent=False)]

    def _verify(self, trial: Trial, stage: Stage, work: Path) -> None:
        """In the end nothing is wrong."""
        for corpus in stage.corpora:
            try:
                trial.problems += [f"voxtile verify: {problem}" for problem in verify(work / corpus).problems]
            except VoxtileError as error:
                trial.problems.append(f"voxtile verify: {error}")

    def _work(self, stage: Stage) -> Path:
        work = self._folder / "work"
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(self._folder / "bases" / stage.base, work)
        return work

    def _plan(self, stage: Stage, work: Path, fields: dict[str, int]) -> Plan:
        return write_plan(self._folder / "plan", _roots(stage, work), **fields)

    def _start(self, work: Path, argv: Sequence[str]) -> Running:
        return self._commands.start(work, argv, self._folder / "plan")

    def _wait(self, child: Running, plan: Plan, meanwhile: Callable[[], None] = lambda: None) -> Ended:
        return self._commands.wait(child, lambda: int(plan.every), meanwhile)


def _roots(stage: Stage, work: Path) -> list[Path]:
    """Beginnings of the paths that a stage writes, and of what is under construction beside them."""
    beside = [name for name in stage.writes if "/" not in name]
    return [*(work / name for name in stage.writes), *(work / f".{name}" for name in beside)]


def _argv(stage: Stage, folder: Path, engine: Sequence[str] = ()) -> list[str]:
    return [word.format(sources=folder / "sources") for word in (*stage.argv, *engine)]


def _rows(stage: Stage, work: Path) -> dict[str, str]:
    return {f"{corpus}/{table}": rows for corpus in stage.corpora for table, rows in table_rows(work / corpus).items()}


def _manners(ended: Ended, *, silent: bool) -> list[str]:
    """What is wrong with how a command ended."""
    errors = [line for line in ended.err.splitlines() if line.startswith(ERROR)]
    wrong = ["stood still"] if ended.hung else []
    if "Traceback" in ended.err or "Traceback" in ended.out:
        wrong.append(f"a traceback: {ended.err[-1500:]}")
    if ended.status < 0 and not silent and not ended.hung:
        wrong.append(f"ended by signal {-ended.status}")
    if ended.status > 0 and len(errors) != 1 and not (ended.status == 1 and "failed" in ended.out):
        wrong.append(f"exit {ended.status} with {len(errors)} sentences: {ended.err.strip()[-400:]}")
    wrong += [f"no sentence for a user: {line}" for line in errors if line.startswith(f"{ERROR}unexpected ")]
    return wrong

"""Commands of voxtile, each in a process of its own that costs no imports and preloads the library of faults."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from injection import VARIABLE

STILL_S = 150.0  # without a call, a byte or processor time: longer than any patience of the product
LOOK_S = 0.005

# Imports once and forks a child for every command, since importing costs more than the work; for the same reason it
# has run some commands itself, elsewhere, and holds what they load. A child leads a session of its own, so that a
# signal to its group reaches its workers and nobody else.
PARENT = """
import contextlib, ctypes, gc, importlib, json, os, sys
from voxtile.cli.main import main
library = ctypes.CDLL(sys.argv[1])
for line in sys.stdin:
    request = json.loads(line)
    if "import" in request:
        for name in request["import"]:
            with contextlib.suppress(Exception):
                importlib.import_module(name)
        gc.freeze()  # a child that collects would copy all pages of what lives
        print("ready", flush=True)
    elif "warm" in request:
        os.chdir(request["folder"])
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            status = main(request["warm"])
        gc.freeze()
        print(status, flush=True)
    elif "wait" in request:
        print(os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1]), flush=True)
    elif child := os.fork():
        print(child, flush=True)
    else:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(os.open(request["said"] + ".out", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), 1)
        os.dup2(os.open(request["said"] + ".err", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), 2)
        os.chdir(request["folder"])
        os.environ.update(request["environment"])
        library.chaos_arm()
        status = main(request["argv"])
        if request["modules"]:
            with open(request["modules"], "w") as file:
                json.dump(sorted(sys.modules), file)
        sys.stdout.flush()
        os._exit(status)
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit status, what it said, and whether it had to be ended because it stood still."""

    status: int
    out: str
    err: str
    hung: bool = False


@dataclass(frozen=True)
class Running:
    """A command under way: its process, and the beginning of the names of the files with what it says."""

    pid: int
    said: Path


class Commands:
    """Runs commands.

    Args:
        library: of faults.
        scratch: folder for what they say.
    """

    def __init__(self, library: Path, scratch: Path) -> None:
        self._scratch = scratch
        scratch.mkdir(parents=True, exist_ok=True)
        self._numbers = itertools.count()
        environment = os.environ | {"LD_PRELOAD": str(library), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
        environment.pop(VARIABLE, None)
        self._parent = subprocess.Popen(
            [sys.executable, "-P", "-c", PARENT, str(library)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )

    def load(self, modules: Sequence[str]) -> None:
        """Have the parent import modules; those that cannot be are left out."""
        self._ask({"import": list(modules)})

    def warm(self, folder: Path, argv: Sequence[object]) -> None:
        """Have the parent run a command itself, and keep what it loads.

        Raises:
            RuntimeError: it failed.
        """
        if int(self._ask({"warm": [str(word) for word in argv], "folder": str(folder)})):
            raise RuntimeError(f"the parent of the commands cannot run {argv}")

    def start(
        self, folder: Path, argv: Sequence[object], plan: Path | None = None, modules: Path | None = None
    ) -> Running:
        """Start a command.

        Args:
            folder: that it runs in.
            argv: its words.
            plan: of faults.
            modules: file that gets the names of what it has imported.
        """
        said = self._scratch / f"{next(self._numbers) % 4}"
        request = {
            "folder": str(folder),
            "argv": [str(word) for word in argv],
            "environment": {VARIABLE: str(plan or "")},
            "modules": str(modules or ""),
            "said": str(said),
        }
        return Running(int(self._ask(request)), said)

    def wait(
        self, running: Running, progress: Callable[[], int] = lambda: 0, meanwhile: Callable[[], None] = lambda: None
    ) -> Ended:
        """Until the command ends, or stands still.

        Args:
            running: the command.
            progress: a number that grows while it does something.
            meanwhile: called again and again.
        """
        before, since, looked, hung = (-1, -1.0), time.monotonic(), 0.0, False
        while _runs(running.pid):
            meanwhile()
            if time.monotonic() - looked > 1.0:
                looked = time.monotonic()
                now = (progress(), _processor_time(running.pid))
                if now != before:
                    before, since = now, looked
                elif looked - since > STILL_S:
                    hung = True
                    os.killpg(running.pid, signal.SIGKILL)
            time.sleep(LOOK_S)
        status = int(self._ask({"wait": running.pid}))
        said = [Path(f"{running.said}.{name}").read_text(errors="replace") for name in ("out", "err")]
        return Ended(status, *said, hung=hung)

    def run(self, folder: Path, argv: Sequence[object], modules: Path | None = None) -> Ended:
        """Run a command without any fault."""
        return self.wait(self.start(folder, argv, modules=modules))

    def processor_s(self) -> float:
        """Processor time of all commands that have ended, in seconds."""
        times = psutil.Process(self._parent.pid).cpu_times()
        return float(times.children_user + times.children_system)

    def close(self) -> None:
        """End the parent."""
        self._parent.kill()
        self._parent.communicate()

    def _ask(self, request: object) -> str:
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.write(json.dumps(request) + "\n")
        self._parent.stdin.flush()
        return self._parent.stdout.readline().strip()


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _processor_time(process: int) -> float:
    try:
        family = [psutil.Process(process), *psutil.Process(process).children(recursive=True)]
        return sum(sum(member.cpu_times()[:2]) for member in family)
    except psutil.Error:
        return 0.0

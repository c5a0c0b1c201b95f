"""How many processors there are for us, and how threads wait for each other where others use them too.

A process may be held to some processors (its affinity, as Slurm does) or to a share of their time (the quota of its
control group, as Kubernetes and Docker do): libraries look at the first alone, and on 64 processors with a quota of two
64 threads use up a period's time at once and all stand still until the next.

OpenMP's threads spin at the end of each parallel piece, which saves microseconds where every thread has a processor and
costs whole time slices where another program has it: on two processors with load 8 a training step took fifteen times
as long with two spinning threads as with one, and a third of one thread's time with two that sleep. Sleeping changes no
number; fewer threads would, since sums are taken in another order.

Python looks through all that is there for garbage the more often, the more is imported and read, of which all stays.
"""

from __future__ import annotations

import gc
import math
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from pathlib import Path

_POLICY, _THREADS = "OMP_WAIT_POLICY", "OMP_NUM_THREADS"
_COUNTS = (_THREADS, "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")
_BY_QUOTA = "VOXTILE_THREADS_BY_QUOTA"  # says that nobody but `limit_threads` has set them
_SPIN = ("GOMP_SPINCOUNT", "KMP_BLOCKTIME")
_BUSY = 0.25  # share of the processors, above which spinning does not pay
_LOOK_S = 0.2
_SMALL = 2**20  # numbers in a matrix, below which a product takes less time than threads need to find each other


def usable_processors() -> int:
    """Number of processors for this process: those it may run on, or fewer where its control group has a quota."""
    allowed = len(_mine())
    quota = processor_quota()
    return allowed if quota is None else max(1, min(allowed, math.ceil(quota)))


@contextmanager
def nothing_collected(*, to_the_end: bool = False) -> Iterator[None]:
    """While it lasts garbage is not looked for, which takes a quarter of the time of imports and of large tables.

    Args:
        to_the_end: what is there by then is never looked through again, the first time that it is asked for: of a
            process that imports what it needs and then begins to work.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if to_the_end:
            _keep_what_is_there()
        if was_enabled:
            gc.enable()


@cache  # once in a process: to count what is kept takes 0.2 s where two million things are
def _keep_what_is_there() -> None:
    if not gc.get_freeze_count():
        gc.freeze()


def processor_quota(root: Path = Path("/")) -> float | None:
    """Processors whose time the control group of this process may use: 1.5 is 150 ms in 100 ms; None: no limit.

    The least of the group and those above it counts. Sources: `cpu.max` of control-group-v2 and `cpu.cfs_quota_us` of
    sched-bwc in the documentation of Linux.

    Args:
        root: of the file system.
    """
    shares = [quota / period for quota, period in _quotas(root) if quota > 0 and period > 0]
    return min(shares, default=None)


def limit_threads() -> None:
    """Have libraries that are loaded later start no more threads than the quota pays for, unless somebody chose."""
    usable = usable_processors()
    if usable >= len(_mine()) or any(name in os.environ for name in _COUNTS):
        return
    os.environ |= {**dict.fromkeys(_COUNTS, str(usable)), _BY_QUOTA: "1"}


def chosen_threads() -> int | None:
    """Threads that somebody has chosen by OMP_NUM_THREADS."""
    wanted = os.environ.get(_THREADS, "")
    return int(wanted) if _BY_QUOTA not in os.environ and wanted.isdecimal() and int(wanted) > 0 else None


def single_threaded(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of one of several worker processes: one thread each, unless somebody chose another number."""
    kept = {k: v for k, v in environment.items() if _BY_QUOTA not in environment or k not in (*_COUNTS, _BY_QUOTA)}
    return {**dict.fromkeys(_COUNTS, "1"), **kept}


def waited_seconds(process: int) -> float:
    """How long the main thread of a process was ready to run and had no processor, in seconds since it began.

    Source: Documentation/scheduler/sched-stats.rst of Linux; 0 where the system does not count it.
    """
    try:
        return int(Path(f"/proc/{process}/schedstat").read_bytes().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0


def settle_threads() -> None:
    """Look how busy the machine is, and have threads sleep while they wait if it is; say so.

    It counts only before a library loads OpenMP, so call it before torch is imported; afterwards it does nothing.
    """
    if "torch" in sys.modules or not is_open(os.environ, len(_mine())):
        return
    if usable_processors() < len(_mine()):  # spinning uses up what the quota grants
        os.environ[_POLICY] = "PASSIVE"
        return
    share = busy_share()
    if share < _BUSY:
        return
    os.environ[_POLICY] = "PASSIVE"
    sys.stderr.write(
        f"note: other programs keep {share:.0%} of the processors busy, so threads sleep while they wait for each "
        f"other ({_POLICY}=PASSIVE); set {_POLICY} or {_THREADS} yourself to decide otherwise\n"
    )


def free_processors(what: str) -> int:
    """How many threads a computation gets whose threads wait for each other by spinning: one a processor that is free.

    A language model of 270 million weights wrote a text in 21 s with one thread and in 126 s with two, on two
    processors with load 14; the texts are the same.

    Args:
        what: computes, for the note that says so where others keep some of the processors busy.
    """
    quota = processor_quota()
    allowed = len(_mine())
    processors = allowed if quota is None else max(1, min(allowed, math.floor(quota)))
    share = busy_share() if processors > 1 else 0.0
    free = max(1, round(processors * (1 - share)))
    if free < processors:
        sys.stderr.write(
            f"note: other programs keep {share:.0%} of the processors busy, so {what} computes with {free} "
            f"thread{'s' * (free > 1)}; set {_THREADS} yourself to decide otherwise\n"
        )
    return free


def algebra_of(numbers: int) -> AbstractContextManager[object]:
    """Have the linear algebra of a solver compute with one thread within, where its matrix is small.

    OpenBLAS hands every small product of thousands of iterations to threads that wait by spinning: 597 logistic
    regressions on 32 units took 31 s of processor time with two threads, on two busy processors, and 3.4 s with one.

    Args:
        numbers: rows times columns of the largest matrix.
    """
    if numbers >= _SMALL:
        return nullcontext()
    from threadpoolctl import threadpool_limits  # late: workers solve nothing

    limited: AbstractContextManager[object] = threadpool_limits(limits=1, user_api="blas")
    return limited


def is_open(environment: Mapping[str, str], processors: int) -> bool:
    """Whether it matters how threads wait, and nobody has decided it."""
    decided = any(name in environment for name in (_POLICY, *_SPIN))
    return processors > 1 and not decided and environment.get(_THREADS) != "1"


def busy_share(seconds: float = _LOOK_S) -> float:
    """What others use of the processors that this process may use, from 0 to 1, while it looks."""
    before, began = _idle(), time.monotonic()
    time.sleep(seconds)
    idle = sum(_idle()) - sum(before)
    return min(1.0, max(0.0, 1 - idle / (len(before) * (time.monotonic() - began))))


def _idle() -> list[float]:
    """Seconds that each processor has been idle."""
    import psutil  # late: workers count processors and watch nobody

    times = psutil.cpu_times(percpu=True)
    return [times[number].idle + getattr(times[number], "iowait", 0.0) for number in _mine() if number < len(times)]


def _mine() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _quotas(root: Path) -> Iterator[tuple[float, float]]:
    """Microseconds of processor time and of the period in which they may be used, for each group that limits us."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    mounts = root / "sys/fs/cgroup"
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if not controllers:
            for folder in _upwards([mounts, mounts / "unified"], group):
                quota, _, period = _first_line(folder / "cpu.max").partition(" ")
                yield _number(quota), _number(period)
        elif "cpu" in controllers.split(","):
            for folder in _upwards([mounts / controllers, mounts / "cpu"], group):
                yield (
                    _number(_first_line(folder / "cpu.cfs_quota_us")),
                    _number(_first_line(folder / "cpu.cfs_period_us")),
                )


def _upwards(mounts: list[Path], group: str) -> Iterator[Path]:
    """A group's folder and those above it: in a container the path may be the one outside, and the mount the group."""
    parts = [part for part in group.split("/") if part and part != ".."]
    for mount in mounts:
        yield from (mount.joinpath(*parts[:count]) for count in range(len(parts), -1, -1))


def _first_line(path: Path) -> str:
    try:
        return path.read_text().partition("\n")[0]
    except OSError:
        return ""


def _number(text: str) -> float:
    """What is written; 0 for `max` and for what is not there, as -1 means no limit too."""
    return float(text) if text.lstrip("-").isdecimal() else 0.0

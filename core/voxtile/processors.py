"""How the threads of a computation wait for each other, chosen by what is free before they start.

OpenMP's threads spin at the end of each parallel piece, which saves microseconds where every thread has a processor and
costs whole time slices where another program has it: on two processors with load 8 a training step took fifteen times
as long with two spinning threads as with one, and a third of one thread's time with two that sleep. Sleeping changes no
number; fewer threads would, since sums are taken in another order.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping

import psutil

_POLICY, _THREADS = "OMP_WAIT_POLICY", "OMP_NUM_THREADS"
_SPIN = ("GOMP_SPINCOUNT", "KMP_BLOCKTIME")
_BUSY = 0.25  # share of the processors, above which spinning does not pay
_LOOK_S = 0.2


def settle_threads() -> None:
    """Look how busy the machine is, and have threads sleep while they wait if it is; say so.

    It counts only before a library loads OpenMP, so call it before torch is imported; afterwards it does nothing.
    """
    if "torch" in sys.modules or not is_open(os.environ, len(_mine())):
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
    processors = len(_mine())
    share = busy_share() if processors > 1 else 0.0
    free = max(1, round(processors * (1 - share)))
    if free < processors:
        sys.stderr.write(
            f"note: other programs keep {share:.0%} of the processors busy, so {what} computes with {free} "
            f"thread{'s' * (free > 1)}; set {_THREADS} yourself to decide otherwise\n"
        )
    return free


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
    times = psutil.cpu_times(percpu=True)
    return [times[number].idle + getattr(times[number], "iowait", 0.0) for number in _mine() if number < len(times)]


def _mine() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))

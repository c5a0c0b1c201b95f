"""Time limits on processors that others keep busy: an item that waits for one has not hung."""

import os
import subprocess
import sys

import pytest
from fault_task import misbehave, outwait

from voxtile.engine.failure import Failure
from voxtile.engine.parallel import parallel_map
from voxtile.engine.pool import Limits
from voxtile.processors import waited_seconds

LIMIT = Limits(time_s=1.0)
OTHERS = 4


@pytest.fixture
def crowded():
    """This process and what it starts share one processor with other programs."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(OTHERS)]
    yield
    os.sched_setaffinity(0, before)
    for loop in loops:
        loop.kill()
        loop.wait()


@pytest.mark.skipif(not os.path.exists("/proc/self/schedstat"), reason="this system does not count waiting")
def test_an_item_that_waits_for_a_processor_has_not_hung_and_one_that_hangs_has(crowded):
    (seconds,) = parallel_map(outwait, [1.5], workers=1, limits=LIMIT)
    assert isinstance(seconds, float), seconds
    assert seconds > LIMIT.time_s  # by the clock it is beyond the limit
    (hung,) = parallel_map(misbehave, ["hang-1"], workers=1, limits=LIMIT)
    assert isinstance(hung, Failure)
    assert hung.reason == "time-limit"


def test_of_a_process_that_is_gone_nothing_is_known():
    assert waited_seconds(2**22 + 1) == 0.0  # above the largest number of a process

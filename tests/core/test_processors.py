"""How threads wait for each other is chosen by what is free, before OpenMP is loaded."""

import os
import subprocess
import sys

import numpy  # noqa: F401 - loads the linear algebra that is asked about
import psutil
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from voxtile import processors
from voxtile.engine.options import RunOptions
from voxtile.processors import algebra_of, free_processors, is_open, processor_quota, usable_processors

PROGRAM = """
import os, sys
{before}
from voxtile.processors import busy_share, settle_threads
settle_threads()
print(os.environ.get("OMP_WAIT_POLICY"))
"""
DECIDED = ("OMP_WAIT_POLICY", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


@pytest.fixture
def burning():
    """Another program on every processor."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in os.sched_getaffinity(0)]
    yield
    for loop in loops:
        loop.kill()
        loop.wait()


def settled(before="", **variables):
    environment = {name: value for name, value in os.environ.items() if name not in DECIDED} | variables
    command = [sys.executable, "-c", PROGRAM.format(before=before)]
    result = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return result.stdout.strip(), result.stderr


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one processor: nothing to choose")
def test_threads_sleep_while_they_wait_on_a_busy_machine_and_it_says_so(burning):
    policy, said = settled()
    assert policy == "PASSIVE"
    assert "note: other programs keep" in said
    assert "OMP_WAIT_POLICY=PASSIVE" in said


@pytest.mark.parametrize(
    "variables", [{"OMP_WAIT_POLICY": "ACTIVE"}, {"GOMP_SPINCOUNT": "9"}, {"OMP_NUM_THREADS": "1"}]
)
def test_what_somebody_has_decided_stays(burning, variables):
    policy, said = settled(**variables)
    assert policy == variables.get("OMP_WAIT_POLICY", "None")
    assert not said


def test_it_is_too_late_once_torch_is_there(burning):
    assert settled("sys.modules['torch'] = sys")[0] == "None"


def test_on_a_free_machine_nothing_changes():
    idle = [psutil.cpu_times(percpu=True)[0]._replace(idle=0.0, iowait=0.0)] * 1024
    before = f"""
import psutil, time
fields = {idle[0]._asdict()!r}
kind = type(psutil.cpu_times())
psutil.cpu_times = lambda percpu: [kind(**fields | {{"idle": time.monotonic()}})] * 1024
"""
    assert settled(before) == ("None", "")


def test_one_processor_has_nothing_to_choose():
    assert not is_open({}, 1)
    assert is_open({}, 2)
    assert is_open({"OMP_NUM_THREADS": "4"}, 8)


@pytest.mark.parametrize(
    ("busy", "threads", "note"),
    [(0.0, 4, ""), (0.1, 4, ""), (0.5, 2, "computes with 2 threads;"), (1.0, 1, "computes with 1 thread;")],
)
def test_threads_that_spin_get_the_free_processors_and_it_says_so(monkeypatch, capsys, busy, threads, note):
    monkeypatch.setattr(processors, "_mine", lambda: [0, 1, 2, 3])
    monkeypatch.setattr(processors, "busy_share", lambda: busy)
    assert free_processors("the language model") == threads
    said = capsys.readouterr().err
    assert note in said
    assert bool(said) == bool(note)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one processor: nothing to choose")
@pytest.mark.parametrize(
    "words", [["evaluate", "m", "medical/ct-findings", "--corpus", "c", "--out", "o"], ["fit", "-c", "medical/ct"]]
)
def test_commands_that_compute_look_before_torch_is_imported(words, burning):
    program = f"""
import os, sys
import voxtile.cli.main
from voxtile.domain import Command
def said(*_):
    print("torch" in sys.modules, os.environ.get("OMP_WAIT_POLICY"))
    return lambda *_: None
Command.load = said
voxtile.cli.main.main({words})
"""
    environment = {name: value for name, value in os.environ.items() if name not in DECIDED}
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert result.stdout == "False PASSIVE\n"


def control_groups(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


V2, V1, OLD = "sys/fs/cgroup", "sys/fs/cgroup/cpu,cpuacct", "sys/fs/cgroup/cpu"


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"proc/self/cgroup": "0::/\n", f"{V2}/cpu.max": "150000 100000\n"}, 1.5),
        ({"proc/self/cgroup": "0::/\n", f"{V2}/cpu.max": "max 100000\n"}, None),
        ({"proc/self/cgroup": "0::/a/b\n", f"{V2}/a/cpu.max": "200000 100000\n", f"{V2}/a/b/cpu.max": "max 100000"}, 2),
        ({"proc/self/cgroup": "0::/a/b\n", f"{V2}/a/cpu.max": "99000 9000", f"{V2}/a/b/cpu.max": "50000 100000"}, 0.5),
        ({"proc/self/cgroup": "0::/../../else\n", f"{V2}/cpu.max": "300000 100000"}, 3),
        (
            {
                "proc/self/cgroup": "4:memory:/docker/x\n3:cpu,cpuacct:/docker/x\n0::/\n",
                f"{V1}/cpu.cfs_quota_us": "250000\n",  # the mount of a container is its own group
                f"{V1}/cpu.cfs_period_us": "100000\n",
            },
            2.5,
        ),
        ({"proc/self/cgroup": "3:cpu:/", f"{OLD}/cpu.cfs_quota_us": "-1", f"{OLD}/cpu.cfs_period_us": "9"}, None),
        ({"proc/self/cgroup": "3:cpuset:/\n", f"{V2}/cpu.max": "100000 100000"}, None),
        ({"proc/self/cgroup": "0::/\n", f"{V2}/cpu.max": "what\n"}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_the_quota_is_the_least_of_the_group_and_those_above_it(tmp_path, files, quota):
    assert processor_quota(control_groups(tmp_path, files)) == quota


@pytest.mark.parametrize(("quota", "usable"), [(None, 4), (0.2, 1), (1.5, 2), (3, 3), (64, 4)])
def test_processors_are_those_that_the_affinity_and_the_quota_give(monkeypatch, quota, usable):
    monkeypatch.setattr(processors, "_mine", lambda: [0, 1, 2, 3])
    monkeypatch.setattr(processors, "processor_quota", lambda: quota)
    assert usable_processors() == usable
    assert RunOptions().processes == usable
    assert RunOptions(workers=9).processes == 9


def threads_of(program, **variables):
    environment = {name: value for name, value in os.environ.items() if name not in DECIDED} | variables
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    return done.stdout.split()


def test_libraries_start_as_many_threads_as_the_quota_pays_for_unless_somebody_chose():
    of_quota = """
from voxtile import processors
processors._mine = lambda: list(range(8))
processors.processor_quota = lambda: 2.5
import voxtile.cli.main as cli
cli._dispatch = lambda words: None
assert cli.main(["domains"]) == 0
import os, pyarrow
print(os.environ["OMP_NUM_THREADS"], pyarrow.cpu_count(), processors.chosen_threads(),
      processors.single_threaded(os.environ)["OMP_NUM_THREADS"])
"""
    assert threads_of(of_quota) == ["3", "3", "None", "1"]
    assert threads_of(of_quota, OMP_NUM_THREADS="5") == ["5", "5", "5", "5"]


def test_small_solvers_compute_with_one_thread_and_large_ones_with_all():
    def threads():
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    with threadpool_limits(limits=3, user_api="blas"):
        with algebra_of(32 * 2048):
            assert threads() == {1}
        assert threads() == {3}
        with algebra_of(10_000 * 768):
            assert threads() == {3}

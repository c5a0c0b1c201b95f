"""Runs of several processes: killed anywhere and resumed with another number, the global batches stay the same."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch

from voxtile.training.checkpoint import read_checkpoint

CONFIG = Path(__file__).with_name("tiny.yaml")
EPOCHS, IN_EPOCH = 3, 13  # 160 pictures in batches of 12
STEPS = EPOCHS * IN_EPOCH

# Each rank is a fork of a process that has imported everything; Lightning finds its rank in the environment, as it
# does where a cluster starts it. Every rank notes what it was given at each step, before it is made: a step that rank 0
# has saved has then been noted by all.
RANKS = """
import signal, socket
torch.set_num_threads(1)
from voxtile.training import module

started = module.ContrastiveModule.on_train_batch_start

def noted(self, batch, batch_idx):
    with open(f"draws-{self.global_step + 1}-{self.trainer.global_rank}", "a") as file:
        file.write(" ".join(map(str, batch.draws.tolist())) + "\\n")
    started(self, batch, batch_idx)

module.ContrastiveModule.on_train_batch_start = noted

def run(words):
    ranks, argv = int(words[0]), words[1:]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = []
    for rank in range(ranks):
        child = os.fork()
        if not child:
            os.environ |= {"LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
            if ranks == 1:
                del os.environ["LOCAL_RANK"]
            status = 1
            try:
                voxtile.cli.lightning.main(argv)
                status = 0
            except SystemExit as error:
                status = error.code
            except BaseException as error:
                print(rank, type(error).__name__, str(error)[-600:], file=sys.stderr, flush=True)
            os._exit(status)
        children.append(child)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    worst = 0
    for _ in children:
        _, status = os.wait()
        worst = worst or os.waitstatus_to_exitcode(status)
        if status:
            [os.kill(child, signal.SIGKILL) for child in children if os.path.exists(f"/proc/{child}")]
    return worst
"""


@pytest.fixture
def nursery(training_nursery):
    return training_nursery


def fit(nursery, corpus, folder, ranks, *extra, strategy="ddp", epochs=EPOCHS, kill_when=None, by=signal.SIGKILL):
    argv = [ranks, "fit", "-c", CONFIG, "--data.corpus", corpus, "--data.batch_size", 12, "--trainer.devices", ranks]
    argv += ["--trainer.strategy", strategy if ranks > 1 else "auto", "--trainer.max_epochs", epochs]
    argv += ["--trainer.limit_val_batches", 0, "--checkpoint.every_n_train_steps", 2, *extra]
    child = nursery.start(folder, argv, RANKS)
    start = time.perf_counter()
    while kill_when is not None and nursery.is_running(child):
        if kill_when(folder, time.perf_counter() - start):
            os.killpg(child, by)
            break
        time.sleep(0.002)
    return nursery.wait()


def reached(step):
    """Kill as soon as rank 0 has noted this step."""
    return lambda folder, _: (folder / f"draws-{step}-0").exists()


def noted(folder):
    """Step → rank → the draws it was given, once for each time that the step was made."""
    found = {}
    for path in folder.glob("draws-*-*"):
        step, rank = map(int, path.name.split("-")[1:])
        found.setdefault(step, {})[rank] = [line.split() for line in path.read_text().splitlines()]
    return found


def last(folder):
    found = sorted(folder.glob("runs/tiny/version_*/checkpoints/last.ckpt"), key=lambda p: p.stat().st_mtime_ns)
    return read_checkpoint(found[-1]) if found else None


def assert_same_batches(folder, expected, steps=STEPS):
    """By however many ranks a step was made, each rank's draws are its part of the one global batch."""
    assert set(noted(folder)) == set(expected) == set(range(1, steps + 1))
    for step, by_rank in noted(folder).items():
        whole, seen = [draw for rank in sorted(expected[step]) for draw in expected[step][rank][0]], set()
        for rank, part in ((rank, part) for rank, parts in by_rank.items() for part in parts):
            assert part == whole[rank * len(part) : (rank + 1) * len(part)], (step, rank)
            seen.add((len(whole) // len(part), rank))
        assert any({(ranks, rank) for rank in range(ranks)} <= seen for ranks in (1, 2, 3)), step


@pytest.fixture
def epochs():
    return EPOCHS


@pytest.fixture
def undisturbed(nursery, xray_corpus, tmp_path, epochs):
    folder = tmp_path / "undisturbed"
    folder.mkdir()
    start = time.perf_counter()
    assert fit(nursery, xray_corpus, folder, 2, epochs=epochs) == 0, nursery.said()
    return folder, time.perf_counter() - start


WENT_ON = {
    "elastic": [("ddp", 3), ("ddp", 1)],
    "same": [("ddp", 2), ("ddp", 2)],
    "sharded": [("fsdp2", 2)],
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("went_on", "epochs"),
    [
        ({"fewer": [("ddp", 1)], "same": [("ddp", 2)]}, 2),  # stopped in the first, and on into the second
        pytest.param(WENT_ON, EPOCHS, marks=pytest.mark.sweep(ci=True)),
    ],
    ids=["few", "all"],
)
def test_stopped_and_resumed_with_another_number_of_ranks(nursery, xray_corpus, tmp_path, undisturbed, went_on, epochs):
    expected = noted(undisturbed[0])
    whole = last(undisturbed[0])
    assert whole["global_step"] == epochs * IN_EPOCH
    begun = tmp_path / "begun"
    begun.mkdir()
    assert fit(nursery, xray_corpus, begun, 2, epochs=epochs, kill_when=reached(7)) == -signal.SIGKILL, nursery.said()
    for name, ways in went_on.items():
        folder = shutil.copytree(begun, tmp_path / name)
        for place, (strategy, ranks) in enumerate(ways):
            stop = None if place == len(ways) - 1 else reached(23)
            how = {"strategy": strategy, "epochs": epochs, "kill_when": stop}
            status = fit(nursery, xray_corpus, folder, ranks, "--ckpt_path", "last", **how)
            assert status == (0 if stop is None else -signal.SIGKILL), nursery.said()
        assert_same_batches(folder, expected, epochs * IN_EPOCH)
    for name, value in last(tmp_path / "same")["state_dict"].items():
        assert torch.equal(value, whole["state_dict"][name]), name
    for name in went_on:
        assert last(tmp_path / name)["CorpusDataModule"] == whole["CorpusDataModule"]
        assert set(last(tmp_path / name)["state_dict"]) == set(whole["state_dict"])


def test_sigterm_saves_in_all_ranks_and_ends_the_run(nursery, xray_corpus, tmp_path):
    seldom = ["--checkpoint.every_n_train_steps", 1000]
    stop = {"kill_when": reached(3), "by": signal.SIGTERM}
    assert fit(nursery, xray_corpus, tmp_path, 2, *seldom, **stop) == 128 + signal.SIGTERM, nursery.said()
    assert 0 < last(tmp_path)["global_step"] < STEPS
    assert last(tmp_path)["CorpusDataModule"]["consumed"] == 12 * (last(tmp_path)["global_step"] % 13)


@pytest.mark.sweep
@pytest.mark.timeout(3000)
def test_thirty_random_kills(nursery, xray_corpus, tmp_path, undisturbed):
    expected, duration = noted(undisturbed[0]), undisturbed[1]
    rng, kills, runs = random.Random(11), 0, 0
    while kills < 30:
        folder, status, ranks = tmp_path / f"run{runs}", None, 2
        folder.mkdir()
        runs += 1
        while status != 0:
            moment = rng.uniform(0.1, 1.0) * duration if kills < 30 else 1e9
            status = fit(
                nursery, xray_corpus, folder, ranks, "--ckpt_path", "last", kill_when=lambda _, s, m=moment: s > m
            )
            assert status in (0, -signal.SIGKILL), nursery.said()
            kills += status != 0
            ranks = rng.choice([1, 2, 3])
        assert_same_batches(folder, expected)


@pytest.mark.sweep
@pytest.mark.parametrize(("victim", "strategy"), [(0, "ddp"), (1, "ddp"), (1, "fsdp2")])
def test_a_rank_that_dies_ends_the_run_with_its_name(xray_corpus, tmp_path, victim, strategy):
    """Processes that the command line itself starts, as a user would."""
    command = [sys.executable, "-P", "-m", "voxtile.cli.main", "fit", "-c", CONFIG, "--data.corpus", xray_corpus]
    command += ["--trainer.devices", 2, "--trainer.strategy", strategy, "--trainer.max_epochs", 1000]
    log = (tmp_path / "log").open("w+")
    first = subprocess.Popen(list(map(str, command)), cwd=tmp_path, stdout=log, stderr=log)
    deadline = time.monotonic() + 900
    while not list(tmp_path.rglob("last.ckpt")) and time.monotonic() < deadline:
        time.sleep(0.2)
    (other,) = (child.pid for child in psutil.Process(first.pid).children() if "voxtile.cli.main" in child.cmdline())
    os.kill((first.pid, other)[victim], signal.SIGKILL)
    assert first.wait(900) != 0
    end = time.monotonic() + 900
    while psutil.pid_exists(other) and time.monotonic() < end:
        time.sleep(0.2)
    assert not psutil.pid_exists(other)
    log.seek(0)
    said = [line for line in log.read().splitlines() if line.startswith("voxtile: error")]
    assert len(said) == 1
    assert f"the process of rank {victim} (process id {(first.pid, other)[victim]}) " in said[0]
    assert said[0].endswith("go on with --ckpt_path last")

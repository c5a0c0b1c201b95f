"""SIGKILL at random moments of a fit: after resuming, every weight is bit-identical to an undisturbed run's."""

import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch

from voxtile.training.checkpoint import read_checkpoint

EPOCHS, STEPS = 4, 40  # 160 pictures in batches of 16
CONFIG = Path(__file__).with_name("tiny.yaml")
FIT = """
def run(argv):
    torch.set_num_threads(1)
    voxtile.cli.lightning.main(argv)
    return 0
"""


@pytest.fixture
def nursery(training_nursery):
    return training_nursery


def fit(nursery, corpus, folder, *extra, kill_when=None):
    """Run a fit; kill it when `kill_when(seconds)` is True. Returns its exit status."""
    argv = ["fit", "-c", CONFIG, "--data.corpus", corpus, *extra]
    argv += ["--trainer.max_epochs", EPOCHS, "--trainer.limit_val_batches", 0]
    child = nursery.start(folder, argv, FIT)
    start = time.perf_counter()
    while kill_when is not None and nursery.is_running(child):
        if kill_when(time.perf_counter() - start):
            os.kill(child, signal.SIGKILL)
            break
        time.sleep(0.002)
    return nursery.wait()


def last(folder):
    found = sorted(folder.glob("runs/tiny/version_*/checkpoints/last.ckpt"), key=lambda p: p.stat().st_mtime_ns)
    return read_checkpoint(found[-1]) if found else None


def assert_equal(a, b):
    assert a["global_step"] == b["global_step"] == STEPS
    assert a["voxtile_tokenizer"] == b["voxtile_tokenizer"]
    assert a["CorpusDataModule"] == b["CorpusDataModule"]
    for name, value in a["state_dict"].items():
        assert torch.equal(value, b["state_dict"][name]), name
    moments = [x["optimizer_states"][0]["state"] for x in (a, b)]
    for index, state in moments[0].items():
        assert all(torch.equal(v, moments[1][index][k]) for k, v in state.items())


@pytest.mark.slow
@pytest.mark.parametrize(
    "wanted", [pytest.param(4, marks=pytest.mark.sweep(ci=True)), pytest.param(10, marks=pytest.mark.sweep)]
)
def test_killed_and_resumed_equals_undisturbed(wanted, nursery, xray_corpus, tmp_path):
    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    start = time.perf_counter()
    assert fit(nursery, xray_corpus, undisturbed) == 0, nursery.said()
    duration = time.perf_counter() - start
    rng, kills, resumed_at = random.Random(5), 0, []
    while kills < wanted:  # run after run, each killed and resumed until it is through
        folder = tmp_path / f"killed-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        status = None
        while status != 0:
            moment = rng.uniform(0.05, 1.0) * duration if kills < wanted else 1e9
            status = fit(
                nursery, xray_corpus, folder, "--ckpt_path", "last", kill_when=lambda s, moment=moment: s > moment
            )
            assert status in (0, -signal.SIGKILL), nursery.said()
            kills += status != 0
            if status and (checkpoint := last(folder)):
                resumed_at.append(checkpoint["global_step"])
        assert_equal(last(undisturbed), last(folder))
    assert any(0 < step < STEPS for step in resumed_at), f"no run was resumed in its middle: {resumed_at}"

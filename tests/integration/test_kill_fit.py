"""A fit that is killed, or told to end: after resuming, every weight is bit-identical to an undisturbed run's."""

import csv
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


def assert_equal(a, b, steps=STEPS):
    assert a["global_step"] == b["global_step"] == steps
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


# In the second batch of the second validation the run is told to end; each validation has three.
TOLD = """
import signal
torch.set_num_threads(1)
from voxtile.training import module
made = module.ContrastiveModule.validation_step

def told(self, batch, batch_idx):
    with open(f"seen-{self.global_step}", "a") as file:
        file.write(f"{batch_idx} ")
    if self.global_step == 8 and batch_idx == 1 and not os.path.exists("told"):
        open("told", "w").close()
        os.kill(os.getpid(), signal.SIGTERM)
    made(self, batch, batch_idx)

def run(argv):
    if "--ckpt_path" in argv or "--told" in argv:
        module.ContrastiveModule.validation_step = told
    voxtile.cli.lightning.main([word for word in argv if word != "--told"])
    return 0
"""


def figures(folder):
    """Step → the figures of its validation, over all starts of a run."""
    found = {}
    for path in sorted(folder.glob("runs/tiny/version_*/metrics.csv")):
        for row in csv.DictReader(path.read_text().splitlines()):
            if row.get("val/loss"):
                found.setdefault(row["step"], []).append({k: v for k, v in row.items() if k.startswith("val/")})
    return found


def test_sigterm_in_a_validation_is_answered_there_and_the_validation_made_anew(nursery, xray_corpus, tmp_path):
    told, undisturbed = tmp_path / "told", tmp_path / "undisturbed"
    argv = ["fit", "-c", CONFIG, "--data.corpus", xray_corpus, "--trainer.max_epochs", 1]
    argv += ["--trainer.val_check_interval", 4, "--checkpoint.every_n_train_steps", 8]
    statuses = []
    for folder, more in ((undisturbed, []), (told, ["--told"]), (told, ["--ckpt_path", "last"])):
        folder.mkdir(exist_ok=True)
        nursery.start(folder, [*argv, *more], TOLD)
        statuses.append(nursery.wait())
        if "--told" in more:
            assert (told / "seen-8").read_text() == "0 1 "
    assert statuses == [0, 128 + signal.SIGTERM, 0], nursery.said()
    assert (told / "seen-8").read_text() == "0 1 0 1 2 "
    assert figures(told) == figures(undisturbed)
    assert set(figures(told)) == {"3", "7"}
    assert_equal(last(undisturbed), last(told), 10)

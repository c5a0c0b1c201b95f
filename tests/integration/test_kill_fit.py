"""SIGKILL at ten random moments of a fit: after resuming, every weight is bit-identical to an undisturbed run's."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from voxtile.training.checkpoint import read_checkpoint

KILLS = 10
EPOCHS, STEPS = 4, 40  # 160 pictures in batches of 16
CONFIG = Path(__file__).with_name("tiny.yaml")

# Imports once and forks a child for every line of arguments, since importing costs more than the training.
NURSERY = """
import json, os, sys
import torch
from voxtile.training.cli import main

print("ready", flush=True)
for line in sys.stdin:
    child = os.fork()
    if not child:
        sys.stdout.flush()
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, 1)
        torch.set_num_threads(1)
        request = json.loads(line)
        os.chdir(request["folder"])
        main(request["argv"])
        os._exit(0)
    print(json.dumps({"pid": child}), flush=True)
    _, status = os.waitpid(child, 0)
    print(json.dumps({"status": os.waitstatus_to_exitcode(status)}), flush=True)
"""


class Nursery:
    """Runs fits one after the other."""

    def __init__(self, corpus, log):
        self.corpus = corpus
        self.process = subprocess.Popen(
            [sys.executable, "-c", NURSERY],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log.open("w"),
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            text=True,
        )
        assert self.process.stdout.readline() == "ready\n"

    def fit(self, folder, *extra, kill_when=None):
        """Start a fit; kill it when `kill_when(seconds)` is True. Returns its exit status."""
        argv = ["fit", "-c", str(CONFIG), "--data.corpus", str(self.corpus), *extra]
        argv += ["--trainer.max_epochs", str(EPOCHS), "--trainer.limit_val_batches", "0"]
        self.process.stdin.write(json.dumps({"folder": str(folder), "argv": argv}) + "\n")
        self.process.stdin.flush()
        child = json.loads(self.process.stdout.readline())["pid"]
        start = time.perf_counter()
        while kill_when is not None and Path(f"/proc/{child}/stat").exists():
            if kill_when(time.perf_counter() - start):
                os.kill(child, signal.SIGKILL)
                break
            if Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                break
            time.sleep(0.002)
        return json.loads(self.process.stdout.readline())["status"]


@pytest.fixture
def nursery(xray_corpus, tmp_path):
    made = Nursery(xray_corpus, tmp_path / "log")
    yield made
    made.process.stdin.close()
    made.process.wait(30)


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
def test_killed_and_resumed_equals_undisturbed(nursery, tmp_path):
    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    start = time.perf_counter()
    assert nursery.fit(undisturbed) == 0, (tmp_path / "log").read_text()[-2000:]
    duration = time.perf_counter() - start
    rng, kills, resumed_at = random.Random(5), 0, []
    while kills < KILLS:  # run after run, each killed and resumed until it is through
        folder = tmp_path / f"killed-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        status = None
        while status != 0:
            moment = rng.uniform(0.05, 0.8) * duration if kills < KILLS else 1e9
            status = nursery.fit(folder, "--ckpt_path", "last", kill_when=lambda s, moment=moment: s > moment)
            assert status in (0, -signal.SIGKILL), (tmp_path / "log").read_text()[-2000:]
            kills += status != 0
            if status and (checkpoint := last(folder)):
                resumed_at.append(checkpoint["global_step"])
        assert_equal(last(undisturbed), last(folder))
    assert any(0 < step < STEPS for step in resumed_at), f"no run was resumed in its middle: {resumed_at}"

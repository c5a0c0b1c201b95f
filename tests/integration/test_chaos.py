"""Faults of the disk, kills, stops and clocks: a handful of the trials of `make chaos`."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHAOS = Path(__file__).parents[2] / "benchmarks" / "chaos"
pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="faults.c needs a C compiler")


def chaos(out, *words):
    command = [sys.executable, "-P", str(CHAOS), "--out", str(out), *map(str, words)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    return ended, json.loads((out / "chaos.json").read_text())


@pytest.mark.slow
def test_disturbed_conversions_end_with_the_bytes_of_an_undisturbed_one(tmp_path):
    ended, figures = chaos(tmp_path, "--stage", "convert image")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert figures["shown"] == 0
    assert figures["trials"] > 10
    assert figures["hit"] > figures["trials"] // 2
    assert figures["ended_by_signal"]
    assert figures["refused_in_a_sentence"]

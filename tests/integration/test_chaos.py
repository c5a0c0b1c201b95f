"""Faults of the disk, kills, stops and clocks: a handful of the trials of `make chaos`."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHAOS = Path(__file__).parents[2] / "benchmarks" / "chaos"
pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="faults.c needs a C compiler")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("draws", "trials"),
    [pytest.param(56, 6, marks=pytest.mark.sweep(ci=True)), pytest.param(75, 9, marks=pytest.mark.sweep)],
)
def test_disturbed_conversions_end_with_the_bytes_of_an_undisturbed_one(tmp_path, draws, trials):
    """A stop, torn writes, a full disk, failing syncs and unlinks; also names, kills and a clock that jumps."""
    words = ["--out", tmp_path, "--stage", "convert image", "--seed", 1, "--trials", draws]
    command = [sys.executable, "-P", str(CHAOS), *map(str, words)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    figures = json.loads((tmp_path / "chaos.json").read_text())
    assert (figures["trials"], figures["shown"]) == (trials, 0)
    assert figures["hit"] >= trials - 2
    assert figures["ended_by_signal"] >= 2
    assert figures["refused_in_a_sentence"] >= 2

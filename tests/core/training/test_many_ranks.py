"""Two processes train to the same weights, and average them to the same, as one: whatever is trained, and how."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("many_ranks.py")
BOUND = 1e-10  # DESIGN, section 5


def trained(folder, *arguments):
    """What each process found, by training and strategy."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(SCRIPT.parent)}
    environment.pop("LOCAL_RANK", None)
    command = [sys.executable, "-P", str(SCRIPT), str(folder), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1500, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(2)]


def check(tables, trainings):
    for table in tables:
        assert len(table) == trainings
        for name, errors in table.items():
            assert errors.pop("moved") > 1e-3, name
            assert len(errors) >= 3
            assert {what: error for what, error in errors.items() if not error <= BOUND} == {}, name


def test_weights_and_their_average_are_those_of_one_process(tmp_path):
    check(trained(tmp_path, "suite"), 16)


@pytest.mark.sweep
@pytest.mark.timeout(1600)
def test_compiled_too(tmp_path):
    if shutil.which("g++") is None:
        pytest.skip("torch.compile makes code by a C++ compiler, and there is none")
    check(trained(tmp_path, "sweep"), 6)

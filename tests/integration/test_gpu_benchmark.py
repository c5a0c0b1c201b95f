"""The script for a GPU runs on a CPU with tiny sizes: both sides compute the same, and all figures are there."""

import json
import sys

import pytest
from tests.benchmark_script import benchmark_script


def test_the_self_test_runs_and_both_sides_agree(tmp_path, monkeypatch, capsys):
    script = benchmark_script("gpu")
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--device", "cpu", "--small", "--json", str(tmp_path / "out.json")])
    script.main()
    shown = capsys.readouterr().out
    assert "times mean nothing" in shown
    assert "GiB planned" in shown
    found = json.loads((tmp_path / "out.json").read_text())
    step, losses = found["step"], found["loss"]
    assert step["first_loss"]["ours"] == pytest.approx(step["first_loss"]["open_clip"], rel=2e-2)  # bfloat16
    assert step["ratio_interval"][0] <= step["ratio"] <= step["ratio_interval"][1]
    assert step["planned_memory"] > 0
    assert step["mfu"] is None
    assert [row["batch"] for row in losses] == [64, 128]
    assert all(row["difference"] < 1e-4 for row in losses)

"""Tiled, cached, with two processes and sharded, every objective has the gradient of its dense float64 definition."""

import json
from collections import Counter
from pathlib import Path

import pytest
from forked_script import run_script

SCRIPT = Path(__file__).with_name("exactness.py")
BOUND = 1e-10  # DESIGN, section 5


TOGETHER = ("ranks", "sharded", "cached ranks", "cached sharded")


@pytest.mark.parametrize(
    "which",
    ["few", pytest.param("half", marks=pytest.mark.sweep(ci=True)), pytest.param("whole", marks=pytest.mark.sweep)],
)
def test_every_objective_by_every_way(training_nursery, tmp_path, which):
    run_script(training_nursery, tmp_path, SCRIPT, "2", tmp_path, which)
    for out in (tmp_path / f"{rank}.json" for rank in range(2)):
        table = json.loads(out.read_text())
        assert len(table) >= (44 if which == "few" else 88)
        ways = Counter(way for row in table.values() for way in row)
        assert ways["tiled"] == len(table)
        if which == "few":
            assert all(len(row.keys() - {"tiled", "cached"}) == 1 for row in table.values())
            assert all(ways[way] >= 5 for way in TOGETHER)
        else:
            assert ways["cached"] >= 80
            share = 1 if which == "whole" else 2
            assert all(ways[way] == len(table) / share for way in ("ranks", "sharded"))
            assert all(ways[way] == ways["cached"] / share for way in ("cached ranks", "cached sharded"))
        for case, row in table.items():
            for way, tensors in row.items():
                worst = max(tensors, key=tensors.get)
                assert tensors[worst] <= BOUND, f"{case}, {way}: {worst} is off by {tensors[worst]:.1e}"
                scale = case.split(" | ")[0].startswith(("Contrastive", "TokenWise"))
                assert not scale or "encoder.log_scale" in tensors
                assert "sigmoid" not in case or "encoder.logit_bias" in tensors
                assert not case.startswith("Sources") or "encoder.source_scales.log_scale" in tensors
                assert "pairwise" not in case or "encoder.source_scales.bias" in tensors

"""Tiled, cached, with two processes and sharded, every objective has the gradient of its dense float64 definition."""

import json
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from forked_script import run_script

SCRIPT = Path(__file__).with_name("exactness.py")
BOUND = 1e-10  # DESIGN, section 5


@pytest.fixture(scope="module")
def made(training_nursery, tmp_path_factory):
    """The folder of what the script found, by its last word."""

    @cache
    def make(which):
        folder = tmp_path_factory.mktemp(which)
        run_script(training_nursery, folder, SCRIPT, "2", folder, which)
        return folder

    return make


TOGETHER = ("ranks", "sharded", "cached ranks", "cached sharded")


@pytest.mark.parametrize(
    "which",
    ["few", pytest.param("half", marks=pytest.mark.sweep(ci=True)), pytest.param("whole", marks=pytest.mark.sweep)],
)
def test_every_objective_by_every_way(made, which):
    for out in (made(which) / f"{rank}.json" for rank in range(2)):
        table = json.loads(out.read_text())
        assert len(table) >= (40 if which == "few" else 88)
        ways = Counter(way for row in table.values() for way in row)
        assert ways["tiled"] == ways["held out"] == len(table)
        if which == "few":
            assert all(len(row.keys() - {"tiled", "cached", "held out"}) == 1 for row in table.values())
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
                if way == "held out":
                    continue
                scale = case.split(" | ")[0].startswith(("Contrastive", "TokenWise"))
                assert not scale or "encoder.log_scale" in tensors
                assert "sigmoid" not in case or "encoder.logit_bias" in tensors
                assert not case.startswith("Sources") or "encoder.source_scales.log_scale" in tensors
                assert "pairwise" not in case or "encoder.source_scales.bias" in tensors


def test_objectives_that_read_one_scale_are_refused_where_sources_mix(made):
    """No objective takes one scale for those of several sources: it reads none, knows of several, or is refused."""
    table = json.loads((made("few") / "scale use.json").read_text(encoding="utf-8"))
    assert sum(refused for _, refused in table.values()) >= 12
    for name, (reads, refused) in table.items():
        assert refused == (reads and not name.startswith(("Contrastive", "OfSamples"))), name

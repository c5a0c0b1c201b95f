"""The scripts for a GPU run on a CPU with tiny sizes: both sides compute the same, and all figures are there."""

import json
import sys

import pytest
import torch
from tests.benchmark_script import benchmark_script

from voxtile.domain import discover
from voxtile.training.planning.command import Plan
from voxtile.training.planning.estimate import GPUS

GB = 2**30


@pytest.fixture(scope="module")
def cost():
    return benchmark_script("config_cost")


@pytest.mark.sweep(ci=True)
def test_the_self_test_runs_and_both_sides_agree(tmp_path, monkeypatch, capsys):
    script = benchmark_script("gpu")
    few = ["--configs", "medical/cxr", "medical/cxr-vit"]
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--device", "cpu", "--small", *few, "--out", str(tmp_path)])
    script.main()
    shown = capsys.readouterr().out
    assert "times mean nothing" in shown
    assert "GiB planned" in shown
    found = json.loads((tmp_path / "gpu.json").read_text())
    step, losses = found["step"], found["loss"]
    assert step["first_loss"]["ours"] == pytest.approx(step["first_loss"]["open_clip"], rel=2e-2)  # bfloat16
    assert step["ratio_interval"][0] <= step["ratio"] <= step["ratio_interval"][1]
    assert step["planned_memory"] > 0
    assert step["mfu"] is None
    assert [row["batch"] for row in losses] == [64, 128]
    assert all(row["difference"] < 1e-4 for row in losses)
    small, large = found["configs"]
    assert (small["config"], small["items"], small["measured"]) == ("medical/cxr", 2, None)
    assert small["images_per_second"] == pytest.approx(2 / small["seconds"])
    assert "too many for a self-test" in large["left_out"]
    page = (tmp_path / "gpu.md").read_text()
    for part in ("## Training step", "## Loss over", "| `medical/cxr` | 2 |", "- `medical/cxr-vit` was not measured"):
        assert part in page


def test_every_config_that_ships_is_measured_those_for_gpus_first(cost):
    domains = discover()[0].values()
    names = cost.all_configs()
    assert {"medical/ct-vit", "remote_sensing/photographs"} <= set(names)
    assert len(names) == len(set(names)) == sum(len(d.configs()) + len(d.production_configs()) for d in domains)
    assert names[0].partition("/")[2] in {n for d in domains for n in d.production_configs()}


def test_the_step_on_real_tensors_is_the_one_that_is_planned(cost):
    plan = Plan("medical/cxr", "l4")
    run = cost.real_step(plan, 3, torch.device("cpu"))
    cells = dict(zip(run.__code__.co_freevars, (cell.cell_contents for cell in run.__closure__), strict=True))
    module, batch = cells["module"], cells["batch"]
    assert sum(p.numel() for p in module.parameters()) == plan.step(3).parameters
    assert batch.images.nbytes == plan.step(3).inputs
    before = [p.detach().clone() for p in module.parameters()]
    run()
    assert any(not torch.equal(p, q) for p, q in zip(before, module.parameters(), strict=True)), "the optimiser steps"
    need = plan.memory(3)
    model = need.weights + need.gradients + need.optimiser
    assert cost.comparable(need) == pytest.approx(model + need.activations + batch.images.nbytes)


@pytest.mark.parametrize(("room", "fits"), [(100.0, 30), (41.0, 10), (1.0, 1)])
def test_the_largest_batch_is_that_of_the_line(cost, room, fits):
    needed = lambda count: 10 + 3 * count  # noqa: E731
    assert cost.most_items(needed, 4, room) == fits
    assert needed(fits) <= room or fits == 1


@pytest.mark.sweep(ci=True)
def test_a_config_that_fails_is_named_and_the_others_are_measured(cost, monkeypatch):
    settings = cost.Settings(torch.device("cpu"), GPUS["l4"], True, 1)
    monkeypatch.setattr(cost, "real_step", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("out")))
    row = cost.cost("medical/cxr", settings)
    assert "memory was not enough" in row["left_out"]
    assert "no-such" in cost.cost("medical/no-such", settings)["left_out"]
    assert "`medical/cxr` was not measured" in cost.markdown([row])


def test_a_row_says_what_the_plan_missed(cost):
    row = {
        "config": "x", "items": 4, "planned": 2.0 * GB, "measured": 3.0 * GB, "seconds": 0.5, "images_per_second": 8.0,
        "mfu": 0.25, "only_weights_planned": ["grounding"], "largest": {"items": 9, "planned": GB, "measured": None},
    }  # fmt: skip
    line = cost.markdown([row]).splitlines()[2]
    assert line == (
        "| `x` (of some terms only weights are planned) | 4 | 2.00 | 3.00 | 1.50 | 500.0 | 8 | 25.0% | "
        "9, 1.00, out of memory |"
    )

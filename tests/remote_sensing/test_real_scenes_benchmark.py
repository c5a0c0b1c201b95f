"""What benchmarks/real_scenes.py trains on and reads from reports."""

import numpy as np
import pytest
from PIL import Image
from tests.benchmark_script import BENCHMARKS, benchmark_script

from voxtile.training.config_bases import read_config

CONFIGS = BENCHMARKS / "real_scenes"


@pytest.fixture
def scenes(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)  # where it is run, as the other scripts beside `commands` are
    return benchmark_script("real_scenes")


def test_near_duplicates_of_one_part_are_one_subject(scenes, tmp_path):
    rng = np.random.default_rng(0)
    one, other = (rng.integers(0, 256, (16, 16), dtype=np.uint8).repeat(10, 0).repeat(10, 1) for _ in range(2))
    brighter = (one // 2 + 60).astype(np.uint8)
    pictures = {"a.png": one, "b.png": other, "c.png": brighter, "d.png": brighter}
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(tmp_path / name)
    splits = ["train", "train", "train", "test"]  # the fixed test part stays as it is
    rows = [{"file": name, "split": split} for name, split in zip(pictures, splits, strict=True)]
    assert scenes.near_duplicates(tmp_path, rows) == ["a.png", "b.png", "a.png", "d.png"]


@pytest.mark.parametrize("name", sorted(path.stem for path in CONFIGS.glob("*.yaml")))
def test_a_config_trains_on_captions_or_on_labels(name):
    terms = read_config(CONFIGS / f"{name}.yaml")["model"]["objectives"]
    assert list(terms) == (["classes"] if name.endswith("-labels") else ["contrastive"])


def test_the_figure_is_that_of_the_scores_that_count(scenes):
    row = {"metric": "auroc", "kind": "model", "class": None, "average": "macro"}
    rows = [
        {**row, "model": "x.ckpt+fact-head", "value": 0.1},
        {**row, "model": "x.ckpt", "average": "micro", "value": 0.2},
        {**row, "model": "x.ckpt", "value": 0.3},
        {**row, "model": "x.ckpt", "kind": "shuffled", "value": 0.4},
    ]
    assert scenes.value(rows, "auroc", "model") == 0.3
    assert scenes.value(rows, "auroc", "model", scenes.HEAD) == 0.1
    assert scenes.value(rows, "auroc", "shuffled") == 0.4

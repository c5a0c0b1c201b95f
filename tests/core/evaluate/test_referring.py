"""Figures of referring expressions against known answers: a model that knows, one that shifts, one that is deaf."""

import io
import json

import numpy as np
import pytest
import torch
from rich.console import Console

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Mask, Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.data.presets.tile import TilePreset
from voxtile.errors import ConfigError, EvaluationError
from voxtile.evaluation.options import checked_options
from voxtile.evaluation.run import evaluate_model, report
from voxtile.evaluation.tasks.file import load_task

SIZE = 48
LEVELS = {"bright": 200, "grey": 100}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Two turned boxes a tile, told apart by brightness; a phrase that both bear means neither."""
    root = tmp_path_factory.mktemp("referring") / "corpus"
    new_corpus(root)
    writer = JobWriter(root, "made")
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    for number in range(60):
        uid, values, rows = f"{number:032x}", np.zeros((1, SIZE, SIZE), np.uint8), []
        for left, (name, level) in zip(rng.permutation([12, 36]), LEVELS.items(), strict=True):
            row, turn = rng.uniform(16, 32), np.radians(rng.uniform(0, 180))
            dy, dx = y - row, x - left
            along, across = dx * np.cos(turn) - dy * np.sin(turn), dx * np.sin(turn) + dy * np.cos(turn)
            mask = (np.abs(along) < 8) & (np.abs(across) < 4)
            values[0, mask] = level
            ys, xs = np.nonzero(mask)
            box = [float(ys.min()), float(xs.min()), float(ys.max() + 1), float(xs.max() + 1)]
            rows += [(f"the {name} box", box, mask), ("the box", box, None)]
        about = {"uid": uid, "subject": f"p{number}", "study": f"s{number}", "kind": "tile", "modality": "RGB"}
        writer.add(Sample(about | {"axes": "CYX", "channels": [{"name": "red"}]}, values))
        for place, (phrase, box, mask) in enumerate(rows):
            region = {"region_id": f"{uid}-{place}", "uid": uid, "phrase": phrase, "box": box, "source": "made@1"}
            writer.add_rows("regions", [region]) if mask is None else writer.add_mask(Mask(region, mask))
        split = ("test", "val", "test", "train")[number % 4]
        writer.add_rows("splits", [{"scheme": "default", "subject": f"p{number}", "split": split}])
    writer.publish()
    return Corpus(root)


class Knowing:
    """Sees the truth in the pixels; `shift` moves what it shows, `deaf` shows both boxes for every phrase."""

    name, logit_scale, fact_names, grounds = "knowing", 10.0, (), True

    def __init__(self, shift=0, deaf=False, size=SIZE):
        self.shift, self.deaf = shift, deaf
        self.preset = TilePreset(bands=("red",), size=(size, size))

    def ground(self, images, phrases):
        masks = []
        for phrase in phrases:
            level = next(level for name, level in LEVELS.items() if name in phrase)
            shown = images[:, 0] > 50 if self.deaf else (images[:, 0] - level).abs() < 20
            masks.append(shown.roll(self.shift, 2).float())
        found = torch.stack(masks, 1)
        return found, found.flatten(2).amax(2)


@pytest.fixture
def task(tmp_path):
    path = tmp_path / "boxes.yaml"
    groups = {"bright ones": "bright", "others": "the"}
    path.write_text(json.dumps({"kind": "referring", "regions": ["made"], "groups": groups}))
    return path


def evaluated(model, corpus, task, out):
    evaluation = evaluate_model(model, "spec", corpus, [str(task)], checked_options(None, 8, 200, 0))
    out.mkdir()
    report(evaluation, out, Console(file=io.StringIO()))
    rows = json.loads((out / "results.json").read_text())["rows"]
    return {(row["kind"], row["metric"], row["class"]): row for row in rows}, evaluation.results[0]


def test_the_truth_gets_full_marks_and_its_controls_fall(corpus, task, tmp_path):
    rows, result = evaluated(Knowing(), corpus, task, tmp_path / "out")
    for metric in ("pr@0.5", "rotated_pr@0.5", "box_iou", "pointing"):
        row = rows["model", metric, None]
        assert row["value"] == 1.0
        assert row["average"] == "micro"
    assert rows["model", "pr@0.5", None]["n"] == 60, "30 tiles of the test split, two expressions each"
    assert rows["model", "pr@0.5", "bright ones"]["n"] == rows["model", "pr@0.5", "others"]["n"] == 30
    assert rows["shuffled", "pr@0.5", None]["value"] == 0.0
    assert 0.2 < rows["trivial", "pr@0.5", None]["value"] < 0.8
    assert any("120 phrases" in note or "phrases that several" in note for note in result.notes)
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count("<figure>") == 8
    assert "Another expression" in page


def test_a_shifted_answer_overlaps_by_what_is_left(corpus, task, tmp_path):
    rows, _ = evaluated(Knowing(shift=2), corpus, task, tmp_path / "out")
    assert 0.5 < rows["model", "box_iou", None]["value"] < 0.8
    rows, _ = evaluated(Knowing(shift=12), corpus, task, tmp_path / "far")
    assert rows["model", "pr@0.5", None]["value"] == 0.0
    rows, _ = evaluated(Knowing(deaf=True), corpus, task, tmp_path / "deaf")
    assert rows["model", "pr@0.5", None]["value"] == rows["shuffled", "pr@0.5", None]["value"] < 0.8


def test_boxes_are_judged_on_the_whole_tile_also_where_the_model_sees_its_middle(corpus, task, tmp_path):
    rows, _ = evaluated(Knowing(size=32), corpus, task, tmp_path / "out")
    assert rows["model", "pr@0.5", None]["value"] > 0.9
    assert 0.6 < rows["model", "box_iou", None]["value"] < 0.95, "boxes near the edge are cut"


def test_wrong_tasks_are_named(corpus, task, tmp_path, make_model):
    with pytest.raises(EvaluationError, match="cannot show what phrases mean"):
        evaluate_model(make_model(), "spec", corpus, [str(task)], checked_options(None, 8, 200, 0))
    for change, message in (
        ({"overlap": 0}, "above 0"),
        ({"templates": ["where"]}, "one {}"),
        ({"groups": {"a": "("}}, "no regular expression"),
        ({"unit": "study"}, "single pictures"),
        ({"regions": "made"}, "list of texts"),
    ):
        task.write_text(json.dumps({"kind": "referring", **change}))
        with pytest.raises(ConfigError, match=message):
            load_task(str(task))
    task.write_text(json.dumps({"kind": "referring", "regions": ["nobody"]}))
    with pytest.raises(ConfigError, match="no region with a phrase"):
        evaluate_model(Knowing(), "spec", corpus, [str(task)], checked_options(None, 8, 200, 0))

"""Figures of referring expressions against known answers: a model that knows, one that shifts, one that is deaf."""

import io
import json
from collections import defaultdict

import numpy as np
import pytest
import torch
from rich.console import Console
from sklearn.metrics import jaccard_score

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Mask, Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.data.presets.tile import TilePreset
from voxtile.errors import ConfigError, EvaluationError
from voxtile.evaluation.kinds.referring.figures import map_scores
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


class KnowingBoth(Knowing):
    """Shows every box for a phrase that names none; what it is unsure of is at 0.25."""

    def ground(self, images, phrases):
        shown = [
            images[:, 0] > 50 if phrase == "the box" else super(KnowingBoth, self).ground(images, [phrase])[0][:, 0]
            for phrase in phrases
        ]
        found = torch.stack([part.float() for part in shown], 1)
        found[..., :4, :] = 0.25
        return found, found.flatten(2).amax(2)


def test_a_phrase_of_several_boxes_means_all_of_them(corpus, tmp_path):
    """Against scikit-learn's overlap and the ratio written out, from the pixels and boxes of the corpus."""
    path = tmp_path / "maps.yaml"
    groups = {"both": "^the box$", "one": "."}
    path.write_text(json.dumps({"kind": "referring", "regions": ["made"], "several": "union", "groups": groups}))
    rows, result = evaluated(KnowingBoth(), corpus, path, tmp_path / "out")
    test = {subject for subject, split in corpus.splits().items() if split == "test"}
    samples = {row["uid"]: row for row in corpus.table("samples").to_pylist() if row["subject"] in test}
    asked = defaultdict(list)
    for row in corpus.table("regions").to_pylist():
        if row["uid"] in samples:
            asked[row["uid"], row["phrase"]].append(row["box"])
    overlaps, ratios = defaultdict(list), defaultdict(list)
    for (uid, phrase), boxes in asked.items():
        target = np.zeros((SIZE, SIZE), bool)
        for y0, x0, y1, x1 in boxes:
            target[int(y0) : int(y1), int(x0) : int(x1)] = True
        pixels = corpus.source(samples[uid]).array()[0]
        level = next((level for name, level in LEVELS.items() if name in phrase), None)
        shown = (pixels > 50 if level is None else pixels == level).astype(float)
        shown[:4] = 0.25
        group = "both" if len(boxes) == 2 else "one"
        overlaps[group].append(
            np.mean([jaccard_score(target.ravel(), shown.ravel() >= cut) for cut in (0.1, 0.2, 0.3, 0.4, 0.5)])
        )
        inside, outside = shown[target], shown[~target]
        ratios[group].append(abs(inside.mean() - outside.mean()) / np.sqrt(inside.std() ** 2 + outside.std() ** 2))
    for group in ("both", "one"):
        assert rows["model", "map_iou", group]["value"] == pytest.approx(np.mean(overlaps[group]), abs=1e-6)
        assert rows["model", "cnr", group]["value"] == pytest.approx(np.mean(ratios[group]), rel=1e-5)
    assert rows["model", "cnr", None]["value"] > 1, "not a share"
    assert rows["model", "cnr", None]["low"] < rows["model", "cnr", None]["value"] < rows["model", "cnr", None]["high"]
    assert result.headline_metric == "map_iou"
    assert rows["model", "map_iou", None]["n"] == 90
    assert rows["model", "pr@0.5", None]["n"] == 60, "one box cannot answer two"
    assert rows["model", "pointing", None]["value"] == 1.0
    assert not any("phrases that several" in note for note in result.notes)
    assert result.differences[0].metric == "map_iou"
    assert "several boxes means all of them" in (tmp_path / "out" / "index.html").read_text()


def test_a_flat_map_has_no_contrast():
    target = np.eye(8, dtype=bool)
    assert np.isnan(map_scores(np.full((8, 8), 0.3, np.float32), target)["cnr"])
    assert map_scores(np.full((8, 8), 0.3, np.float32), target)["map_iou"] == pytest.approx(3 / 5 / 8)
    assert np.isnan(map_scores(np.zeros((8, 8), np.float32), np.ones((8, 8), bool))["cnr"])


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

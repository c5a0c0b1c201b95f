"""Answers that point, against regions whose overlaps are known, beside the places of other subjects' images."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from rich.console import Console

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Mask, Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.data.regions.runs import mask_of_runs, runs_of
from voxtile.errors import EvaluationError
from voxtile.evaluation.options import Options
from voxtile.evaluation.run import evaluate_model, report

N = 40
QUICK = Options(replicates=200)


def shape_of(number):
    return (4, 4, 6) if number % 2 else (8, 4, 6)


def finding(number):
    """On the voxels of each image: a slab of two columns, on one side of every second."""
    mask = np.zeros(shape_of(number), bool)
    mask[..., slice(0, 2) if number % 4 < 2 else slice(4, 6)] = True
    return mask


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("pointed") / "corpus"
    new_corpus(root)
    writer = JobWriter(root, "made")
    for number in range(N):
        uid = f"{number:032x}"
        row = {"uid": uid, "subject": f"p{number}", "kind": "volume", "modality": "CT", "axes": "ZYX", "units": "HU"}
        writer.add(Sample(row, np.zeros(shape_of(number), np.int16)))
        writer.add_rows("splits", [{"scheme": "default", "subject": row["subject"], "split": "test"}])
        if number % 3:
            writer.add_mask(Mask({"region_id": f"r{number}", "uid": uid, "phrase": "mass"}, finding(number)))
        else:  # the same as a box
            rows = np.argwhere(finding(number))
            box = [float(x) for x in (*rows.min(0), *(rows.max(0) + 1))]
            writer.add_rows("regions", [{"region_id": f"r{number}", "uid": uid, "phrase": "mass", "box": box}])
        for kind, text, regions, answer in (
            ("place", "Where is the mass?", [f"r{number}"], "there"), ("presence", "Is there a cyst?", None, "no"),
        ):  # fmt: skip
            shared = {"dialogue_id": f"{kind}-{number}", "uids": [uid], "kind": kind, "provider": "made"}
            turns = [{"turn": 0, "role": "user", "text": text}]
            turns += [{"turn": 1, "role": "assistant", "text": answer, "answer": answer, "region_ids": regions}]
            writer.add_rows("dialogues", [shared | turn for turn in turns])
    writer.publish()
    return Corpus(root)


def values(corpus, make_model, folder, masks, blind=None):
    for name, own in (("a", masks), ("b", blind)):
        if own is not None:
            rows = [{"dialogue_id": key, "text": "There.", "mask_runs": None if m is None else runs_of(m)}
                    for key, m in own.items()]  # fmt: skip
            runs = pa.array([row["mask_runs"] for row in rows], pa.list_(pa.int64()))
            table = pa.table({"dialogue_id": [row["dialogue_id"] for row in rows], "text": ["There."] * len(rows)})
            pq.write_table(table.append_column("mask_runs", runs), folder / f"{name}.parquet")
    more = "blind: b.parquet\n" if blind is not None else ""
    (folder / "t.yaml").write_text(f"kind: question-answering\nanswers: a.parquet\n{more}")
    evaluation = evaluate_model(make_model(), "m", corpus, [str(folder / "t.yaml")], QUICK)
    return evaluation, {(r.model, r.kind, r.metric): r for r in evaluation.rows}


def test_overlaps_are_those_counted_by_hand(corpus, make_model, tmp_path):
    masks = {}
    for number in range(N):
        mask = finding(number)
        if number % 5 == 1:
            mask = None  # nothing is shown
        elif number % 5 == 2:
            mask[: len(mask) // 2] = False  # half of it: IoU 1/2, Dice 2/3
        elif number % 5 == 3:
            mask = np.ones_like(mask)  # all of the image: IoU 1/3, Dice 1/2
        masks[f"place-{number}"] = mask
        masks[f"presence-{number}"] = np.ones(shape_of(number), bool) if number % 4 == 0 else None
    evaluation, rows = values(corpus, make_model, tmp_path, masks, {"place-0": finding(0)})
    own = {metric: row for (model, kind, metric), row in rows.items() if (model, kind) == ("answers", "model")}
    assert own["grounded_iou"].value == pytest.approx((1 + 0 + 1 / 2 + 1 / 3 + 1) / 5)
    assert own["grounded_dice"].value == pytest.approx((1 + 0 + 2 / 3 + 1 / 2 + 1) / 5)
    assert own["grounded_acc@0.5"].value == pytest.approx(3 / 5)
    assert own["grounded_shown"].value == pytest.approx(4 / 5)
    assert own["false_place"].value == pytest.approx(1 / 4)
    assert (own["grounded_iou"].n, own["false_place"].n) == (N, N)
    assert own["grounded_iou"].low < own["grounded_iou"].value < own["grounded_iou"].high
    assert rows["blind-answers", "trivial", "grounded_shown"].value == pytest.approx(1 / N)
    report(evaluation, tmp_path, Console(file=io.StringIO()))
    page = (tmp_path / "index.html").read_text()
    assert "Overlap of what answers point at (IoU)" in page


def test_places_of_other_images_are_stretched_to_this_one(corpus, make_model, tmp_path):
    masks = {f"place-{number}": finding(number) for number in range(N)}
    _, rows = values(corpus, make_model, tmp_path, masks)
    assert rows["answers", "model", "grounded_iou"].value == 1.0
    other = rows["answers", "shuffled", "grounded_iou"].value  # the same side, or the other one: 1 or 0
    assert 0.2 < other < 0.8
    assert other == rows["answers", "shuffled", "grounded_dice"].value
    assert rows["answers", "shuffled", "grounded_shown"].value == 1.0


def test_masks_of_another_image_are_refused_and_files_without_any_have_no_such_figure(corpus, make_model, tmp_path):
    with pytest.raises(EvaluationError, match=r"places that are no masks of '0+': run lengths of 27 voxels"):
        values(corpus, make_model, tmp_path, {"place-0": np.ones((3, 3, 3), bool)})
    pq.write_table(pa.table({"dialogue_id": ["place-0"], "text": ["There."]}), tmp_path / "a.parquet")
    evaluation = evaluate_model(make_model(), "m", corpus, [str(tmp_path / "t.yaml")], QUICK)
    assert not any(row.metric.startswith("grounded") for row in evaluation.rows)


@settings(max_examples=25, deadline=None)
@given(arrays(bool, array_shapes(min_dims=1, max_dims=3, max_side=5), elements=st.booleans()))
def test_run_lengths_are_those_of_coco_and_make_the_mask_again(mask):
    pycocotools = pytest.importorskip("pycocotools.mask")
    runs = runs_of(mask)
    assert np.array_equal(mask_of_runs(runs, mask.shape), mask)
    theirs = pycocotools.encode(np.asfortranarray(mask.reshape(-1, 1).astype(np.uint8)))
    assert theirs == pycocotools.frPyObjects({"size": [mask.size, 1], "counts": runs}, mask.size, 1)

"""COCO's run-length masks: the shapes cover exactly the pixels that pycocotools decodes."""

import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco

from voxtile_pathology.annotations.model import read_annotation_file, read_annotations
from voxtile_pathology.annotations.raster import rasterise
from voxtile_pathology.annotations.run_lengths import mask_shape


def both_kinds(mask):
    """The compressed mask as pycocotools writes it, and the plain runs."""
    packed = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    flat = np.concatenate([[False], mask.ravel(order="F")])
    changes = np.flatnonzero(np.diff(flat.astype(np.int8)))
    runs = np.diff(np.concatenate([[0], changes, [mask.size]])).tolist()
    return {"size": packed["size"], "counts": packed["counts"].decode()}, {"size": list(mask.shape), "counts": runs}


@settings(max_examples=60, deadline=None)
@example(np.ones((1, 1), bool))
@example(np.ones((7, 5), bool))
@example(np.eye(6, dtype=bool))  # pixels that touch at corners only
@given(arrays(bool, st.tuples(st.integers(1, 24), st.integers(1, 24))))
def test_shapes_of_run_lengths_cover_the_masks_pixels(mask):
    if not mask.any():
        return
    rows, columns = mask.shape
    for segmentation in both_kinds(mask):
        shape = mask_shape(segmentation, "it")
        assert shape.is_valid
        assert shape.area == mask.sum()
        assert np.array_equal(rasterise(shape, (0, 0, columns, rows), mask.shape), mask)


def test_a_mask_of_a_whole_slide_is_never_unpacked():
    """80,000 × 100,000 pixels: eight gigabytes if it were."""
    y, x = np.mgrid[:200, :300]
    disc = np.hypot(y - 90, x - 140) < 70
    runs = both_kinds(disc)[1]["counts"]
    columns = np.flatnonzero(disc.any(axis=0))
    tall = []
    for column in columns.tolist():
        rows = np.flatnonzero(disc[:, column])
        tall.append((column * 80_000 + rows[0] * 400, (rows[-1] + 1 - rows[0]) * 400))
    counts, place = [], 0
    for start, length in tall:
        counts += [start - place, length]
        place = start + length
    counts.append(80_000 * 100_000 - place)
    shape = mask_shape({"size": [80_000, 100_000], "counts": [int(c) for c in counts]}, "it")
    assert len(runs) > 100
    assert shape.area == disc.sum() * 400


def coco_file(path, *segmentations):
    annotations = [{"id": i, "image_id": 1, "category_id": 7, "segmentation": s} for i, s in enumerate(segmentations)]
    content = {"images": [{"id": 1, "file_name": "a.svs"}], "categories": [{"id": 7, "name": "gland"}]}
    path.write_text(json.dumps(content | {"annotations": annotations}))
    return path


def test_both_kinds_are_read_from_a_file(tmp_path):
    mask = np.zeros((40, 30), bool)
    mask[5:20, 3:9] = mask[10:12, 20:30] = True
    first, second = read_annotations(coco_file(tmp_path / "a.json", *both_kinds(mask)))
    assert first.polygon.equals(second.polygon)
    assert (first.label, first.kind, first.polygon.area) == ("gland", "polygon", mask.sum())
    assert first.polygon.bounds == (3, 5, 30, 20)


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ({"counts": [1, 2, 1]}, "without a size"),
        ({"size": [2], "counts": [4]}, "without a size"),
        ({"size": [2, 0], "counts": []}, "without a size"),
        ({"size": [10**9, 10**9], "counts": [10**18]}, "without a size"),
        ({"size": [2, 2], "counts": [1, 2]}, "3 pixels, but its size is 2 x 2"),
        ({"size": [2, 2], "counts": [1, -2, 5]}, "4 pixels, but its size"),
        ({"size": [2, 2], "counts": [1.5, 2.5]}, "not whole numbers"),
        ({"size": [2, 2], "counts": None}, "not whole numbers"),
        ({"size": [2, 2], "counts": [4]}, "encloses no area"),
        ({"size": [2, 2], "counts": "é"}, "is damaged"),
        ({"size": [2, 2], "counts": "o" * 40}, "is damaged"),
        ({"size": [2, 2], "counts": "1R"}, "cut short"),
    ],
)
def test_a_malformed_mask_is_left_out_by_name(tmp_path, segmentation, message):
    mask = np.ones((3, 3), bool)
    file = read_annotation_file(coco_file(tmp_path / "a.json", segmentation, both_kinds(mask)[0]))
    assert [a.polygon.area for a in file.annotations] == [9]
    assert len(file.notes) == 1
    assert message in file.notes[0]

"""Boxes of masks lie within a pixel of what was drawn, and their overlap is that of areas."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxtile.formats.geojson import outline
from voxtile.grounding.boxes import (
    Box,
    best_part,
    long_side_angle,
    overlap,
    parts,
    rectangle_of,
    rotated_box,
    rotated_outline,
    upright_box,
)

sides = st.floats(4, 40)


def drawn(box, shape=(96, 96), fine=1):
    """Pixels whose centres lie in a turned box, by rotating them back."""
    y0, x0, y1, x1 = box.edges
    y, x = (np.mgrid[: shape[0] * fine, : shape[1] * fine] + 0.5) / fine
    dy, dx, turn = y - (y0 + y1) / 2, x - (x0 + x1) / 2, np.radians(box.angle)
    along, across = dx * np.cos(turn) - dy * np.sin(turn), dx * np.sin(turn) + dy * np.cos(turn)  # y points down
    return (np.abs(along) < (x1 - x0) / 2) & (np.abs(across) < (y1 - y0) / 2)


@settings(deadline=None, max_examples=30)
@given(st.floats(40, 56), st.floats(40, 56), sides, sides, st.floats(-89, 90))
def test_a_rotated_box_lies_where_it_was_drawn(row, column, first, second, angle):
    height, width = sorted((first, second))
    truth = Box((row - height / 2, column - width / 2, row + height / 2, column + width / 2), angle)
    mask = drawn(truth)
    found = rotated_box(mask)
    assert -90 < found.angle <= 90
    corners, wanted = (np.array(rectangle_of(box).exterior.coords[:4]) for box in (found, truth))
    if width > 1.3 * height and height > 8:  # else the shorter side may pass for the longer one
        distance = np.linalg.norm(corners[:, None] - wanted[None], axis=2)
        assert distance.min(1).max() < 2, "a corner; the smallest rectangle may follow the steps of pixels"
    inside = drawn(Box(tuple(np.add(found.edges, (-1e-6, -1e-6, 1e-6, 1e-6))), found.angle))
    assert not (mask & ~inside).any()


@settings(deadline=None, max_examples=40)
@given(st.tuples(*[st.integers(0, 30)] * 2), st.tuples(*[st.integers(1, 20)] * 2), st.integers(-6, 6))
def test_overlap_counts_pixels(corner, size, shift):
    first = Box((corner[0], corner[1], corner[0] + size[0], corner[1] + size[1]))
    second = Box(tuple(edge + shift for edge in first.edges))
    one, other = drawn(first), np.zeros((96, 96), bool)
    moved = [max(0, int(edge)) for edge in second.edges]
    other[moved[0] : moved[2], moved[1] : moved[3]] = True
    lost = size[0] * size[1] - other.sum()  # what lies above or left of the picture
    assert overlap(first, second) == pytest.approx((one & other).sum() / ((one | other).sum() + lost))
    assert overlap(Box(first.edges, 90.0), Box(second.edges, 90.0)) <= 1


def test_turned_boxes_overlap_as_their_pixels_do():
    rng = np.random.default_rng(0)
    for _ in range(10):
        boxes = []
        for _ in range(2):
            (row, column), (height, width) = rng.uniform(40, 56, 2), rng.uniform(10, 40, 2)
            edges = (row - height / 2, column - width / 2, row + height / 2, column + width / 2)
            boxes.append(Box(edges, float(rng.uniform(-90, 90))))
        one, other = (drawn(box, fine=4) for box in boxes)
        assert overlap(*boxes) == pytest.approx((one & other).sum() / (one | other).sum(), abs=0.01)


def test_small_masks_have_boxes_too():
    mask = np.zeros((9, 9), bool)
    with pytest.raises(ValueError, match="no box"):
        upright_box(mask)
    with pytest.raises(ValueError, match="no box"):
        rotated_box(mask)
    mask[3, 5] = True
    assert upright_box(mask) == ((3, 5, 4, 6), 0)
    assert np.allclose(rotated_box(mask).edges, (3, 5, 4, 6))
    mask[3, 2:6] = True
    found = rotated_box(mask)
    assert np.allclose(found.edges, (3, 2, 4, 6))
    assert found.angle == 0


def test_the_best_part_holds_most_probability():
    probability = np.zeros((20, 20), np.float32)
    probability[2:4, 2:4] = 0.9
    probability[10:16, 10:16] = 0.6
    assert upright_box(best_part(probability, 0.5)).edges == (10, 10, 16, 16)
    assert upright_box(best_part(probability, 0.7)).edges == (2, 2, 4, 4)
    assert best_part(probability, 0.95) is None
    assert [int(part.sum()) for part in parts(probability > 0.5)] == [36, 4]


@pytest.mark.parametrize("angle", [0, 20, 45, 70, -35])
def test_the_rectangle_of_an_outline_is_that_of_its_pixels(angle):
    """In a CRS with pixels of 2 m and y upwards."""
    truth = Box((40, 30, 56, 66), angle)
    affinity = pytest.importorskip("shapely.affinity")
    shape = affinity.affine_transform(outline(drawn(truth)), [2, 0, 0, -2, 1000, 5000])
    found = rotated_outline(shape, 2.0)
    wanted = affinity.affine_transform(rectangle_of(truth), [2, 0, 0, -2, 1000, 5000])
    assert found.symmetric_difference(wanted).area < 2.0 * found.length * 0.5, "half a pixel all round"
    assert abs((long_side_angle(found) - angle + 90) % 180 - 90) < 3

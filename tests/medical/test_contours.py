"""Contours to pixels, against shapely and closed forms (DICOM PS3.3 C.8.8.6.3)."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from voxtile_medical.segmentations.contours import SelfCrossingError, fill

SHAPE = (24, 30)
SQUARE = np.array([[4.5, 4.5], [16.5, 4.5], [16.5, 16.5], [4.5, 16.5]])
HOLE = np.array([[8.5, 8.5], [12.5, 8.5], [12.5, 12.5], [8.5, 12.5]])


def by_shapely(contours, shape=SHAPE):
    """The voxel-centre test by another implementation: odd number of polygons, or on a border."""
    rows, columns = np.indices(shape)
    inside, border = np.zeros(shape, bool), np.zeros(shape, bool)
    for points in contours:
        polygon = shapely.Polygon(points)
        inside ^= shapely.contains_xy(polygon, columns, rows)
        border |= shapely.distance(shapely.LinearRing(points), shapely.points(columns, rows)) < 1e-9
    return inside | border


@st.composite
def star(draw):
    """A simple polygon: points at rising angles round a centre."""
    count = draw(st.integers(3, 14))
    centre = np.array([draw(st.floats(6, 20)), draw(st.floats(6, 16))])
    radii = np.array([draw(st.floats(1.0, 5.5)) for _ in range(count)])
    angles = 2 * np.pi * (np.arange(count) + draw(st.floats(0, 1))) / count
    points = centre + radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return points[::-1] if draw(st.booleans()) else points


@settings(max_examples=60, deadline=None)
@given(st.lists(star(), min_size=1, max_size=4))
def test_all_contours_of_a_plane_are_combined_by_exclusive_disjunction(contours):
    found, expected = fill(contours, SHAPE), by_shapely(contours)
    unsure = np.zeros(SHAPE, bool)  # centres within rounding of a border are on its path for us
    rows, columns = np.indices(SHAPE)
    for points in contours:
        unsure |= shapely.distance(shapely.LinearRing(points), shapely.points(columns, rows)) < 2e-4
    np.testing.assert_array_equal(found[~unsure], expected[~unsure])
    np.testing.assert_array_equal(fill(contours[::-1], SHAPE), found)


def test_points_on_the_path_belong_to_the_region():
    corners = np.array([[3, 2], [9, 2], [9, 7], [3, 7]], dtype=float)
    expected = np.zeros(SHAPE, bool)
    expected[2:8, 3:10] = True
    np.testing.assert_array_equal(fill([corners], SHAPE), expected)
    diamond = np.array([[10, 4], [16, 10], [10, 16], [4, 10]], dtype=float)
    rows, columns = np.indices(SHAPE)
    np.testing.assert_array_equal(fill([diamond], SHAPE), abs(columns - 10) + abs(rows - 10) <= 6)


def test_a_hole_by_nested_contours_and_by_a_keyhole_is_the_same():
    expected = np.zeros(SHAPE, bool)
    expected[5:17, 5:17] = True
    expected[9:13, 9:13] = False
    np.testing.assert_array_equal(fill([SQUARE, HOLE], SHAPE), expected)
    channel = np.array([10.25, 4.5]), np.array([10.25, 8.5])  # between two columns of centres
    keyhole = np.array(
        [SQUARE[0], channel[0], channel[1], HOLE[0], HOLE[3], HOLE[2], HOLE[1], channel[1], channel[0], *SQUARE[1:]]
    )
    np.testing.assert_array_equal(fill([keyhole], SHAPE), expected)


def test_an_island_in_a_hole_and_contours_beyond_the_image():
    island = np.array([[9.6, 9.6], [11.4, 9.6], [11.4, 11.4], [9.6, 11.4]])
    assert fill([SQUARE, HOLE, island], SHAPE)[10:12, 10:12].all()
    everything = np.array([[-9, -9], [99, -9], [99, 99], [-9, 99]], dtype=float)
    assert fill([everything], SHAPE).all()
    assert not fill([everything - 200], SHAPE).any()
    assert not fill([everything + 200], SHAPE).any()


@settings(max_examples=60, deadline=None)
@given(star(), st.integers(0, 13), st.integers(0, 13))
def test_what_shapely_calls_simple_is_not_refused(points, i, j):
    swapped = points.copy()
    swapped[[i % len(points), j % len(points)]] = swapped[[j % len(points), i % len(points)]]
    if shapely.LinearRing(swapped).is_simple:
        assert fill([swapped], SHAPE).shape == SHAPE  # raises where it takes a simple contour for a crossing one


@pytest.mark.parametrize("count", [4, 40, 400])
def test_a_contour_that_crosses_itself_is_refused(count):
    bow_tie = np.array([[2, 2], [12, 12], [12, 2], [2, 12]], dtype=float)
    loop = np.array([[2, 2], [20, 2], [20, 20], [5, 20], [5, 5], [15, 5], [15, 15], [2, 15]], dtype=float)
    for crossed in (bow_tie, loop):
        ends = np.roll(crossed, -1, 0)
        parts = [np.linspace(a, b, count // 4, endpoint=False) for a, b in zip(crossed, ends, strict=True)]
        with pytest.raises(SelfCrossingError):
            fill([np.concatenate(parts)], SHAPE)


def test_a_loop_between_centres_decides_nothing():
    nicked = np.array([[4.5, 4.5], [16.5, 4.5], [16.5, 16.5], [10.4, 16.5], [10.6, 16.6], [10.6, 16.5], [4.5, 16.5]])
    np.testing.assert_array_equal(fill([nicked], SHAPE), fill([SQUARE], SHAPE))

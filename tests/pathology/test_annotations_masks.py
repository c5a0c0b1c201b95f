"""Polygons to masks: equal to rasterio's and shapely's by pixel centres; regions of patches in array order."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import MultiPolygon, Point, Polygon, box

from voxtile_pathology.annotations.model import Annotation
from voxtile_pathology.annotations.raster import rasterise
from voxtile_pathology.annotations.regions import AnnotationIndex

rasterio_features = pytest.importorskip("rasterio.features")
from rasterio.transform import from_bounds  # noqa: E402


def reference(geometry, bounds, shape):
    x0, y0, x1, y1 = bounds
    transform = from_bounds(x0, y1, x1, y0, shape[1], shape[0])  # rows run downwards with y, as in a slide
    return rasterio_features.rasterize([geometry], out_shape=shape, transform=transform).astype(bool)


def by_centres(geometry, bounds, shape):
    x0, y0, x1, y1 = bounds
    x = x0 + (np.arange(shape[1]) + 0.5) * (x1 - x0) / shape[1]
    y = y0 + (np.arange(shape[0]) + 0.5) * (y1 - y0) / shape[0]
    return shapely.contains_xy(geometry, *np.meshgrid(x, y))


coordinate = st.floats(-20, 90, allow_nan=False, width=32)


@st.composite
def polygons(draw):
    points = draw(st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=9, unique=True))
    parts = shapely.make_valid(Polygon(points))
    parts = [p for p in getattr(parts, "geoms", [parts]) if p.geom_type == "Polygon" and p.area > 0.01]
    return MultiPolygon(parts) if parts else box(1, 1, 30, 40)


@settings(max_examples=200, deadline=None)
@given(polygons(), st.sampled_from([(64, 64), (37, 81), (5, 3)]))
def test_masks_equal_rasterios_and_shapelys(geometry, shape):
    bounds = (0.0, 0.0, 64.0, 64.0)
    ours = rasterise(geometry, bounds, shape)
    expected = by_centres(geometry, bounds, shape)
    # A centre within rounding of an edge may fall on either side of it in any of the three.
    x, y = np.meshgrid((np.arange(shape[1]) + 0.5) * 64 / shape[1], (np.arange(shape[0]) + 0.5) * 64 / shape[0])
    clear = shapely.distance(geometry.boundary, shapely.points(x, y)) > 1e-5
    np.testing.assert_array_equal(ours[clear], expected[clear])
    np.testing.assert_array_equal(ours[clear], reference(geometry, bounds, shape)[clear])


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_masks_of_drawn_shapes_equal_rasterios_everywhere(scale):
    rng = np.random.default_rng(scale)
    for _ in range(20):
        angle = np.linspace(0, 2 * np.pi, 60, endpoint=False)
        radius = rng.uniform(200, 900, 60)
        outline = np.stack([1000 + radius * np.cos(angle), 1100 + radius * np.sin(angle)], axis=1).round(2)
        geometry = Polygon(outline, [Point(1000, 1100).buffer(120).exterior])
        bounds = (333.0, 444.0, 333.0 + 512 * scale, 444.0 + 512 * scale)
        ours = rasterise(geometry, bounds, (512, 512))
        np.testing.assert_array_equal(ours, reference(geometry, bounds, (512, 512)))
        assert ours.any()


def test_shapes_that_share_edges_share_no_pixel():
    tiles = [box(x, y, x + 7, y + 5) for x in range(1, 50, 7) for y in range(3, 40, 5)]
    for scale in (0.5, 1, 2):  # at half scale edges lie on centres of pixels
        shape = (int(64 * scale), int(64 * scale))
        total = sum(rasterise(tile, (0, 0, 64, 64), shape).astype(int) for tile in tiles)
        whole = rasterise(shapely.union_all(tiles), (0, 0, 64, 64), shape)
        np.testing.assert_array_equal(total, whole.astype(int))


def test_what_has_no_area_covers_nothing():
    assert not rasterise(Point(3, 3), (0, 0, 8, 8), (8, 8)).any()
    assert not rasterise(box(100, 100, 200, 200), (0, 0, 8, 8), (8, 8)).any()
    assert rasterise(box(-100, -100, 200, 200), (0, 0, 8, 8), (8, 8)).all()


def test_regions_of_a_patch_are_in_its_pixels_in_array_order():
    hole = Polygon([(100, 200), (300, 200), (300, 260), (100, 260)], [[(110, 210), (120, 210), (120, 220), (110, 220)]])
    index = AnnotationIndex(
        [
            Annotation("tumour", hole),
            Annotation("box", box(120, 210, 500, 230)),
            Annotation("mitosis", Point(130, 240)),
            Annotation("elsewhere", box(900, 900, 950, 950)),
        ]
    )
    # The patch is 128 × 64 level-0 pixels in 64 × 32 pixels.
    regions = {r.phrase: r for r in index.regions((96, 192, 96 + 128, 192 + 64), (32, 64))}
    assert set(regions) == {"tumour", "box", "mitosis"}
    assert regions["tumour"].box == (4, 2, 32, 64)
    assert regions["tumour"].mask.shape == (32, 64)
    assert regions["tumour"].mask.sum() == 28 * 62 - 5 * 5
    assert not regions["tumour"].mask[9:14, 7:12].any()
    assert regions["box"].box == (9, 12, 19, 64)
    assert regions["box"].mask is None
    assert regions["box"].fraction == pytest.approx(10 * 52 / (32 * 64))
    assert regions["mitosis"].box == (24, 17, 24, 17)
    assert AnnotationIndex([]).regions((0, 0, 10, 10), (10, 10)) == []

"""The tile grid and the footprints: names that do not depend on the scene, windows without gaps, valid geometry."""

import antimeridian
import numpy as np
import pyproj
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS

from voxtile.errors import ConfigError
from voxtile_remote_sensing.scenes.protocol import Grid, SceneError
from voxtile_remote_sensing.tiles import grid as tile_grid
from voxtile_remote_sensing.tiles.footprint import footprints, split_ring
from voxtile_remote_sensing.tiles.grid import Length, cell_rows, is_inside, parse_length, transform_of, window_of

UTM32 = CRS.from_epsg(32632)


def cells_of(*arguments):
    return [cell for row in cell_rows(*arguments) for cell in row]


def grid(left, top, res, rows, columns, crs=UTM32):
    return Grid(crs, Affine(res, 0, left, 0, -res, top), (rows, columns))


@settings(max_examples=60, deadline=None)
@given(
    left=st.integers(0, 200),
    top=st.integers(0, 200),
    rows=st.integers(1, 300),
    columns=st.integers(1, 300),
    size=st.sampled_from([16, 32, 50]),
)
def test_tiles_cover_a_scene_once(left, top, rows, columns, size):
    scene = grid(500_000 + 10 * left, 5_000_000 + 10 * top, 10, rows, columns)
    seen = np.zeros((rows, columns), int)
    for cell in cells_of(scene, Length(size, "px"), Length(size, "px")):
        window = window_of(cell, scene)
        assert is_inside(window, scene)
        rows_, columns_ = (
            slice(max(0, s), max(0, s + n))
            for s, n in ((window.row_off, window.height), (window.col_off, window.width))
        )
        seen[rows_, columns_] += 1
    assert (seen == 1).all()


def test_rows_of_a_world_are_made_when_they_are_asked_for(monkeypatch):
    """At 30 m, in tiles of 1024 pixels, the world has 1.7 million cells: their list took a minute in every worker."""
    made = []

    class Counted(tile_grid.Cell):
        def __init__(self, *arguments):
            made.append(arguments)
            super().__init__(*arguments)

    monkeypatch.setattr(tile_grid, "Cell", Counted)
    world = grid(-20_037_508, 20_037_508, 30, 1_335_834, 1_335_834, CRS.from_epsg(3857))
    rows = cell_rows(world, Length(1024, "px"), Length(1024, "px"))
    assert len(rows) == 1306
    assert made == []
    assert [cell.name for cell in rows[1305]] == [cell.name for cell in rows[-1]]
    assert rows[2:4] == [rows[2], rows[3]]
    assert len(made) == 6 * 1306
    with pytest.raises(IndexError):
        rows[1306]


@settings(max_examples=40, deadline=None)
@given(shift=st.tuples(st.integers(-50, 50), st.integers(-50, 50)), half=st.booleans())
def test_one_place_has_one_name_for_all_dates_and_sensors(shift, half):
    """A Sentinel-2 scene, and a Landsat scene whose pixel edges lie on odd multiples of 15 m, of other extents."""
    size = Length(2400, "m")
    first = grid(600_000, 5_000_040, 10, 900, 900)
    second = grid(600_000 + 30 * shift[0] + 15 * half, 5_000_040 + 30 * shift[1] + 15 * half, 30, 300, 300)
    one, other = ({c.name: c for c in cells_of(g, size, size)} for g in (first, second))
    common = one.keys() & other.keys()
    assert len(common) >= 4
    for name in common:
        assert one[name] == other[name]
        centres = [
            transform_of(w, g) @ (w.width / 2, w.height / 2)
            for w, g in ((window_of(one[name], first), first), (window_of(one[name], second), second))
        ]
        assert np.abs(np.subtract(*centres)).max() <= 15 + 5
        assert window_of(other[name], second).width == 80


def test_coarse_windows_of_cells_that_are_no_multiple_have_one_shape():
    """256 pixels of 10 m are 42.67 of 60 m: 43 pixels, centred to half of one."""
    fine, coarse = grid(600_000, 5_000_040, 10, 1098, 1098), grid(600_000, 5_000_040, 60, 183, 183)
    for cell in cells_of(fine, Length(256, "px"), Length(256, "px")):
        window = window_of(cell, coarse)
        assert (window.width, window.height) == (43, 43)
        centre = transform_of(window, coarse) @ (21.5, 21.5)
        assert np.abs(np.subtract(centre, cell.centre)).max() <= 30


def test_neighbouring_scenes_share_their_grid():
    west, east = grid(600_000, 5_000_040, 10, 300, 300), grid(602_000, 5_000_040, 10, 300, 300)
    size = Length(64, "px")
    one, other = ({c.name for c in cells_of(g, size, size)} for g in (west, east))
    assert one & other


def test_a_stride_below_the_size_overlaps():
    scene = grid(0, 640, 10, 64, 64)
    cells = cells_of(scene, Length(32, "px"), Length(16, "px"))
    columns = sorted({window_of(c, scene).col_off for c in cells})
    assert columns == [-16, 0, 16, 32, 48]


def test_a_patch_is_one_tile_of_its_own_size():
    (cell,) = cells_of(grid(604_800, 5_834_040, 10, 120, 120), Length(256, "px"), Length(256, "px"))
    assert cell.name == "epsg32632-1200m-604800-5832840"
    assert cell.extent == (1200, 1200)


def test_a_rotated_scene_keeps_its_pixels():
    turned = Grid(
        UTM32, Affine.translation(600_000, 5_000_000) @ Affine.rotation(30) @ Affine.scale(10, -10), (100, 80)
    )
    cells = cells_of(turned, Length(40, "px"), Length(40, "px"))
    windows = [window_of(cell, turned) for cell in cells]
    assert [(w.row_off, w.col_off, w.width) for w in windows] == [
        (0, 0, 40), (0, 40, 40), (40, 0, 40), (40, 40, 40), (80, 0, 40), (80, 40, 40),
    ]  # fmt: skip
    assert transform_of(windows[1], turned).b != 0


def test_a_scene_of_absurd_size_is_refused():
    with pytest.raises(SceneError, match="tiles"):
        cells_of(grid(0, 0, 10, 10**6, 10**6), Length(256, "px"), Length(256, "px"))


@pytest.mark.parametrize(("text", "expected"), [("256", "256px"), ("2.56km", "2560m"), (" 100 m ", "100m")])
def test_lengths(text, expected):
    assert str(parse_length(text, "--size")) == expected


@pytest.mark.parametrize("text", ["", "0px", "-3m", "2.5px", "10 miles", "px"])
def test_lengths_that_are_none_are_refused(text):
    with pytest.raises(ConfigError, match="--size"):
        parse_length(text, "--size")


def footprint(crs, left, bottom, side):
    corners = [(left, bottom), (left + side, bottom), (left + side, bottom + side), (left, bottom + side)]
    (found,) = footprints(np.array([corners], float), CRS.from_user_input(crs), side)
    return shapely.from_wkb(found.wkb), found


@settings(max_examples=40, deadline=None)
@given(zone=st.integers(1, 60), north=st.integers(0, 8_000), east=st.integers(200, 700))
def test_a_footprint_has_its_area_and_corners(zone, north, east):
    shape, found = footprint(f"EPSG:{32600 + zone}", 1000 * east, 1000 * north, 2560)
    assert shape.is_valid
    area, _ = pyproj.Geod(ellps="WGS84").geometry_area_perimeter(shape)
    assert area == pytest.approx(2560**2, rel=0.01)  # positive: counter-clockwise
    for part in shapely.get_parts(shape):
        assert part.bounds[0] >= -180
        assert part.bounds[2] <= 180
    lon, lat = found.centre
    assert shapely.intersects(shape, shapely.Point(lon, lat))


def test_a_tile_over_the_dateline_is_split():
    """UTM zone 60 east of its border: the same shape as the published algorithm of `antimeridian` gives."""
    shape, found = footprint("EPSG:32760", 805_000, 8_000_000, 25_000)
    assert shape.geom_type == "MultiPolygon"
    assert {round(v) for part in shape.geoms for v in (part.bounds[0], part.bounds[2])} == {-180, 180}
    ring = np.vstack([np.array(part.exterior.coords) for part in shape.geoms])
    corners = [(805_000, 8_000_000), (830_000, 8_000_000), (830_000, 8_025_000), (805_000, 8_025_000)]
    to_lonlat = pyproj.Transformer.from_crs("EPSG:32760", "EPSG:4326", always_xy=True)
    dense = [to_lonlat.transform(*p) for p in shapely.segmentize(shapely.Polygon(corners), 2_000).exterior.coords]
    expected = shapely.geometry.shape(antimeridian.fix_polygon(shapely.Polygon(dense)))
    assert shapely.symmetric_difference(shape, expected).area < 1e-3 * expected.area
    assert found.half[0] < 1
    assert len(ring) > 8


@pytest.mark.parametrize(("crs", "latitude"), [("EPSG:3413", 90), ("EPSG:3031", -90)])
def test_a_tile_at_a_pole_holds_it(crs, latitude):
    shape, found = footprint(crs, -90_000, -110_000, 200_000)
    assert shape.is_valid
    assert found.half[0] == 180
    for longitude in (-179, -90, 0, 45, 180):
        assert shape.intersects(shapely.Point(longitude, 0.9999 * latitude))
        assert not shape.intersects(shapely.Point(longitude, 0.95 * latitude))
    area, _ = pyproj.Geod(ellps="WGS84").geometry_area_perimeter(shapely.segmentize(shape, 0.5))
    assert abs(area) == pytest.approx(200_000**2, rel=0.08)  # polar stereographic stretches by 3 to 6 %


@settings(max_examples=60, deadline=None)
@given(st.floats(-180, 180), st.floats(-60, 60), st.floats(0.1, 20))
def test_splitting_loses_no_area(longitude, latitude, half):
    ring = np.array([(-half, -half), (half, -half), (half, half), (-half, half)]) + np.array([longitude, latitude])
    wrapped = ring.copy()
    wrapped[:, 0] = (wrapped[:, 0] + 180) % 360 - 180
    shape = split_ring(wrapped)
    assert shape.is_valid
    assert shape.area == pytest.approx(4 * half * half, rel=1e-9)
    assert shape.bounds[0] >= -180
    assert shape.bounds[2] <= 180


def test_a_place_outside_the_system_is_refused():
    with pytest.raises(SceneError, match="no place on earth"):
        footprint("EPSG:3035", 1e12, 1e12, 2560)

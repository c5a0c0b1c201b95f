"""Blocks on the globe: no tile of one split touches a tile of another, whatever the zone, latitude and sensor."""

import math

import numpy as np
import pyproj
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS

from voxtile.errors import ConfigError
from voxtile_remote_sensing.splits.blocks import BlockGrid, BlockSplits
from voxtile_remote_sensing.tiles.footprint import footprints

FRACTIONS = {"train": 0.6, "val": 0.2, "test": 0.2}


def tiles(crs, x0, y0, side, columns, rows):
    """Corners [N, 4, 2] of a grid of square tiles."""
    corners = [
        [(x, y), (x + side, y), (x + side, y + side), (x, y + side)]
        for y in y0 + side * np.arange(rows)
        for x in x0 + side * np.arange(columns)
    ]
    return footprints(np.array(corners, float), CRS.from_user_input(crs), side)


def placed(found, splits, side):
    """(split, footprint) of the tiles that stay."""
    chosen = [(splits.place(f.centre, f.half, side / math.sqrt(2))[1], f) for f in found]
    return [(split, shapely.from_wkb(f.wkb)) for split, f in chosen if split]


def least_distance_m(one, other):
    """Between the outlines of two lists of shapes, on a plane about the first."""
    lon, lat = one[0].centroid.x, one[0].centroid.y
    plane = pyproj.Transformer.from_crs(
        "EPSG:4326", f"+proj=aeqd +lat_0={lat} +lon_0={lon} +datum=WGS84", always_xy=True
    )
    flat = [
        [shapely.transform(s, lambda xy: np.column_stack(plane.transform(xy[:, 0], xy[:, 1]))) for s in group]
        for group in (one, other)
    ]
    tree = shapely.STRtree(flat[0])
    return tree.query_nearest(flat[1], return_distance=True, all_matches=False)[1].min()


@settings(max_examples=25, deadline=None)
@given(
    latitude=st.sampled_from([-70, -33, 0.2, 12, 47, 63, 78]),
    zone=st.integers(1, 60),
    side=st.sampled_from([320.0, 1280.0, 2560.0]),
    ratio=st.sampled_from([3, 6]),
    buffer_m=st.sampled_from([0.0, 500.0]),
    salt=st.integers(0, 5),
)
def test_no_tile_of_one_split_touches_one_of_another(latitude, zone, side, ratio, buffer_m, salt):
    crs = f"EPSG:{32600 + zone if latitude >= 0 else 32700 + zone}"
    centre = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(6 * zone - 183, latitude)
    x0, y0 = (side * math.floor((c - 10 * side) / side) for c in centre)
    splits = BlockSplits(BlockGrid(ratio * side), FRACTIONS, buffer_m, salt=str(salt))
    kept = placed(tiles(crs, x0, y0, side, 20, 20), splits, side)
    assert len(kept) > 20
    groups = {name: [shape for split, shape in kept if split == name] for name in FRACTIONS}
    for one, other in (("train", "test"), ("train", "val"), ("val", "test")):
        if groups[one] and groups[other]:
            distance = least_distance_m(groups[one], groups[other])
            assert distance > 0
            assert distance >= 0.999 * buffer_m


def test_scenes_of_neighbouring_zones_agree():
    """The overlap of zones 32 and 33, cut in each: tiles of different splits do not touch across the systems."""
    splits = BlockSplits(BlockGrid(10_000), FRACTIONS)
    side = 2560.0
    west = tiles("EPSG:32632", 299 * side, 2080 * side, side, 16, 16)
    x, y = pyproj.Transformer.from_crs("EPSG:32632", "EPSG:32633", always_xy=True).transform(299 * side, 2080 * side)
    east = tiles("EPSG:32633", side * (x // side), side * (y // side), side, 16, 16)
    one, other = placed(west, splits, side), placed(east, splits, side)
    assert {split for split, _ in one} == {"train", "val", "test"}
    assert any(a.intersects(b) for _, a in one for _, b in other)
    assert not [1 for s, a in one for t, b in other if s != t and a.intersects(b)]


def test_larger_tiles_of_another_sensor_are_kept_apart_too():
    splits = BlockSplits(BlockGrid(30_000), FRACTIONS)
    small = tiles("EPSG:32632", 500_000, 5_000_000, 2560, 30, 30)
    large = tiles("EPSG:32632", 500_000, 5_000_000, 7680, 10, 10)
    kept = {
        side: [(splits.place(f.centre, f.half, 7680 / math.sqrt(2))[1], f) for f in found]
        for side, found in ((2560, small), (7680, large))
    }
    pairs = (
        [(s, shapely.from_wkb(f.wkb)) for s, f in kept[2560] if s],
        [(s, shapely.from_wkb(f.wkb)) for s, f in kept[7680] if s],
    )
    assert {"train", "test"} <= {s for s, _ in pairs[0]} | {s for s, _ in pairs[1]}
    assert not [1 for s, a in pairs[0] for t, b in pairs[1] if s != t and a.intersects(b)]


def test_test_tiles_all_stay():
    splits = BlockSplits(BlockGrid(20_000), FRACTIONS, buffer_m=5_000)
    found = tiles("EPSG:32632", 500_000, 5_000_000, 2560, 40, 40)
    dropped = [f for f in found if splits.place(f.centre, f.half, 1811)[1] is None]
    assert dropped
    assert all(splits.split(splits.grid.block_of(*f.centre)) != "test" for f in dropped)


@given(st.floats(-180, 180), st.floats(-90, 90), st.sampled_from([500.0, 20_000.0, 400_000.0]))
def test_every_point_has_one_block_and_near_finds_it(longitude, latitude, size):
    grid = BlockGrid(size)
    name = grid.block_of(longitude, latitude)
    assert name in set(grid.near((longitude, latitude), (1e-7, 1e-7)))
    if abs(latitude) < 89.9:
        assert grid.block_of((longitude + 360), latitude) == name


def test_blocks_are_nearly_square():
    grid = BlockGrid(20_000)
    for latitude in (0, 30, 60, 80):
        row = grid.row_of(latitude)
        width = 2 * math.pi * 6_371_000 * math.cos(math.radians(latitude)) / grid.columns(row)
        assert 0.9 < width / 20_000 < 1.1


def test_the_dateline_is_no_border():
    grid = BlockGrid(20_000)
    around = set(grid.near((179.999, 10), (0.01, 0.001)))
    assert {grid.block_of(179.999, 10), grid.block_of(-179.995, 10)} <= around
    assert len(around) == 2


@pytest.mark.parametrize("size", [0, 1, -5, 1e8])
def test_a_size_that_makes_no_sense_is_refused(size):
    with pytest.raises(ConfigError, match="block"):
        BlockGrid(size)

"""Reading in file order: each row of blocks once, and the same pixels in any order of windows."""

from dataclasses import dataclass

import numpy as np
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.windows import Window

from voxtile_remote_sensing.bands.registry import Band
from voxtile_remote_sensing.scenes.protocol import Grid, Layer, SceneBand
from voxtile_remote_sensing.tiles import reading
from voxtile_remote_sensing.tiles.quality import NODATA
from voxtile_remote_sensing.tiles.reading import GroupReader

FILL = 7


class NoLayers:
    """A scene without class layers."""

    def read(self, grid, window):
        return np.zeros((window.height, window.width), np.uint8)


@dataclass
class Group:
    """Values in memory that remember which rows were read."""

    stored: np.ndarray
    block_rows: int

    def __post_init__(self):
        self.grid = Grid(CRS.from_epsg(32632), Affine(10, 0, 0, 0, -10, 0), self.stored.shape[1:])
        self.dtype = self.stored.dtype
        self.bands = tuple(
            SceneBand(Band(name, nodata=FILL), Layer("x", n + 1), self.grid, "uint16", (self.block_rows, 64))
            for n, name in enumerate("ab")
        )
        self.reads = []

    def read(self, window):
        self.reads.append((window.row_off, window.row_off + window.height))
        return self.stored[:, window.row_off :, window.col_off :][:, : window.height, : window.width].copy(), None


def group(rows=100, columns=70, block_rows=16, seed=0):
    stored = np.random.default_rng(seed).integers(5, 60, (2, rows, columns)).astype(np.uint16)
    return Group(stored, block_rows)


def expected(values, window):
    """A window of values [C, Y, X] that are padded on all sides."""
    wide = np.pad(values, ((0, 0), (200, 200), (200, 200)), constant_values=FILL)
    return wide[:, 200 + window.row_off :, 200 + window.col_off :][:, : window.height, : window.width]


windows = st.lists(
    st.builds(Window, st.integers(-40, 90), st.integers(-40, 120), st.integers(1, 60), st.integers(1, 60)),
    min_size=1,
    max_size=8,
)


@given(windows, st.integers(1, 40), st.sampled_from([1, 2_000, 1 << 25]))
@settings(max_examples=150, deadline=None)
def test_windows_in_any_order_are_those_of_the_array(asked, block_rows, chunk_bytes):
    source = group(block_rows=block_rows)
    before, reading.CHUNK_BYTES = reading.CHUNK_BYTES, chunk_bytes
    try:
        reader = GroupReader(source, asked, NoLayers())
        for window in asked:
            values = reader.values(window)
            assert np.array_equal(values, expected(source.stored, window))
            assert values.flags.c_contiguous
            unknown = (expected(source.stored, window) == FILL).all(axis=0)
            assert np.array_equal(reader.flags(window) == NODATA, unknown)
    finally:
        reading.CHUNK_BYTES = before


@given(st.integers(5, 50), st.integers(-20, 0), st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_from_the_top_to_the_bottom_each_block_is_read_once(side, first, block_rows):
    source = group(block_rows=block_rows)
    asked = [Window(x, y, side, side) for y in range(first, source.grid.shape[0], side) for x in range(first, 70, side)]
    before, reading.CHUNK_BYTES = reading.CHUNK_BYTES, 1
    try:
        reader = GroupReader(source, asked, NoLayers())
        for window in asked:
            reader.flags(window)
            reader.values(window)
    finally:
        reading.CHUNK_BYTES = before
    assert all(start % block_rows == 0 for start, _ in source.reads)
    assert all(stop % block_rows == 0 or stop == source.grid.shape[0] for _, stop in source.reads)
    assert [start for start, _ in source.reads[1:]] == [stop for _, stop in source.reads[:-1]]

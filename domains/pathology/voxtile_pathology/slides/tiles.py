"""Boxes of a level put together from its tiles, each decoded once while it stays in the cache."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Protocol

import numpy as np

from voxtile_pathology.slides.protocol import Box, Picture, SlideError

# Two rows of 256-pixel tiles, 20,000 pixels wide: patches that straddle tiles, read row by row, decode each tile once.
CACHE_BYTES = 32 << 20
WHITE = 255
MAX_SIDE = 1 << 22  # four million pixels: a slide of 75 mm at 0.02 µm
MAX_TILE_PIXELS = 1 << 26  # 200 MB of RGB


class TileSource(Protocol):
    """A level as a grid of tiles.

    Attributes:
        size: width and height of the level.
        tile: width and height of a tile; those of the last column and row reach over the border.
    """

    size: tuple[int, int]
    tile: tuple[int, int]

    def decode(self, column: int, row: int) -> Picture | None:
        """Pixels of a tile, at most [tile height, tile width, 3]; None where the file holds none there.

        Raises:
            SlideError: the tile's bytes are damaged.
        """


class TileCache:
    """Decoded tiles, the least recently used forgotten first.

    Args:
        limit: bytes to hold at most; one tile is held whatever its size.
    """

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self._limit = limit
        self._held = 0
        self._tiles: OrderedDict[tuple[TileSource, int, int], Picture | None] = OrderedDict()

    def tile(self, source: TileSource, column: int, row: int) -> Picture | None:
        """A tile, from memory or decoded; not to be written to."""
        key = (source, column, row)
        if key in self._tiles:
            self._tiles.move_to_end(key)
            return self._tiles[key]
        pixels = source.decode(column, row)
        self._tiles[key] = pixels
        self._held += _cost(pixels)
        while self._held > self._limit and len(self._tiles) > 1:
            self._held -= _cost(self._tiles.popitem(last=False)[1])
        return pixels

    def whole(self, source: TileSource, column: int, row: int) -> Picture | None:
        """A tile that the caller may keep and write to.

        As long as every read asked for whole tiles none is needed twice, and none is held.
        """
        if self._tiles:
            pixels = self.tile(source, column, row)
            return None if pixels is None else pixels.copy()
        pixels = source.decode(column, row)
        return pixels if pixels is None or pixels.flags.writeable else pixels.copy()  # what is stored as it is

    def clear(self) -> None:
        """Forget everything."""
        self._tiles.clear()
        self._held = 0


def read_box(source: TileSource, box: Box, cache: TileCache) -> Picture:
    """Pixels [Y, X, 3] of a box, white where the level has none.

    Args:
        source: the level.
        box: may reach over the level's borders.
        cache: of the slide.

    Raises:
        SlideError: a tile is damaged.
    """
    x0, y0, x1, y1 = box
    width, height = source.tile
    inside = (max(x0, 0), max(y0, 0), min(x1, source.size[0]), min(y1, source.size[1]))
    if inside == box and x0 % width == 0 and y0 % height == 0 and (x1 - x0, y1 - y0) == source.tile:
        pixels = cache.whole(source, x0 // width, y0 // height)
        if pixels is not None and pixels.shape == (height, width, 3):
            return pixels
    result = np.empty((y1 - y0, x1 - x0, 3), np.uint8)
    if inside != box:
        result.fill(WHITE)
    left, top, right, bottom = inside
    if right <= left or bottom <= top:
        return result
    for row in range(top // height, -(-bottom // height)):
        for column in range(left // width, -(-right // width)):
            place = (max(left, column * width), max(top, row * height))
            end = (min(right, (column + 1) * width), min(bottom, (row + 1) * height))
            target = result[place[1] - y0 : end[1] - y0, place[0] - x0 : end[0] - x0]
            _paste(target, cache.tile(source, column, row), place[0] - column * width, place[1] - row * height)
    return result


def check_grid(path: Path, size: tuple[int, int], tile: tuple[int, int]) -> None:
    """Refuse sizes that no slide has, before memory is taken for them.

    Args:
        path: of the slide.
        size: width and height of a level, as its header claims.
        tile: width and height of what is decoded in one piece.

    Raises:
        SlideError: a side is not positive or a limit is passed.
    """
    if min(*size, *tile) <= 0 or max(size) > MAX_SIDE:
        raise SlideError(f"{path.name}: {size[0]} x {size[1]} pixels cannot be a slide; the header is damaged")
    if tile[0] * tile[1] > MAX_TILE_PIXELS:
        raise SlideError(
            f"{path.name} holds {size[0]} x {size[1]} pixels in pieces of {tile[0]} x {tile[1]}, "
            f"more than {MAX_TILE_PIXELS:,} pixels at once; convert it to a tiled TIFF first"
        )


def _paste(target: Picture, tile: Picture | None, x: int, y: int) -> None:
    """Fill a part of the result from a tile's pixels at (x, y); where the tile has none it becomes white."""
    if tile is None:
        target.fill(WHITE)
        return
    part = tile[y : y + target.shape[0], x : x + target.shape[1]]
    if part.shape != target.shape:
        target.fill(WHITE)
    target[: part.shape[0], : part.shape[1]] = part


def _cost(pixels: Picture | None) -> int:
    return 64 if pixels is None else pixels.nbytes

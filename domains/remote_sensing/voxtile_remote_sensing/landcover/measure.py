"""Which classes cover a tile: a class raster looked up at points of the tile, without resampling.

Classes are never averaged: each point of a regular grid in the tile takes the value of the raster cell that it lies in.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import rasterio
from rasterio.windows import Window

from voxtile.errors import InputError
from voxtile_remote_sensing.osm.tile_geometry import TileFrame, transformer

_FEWEST, _MOST = 64, 1024  # points along a side of the tile
_MOST_CELLS = 64 << 20  # of the raster, held in memory at once


@dataclass(frozen=True)
class Shares:
    """What a raster says about a tile.

    Attributes:
        counts: raster value → number of points; the raster's own no-data value is left out.
        points: number of points in the tile.
    """

    counts: Counter[int]
    points: int


def class_shares(dataset: rasterio.DatasetReader, crs: str, frame: TileFrame) -> Shares:
    """Look a class raster up in a tile.

    Args:
        dataset: the open raster; band 1 is read.
        crs: its CRS, as text.
        frame: the tile.

    Raises:
        InputError: the tile covers more cells of the raster than can be held.
    """
    rows, columns = (min(max(size, _FEWEST), _MOST) for size in (frame.height, frame.width))
    a, b, c, d, e, f = frame.transform
    x, y = np.meshgrid(
        (np.arange(columns) + 0.5) * frame.width / columns, (np.arange(rows) + 0.5) * frame.height / rows
    )
    east, north = transformer(frame.crs, crs).transform((a * x + b * y + c).ravel(), (d * x + e * y + f).ravel())
    inverse = ~dataset.transform
    column = np.floor(inverse.a * east + inverse.b * north + inverse.c)
    row = np.floor(inverse.d * east + inverse.e * north + inverse.f)
    with np.errstate(invalid="ignore"):
        inside = (column >= 0) & (row >= 0) & (column < dataset.width) & (row < dataset.height)
    if not inside.any():
        return Shares(Counter(), x.size)
    column, row = column[inside].astype(np.int64), row[inside].astype(np.int64)
    left, top = int(column.min()), int(row.min())
    window = Window(left, top, int(column.max()) - left + 1, int(row.max()) - top + 1)
    if window.width * window.height > _MOST_CELLS:
        raise InputError(f"the tile {frame.uid} covers {window.width} × {window.height} cells of the raster")
    values = dataset.read(1, window=window)[row - top, column - left]
    if dataset.nodata is not None:
        values = values[values != dataset.nodata]
    found, number = np.unique(values, return_counts=True)
    return Shares(Counter({int(v): int(n) for v, n in zip(found, number, strict=True)}), x.size)

"""The plan of a scene: rows of tiles in strips that fit into memory; each block of the files is read about once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from voxtile_remote_sensing.scenes.open import open_scene
from voxtile_remote_sensing.scenes.plausible import metres_per_unit
from voxtile_remote_sensing.scenes.protocol import SceneRef
from voxtile_remote_sensing.tiles.band_groups import Group, groups_of
from voxtile_remote_sensing.tiles.grid import Cell, cell_rows, window_of
from voxtile_remote_sensing.tiles.settings import TileSettings

STRIP_BYTES = 1 << 29
"""Stored values that one item reads. Blocks across a border are read twice: 9 % of a Sentinel-2 band."""
_PIECE_BYTES = STRIP_BYTES // 4
"""Of items where a row of tiles alone has more: the whole row is held, with its flags and what it is warped from."""


@dataclass(frozen=True)
class Strip:
    """What one item cuts.

    Attributes:
        rows: first and last-plus-one row of tiles.
        nbytes: to read.
        tiles: first and last-plus-one tile of that one row; None for all.
    """

    rows: tuple[int, int]
    nbytes: int
    tiles: tuple[int, int] | None = None


@dataclass(frozen=True)
class Survey:
    """What the plan knows of a scene.

    Attributes:
        strips: one an item.
        radius_m: half the diagonal of a tile in metres.
    """

    strips: tuple[Strip, ...]
    radius_m: float


def survey(ref: SceneRef, settings: TileSettings) -> Survey:
    """Read a scene's headers and cut its rows of tiles into strips.

    Raises:
        SceneError, ConfigError: the scene cannot be tiled as asked for.
    """
    with open_scene(ref) as scene:
        groups = groups_of(scene, settings)
        rows = rows_of(groups, settings)
    height = sum(_row_bytes(group, rows[0][0]) for group in groups)
    return Survey(tuple(_strips(len(rows), len(rows[0]), height)), radius_of(groups, rows[0][0]))


def _strips(rows: int, tiles: int, height: int) -> Iterator[Strip]:
    """The items of a scene of so many rows of tiles, of `height` bytes each; of wide ones parts of rows."""
    if height > STRIP_BYTES and tiles > 1:
        edges = _edges(tiles, math.ceil(height / _PIECE_BYTES))
        for row in range(rows):
            yield from (Strip((row, row + 1), height * (b - a) // tiles, (a, b)) for a, b in pairwise(edges))
        return
    for a, b in pairwise(_edges(rows, max(1, math.ceil(rows * height / STRIP_BYTES)))):
        yield Strip((a, b), max(1, (b - a) * height))


def _edges(number: int, parts: int) -> list[int]:
    parts = min(number, parts)
    return [round(n * number / parts) for n in range(parts + 1)]


def rows_of(groups: Sequence[Group], settings: TileSettings) -> Sequence[list[Cell]]:
    """All rows of cells of a scene, by its finest grid.

    Raises:
        SceneError: far too many.
    """
    return cell_rows(groups[0].grid, settings.size, settings.stride)


def radius_of(groups: Sequence[Group], cell: Cell) -> float:
    """Half the diagonal of the largest window of a cell, plus what its centre may be off, in metres."""
    radii = []
    for group in groups:
        window = window_of(cell, group.grid)
        width, height = group.grid.pixel_size
        half = math.hypot((window.width + 1) * width, (window.height + 1) * height) / 2
        radii.append(half * metres_per_unit(group.grid.crs))
    return max(radii)


def _row_bytes(group: Group, cell: Cell) -> int:
    window = window_of(cell, group.grid)
    rows = min(window.height, group.grid.shape[0])
    return int(rows * group.grid.shape[1] * len(group.bands) * group.dtype.itemsize)

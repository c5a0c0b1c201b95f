"""The plan of a scene: rows of tiles in strips that fit into memory; each block of the files is read about once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from voxtile_remote_sensing.scenes.open import open_scene
from voxtile_remote_sensing.scenes.protocol import SceneRef
from voxtile_remote_sensing.tiles.band_groups import Group, groups_of
from voxtile_remote_sensing.tiles.grid import Cell, cell_rows, metres_per_unit, window_of
from voxtile_remote_sensing.tiles.settings import TileSettings

STRIP_BYTES = 1 << 29
"""Stored values that one item reads. Blocks across a border are read twice: 9 % of a Sentinel-2 band."""


@dataclass(frozen=True)
class Survey:
    """What the plan knows of a scene.

    Attributes:
        strips: first and last-plus-one row of tiles, and the bytes to read, of each item.
        radius_m: half the diagonal of a tile in metres.
    """

    strips: tuple[tuple[int, int, int], ...]
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
    count = max(1, min(len(rows), math.ceil(len(rows) * height / STRIP_BYTES)))
    edges = [round(n * len(rows) / count) for n in range(count + 1)]
    strips = tuple((a, b, max(1, (b - a) * height)) for a, b in pairwise(edges))
    return Survey(strips, radius_of(groups, rows[0][0]))


def rows_of(groups: Sequence[Group], settings: TileSettings) -> list[list[Cell]]:
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

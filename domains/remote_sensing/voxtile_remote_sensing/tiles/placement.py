"""Where cells belong: their windows on each grid, footprints, blocks and splits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rasterio.windows import Window

from voxtile.engine.task import Part
from voxtile_remote_sensing.scenes.plausible import metres_per_unit
from voxtile_remote_sensing.scenes.protocol import Grid
from voxtile_remote_sensing.splits.blocks import BlockSplits
from voxtile_remote_sensing.tiles.band_groups import Group
from voxtile_remote_sensing.tiles.footprint import Footprint, footprints
from voxtile_remote_sensing.tiles.grid import Cell, corners_of, window_of


@dataclass(frozen=True)
class Placement:
    """Where a cell belongs.

    Attributes:
        cell: the nominal area.
        windows: of each group, as pixels of its grid.
        outlines: footprint of each group's window.
        subject: the block, or the place where there are no blocks.
        split: None where there are no blocks.
    """

    cell: Cell
    windows: tuple[Window, ...]
    outlines: tuple[Footprint, ...]
    subject: str
    split: str | None


def place_cells(
    groups: Sequence[Group],
    cells: Sequence[Cell],
    splits: BlockSplits | None,
    radius_m: float,
    dropped: list[Part],
) -> list[Placement]:
    """Windows, footprints, blocks and splits of cells.

    Args:
        groups: bands by grid, the finest first.
        cells: of one scene.
        splits: blocks, or None for no splits.
        radius_m: half the diagonal of the largest tile that could lie across a border, in metres.
        dropped: takes the cells that are too near to a block of another split.

    Raises:
        SceneError: a corner has no place on earth.
    """
    placed: list[Placement] = []
    windows = [[window_of(cell, group.grid) for cell in cells] for group in groups]
    outlines = [_outlines(group.grid, found) for group, found in zip(groups, windows, strict=True)]
    for k, cell in enumerate(cells):
        own_windows = tuple(found[k] for found in windows)
        own_outlines = tuple(found[k] for found in outlines)
        if splits is None:
            placed.append(Placement(cell, own_windows, own_outlines, cell.name, None))
            continue
        centre = own_outlines[0].centre
        half_x = max(o.half[0] + _apart(o.centre[0], centre[0]) for o in own_outlines)
        half_y = max(o.half[1] + abs(o.centre[1] - centre[1]) for o in own_outlines)
        block, split = splits.place(centre, (half_x, half_y), radius_m)
        if split is None:
            near = f"lies too near to a block of another split than its own ({splits.split(block)})"
            dropped.append(Part(cell.name, "dropped", "split-buffer", f"{cell.name} {near}"))
            continue
        placed.append(Placement(cell, own_windows, own_outlines, block, split))
    return placed


def _apart(one: float, other: float) -> float:
    """Degrees of longitude between two meridians."""
    return abs((one - other + 180) % 360 - 180)


def _outlines(grid: Grid, windows: Sequence[Window]) -> list[Footprint]:
    corners = np.array([corners_of(window, grid) for window in windows], np.float64).reshape(-1, 4, 2)
    side = max(windows[0].width * grid.pixel_size[0], windows[0].height * grid.pixel_size[1])
    return footprints(corners, grid.crs, side * metres_per_unit(grid.crs))

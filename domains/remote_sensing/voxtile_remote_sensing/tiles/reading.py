"""Reading a scene in file order: whole rows of stored blocks, each once, and tiles out of the last few of them."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from rasterio.windows import Window

from voxtile_remote_sensing.tiles.band_groups import Group, fill_value
from voxtile_remote_sensing.tiles.grid import is_inside, is_within
from voxtile_remote_sensing.tiles.quality import NODATA, Flags, QualityLayers
from voxtile_remote_sensing.tiles.undeclared_nodata import Extreme, extremes

CHUNK_BYTES = 1 << 25
"""Values that one read gives, at least a row of blocks: the next one then takes the same memory, which costs more to
get from the system than to fill."""


@dataclass(frozen=True)
class _Chunk:
    """Rows of a group.

    Attributes:
        top: first row in the grid.
        values: [C, rows, columns].
        flags: [rows, columns].
    """

    top: int
    values: npt.NDArray[Any]
    flags: Flags

    @property
    def bottom(self) -> int:
        """Row after the last."""
        return self.top + len(self.flags)


class GroupReader:
    """Pixels and flags of windows of one group.

    Each row of blocks is read once if windows come from the top to the bottom; in any other order they are right, too.

    Args:
        group: bands on one grid.
        windows: all that will be asked for; what lies outside the grid is filled and flagged as nodata.
        quality: class and flag layers of the scene.

    Attributes:
        undeclared: pixels read so far whose value may mean that nothing was measured, see `extremes`.
    """

    def __init__(self, group: Group, windows: Iterable[Window], quality: QualityLayers) -> None:
        inside = [window for window in windows if is_inside(window, group.grid)]
        rows, columns = group.grid.shape
        self._group = group
        self._quality = quality
        self._rows = (
            max(0, min((w.row_off for w in inside), default=0)),
            min(rows, max((w.row_off + w.height for w in inside), default=0)),
        )
        self._columns = (
            max(0, min((w.col_off for w in inside), default=0)),
            min(columns, max((w.col_off + w.width for w in inside), default=0)),
        )
        self._step = _rows_at_once(group, self._columns[1] - self._columns[0])
        self._chunks: deque[_Chunk] = deque()
        self.undeclared: Counter[Extreme] = Counter()
        self._fill = np.array([fill_value(band, group.dtype) for band in group.bands]).astype(group.dtype)

    def values(self, window: Window) -> npt.NDArray[Any]:
        """Stored values [C, Y, X] of a window, contiguous."""
        out = np.empty((len(self._fill), window.height, window.width), self._fill.dtype)
        if not is_within(window, self._group.grid):
            out[:] = self._fill[:, None, None]
        for chunk, target, source in self._pieces(window):
            out[:, *target] = chunk.values[:, *source]
        return out

    def flags(self, window: Window) -> Flags:
        """Flags [Y, X] of a window."""
        out = np.full((window.height, window.width), NODATA, np.uint8)
        for chunk, target, source in self._pieces(window):
            out[target] = chunk.flags[source]
        return out

    def _pieces(self, window: Window) -> Iterator[tuple[_Chunk, tuple[slice, slice], tuple[slice, slice]]]:
        """Chunks that a window touches, with the place of the common pixels in the window and in the chunk."""
        top, left = window.row_off, window.col_off
        first, last = max(top, self._rows[0]), min(top + window.height, self._rows[1])
        start, stop = max(left, self._columns[0]), min(left + window.width, self._columns[1])
        if last <= first or stop <= start:
            return
        self._load(first, last)
        across = slice(start - left, stop - left), slice(start - self._columns[0], stop - self._columns[0])
        for chunk in self._chunks:
            low, high = max(first, chunk.top), min(last, chunk.bottom)
            if high > low:
                rows = slice(low - top, high - top), slice(low - chunk.top, high - chunk.top)
                yield chunk, (rows[0], across[0]), (rows[1], across[1])

    def _load(self, first: int, last: int) -> None:
        """Have the chunks of some rows at hand, and forget those above."""
        if self._chunks and not self._chunks[0].top <= first <= self._chunks[-1].bottom:
            self._chunks.clear()
        while self._chunks and self._chunks[0].bottom <= first:
            self._chunks.popleft()
        while not self._chunks or self._chunks[-1].bottom < last:
            start = self._chunks[-1].bottom if self._chunks else max(self._rows[0], first - first % self._step)
            self._chunks.append(self._read(start, min(self._rows[1], (start // self._step + 1) * self._step)))

    def _read(self, top: int, bottom: int) -> _Chunk:
        window = Window(self._columns[0], top, self._columns[1] - self._columns[0], bottom - top)
        values, missing = self._group.read(window)
        flags = self._quality.read(self._group.grid, window)
        for empty in (_blank(values, self._group), missing):
            if empty is not None:
                flags = flags | empty.astype(np.uint8) * np.uint8(NODATA)
        self.undeclared += extremes(values, self._group.bands, flags & NODATA == 0)
        return _Chunk(top, values, flags)


def _rows_at_once(group: Group, columns: int) -> int:
    """Rows of a read: whole rows of blocks."""
    row = max(1, columns * len(group.bands) * group.dtype.itemsize)
    return group.block_rows * max(1, math.floor(CHUNK_BYTES / row / group.block_rows))


def _blank(values: npt.NDArray[Any], group: Group) -> npt.NDArray[np.bool_] | None:
    """Pixels [Y, X] in which no band was measured."""
    blank: npt.NDArray[np.bool_] | None = None
    for plane, band in zip(values, group.bands, strict=True):
        empty = _is_nodata(plane, band.nodata)
        if empty is None:
            return None
        blank = empty if blank is None else blank & empty
        if not blank.any():
            return None
    return blank


def _is_nodata(plane: npt.NDArray[Any], nodata: float | None) -> npt.NDArray[np.bool_] | None:
    if plane.dtype.kind in "fc":
        empty: npt.NDArray[np.bool_] = ~np.isfinite(plane)
        return empty if nodata is None else empty | (plane == nodata)
    return None if nodata is None else np.asarray(plane == nodata)


def readers_of(
    groups: Sequence[Group], windows: Sequence[Sequence[Window]], quality: QualityLayers
) -> list[GroupReader]:
    """One reader a group.

    Args:
        groups: bands by grid.
        windows: of each tile, one a group.
        quality: class and flag layers.
    """
    return [GroupReader(group, [own[n] for own in windows], quality) for n, group in enumerate(groups)]

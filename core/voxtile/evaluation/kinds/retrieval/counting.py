"""How many items stand above a limit, and how many at it, exactly, without a matrix of all queries by all items.

Similarities are made in float32, a block at a time, and most of them are far from any limit. Only those within the
rounding error of float32 are made again in float64; the answer is that of float64 rounded to nine decimals. One block
serves both directions: limits of its rows (texts look for images) and of its columns (images look for texts).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from voxtile.evaluation.figures.metrics import Floats, Labels

Integers = npt.NDArray[np.int64]
DECIMALS = 9  # of a cosine in float64: what differs less is the same vector, multiplied in another order
_WIDE = 16_320  # items of the gallery in a block: a multiple of 8 · 255
_LANE = 255  # ones that a byte can count
_CROWDED = 0.02  # share of a block in doubt above which it is made in float64 as a whole


@dataclass(frozen=True)
class Limits:
    """L limits, and what was counted against them so far.

    Attributes:
        line: [L] row (or column) of each, ascending.
        value: [L] rounded to nine decimals.
        copies: how often each item of the other side counts.
        above, level: [L] items above the limit and at it.
    """

    line: Integers
    value: Floats
    copies: Integers
    above: Integers = field(init=False)
    level: Integers = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "above", np.zeros(len(self.line), np.int64))
        object.__setattr__(self, "level", np.zeros(len(self.line), np.int64))

    def rounds(self, lines: slice) -> list[Integers]:
        """Numbers of the limits of some lines, in rounds of at most one a line."""
        first, last = np.searchsorted(self.line, [lines.start, lines.stop])
        numbers = np.arange(first, last)
        if not len(numbers):
            return []
        part = self.line[numbers]
        turn = numbers - first - np.searchsorted(part, part)
        order = np.argsort(turn, kind="stable")
        return np.split(numbers[order], np.flatnonzero(np.diff(turn[order])) + 1)


def count_both(rows: Floats, columns: Floats, of_rows: Limits, of_columns: Limits | None, *, held: int) -> None:
    """Count the items above and at each limit, of rows among all columns and of columns among all rows.

    Args:
        rows: [R, D].
        columns: [C, D].
        of_rows: limits on similarities of single rows; filled in.
        of_columns: likewise of single columns.
        held: similarities held at a time.
    """
    wide = min(len(columns), _WIDE)
    high = max(1, min(len(rows), held // max(1, wide)))
    margin = _error(rows, columns)
    for left in range(0, len(columns), wide):
        across = slice(left, min(left + wide, len(columns)))
        single = columns[across].astype(np.float32, copy=False).T
        for top in range(0, len(rows), high):
            down = slice(top, min(top + high, len(rows)))
            block = _Block(rows, columns, down, across, rows[down].astype(np.float32, copy=False) @ single, margin)
            for numbers in of_rows.rounds(down):
                block.count(of_rows, numbers, axis=1)
            if of_columns is not None:
                for numbers in of_columns.rounds(across):
                    block.count(of_columns, numbers, axis=0)


def _error(rows: Floats, columns: Floats) -> float:
    """A bound of the error of a float32 product of two vectors (Higham 2002, section 3.1), inputs rounded too."""
    longest = [max((float(np.linalg.norm(part[i : i + 4096], axis=1).max()) for i in range(0, len(part), 4096)),
                   default=0.0) for part in (rows, columns)]  # fmt: skip
    return float((rows.shape[1] + 4) * 2.0**-24 * longest[0] * longest[1] + 10.0**-DECIMALS)


class _Block:
    """Similarities of some rows with some columns."""

    def __init__(
        self,
        rows: Floats,
        columns: Floats,
        down: slice,
        across: slice,
        single: npt.NDArray[np.float32],
        margin: float,
    ) -> None:
        self._rows, self._columns, self._single, self._margin = rows[down], columns[across], single, margin
        self._starts = (across.start, down.start)  # of the other side, by axis
        self._spans = (across, down)
        self._double: Floats | None = None

    def count(self, limits: Limits, numbers: Integers, *, axis: int) -> None:
        """Count for limits of different rows (axis 1) or columns (axis 0)."""
        lines = limits.line[numbers] - self._starts[axis == 1]
        copies = limits.copies[self._spans[axis == 0]]
        value = limits.value[numbers]
        part = self._part(self._single, lines, axis)
        sure = part > _along((value + self._margin).astype(np.float32), axis)
        maybe = part >= _along((value - self._margin).astype(np.float32), axis)
        found = _sums(sure, axis)
        doubtful = _sums(maybe, axis) - found
        if doubtful.sum() > _CROWDED * part.size:
            double = self._part(self._whole(), lines, axis)
            limits.above[numbers] += _weighted(double > _along(value, axis), copies, axis)
            limits.level[numbers] += _weighted(double == _along(value, axis), copies, axis)
            return
        limits.above[numbers] += found + _extra(sure, copies, axis)
        busy = np.flatnonzero(doubtful)
        if len(busy):
            doubt = np.take(maybe, busy, axis=1 - axis) & ~np.take(sure, busy, axis=1 - axis)
            self._decide(limits, numbers[busy], lines[busy], copies, doubt, axis)

    def _decide(
        self, limits: Limits, numbers: Integers, lines: Integers, copies: Integers, doubt: Labels, axis: int
    ) -> None:
        """The doubtful pairs again, in float64."""
        down, across = np.divmod(np.flatnonzero(doubt), doubt.shape[1])
        line, item = (down, across) if axis == 1 else (across, down)
        own, others = (self._rows, self._columns) if axis == 1 else (self._columns, self._rows)
        for start in range(0, len(line), _WIDE):
            some = slice(start, start + _WIDE)
            pairs = own[lines[line[some]]].astype(np.float64), others[item[some]].astype(np.float64)
            exact = np.round(np.einsum("nd,nd->n", *pairs), DECIMALS)
            wanted = limits.value[numbers[line[some]]]
            np.add.at(limits.above, numbers[line[some]], copies[item[some]] * (exact > wanted))
            np.add.at(limits.level, numbers[line[some]], copies[item[some]] * (exact == wanted))

    def _whole(self) -> Floats:
        if self._double is None:
            product = self._rows.astype(np.float64, copy=False) @ self._columns.astype(np.float64, copy=False).T
            self._double = np.round(product, DECIMALS)
        return self._double

    def _part(self, block: npt.NDArray[np.floating], lines: Integers, axis: int) -> npt.NDArray[np.floating]:
        size = block.shape[0 if axis == 1 else 1]
        if len(lines) == size:
            return block
        return block[lines] if axis == 1 else block[:, lines]


def _along(values: npt.NDArray[np.floating], axis: int) -> npt.NDArray[np.floating]:
    return values[:, None] if axis == 1 else values[None]


def _sums(mask: Labels, axis: int) -> Integers:
    """Sums of a boolean matrix [R, C] along an axis, several times as fast as NumPy's: bytes are added as bytes."""
    mask = np.ascontiguousarray(mask)
    if axis == 0:
        rows, whole = mask.view(np.uint8), len(mask) // _LANE * _LANE
        groups = np.add.reduce(rows[:whole].reshape(-1, _LANE, mask.shape[1]), axis=1, dtype=np.uint8)
        rest = np.add.reduce(rows[whole:], axis=0, dtype=np.uint8)
        return np.asarray(groups.sum(axis=0, dtype=np.int64) + rest)
    whole = mask.shape[1] // (8 * _LANE) * 8 * _LANE  # eight bytes are added at once
    found = mask[:, whole:].sum(axis=1, dtype=np.int64)
    if whole:
        lanes = np.ascontiguousarray(mask[:, :whole]).view(np.uint64).reshape(len(mask), -1, _LANE)
        found += np.add.reduce(lanes, axis=2).view(np.uint8).reshape(len(mask), -1).sum(axis=1, dtype=np.int64)
    return np.asarray(found)


def _extra(mask: Labels, copies: Integers, axis: int) -> Integers:
    """What items that count more than once (or not at all) add to the plain sums."""
    several = np.flatnonzero(copies != 1)
    if not len(several):
        return np.zeros(mask.shape[1 - axis], np.int64)
    part = np.take(mask, several, axis=axis).astype(np.float64)
    more = (copies[several] - 1).astype(np.float64)
    return np.asarray(part @ more if axis == 1 else more @ part).round().astype(np.int64)


def _weighted(mask: Labels, copies: Integers, axis: int) -> Integers:
    return np.asarray(_sums(mask, axis) + _extra(mask, copies, axis))

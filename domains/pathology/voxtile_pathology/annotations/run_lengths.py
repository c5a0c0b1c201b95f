"""COCO's run-length masks as shapes: the area of the set pixels, exactly, without unpacking the mask.

Source: the COCO data format (https://cocodataset.org/#format-data) and its API's `maskApi`: pixels column by column,
runs of unset and set pixels in turn. A compressed mask writes each run as its difference to the run two before, from
the third on, in groups of five bits from the lowest up; a group is a character from '0' on, its sixth bit says that
another follows, and the last group's fifth bit is the sign.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry import MultiPolygon, Polygon

from voxtile_pathology.annotations.annotation import AnnotationError
from voxtile_pathology.annotations.repair import MAX_COORDINATE, polygonal

Runs = npt.NDArray[np.int64]

_MAX_RUNS = 400_000  # joining takes time with their number: some ten seconds
_FIRST, _BITS, _MORE = 48, 5, 32
_LONGEST = 60  # bits of a run


def mask_shape(segmentation: Mapping[str, Any], what: str) -> Polygon | MultiPolygon:
    """The shape of a run-length mask, in pixels of its image (x, y).

    Args:
        segmentation: `size` (rows, columns) and `counts`: a list of runs, or their compressed text.
        what: the annotation's name in messages.

    Raises:
        AnnotationError: the mask is malformed, empty, or too intricate.
    """
    size, counts = segmentation.get("size"), segmentation.get("counts")
    if not isinstance(size, list) or len(size) != 2 or not all(_is_side(side) for side in size):
        raise AnnotationError(f"{what} is a run-length mask without a size of rows and columns")
    rows, columns = size
    runs = _unpacked(counts, what) if isinstance(counts, str) else _listed(counts, what)
    if len(runs) > _MAX_RUNS:
        raise AnnotationError(f"{what} is a mask of {len(runs)} runs; smooth it, or give polygons")
    if min(runs, default=0) < 0 or sum(runs) != rows * columns:
        raise AnnotationError(f"{what} is a mask of {sum(runs)} pixels, but its size is {rows} x {columns}")
    shape = polygonal(shapely.union_all(shapely.box(*_rectangles(np.array(runs, np.int64), rows))))
    if shape is None:
        raise AnnotationError(f"{what} encloses no area")
    return shape


def _is_side(side: object) -> bool:
    return isinstance(side, int) and not isinstance(side, bool) and 0 < side <= MAX_COORDINATE


def _listed(counts: object, what: str) -> list[int]:
    if not isinstance(counts, list) or not all(isinstance(run, int) for run in counts):
        raise AnnotationError(f"{what} is a mask whose runs are not whole numbers")
    return counts


def _unpacked(text: str, what: str) -> list[int]:
    """Runs of a compressed mask."""
    runs: list[int] = []
    value = shift = 0
    for character in text:
        group = ord(character) - _FIRST
        if not 0 <= group < 2 * _MORE or shift > _LONGEST:
            raise AnnotationError(f"{what} is a compressed mask that is damaged")
        value |= (group & (_MORE - 1)) << shift
        shift += _BITS
        if group & _MORE:
            continue
        if group & (_MORE >> 1):  # the sign
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise AnnotationError(f"{what} is a compressed mask that is cut short")
    return runs


def _rectangles(runs: Runs, rows: int) -> tuple[Runs, Runs, Runs, Runs]:
    """Boxes (x0, y0, x1, y1) that the set runs cover: of each a part of a column, whole columns, a part of a column."""
    ends = np.cumsum(runs)[1::2]
    starts = ends - runs[1::2]
    starts, ends = starts[ends > starts], ends[ends > starts]
    first, last = starts // rows, (ends - 1) // rows
    top, bottom = starts % rows, (ends - 1) % rows + 1
    several = last > first
    head = np.stack([first, top, first + 1, np.where(several, rows, bottom)])
    tail = np.stack([last, np.zeros_like(last), last + 1, bottom])[:, several]
    whole = np.stack([first + 1, np.zeros_like(first), last, np.full_like(first, rows)])[:, last > first + 1]
    x0, y0, x1, y1 = np.concatenate([head, whole, tail], axis=1)
    return x0, y0, x1, y1

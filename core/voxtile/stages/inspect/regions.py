"""Regions of one sample, ready to draw: masks on the sample's own grid, boxes, and measured lines."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtile.corpus.reader import Corpus

# Colours that stay apart for most readers (Okabe and Ito 2008), beginning with those that stand out from grey.
COLOURS = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (204, 121, 167),
    (213, 94, 0),
    (0, 114, 178),
)


@dataclass(frozen=True)
class ShownRegion:
    """One region.

    Attributes:
        phrase: its name.
        colour: (red, green, blue).
        box: (low corner, high corner) in array order, half-open pixel edges, or None.
        mask: bool on the sample's spatial grid, or None.
        lines: measured lines: (label, first end, second end) with the ends in array order.
        facts: what is known of it, in words.
    """

    region_id: str
    phrase: str
    colour: tuple[int, int, int]
    box: tuple[tuple[float, ...], tuple[float, ...]] | None
    mask: npt.NDArray[np.bool_] | None
    lines: tuple[tuple[str, tuple[float, ...], tuple[float, ...]], ...] = ()
    facts: tuple[str, ...] = field(default=())

    @property
    def css(self) -> str:
        """Colour for the page."""
        return "rgb({},{},{})".format(*self.colour)

    @property
    def centre(self) -> tuple[float, ...] | None:
        """Where to cut: through the first measured line, else where most of the mask is, or the middle of the box."""
        if self.lines:
            _, first, second = self.lines[0]
            return tuple((a + b) / 2 for a, b in zip(first, second, strict=True))
        if self.mask is not None and self.mask.any():
            axes = range(self.mask.ndim)
            counts = [self.mask.sum(axis=tuple(a for a in axes if a != axis)) for axis in axes]
            return tuple(float(np.argmax(count)) for count in counts)
        if self.box is not None:
            return tuple((low + high) / 2 for low, high in zip(*self.box, strict=True))
        return None

    @property
    def size(self) -> float:
        """Pixels of the mask, or of the box."""
        if self.mask is not None:
            return float(np.count_nonzero(self.mask))
        return float(np.prod(np.subtract(self.box[1], self.box[0]))) if self.box is not None else 0.0


def shown_regions(
    corpus: Corpus, rows: Sequence[Mapping[str, Any]], facts: Sequence[Mapping[str, Any]], grid: Sequence[int]
) -> list[ShownRegion]:
    """Regions of a sample: those that are themselves a finding first, the larger ones first among each.

    Args:
        corpus: where the masks are.
        rows: of the table `regions`.
        facts: of the sample; those of a region name it, and may hold `ends`, the two ends of what was measured.
        grid: the sample's spatial shape.
    """
    found = [_shown(corpus, row, [f for f in facts if f["region_id"] == row["region_id"]], grid) for row in rows]
    present = {f["concept"].replace("_", " ").lower() for f in facts if f["polarity"] == "present"}
    found.sort(key=lambda region: (region.phrase.lower() not in present, -region.size, region.phrase))
    return [replace(region, colour=COLOURS[place % len(COLOURS)]) for place, region in enumerate(found)]


def _shown(
    corpus: Corpus, row: Mapping[str, Any], facts: Sequence[Mapping[str, Any]], grid: Sequence[int]
) -> ShownRegion:
    box, half = row["box"], len(row["box"] or ()) // 2
    mask = corpus.mask(row)
    lines = []
    for fact in facts:
        ends = json.loads(fact["attributes"] or "{}").get("ends")
        if ends and len(ends) == 2 and len(ends[0]) == len(grid):
            lines.append((_measured(fact), tuple(map(float, ends[0])), tuple(map(float, ends[1]))))
    return ShownRegion(
        row["region_id"],
        str(row["phrase"] or "region"),
        COLOURS[0],
        (tuple(box[:half]), tuple(box[half:])) if box and half == len(grid) else None,
        None if mask is None else _on_grid(mask, grid),
        tuple(lines),
        tuple(_measured(fact) for fact in facts),
    )


def _measured(fact: Mapping[str, Any]) -> str:
    value = "" if fact["value"] is None else f" {fact['value']:,.4g} {fact['unit'] or ''}".rstrip()
    return f"{fact['concept'].replace('_', ' ')}{value}"


def _on_grid(mask: npt.NDArray[Any], grid: Sequence[int]) -> npt.NDArray[np.bool_] | None:
    """A mask on the sample's grid; one on a coarser grid is enlarged, one of another shape left out."""
    found: npt.NDArray[Any] = mask > 0
    if found.ndim != len(grid):
        return None
    for axis, (size, wanted) in enumerate(zip(found.shape, grid, strict=True)):
        if size != wanted:
            found = np.take(found, np.arange(wanted) * size // wanted, axis=axis)
    return np.asarray(found, np.bool_)

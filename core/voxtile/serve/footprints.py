"""Where the samples lie on the ground: their boxes, so that a part of the map asks for what is in it alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voxtile.formats.optional import require
from voxtile.serve.sample_index import Numbers
from voxtile.serve.tables import Tables

_AT_ONCE = 100_000  # rows whose outlines are held


@dataclass(frozen=True)
class Footprints:
    """Boxes round the footprints of a corpus.

    Attributes:
        numbers: [n] of the samples that have a place, in an order by chance that is always the same.
        boxes: [n, 4] west, south, east, north in degrees.
    """

    numbers: Numbers
    boxes: npt.NDArray[np.float32]

    def within(self, west: float, south: float, east: float, north: float) -> Numbers:
        """Numbers of the samples whose box meets another, in the order of `numbers`."""
        w, s, e, n = self.boxes.T
        return np.asarray(self.numbers[(w <= east) & (e >= west) & (s <= north) & (n >= south)])


def footprints_of(tables: Tables) -> Footprints:
    """Those of a corpus.

    Raises:
        MissingExtraError: shapely is not installed.
    """
    shapely = require("shapely", "remote-sensing")
    numbers, boxes = [np.zeros(0, np.int64)], [np.zeros((0, 4), np.float32)]
    query = "SELECT number, geometry FROM stored_samples WHERE geometry IS NOT NULL AND kind <> 'overview'"
    with tables.lent() as connection:
        for batch in connection.sql(query).to_arrow_reader(_AT_ONCE):
            numbers.append(batch["number"].to_numpy().astype(np.int64))
            boxes.append(shapely.bounds(shapely.from_wkb(batch["geometry"].to_pylist())).astype(np.float32))
    found, edges = np.concatenate(numbers), np.concatenate(boxes)
    kept = np.flatnonzero(~np.isnan(edges).any(1))  # an empty outline is nowhere
    order = kept[np.lexsort((found[kept], _shuffled(found[kept])))]
    return Footprints(found[order], edges[order])


def _shuffled(numbers: Numbers) -> npt.NDArray[np.uint64]:
    """A hash of each number: Fibonacci hashing (Knuth, volume 3, section 6.4), whose order is as good as by chance."""
    return numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)

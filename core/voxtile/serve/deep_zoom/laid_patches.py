"""A slide from the patches that the corpus holds of it, laid in their places; from afar its thumbnail."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from voxtile.corpus.source import StoredSample
from voxtile.errors import CorpusError
from voxtile.formats.pictures.picture import rgb_of
from voxtile.serve.deep_zoom.pixels import Box, Picture


class LaidPatches:
    """Patches of one slide as one picture, whose pixel is a patch's own.

    Args:
        rows: of the patches, with `level0_box`.
        open_sample: pixels of a row.
        thumbnail: row of the slide's thumbnail, with the `level0_box` that it covers.
    """

    def __init__(
        self,
        rows: Sequence[Mapping[str, Any]],
        open_sample: Callable[[Mapping[str, Any]], StoredSample],
        thumbnail: Mapping[str, Any] | None,
    ) -> None:
        self._rows, self._open = rows, open_sample
        boxes = np.array([row["level0_box"] for row in rows], np.float64)
        side = float((rows[0].get("shape") or [256, 256])[1])
        self.scale = float((boxes[0, 2] - boxes[0, 0]) / side)
        """Level-0 pixels a pixel of this picture."""
        self._boxes: npt.NDArray[np.int64] = np.rint(boxes / self.scale).astype(np.int64)
        far = self._boxes[:, 2:].max(0)
        self._thumbnail = None if thumbnail is None else rgb_of(open_sample(thumbnail))
        self.downsamples: tuple[float, ...] = (1.0,)
        if thumbnail is not None and self._thumbnail is not None:
            covered = np.array(thumbnail["level0_box"][2:]) / self.scale
            far = np.maximum(far, np.rint(covered).astype(np.int64))
            down = float(covered[0] / self._thumbnail.shape[1])
            self.downsamples = (1.0, down) if down > 1 else (1.0,)
        self.size = (int(far[0]), int(far[1]))

    def read(self, level: int, part: Box) -> Picture:
        """Patches that a box touches; one that cannot be read is left white."""
        x0, y0, x1, y1 = part
        out = np.full((y1 - y0, x1 - x0, 3), 255, np.uint8)
        if level == 1 and self._thumbnail is not None:
            _paste(out, self._thumbnail, (-x0, -y0))
            return out
        lefts, tops, rights, bottoms = self._boxes.T
        touched = (lefts < x1) & (rights > x0) & (tops < y1) & (bottoms > y0)
        for number in np.flatnonzero(touched).tolist():
            left, top, right, bottom = (int(edge) for edge in self._boxes[number])
            try:
                picture = rgb_of(self._open(self._rows[number]))
            except (CorpusError, OSError):
                continue
            if picture.shape[:2] != (bottom - top, right - left):
                picture = np.asarray(Image.fromarray(picture).resize((right - left, bottom - top)))
            _paste(out, picture, (left - x0, top - y0))
        return out

    def close(self) -> None:
        """Nothing is held open."""


def _paste(out: Picture, picture: Picture, corner: tuple[int, int]) -> None:
    """Put a picture with its upper left corner at (x, y); what reaches over the edge is cut."""
    x, y = corner
    rows = slice(max(0, y), min(out.shape[0], y + picture.shape[0]))
    columns = slice(max(0, x), min(out.shape[1], x + picture.shape[1]))
    if rows.start < rows.stop and columns.start < columns.stop:
        out[rows, columns] = picture[rows.start - y : rows.stop - y, columns.start - x : columns.stop - x]

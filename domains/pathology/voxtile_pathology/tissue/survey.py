"""All masks of one slide, and what share of any patch each covers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voxtile_pathology.slides.protocol import Slide
from voxtile_pathology.tissue.mask import Mask, TissueDetector
from voxtile_pathology.tissue.pen_marks import pen_masks
from voxtile_pathology.tissue.quality import fold_mask
from voxtile_pathology.tissue.thumbnail import Thumbnail, read_thumbnail


@dataclass(frozen=True)
class TissueMap:
    """Masks over a slide's thumbnail.

    Attributes:
        thumbnail: the picture they were found on.
        tissue: [Y, X], without what lies under ink; with what cannot be read, so that its patches are tried and named.
        folds: [Y, X], part of the tissue.
        pens: colour of the ink → [Y, X].
    """

    thumbnail: Thumbnail
    tissue: Mask
    folds: Mask
    pens: dict[str, Mask]

    @property
    def pen(self) -> Mask:
        """[Y, X] ink of any colour."""
        ink = np.zeros_like(self.tissue)
        for mask in self.pens.values():
            ink |= mask
        return ink


def map_tissue(slide: Slide, slide_mpp: tuple[float, float], detector: TissueDetector, mpp: float) -> TissueMap:
    """Find tissue, ink and folds.

    Args:
        slide: an open slide.
        slide_mpp: micrometres a pixel of level 0 (x, y).
        detector: finds tissue.
        mpp: scale of the masks in micrometres a pixel.

    Raises:
        SlideError: the slide cannot be read.
    """
    thumbnail = read_thumbnail(slide, slide_mpp, mpp)
    pens = pen_masks(thumbnail.picture, thumbnail.mpp)
    tissue = np.array(detector(thumbnail.picture, thumbnail.mpp), dtype=bool)
    for ink in pens.values():
        tissue &= ~ink
    tissue |= thumbnail.unreadable
    return TissueMap(thumbnail, tissue, fold_mask(thumbnail.picture, tissue, thumbnail.mpp), pens)


class Coverage:
    """Share of boxes that a mask covers, exactly, in constant time a box.

    Args:
        mask: [Y, X] over a slide's level 0.
        factor: level-0 pixels a pixel of the mask (x, y).
    """

    def __init__(self, mask: Mask, factor: tuple[float, float]) -> None:
        self._sums = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1), np.int32)  # a thumbnail has 2^26 pixels at most
        for row, values in enumerate(mask, start=1):
            np.cumsum(values, out=self._sums[row, 1:])
            self._sums[row] += self._sums[row - 1]
        self._factor = factor

    def of(self, boxes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Shares [N] in 0 to 1 of boxes [N, 4] (x0, y0, x1, y1) in level-0 pixels."""
        x0, y0, x1, y1 = (boxes / np.tile(self._factor, 2)).T
        covered = self._at(x1, y1) - self._at(x0, y1) - self._at(x1, y0) + self._at(x0, y0)
        shares: npt.NDArray[np.float64] = np.clip(covered / ((x1 - x0) * (y1 - y0)), 0.0, 1.0)
        return shares

    def _at(self, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Covered area left of x and above y; between the corners of pixels it is bilinear."""
        height, width = self._sums.shape
        x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
        column, row = np.minimum(x.astype(np.int64), width - 2), np.minimum(y.astype(np.int64), height - 2)
        right, down = x - column, y - row
        sums = self._sums
        upper = sums[row, column] * (1 - right) + sums[row, column + 1] * right
        lower = sums[row + 1, column] * (1 - right) + sums[row + 1, column + 1] * right
        area: npt.NDArray[np.float64] = upper * (1 - down) + lower * down
        return area

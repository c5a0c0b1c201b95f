"""Pen marks on a thumbnail, by colour.

In a stain with haematoxylin and eosin both dyes absorb green most, and red least or nearly so: of a pixel's three
values green is the smallest. Ink that is green, blue or black breaks this order, whatever the strength of the stain;
red ink keeps it, and is told from eosin and blood by its hue and depth. Dark pigment counts as black ink.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from voxtile_pathology.slides.protocol import Picture
from voxtile_pathology.tissue.mask import STRIP, Mask, without_specks

_Band = npt.NDArray[np.int16]
_SPECK_MM2 = 0.002  # a thin stroke of 25 × 80 µm; single cells are smaller
_REACH_UM = 16.0  # the edge of a stroke is blended with what is below


def _green(r: _Band, g: _Band, b: _Band) -> Mask:
    return (g - r >= 24) & (g >= b - 12) & (r < 170)


def _blue(r: _Band, g: _Band, b: _Band) -> Mask:
    return (g - r >= 2) & (b - r >= 72) & (b - g >= 12) & (r < 150)


def _black(r: _Band, g: _Band, b: _Band) -> Mask:
    high: _Band = np.maximum(np.maximum(r, g), b)
    low: _Band = np.minimum(np.minimum(r, g), b)
    dark: Mask = (high < 90) & (high - low < 32)
    return dark


def _red(r: _Band, g: _Band, b: _Band) -> Mask:
    # Hue within 15 degrees of red: |g − b| < (max − min) / 4; saturation above 0.6.
    ink: Mask = (r >= 120) & (5 * r >= 13 * np.maximum(g, b)) & (4 * np.abs(g - b) < r - np.minimum(g, b))
    return ink


PENS: Mapping[str, Callable[[_Band, _Band, _Band], Mask]] = {
    "black": _black, "blue": _blue, "green": _green, "red": _red,
}  # fmt: skip


def pen_masks(picture: Picture, mpp: tuple[float, float]) -> dict[str, Mask]:
    """Marks by the colour of the ink; only the colours that occur.

    Args:
        picture: [Y, X, 3] thumbnail.
        mpp: micrometres a pixel (x, y).
    """
    from scipy import ndimage  # late, as in voxtile_pathology.tissue.mask

    inks = {colour: np.zeros(picture.shape[:2], bool) for colour in PENS}
    for top in range(0, len(picture), STRIP):
        red, green, blue = (picture[top : top + STRIP, :, band].astype(np.int16) for band in range(3))
        for colour, is_ink in PENS.items():
            inks[colour][top : top + STRIP] = is_ink(red, green, blue)
    least = _SPECK_MM2 / (mpp[0] * mpp[1] * 1e-6)
    rows, columns = (max(1, round(_REACH_UM / side)) for side in (mpp[1], mpp[0]))
    grown = np.ones((2 * rows + 1, 2 * columns + 1), bool)
    found: dict[str, Mask] = {}
    for colour, ink in inks.items():
        core = without_specks(ink, least)
        if core.any():
            found[colour] = ndimage.binary_dilation(core, grown)
    return found

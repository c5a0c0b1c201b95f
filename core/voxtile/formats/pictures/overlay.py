"""What the model shows of a phrase, as colours over the image: a map by its height, a mask in one tint."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

# Matplotlib's viridis (Smith and van der Walt 2015) at five places: read alike by people who do not see all colours.
_HEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0)
_VIRIDIS = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))
_STRONGEST = 170  # of 255: the image stays to be seen
MASK_COLOUR = (220, 38, 127)
_MASK_STRENGTH = 120


def map_colours(levels: npt.NDArray[np.uint8], top: int) -> npt.NDArray[np.uint8]:
    """[Y, X] levels of 0 to top as [Y, X, 4]: see-through at 0, strongest at the top."""
    shares = np.arange(top + 1) / top
    colours = [np.interp(shares, _HEIGHTS, channel) for channel in zip(*_VIRIDIS, strict=True)]
    table = np.stack([*colours, shares * _STRONGEST], axis=-1).round().astype(np.uint8)
    return np.asarray(table[levels])


def mask_colours(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """[Y, X] as [Y, X, 4]: tinted where it is true, see-through elsewhere."""
    table = np.array([(0, 0, 0, 0), (*MASK_COLOUR, _MASK_STRENGTH)], np.uint8)
    return np.asarray(table[mask.astype(np.uint8)])


def laid_over(pixels: npt.NDArray[np.uint8], overlay: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """[Y, X] or [Y, X, 3] under [Y, X, 4], as [Y, X, 3]."""
    under = (np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels).astype(np.float32)
    strength = overlay[..., 3:].astype(np.float32) / 255
    return np.asarray(under + strength * (overlay[..., :3] - under)).round().astype(np.uint8)

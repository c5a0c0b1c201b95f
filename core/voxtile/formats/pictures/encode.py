"""Pixels as PNG or JPEG."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

_QUICK = 1  # zlib level of PNG: planes are made while one scrolls
_QUALITY = 82


def png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """[Y, X], [Y, X, 3] or [Y, X, 4] as PNG."""
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, "PNG", compress_level=_QUICK)
    return stream.getvalue()


def jpeg(picture: Image.Image) -> bytes:
    """A picture as JPEG."""
    stream = io.BytesIO()
    picture.convert("L" if picture.mode == "L" else "RGB").save(stream, "JPEG", quality=_QUALITY)
    return stream.getvalue()

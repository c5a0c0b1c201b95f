"""Pictures for the page: a sample as people see it, as a data URI."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image

from voxtile.corpus.reference_roots import OutsideCorpusError
from voxtile.corpus.shards.codecs import decode_picture
from voxtile.data.images import CorpusImages

_EDGE = 480  # pixels, the longest edge of a picture
_QUALITY = 80
_PLANE_GAP = 4  # pixels
_CURVE = 120  # pixels, the height of a signal
_BLANK = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="240" height="240"><rect width="240" height="240" fill="#777"/>'
    '<text x="120" y="125" fill="#fff" font-family="sans-serif" font-size="20" text-anchor="middle">not copied</text>'
    "</svg>"
)
NOT_COPIED = "data:image/svg+xml;base64," + base64.b64encode(_BLANK.encode()).decode()
"""In place of a picture that lies outside the corpus; the page says why (`voxtile.corpus.reference_roots`)."""


def picture(images: CorpusImages, uid: str) -> npt.NDArray[np.uint8]:
    """[Y, X] or [Y, X, 3] for people: the stored preview, the picture itself, or planes of the model's input."""
    source = images.source(uid)
    preview = source.preview()
    if preview is not None:
        return decode_picture(preview)
    if source.meta.get("codec") in {"jpg", "png"}:
        return decode_picture(source.encoded())
    return planes(images.image(uid).numpy()[0])


def planes(channel: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """One channel as a picture: [Y, X], or of [Z, Y, X] the middle planes seen from the feet and from the front.

    Of a signal [N] it is the curve, of more dimensions the middle of the first ones.
    """
    low, high = float(channel.min()), float(channel.max())
    if channel.ndim == 1:
        return _curve((channel - low) / max(high - low, 1e-6))
    while channel.ndim > 3:
        channel = channel[len(channel) // 2]
    grey = ((channel - low) * (255 / max(high - low, 1e-6))).astype(np.uint8)
    if grey.ndim == 2:
        return grey
    axial, coronal = grey[grey.shape[0] // 2, ::-1, ::-1], grey[::-1, grey.shape[1] // 2, ::-1]
    height = max(axial.shape[0], coronal.shape[0])
    padded = [np.pad(plane, ((0, height - plane.shape[0]), (0, _PLANE_GAP))) for plane in (axial, coronal)]
    return np.concatenate(padded, axis=1)


def _curve(heights: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Values 0 to 1 [N] as a black line on white, a column each, or the range of those that share one."""
    columns = np.array_split(heights, min(len(heights), _EDGE))
    picture = np.full((_CURVE, len(columns)), 255, np.uint8)
    before = columns[0][0]
    for number, values in enumerate(columns):
        low, high = min(before, values.min()), max(before, values.max())  # the line has no gap where it jumps
        top, bottom = (round((1 - float(value)) * (_CURVE - 1)) for value in (high, low))
        picture[top : bottom + 1, number] = 0
        before = values[-1]
    return picture


def copied(pixels: Callable[[], npt.NDArray[np.uint8]]) -> str:
    """A data URI of what is read now, or `NOT_COPIED` where that lies outside the corpus and the folders allowed.

    Args:
        pixels: reads a picture, [Y, X] or [Y, X, 3].
    """
    try:
        return jpeg_uri(pixels())
    except OutsideCorpusError:
        return NOT_COPIED


def jpeg_uri(pixels: npt.NDArray[np.uint8]) -> str:
    """A JPEG data URI of at most 480 pixels; tiny pictures are enlarged without smoothing, so that pixels show."""
    image = Image.fromarray(pixels)
    scale = _EDGE / max(image.size)
    if scale < 1:
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    elif scale >= 3:
        factor = min(int(scale), 6)
        image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()

"""Flat samples: pictures as they are stored, and arrays of bands as colours."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image

from voxtile.corpus.shards.codecs import decode_picture
from voxtile.corpus.source import StoredSample
from voxtile.errors import ConfigError
from voxtile.formats.display import BandPicture, windows_of
from voxtile.formats.pictures.encode import jpeg, png
from voxtile.formats.pictures.planes import is_volume, plane, volume_windows
from voxtile.formats.pictures.values import axes_of, channel_part, channel_plane, size_along

THUMBNAIL_PX = 256
_ENCODED = ("jpg", "png")
_SEEN_PX = 1024  # of a side: enough to know how bright a scene is
_PERCENTILES = (2, 98)  # black and white of bands without limits of their own
MOST_PX = 100_000_000
"""Pixels of a picture that is sent or decoded whole."""


def whole_picture(source: StoredSample, shown: BandPicture | None = None) -> tuple[bytes, str]:
    """A flat sample as the browser shows it, and its media type.

    Args:
        source: the sample.
        shown: which bands, of a sample that has them; by default the first that the sample offers.

    Raises:
        ConfigError: the sample is a volume, or too large.
        CorpusError: it cannot be read.
    """
    meta = source.meta
    if is_volume(meta):
        raise ConfigError("this sample is a volume; ask for its planes")
    if meta["codec"] in _ENCODED:
        data = source.encoded()
        return data, "image/jpeg" if data[:2] == b"\xff\xd8" else "image/png"
    if meta.get("shape") and size_along(meta, "Y") * size_along(meta, "X") > MOST_PX:
        raise ConfigError(f"this picture has more than {MOST_PX:,} pixels, too many to send at once")
    if shown is not None:
        return png(banded(source, shown)), "image/png"
    return png(_pixels(source)), "image/png"


def thumbnail(source: StoredSample) -> bytes:
    """JPEG of at most 512 × 256 pixels, by the preview where the converter made one.

    Raises:
        CorpusError: the sample cannot be read.
    """
    meta = source.meta
    if meta["codec"] in _ENCODED:
        opened = Image.open(io.BytesIO(source.encoded()), formats=["JPEG", "PNG"])
        opened.draft("RGB", (2 * THUMBNAIL_PX, THUMBNAIL_PX))  # of a large JPEG an eighth is decoded
        found: Image.Image = opened
    elif (stored := source.preview()) is not None:
        found = Image.open(io.BytesIO(stored), formats=["JPEG"])
    elif is_volume(meta):
        found = Image.fromarray(
            np.ascontiguousarray(plane(source, "axial", size_along(meta, "Z") // 2, volume_windows(source)[0]))
        )
    else:
        found = Image.fromarray(_pixels(source))
    found.thumbnail((2 * THUMBNAIL_PX, THUMBNAIL_PX))
    return jpeg(found)


def rgb_of(source: StoredSample) -> npt.NDArray[np.uint8]:
    """[Y, X, 3] of a picture of 8 bits, decoded whole.

    Raises:
        CorpusError: it cannot be read.
    """
    meta = source.meta
    picture = decode_picture(source.encoded()) if meta["codec"] in _ENCODED else _pixels(source)
    return picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)


def _pixels(source: StoredSample) -> npt.NDArray[np.uint8]:
    """[Y, X] or [Y, X, 3] of an array without named bands, or of a referenced file."""
    meta = source.meta
    if not meta.get("axes"):
        return decode_picture(source.encoded())
    if axes_of(meta) == "YXC" and size_along(meta, "C") == 3 and meta.get("dtype") == "uint8":
        return np.asarray(source.array())
    values = channel_plane(source, 0)
    window = windows_of(meta.get("units"), values[np.isfinite(values)])[0]
    return window.grey(np.nan_to_num(values, nan=window.low))


def banded(source: StoredSample, shown: BandPicture) -> npt.NDArray[np.uint8]:
    """[Y, X, 4] of a sample that has bands: see-through where one has no value.

    Raises:
        CorpusError: the sample cannot be read.
    """
    bands = {channel: channel_plane(source, channel) for channel in set(shown.channels)}
    return coloured(shown, [bands[channel] for channel in shown.channels])


Limits: TypeAlias = Sequence[tuple[float, float]]
"""What is black and what is white of each colour."""


def coloured(
    shown: BandPicture, bands: Sequence[npt.NDArray[np.float32]], limits: Limits | None = None
) -> npt.NDArray[np.uint8]:
    """[Y, X, 4] of bands [Y, X] in their units: see-through where one has no value.

    Args:
        shown: what they are shown as.
        bands: in its order.
        limits: what is black and white; by these bands themselves where left out.
    """
    planes = shown.planes(bands)
    seen = np.asarray(np.isfinite(planes).all(axis=0), np.bool_)
    chosen = _limits(planes, seen, shown) if limits is None else limits
    levels = [_stretched(values, *pair) for values, pair in zip(planes, chosen, strict=True)]
    colours = levels * 3 if len(levels) == 1 else levels
    return np.stack([*colours, np.where(seen, 255, 0).astype(np.uint8)], axis=-1)


def limits_of(source: StoredSample, shown: BandPicture) -> Limits:
    """What is black and white over a whole scene, so that all its tiles are shown alike."""
    if stated := shown.stated_limits:
        return stated
    rows, columns = grid_of(source.meta)
    step = max(1, max(rows, columns) // _SEEN_PX)
    parts = []
    for channel in shown.channels:
        lines = [
            channel_part(source, channel, slice(y, y + 1), slice(0, columns))[0, ::step] for y in range(0, rows, step)
        ]
        parts.append(np.stack(lines))
    planes = shown.planes(parts)
    return _limits(planes, np.asarray(np.isfinite(planes).all(axis=0), np.bool_), shown)


def _limits(planes: npt.NDArray[np.float32], seen: npt.NDArray[np.bool_], shown: BandPicture) -> Limits:
    if stated := shown.stated_limits:
        return stated
    found = []
    for values in planes:
        known = values[seen]
        low, high = (float(v) for v in np.percentile(known, _PERCENTILES)) if known.size else (0.0, 1.0)
        found.append((low, high))
    return found


def _stretched(values: npt.NDArray[np.float32], low: float, high: float) -> npt.NDArray[np.uint8]:
    share = (np.nan_to_num(values, nan=low) - low) / max(high - low, 1e-9)
    return np.asarray(np.clip(share, 0, 1) * 255, np.uint8)


def mask_picture(mask: npt.NDArray[Any], grid: Sequence[int], colour: tuple[int, int, int]) -> npt.NDArray[np.uint8]:
    """[Y, X, 4]: a mask on the sample's grid, tinted; see-through elsewhere."""
    found = np.asarray(mask) > 0
    for axis, wanted in enumerate(grid):
        if found.shape[axis] != wanted:
            found = np.take(found, np.arange(wanted) * found.shape[axis] // wanted, axis=axis)
    out = np.zeros((*grid, 4), np.uint8)
    out[found] = (*colour, 110)
    return out


def grid_of(meta: Mapping[str, Any]) -> tuple[int, int]:
    """(rows, columns) of a flat sample."""
    return size_along(meta, "Y"), size_along(meta, "X")

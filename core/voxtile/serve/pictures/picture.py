"""Flat samples: pictures as they are stored, and arrays of bands as colours."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from voxtile.corpus.shards.codecs import decode_picture
from voxtile.corpus.source import StoredSample
from voxtile.errors import ConfigError
from voxtile.formats.display import BandPicture, windows_of
from voxtile.serve.pictures.encode import jpeg, png
from voxtile.serve.pictures.planes import is_volume, plane, volume_windows
from voxtile.serve.pictures.values import axes_of, channel_plane, size_along

THUMBNAIL_PX = 256
_ENCODED = ("jpg", "png")
_MOST_PX = 100_000_000  # of a picture that is sent whole


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
    if meta.get("shape") and size_along(meta, "Y") * size_along(meta, "X") > _MOST_PX:
        raise ConfigError(f"this picture has more than {_MOST_PX:,} pixels, too many to send at once")
    if shown is not None:
        return png(_banded(source, shown)), "image/png"
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


def _banded(source: StoredSample, shown: BandPicture) -> npt.NDArray[np.uint8]:
    """[Y, X, 4]: see-through where a band has no value."""
    bands = {channel: channel_plane(source, channel) for channel in set(shown.channels)}
    planes = shown.planes([bands[channel] for channel in shown.channels])
    seen = np.asarray(np.isfinite(planes).all(axis=0), np.bool_)
    levels = [_stretched(values, seen, shown) for values in planes]
    colours = levels * 3 if len(levels) == 1 else levels
    return np.stack([*colours, np.where(seen, 255, 0).astype(np.uint8)], axis=-1)


def _stretched(
    values: npt.NDArray[np.float32], seen: npt.NDArray[np.bool_], shown: BandPicture
) -> npt.NDArray[np.uint8]:
    low, high = shown.low, shown.high
    if low is None or high is None:
        known = values[seen]
        low, high = (float(v) for v in np.percentile(known, (2, 98))) if known.size else (0.0, 1.0)
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

"""Any sample as a PNG for people: pictures as they are, volumes as three orthogonal slices, bands as RGB."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from voxtile.corpus.shards.codecs import decode_picture
from voxtile.corpus.source import StoredSample
from voxtile.corpus.storage import write_atomically
from voxtile.errors import CorpusError
from voxtile.formats.display import stretch_of
from voxtile.formats.geometry import physical

SUFFIX = ".png"
Pixels = npt.NDArray[np.uint8]
_HU_WINDOW = (-1000.0, 1000.0)
_PERCENTILES = (1.0, 99.0)
_PRIMARIES_NM = (665.0, 560.0, 490.0)  # Sentinel-2 B4, B3, B2 central wavelengths (ESA, Sentinel-2 User Handbook)
_GAP = 4


def write_png(sample: StoredSample, out: Path, window: tuple[float, float] | None = None) -> list[Path]:
    """Write a picture of a sample.

    PNG bytes are copied. Volumes (ZYX near RAS+) show the middle axial, coronal and sagittal slice, the patient's right
    on the viewer's left, pixels square in mm.

    Args:
        sample: any sample.
        out: the file.
        window: (low, high) in the sample's units that become black and white; by default −1,000 to 1,000 HU, the whole
            range for 8 bits, for bands that of their scene where the converter noted it, and else the 1st to the 99th
            percentile.

    Raises:
        CorpusError: the sample has axes that make no picture.
    """
    if sample.meta["codec"] != "b2nd" and not _is_array_reference(sample):
        encoded = sample.encoded()
        write_atomically(out, encoded if encoded.startswith(b"\x89PNG") else _encode(decode_picture(encoded)))
    else:
        write_atomically(out, _encode(render(sample, window)))
    return [out]


def _is_array_reference(sample: StoredSample) -> bool:
    return sample.meta["codec"] == "ref" and sample.meta.get("dtype") not in {None, "uint8"}


def render(sample: StoredSample, window: tuple[float, float] | None = None) -> Pixels:
    """An array as an 8-bit picture [Y, X] or [Y, X, 3], by the rules of `write_png`.

    Args:
        sample: an array.
        window: as for `write_png`.

    Raises:
        CorpusError: the sample has axes that make no picture.
    """
    row = sample.meta
    axes = str(row.get("axes"))
    array = sample.array()
    if axes == "TZYX" or (axes == "CZYX" and len(array)):
        array, axes = array[0], "ZYX"
    if axes == "ZYX":
        return _three_planes(array, row, window)
    if axes == "YX":
        return _windowed(physical(array, row), row, window)
    if axes in {"CYX", "YXC"}:
        bands = array if axes == "CYX" else np.moveaxis(array, -1, 0)
        chosen = _display_bands(row, len(bands))
        planes = [_windowed(physical(bands[band], row, band), row, window or stretch_of(row, band)) for band in chosen]
        return planes[0] if len(planes) == 1 else np.stack(planes, axis=-1)
    raise CorpusError(f"the sample {row['uid']} has axes {axes}, of which no picture can be made; use another format")


def _display_bands(row: Mapping[str, Any], count: int) -> list[int]:
    """Bands for red, green and blue: nearest in wavelength, else the first three; one band is shown in grey."""
    if count < 3:
        return [0]
    lengths = [channel.get("wavelength_nm") for channel in row.get("channels") or []]
    if len(lengths) != count or any(length is None for length in lengths):
        return [0, 1, 2]
    return [int(np.argmin([abs(float(length) - primary) for length in lengths])) for primary in _PRIMARIES_NM]


def _three_planes(array: npt.NDArray[Any], row: Mapping[str, Any], window: tuple[float, float] | None) -> Pixels:
    """[Z, Y, X] → axial | coronal | sagittal, rows from top (front, head) to bottom."""
    z, y, x = (size // 2 for size in array.shape)
    spacing = [float(size) for size in row.get("spacing") or (1.0, 1.0, 1.0)]
    unit = min(spacing)
    values = physical(np.ascontiguousarray(array), row)
    low_high = window or _default_window(values, row)
    slices = (
        (values[z, ::-1, ::-1], spacing[1], spacing[2]),
        (values[::-1, y, ::-1], spacing[0], spacing[2]),
        (values[::-1, ::-1, x], spacing[0], spacing[1]),
    )
    pictures = []
    for plane, row_mm, column_mm in slices:
        height, width = (max(1, round(n * mm / unit)) for n, mm in zip(plane.shape, (row_mm, column_mm), strict=True))
        grey = Image.fromarray(_to_grey(plane, low_high))
        pictures.append(np.asarray(grey.resize((width, height), Image.Resampling.BILINEAR)))
    page = np.zeros((max(p.shape[0] for p in pictures), sum(p.shape[1] + _GAP for p in pictures) - _GAP), np.uint8)
    left = 0
    for picture in pictures:
        page[: picture.shape[0], left : left + picture.shape[1]] = picture
        left += picture.shape[1] + _GAP
    return page


def _windowed(values: npt.NDArray[np.float32], row: Mapping[str, Any], window: tuple[float, float] | None) -> Pixels:
    return _to_grey(values, window or _default_window(values, row))


def _default_window(values: npt.NDArray[np.float32], row: Mapping[str, Any]) -> tuple[float, float]:
    if row.get("units") == "HU":
        return _HU_WINDOW
    if row.get("dtype") == "uint8" and not row.get("channels"):
        return 0.0, 255.0
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, _PERCENTILES) if finite.size else (0.0, 1.0)
    return float(low), float(high)


def _to_grey(values: npt.NDArray[np.float32], window: tuple[float, float]) -> Pixels:
    low, high = window
    scaled = (np.nan_to_num(values, nan=low) - low) / max(high - low, 1e-12)
    grey: Pixels = (np.clip(scaled, 0, 1) * 255 + 0.5).astype(np.uint8)
    return grey


def _encode(pixels: Pixels) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()

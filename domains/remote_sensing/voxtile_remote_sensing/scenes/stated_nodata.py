"""The nodata value as a file states it.

GDAL drops a value that the pixel type cannot hold (`nan` for integers) without a word; whoever wrote it meant
something, so it is looked up here: in TIFF tag 42113 (GDAL_NODATA, an ASCII text) and in a VRT's <NoDataValue>.
"""

from __future__ import annotations

import struct
from pathlib import Path

from voxtile_remote_sensing.scenes.metadata_xml import all_of, parse_xml, text_of
from voxtile_remote_sensing.scenes.tiff_directory import TiffDirectory

TAG = 42113
MAX_TEXT = 64


def stated_nodata(path: Path, driver: str) -> float | None:
    """The first value that the file states; None where it states none, or in a way that is no number.

    Args:
        path: a local file.
        driver: GDAL's driver for it.
    """
    if driver == "VRT":
        bands = all_of(parse_xml(path, where=path.name), "VRTRasterBand")
        return _number(next((t for t in (text_of(band, "NoDataValue") for band in bands) if t), None))
    if driver != "GTiff":
        return None
    try:
        with path.open("rb") as stream:
            text = TiffDirectory(stream).raw(TAG, MAX_TEXT)
        return None if text is None else _number(text.split(b"\x00")[0].decode("ascii", "replace").strip())
    except (struct.error, OSError, ValueError):  # damaged: GDAL will say so on reading
        return None


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None

"""GeoTIFFs and slides whose tags lie: about their width, their place, the size of a pixel, or the next directory."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import rasterio
import tifffile
from rasterio.transform import from_origin

WIDTH, LENGTH = 256, 257
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 12: 8, 16: 8}
_FORMATS = {3: "H", 4: "I", 12: "d"}


def geotiff(path: Path, *, side: int = 256, pixel: float = 10.0, left: float = 600_000.0, **options: object) -> Path:
    """A sound scene of red, green and blue on UTM 32N, named by its descriptions."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(0).integers(1, 200, (3, side, side)).astype(np.uint8)
    profile = {
        "driver": "GTiff", "count": 3, "dtype": "uint8", "height": side, "width": side, "crs": "EPSG:32632",
        "transform": from_origin(left, 5_300_000, pixel, pixel), "tiled": True, "blockxsize": 128, "blockysize": 128,
        "compress": "deflate", **options,
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(values)
        dataset.descriptions = ("red", "green", "blue")
    return path


def _entries(data: bytes) -> dict[int, tuple[int, int, int]]:
    """Tag → (where its entry starts, type, count) of the first directory of a little-endian TIFF (TIFF 6.0, 2)."""
    (first,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, first)
    found = {}
    for at in range(first + 2, first + 2 + 12 * count, 12):
        tag, kind, length = struct.unpack_from("<HHI", data, at)
        found[tag] = (at, kind, length)
    return found


def set_tag(path: Path, tag: int, *values: float) -> None:
    """Overwrite the values of a tag in place."""
    data = bytearray(path.read_bytes())
    at, kind, length = _entries(data)[tag]
    packed = struct.pack(f"<{len(values)}{_FORMATS[kind]}", *values)
    inside = _SIZES[kind] * length <= 4
    start = at + 8 if inside else struct.unpack_from("<I", data, at + 8)[0]
    data[start : start + len(packed)] = packed
    path.write_bytes(data)


def lie_about_width(path: Path, width: int) -> None:
    """The first directory claims `width` columns, while the file holds the blocks of the true one."""
    data = bytearray(path.read_bytes())
    at, _, _ = _entries(data)[WIDTH]
    struct.pack_into("<HII", data, at + 2, 4, 1, width)  # LONG, since a SHORT holds no more than 65,535
    path.write_bytes(data)


def point_to_itself(path: Path) -> None:
    """The first directory names itself as the next one, without end."""
    data = bytearray(path.read_bytes())
    (first,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<I", data, first + 2 + 12 * count, first)
    path.write_bytes(data)


def with_gaps(path: Path, side: int = 512) -> None:
    """A sparse GeoTIFF of 16 blocks, of which one was written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {
        "driver": "GTiff", "count": 3, "dtype": "uint8", "height": side, "width": side, "crs": "EPSG:32632",
        "transform": from_origin(640_000, 5_300_000, 10, 10), "tiled": True, "blockxsize": 128, "blockysize": 128,
        "compress": "deflate", "sparse_ok": True,
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as dataset:
        values = np.random.default_rng(0).integers(1, 200, (3, 128, 128)).astype(np.uint8)
        dataset.write(values, window=((128, 256), (128, 256)))
        dataset.descriptions = ("red", "green", "blue")


def slide(path: Path, *, per_cm: float = 20_000.0, description: str | None = None, side: int = 512) -> Path:
    """A slide of one level, stained all over, with its resolution in the tags or in Aperio's words."""
    pixels = np.clip(np.random.default_rng(0).normal((200, 130, 190), 20, (side, side, 3)), 0, 255).astype(np.uint8)
    tifffile.imwrite(
        path, pixels, tile=(256, 256), photometric="rgb", compression="jpeg", metadata=None, software="x",
        resolution=(per_cm, per_cm), resolutionunit="CENTIMETER", description=description,
    )  # fmt: skip
    return path

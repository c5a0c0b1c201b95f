"""Whether a raster's header can be true of its file, before memory is taken for its pixels."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from rasterio.io import DatasetReader

from voxtile_remote_sensing.scenes.plausible import ImplausibleSceneError
from voxtile_remote_sensing.scenes.protocol import SceneError
from voxtile_remote_sensing.scenes.tiff_directory import block_bytes

MAX_BLOCK_BYTES = 256 << 20
MAX_EXPANSION = 20_000  # an empty 10980² JPEG 2000 band expands about 5,000 times; a header that lies, a million
UNCHECKED_BYTES = 64 << 20  # less than this is read whatever the header claims


def check_size(dataset: DatasetReader, path: str) -> None:
    """Compare what a header claims with what the file holds.

    Args:
        dataset: opened, nothing of it read.
        path: of its file; of what is inside an archive or a VRT only the blocks are looked at.

    Raises:
        SceneError: blocks that are too large, or more pixels than the file can hold.
        ImplausibleSceneError: a GeoTIFF lists fewer blocks than its size needs.
    """
    name = Path(path).name
    rows, columns = dataset.block_shapes[0]
    itemsize = max(np.dtype(d).itemsize for d in types_of(dataset))
    if rows * columns * itemsize > MAX_BLOCK_BYTES:
        raise SceneError(
            f"{name}: the header claims blocks of {rows}×{columns} pixels, more than {MAX_BLOCK_BYTES >> 20} MiB each; "
            f"write it tiled with gdal_translate -co TILED=YES"
        )
    if path.startswith("/vsi") or dataset.driver == "VRT":
        return
    if dataset.driver == "GTiff":
        _check_blocks(dataset, path)
    claimed = math.prod(dataset.shape) * dataset.count * itemsize
    held = Path(path).stat().st_size
    if dataset.driver == "ENVI":
        _check_raw(dataset, path, held)
    if claimed > UNCHECKED_BYTES and claimed > held * MAX_EXPANSION:
        raise SceneError(
            f"{name}: the header claims {dataset.height}×{dataset.width} pixels in {dataset.count} bands "
            f"({claimed / 2**30:,.0f} GiB), but the file has only {held:,} bytes; copy it again from its source"
        )


def _check_raw(dataset: DatasetReader, path: str, held: int) -> None:
    """Raw values: GDAL reads zeros where the file has ended."""
    tags = dataset.tags(ns="ENVI")
    start = tags.get("header_offset", "")
    needed = sum(np.dtype(d).itemsize for d in types_of(dataset)) * math.prod(dataset.shape)
    if tags.get("file_compression", "0") == "0" and held < needed + (int(start) if start.isdecimal() else 0):
        raise SceneError(
            f"{Path(path).name}: the header says {dataset.height}×{dataset.width} pixels in {dataset.count} bands, "
            f"{needed:,} bytes, but the file has only {held:,}; copy it again from its source"
        )


def _check_blocks(dataset: DatasetReader, path: str) -> None:
    """Compare the blocks that the file lists with those that its size needs: a width that lies shows here."""
    listed = block_bytes(Path(path))
    rows, columns = dataset.block_shapes[0]
    needed = math.ceil(dataset.height / rows) * math.ceil(dataset.width / columns)
    if listed is not None and len(listed) < needed:
        raise ImplausibleSceneError(
            "implausible-size",
            f"{Path(path).name}: the header claims {dataset.height}×{dataset.width} pixels in {needed:,} blocks of "
            f"{rows}×{columns}, but the file lists {len(listed):,}; copy it again from its source",
        )


def types_of(dataset: DatasetReader) -> tuple[str, ...]:
    """Types as pixels are read: numpy has none for complex integers."""
    return tuple("complex64" if str(d) == "complex_int16" else str(d) for d in dataset.dtypes)

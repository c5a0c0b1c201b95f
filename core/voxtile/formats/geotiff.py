"""A georeferenced tile as GeoTIFF: stored values unchanged, scale, offset, nodata and band names in its metadata."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from voxtile.corpus.shards.codecs import decode_picture
from voxtile.corpus.source import StoredSample
from voxtile.corpus.storage import write_atomically
from voxtile.errors import CorpusError
from voxtile.formats.geometry import channel_nodata, channel_scaling
from voxtile.formats.optional import require

if TYPE_CHECKING:
    from rasterio.io import DatasetWriter

SUFFIX = ".tif"
_TRANSFORM_NUMBERS = 6
_WKT = re.compile(r"\s*\w+\s*\[")
_READ = re.compile(r"\s*(?:[/\\{.~]|file:|dict:)|.*://", re.IGNORECASE | re.DOTALL)


def write_geotiff(sample: StoredSample, out: Path) -> list[Path]:
    """Write a tile.

    Args:
        sample: a picture, or an array with axes YX, CYX or YXC, whose row states `crs` and `transform`.
        out: the file.

    Raises:
        CorpusError: the sample has no place on Earth, or other axes.
        MissingExtraError: rasterio is not installed.
    """
    rasterio = require("rasterio", "remote-sensing")
    row = sample.meta
    if not row.get("crs") or len(row.get("transform") or ()) != _TRANSFORM_NUMBERS:
        raise CorpusError(
            f"the sample {row['uid']} has no crs and transform, so no place on Earth; use --to png or nifti"
        )
    bands = _bands(sample)
    profile = {"driver": "GTiff", "count": len(bands), "height": bands.shape[1], "width": bands.shape[2]}
    try:
        # Its mask inside the file: beside it, it would be lost.
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.MemoryFile() as memory:
            place = {"crs": checked_crs(row["crs"]), "transform": rasterio.Affine(*row["transform"])}
            with memory.open(**profile, **place, dtype=bands.dtype.name, compress="deflate") as file:
                file.write(bands)
                file.scales, file.offsets = zip(*(channel_scaling(row, i) for i in range(len(bands))), strict=True)
                for number, channel in enumerate((row.get("channels") or [])[: len(bands)], start=1):
                    file.set_band_description(number, channel.get("name") or "")
                    file.set_band_unit(number, channel.get("unit") or "")
                _write_nodata(file, row, bands)
            content = bytes(memory.read())
        with rasterio.MemoryFile(content) as memory, memory.open() as written:
            if written.crs is None:  # GDAL writes what GeoTIFF has no words for beside the file
                raise CorpusError(
                    f"the sample {row['uid']} cannot be a GeoTIFF, which has no words for its coordinate system (of a "
                    "pole that was moved, for example); use --to png or nifti"
                )
    except (rasterio.errors.RasterioError, rasterio.errors.CRSError, TypeError) as error:
        raise CorpusError(f"the sample {row['uid']} cannot be a GeoTIFF: {error}; use --to png") from error
    write_atomically(out, content)
    return [out]


def _write_nodata(file: DatasetWriter, row: Mapping[str, Any], bands: npt.NDArray[Any]) -> None:
    """One value for all bands as GeoTIFF has it; where they differ, a mask of where no band was measured."""
    values = [channel_nodata(row, number) for number in range(len(bands))]
    if len(set(values)) == 1:
        file.nodata = values[0]
        return
    empty = np.ones(bands.shape[1:], bool)
    for number, (band, value) in enumerate(zip(bands, values, strict=True), start=1):
        empty &= np.isnan(band) if value is None and band.dtype.kind == "f" else band == value
        if value is not None:
            file.update_tags(number, nodata=f"{value:.17g}")
    file.write_mask(~empty)


def checked_crs(text: str) -> str:
    """A coordinate reference system that a corpus or a file names, by a code, a name, as WKT or PROJ.

    An address GDAL (`OSRSetFromUserInput`) asks, a path it reads.

    Raises:
        CorpusError: it is an address, a path, or JSON, which may hold one.
    """
    if _WKT.match(text) is None and (_READ.match(text) or os.path.exists(text)):
        raise CorpusError(f"'{text[:60]}' is not a coordinate reference system; write e.g. EPSG:32632")
    return text


def _bands(sample: StoredSample) -> npt.NDArray[Any]:
    """Values as [C, Y, X], in a type that GeoTIFF has."""
    row = sample.meta
    axes = str(row.get("axes"))
    array = sample.array() if row["codec"] == "b2nd" else decode_picture(sample.encoded())
    if axes not in {"YX", "CYX", "YXC"}:
        raise CorpusError(f"the sample {row['uid']} has axes {axes} and is no map; use --to nifti or png")
    if axes == "YX":
        array = array[None]
    elif axes == "YXC":
        array = np.moveaxis(array, -1, 0)
    if array.dtype in (np.dtype(bool), np.dtype(np.float16)):
        array = array.astype(np.uint8 if array.dtype == bool else np.float32)
    return np.ascontiguousarray(array)

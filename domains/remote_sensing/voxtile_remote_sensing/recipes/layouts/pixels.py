"""Pixels of recipes: encoded pictures as they are, 8-bit TIFFs as PNG, and stacks of bands named by the registry."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from rasterio.errors import RasterioError

from voxtile.corpus.records import Row
from voxtile.corpus.shards.codecs import MAX_PICTURE_PIXELS
from voxtile.errors import InputError
from voxtile.stages.ingest.picture import PictureError, read_picture, scale_to_8_bit
from voxtile_remote_sensing.bands.registry import Band
from voxtile_remote_sensing.recipes.dataset import Pixels
from voxtile_remote_sensing.scenes.protocol import SceneOptions
from voxtile_remote_sensing.scenes.raster import open_raster

_TIFF = (b"II*\x00", b"MM\x00*")


def picture_pixels(data: bytes) -> Pixels:
    """An encoded picture; JPEG and 8-bit PNG stay as they are, an 8-bit TIFF becomes a PNG with the same pixels.

    Raises:
        PictureError: it cannot be stored; the reason names why.
    """
    picture = read_picture(tiff_as_png(data) if data.startswith(_TIFF) else data)
    return Pixels(picture.payload, picture.columns(), picture.preview)


def tiff_as_png(data: bytes) -> bytes:
    """The first page of an 8-bit grey or RGB TIFF as PNG.

    Raises:
        PictureError: it is damaged, too large, or of another kind.
    """
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data), formats=["TIFF"]) as image:
            if image.width * image.height > MAX_PICTURE_PIXELS:
                raise PictureError("too-large", f"the TIFF has {image.width} × {image.height} pixels; tile it first")
            if image.mode not in ("L", "RGB"):
                raise PictureError("bit-depth", f"the TIFF has the mode {image.mode}; only 8-bit grey and RGB are read")
            out = io.BytesIO()
            image.save(out, "PNG")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        text = " ".join(str(error).split())[:200]
        raise PictureError("decode-error", f"the TIFF does not decode ({text}); replace the file") from error
    return out.getvalue()


def band_row(bands: Sequence[Band], *, units: str | None = None) -> Row:
    """Columns for an array [C, Y, X] of named bands, each with the scale that makes its values physical.

    Args:
        bands: in the order of the array.
        units: unit where the stored values are no physical ones (8-bit renderings).
    """
    channels = [
        {
            "name": band.name,
            "wavelength_nm": band.wavelength_nm,
            "unit": units or band.unit,
            "scale": 1.0 if units else band.scale,
            "offset": 0.0 if units else band.offset,
        }
        for band in bands
    ]
    return {"kind": "tile", "axes": "CYX", "channels": channels, "units": units or bands[0].unit}


def read_raster(path: Path) -> tuple[npt.NDArray[Any], Row]:
    """All bands [C, Y, X] of a small raster, and its place: crs, transform, bounds, gsd_m where they are known.

    Raises:
        InputError: it is damaged, or larger than a tile should be.
    """
    try:
        with open_raster(str(path), path.parent, SceneOptions()) as dataset:
            if dataset.width * dataset.height * dataset.count > MAX_PICTURE_PIXELS:
                raise InputError(f"'{path.name}' has {dataset.count} × {dataset.height} × {dataset.width} values")
            array = dataset.read()
            row: Row = {}
            if dataset.crs is not None:
                code = dataset.crs.to_epsg()
                row = {
                    "crs": f"EPSG:{code}" if code else dataset.crs.to_wkt(),
                    "transform": list(dataset.transform)[:6],
                    "bounds": list(dataset.bounds),
                }
                if dataset.crs.is_projected:
                    row["gsd_m"] = float(abs(dataset.transform.a) * dataset.crs.linear_units_factor[1])
    except RasterioError as error:
        raise InputError(f"'{path.name}' is damaged ({' '.join(str(error).split())}); copy it again") from error
    return array, row


def colour_preview(array: npt.NDArray[Any], bands: Sequence[Band]) -> npt.NDArray[np.uint8]:
    """A picture of a band stack [C, Y, X] for people: red, green and blue by name, or the first band."""
    names = [band.common_name for band in bands]
    if all(name in names for name in ("red", "green", "blue")):
        chosen = [names.index(name) for name in ("red", "green", "blue")]
        return scale_to_8_bit(np.moveaxis(array[chosen].astype(np.float32), 0, -1))
    return scale_to_8_bit(array[0].astype(np.float32))


def enlarge(array: npt.NDArray[Any], shape: tuple[int, int]) -> npt.NDArray[Any]:
    """Repeat the pixels of [Y, X] so that it has a multiple of its shape; nothing is interpolated.

    Raises:
        InputError: the shape is no multiple.
    """
    rows, columns = shape[0] // array.shape[0], shape[1] // array.shape[1]
    if (array.shape[0] * rows, array.shape[1] * columns) != shape:
        raise InputError(
            f"a band of {array.shape[0]} × {array.shape[1]} pixels does not fit into {shape[0]} × {shape[1]}"
        )
    return np.kron(array, np.ones((rows, columns), array.dtype)) if (rows, columns) != (1, 1) else array

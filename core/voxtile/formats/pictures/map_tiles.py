"""Scenes as map tiles: warped to the web's Mercator, with nothing where there is no value.

Source: OGC Two Dimensional Tile Matrix Set 2.0, annex D.1, WebMercatorQuad: 2^z tiles a side over ± 20,037,508.34 m of
EPSG:3857, counted from the upper left.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from voxtile.corpus.source import StoredSample
from voxtile.errors import ConfigError
from voxtile.formats.display import BandPicture
from voxtile.formats.geotiff import checked_crs
from voxtile.formats.optional import require
from voxtile.formats.pictures.picture import coloured, grid_of, limits_of, rgb_of
from voxtile.formats.pictures.values import axes_of, channel_part

if TYPE_CHECKING:
    from rasterio.transform import Affine

TILE = 256
_HALF = 20_037_508.342789244
_MERCATOR = "EPSG:3857"
_FARTHEST = 24  # zoom; a pixel is 9 mm
_MOST_SIDE = 4096  # pixels of the scene that are warped for a tile; of larger windows every nth pixel is

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class MapExtent:
    """Where a scene lies.

    Attributes:
        bounds: west, south, east, north in degrees.
        nearest: zoom at which a pixel of a tile is about a pixel of the scene.
    """

    bounds: tuple[float, float, float, float]
    nearest: int


def extent_of(meta: Mapping[str, Any]) -> MapExtent:
    """Where a sample lies on the web's maps.

    Raises:
        ConfigError: it has no place on the ground.
        MissingExtraError: rasterio is not installed.
    """
    transform, crs = _placed(meta)
    warp = require("rasterio.warp", "remote-sensing")
    rows, columns = grid_of(meta)
    corners = [transform @ corner for corner in ((0, 0), (columns, 0), (0, rows), (columns, rows))]
    xs, ys = zip(*corners, strict=True)
    box = (min(xs), min(ys), max(xs), max(ys))
    west, south, east, north = warp.transform_bounds(crs, "EPSG:4326", *box)
    left, _, right, _ = warp.transform_bounds(crs, _MERCATOR, *box)
    step = max(abs(right - left) / max(columns, 1), 1e-3)  # metres of the map a pixel
    zoom = math.ceil(math.log2(2 * _HALF / TILE / step))
    return MapExtent((west, south, east, north), min(max(zoom, 0), _FARTHEST))


def map_tile(
    source: StoredSample, shown: BandPicture | None, zoom: int, x: int, y: int
) -> npt.NDArray[np.uint8] | None:
    """[256, 256, 4] of a scene; None where the tile lies beside it.

    Args:
        source: a sample with a coordinate reference system.
        shown: which bands, of a sample that has them.
        zoom: of the tile.
        x: its column, from the west.
        y: its row, from the north.

    Raises:
        ConfigError: there is no such tile, or the sample has no place on the ground.
        CorpusError: it cannot be read.
        MissingExtraError: rasterio is not installed.
    """
    if not (0 <= zoom <= _FARTHEST and 0 <= x < 1 << zoom and 0 <= y < 1 << zoom):
        raise ConfigError(f"there is no tile {zoom}/{x}/{y}; zooms are 0 to {_FARTHEST}")
    transform, crs = _placed(source.meta)
    side = 2 * _HALF / (1 << zoom)
    left, top = -_HALF + x * side, _HALF - y * side
    box = _window(source.meta, transform, crs, (left, top - side, left + side, top))
    if box is None:
        return None
    (top_row, bottom_row), (left_column, right_column) = box
    step = max(1, math.ceil(max(bottom_row - top_row, right_column - left_column) / _MOST_SIDE))
    part = slice(top_row, bottom_row), slice(left_column, right_column)
    affine = require("rasterio", "remote-sensing").Affine
    own = transform @ affine.translation(left_column, top_row) @ affine.scale(step)
    target = affine(side / TILE, 0.0, left, 0.0, -side / TILE, top)
    if shown is None:
        return _warped_picture(source, part, step, own, crs, target)
    bands = [channel_part(source, channel, *part)[::step, ::step] for channel in shown.channels]
    values = [_warped(band, own, crs, target) for band in bands]
    return coloured(shown, values, limits_of(source, shown))


def _warped_picture(
    source: StoredSample, part: tuple[slice, slice], step: int, own: Affine, crs: str, target: Affine
) -> npt.NDArray[np.uint8]:
    """Of a picture of 8 bits."""
    if axes_of(source.meta) not in ("YX", "YXC"):
        raise ConfigError("this sample is no picture; name its bands")
    picture = rgb_of(source)[part][::step, ::step].astype(np.float32)
    planes = [_warped(picture[..., channel], own, crs, target) for channel in range(3)]
    seen = np.isfinite(planes[0])
    colours = [np.nan_to_num(plane).clip(0, 255).round().astype(np.uint8) for plane in planes]
    return np.stack([*colours, np.where(seen, 255, 0).astype(np.uint8)], axis=-1)


def _warped(values: Floats, own: Affine, crs: str, target: Affine) -> Floats:
    """[256, 256]; NaN where the scene has no value. The nearest pixel: no value is made that was not measured."""
    warp = require("rasterio.warp", "remote-sensing")
    out = np.full((TILE, TILE), np.nan, np.float32)
    warp.reproject(
        np.ascontiguousarray(values), out, src_transform=own, src_crs=crs, dst_transform=target, dst_crs=_MERCATOR,
        src_nodata=np.nan, dst_nodata=np.nan, resampling=warp.Resampling.nearest,
    )  # fmt: skip
    return out


def _window(
    meta: Mapping[str, Any], transform: Affine, crs: str, box: tuple[float, float, float, float]
) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Rows and columns of the scene that a box of the map can show, with a pixel more on each side."""
    warp = require("rasterio.warp", "remote-sensing")
    rasterio = require("rasterio", "remote-sensing")
    try:
        west, south, east, north = warp.transform_bounds(_MERCATOR, crs, *box, densify_pts=21)
    except rasterio.errors.RasterioError:  # beyond where the scene's system is defined
        return None
    if not all(math.isfinite(edge) for edge in (west, south, east, north)):
        return None
    back = ~transform
    corners = [back @ corner for corner in ((west, south), (west, north), (east, south), (east, north))]
    columns, rows = zip(*corners, strict=True)
    found = []
    for places, size in ((rows, grid_of(meta)[0]), (columns, grid_of(meta)[1])):
        low, high = max(0, math.floor(min(places)) - 1), min(size, math.ceil(max(places)) + 1)
        if low >= high:
            return None
        found.append((low, high))
    return found[0], found[1]


def _placed(meta: Mapping[str, Any]) -> tuple[Affine, str]:
    transform, crs = meta.get("transform"), meta.get("crs")
    if not crs or not transform or "Z" in axes_of(meta):
        raise ConfigError("this sample has no coordinate reference system; it has no place on a map")
    found: Affine = require("rasterio", "remote-sensing").Affine(*transform)
    return found, checked_crs(str(crs))

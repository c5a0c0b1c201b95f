"""Which pixels are usable: cloud, cloud shadow, snow and nodata out of the products' own class and flag layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
from rasterio.enums import Resampling
from rasterio.windows import Window

from voxtile_remote_sensing.scenes.protocol import Grid, Scene, SceneError, SceneMask
from voxtile_remote_sensing.tiles.warping import source_window, warp

Flags = npt.NDArray[np.uint8]

NODATA, CLOUD, SHADOW, SNOW = 1, 2, 4, 8
NAMES: Mapping[int, str] = {CLOUD: "cloud", SHADOW: "cloud shadow", SNOW: "snow", NODATA: "nodata"}
CLOUD_PERCENT = 40  # s2cloudless: its authors' threshold; also used on Sen2Cor's MSK_CLDPRB
SNOW_PERCENT = 50
_PROBABILITY_NODATA = 255


def flags_of(kind: str, values: npt.NDArray[np.generic]) -> Flags:
    """Decode a class or flag layer.

    Args:
        kind: as in `SceneMask`.
        values: stored values [Y, X].

    Returns:
        [Y, X] of NODATA | CLOUD | SHADOW | SNOW.

    Raises:
        SceneError: nobody knows this kind.
    """
    if kind not in _DECODERS:
        raise SceneError(f"no rule reads masks of kind '{kind}'; there are: {', '.join(_DECODERS)}")
    return _DECODERS[kind](np.asarray(values))


class QualityLayers:
    """The class and flag layers of a scene, on the grid of any of its groups.

    Args:
        scene: an open scene.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene = scene

    @property
    def source(self) -> str:
        """Names of the layers, for the `source` of masks; empty where there are none."""
        return "+".join(mask.name for mask in self._scene.masks)

    def read(self, grid: Grid, window: Window) -> Flags:
        """Flags of a window inside a grid; classes are taken from the nearest pixel and never averaged."""
        flags = np.zeros((window.height, window.width), np.uint8)
        for mask in self._scene.masks:
            covering = source_window(grid, window, mask.grid)
            if covering is None:
                continue
            found = flags_of(mask.kind, self._scene.read_mask(mask, covering))
            flags |= _placed(found, mask, covering, grid, window)
        return flags


def _placed(found: Flags, mask: SceneMask, covering: Window, grid: Grid, window: Window) -> Flags:
    if mask.grid == grid:
        top, left = window.row_off - covering.row_off, window.col_off - covering.col_off
        return found[top : top + window.height, left : left + window.width]
    if mask.grid.crs == grid.crs and mask.grid.is_north_up and grid.is_north_up:
        rows = _nearest(mask.grid.transform.e, mask.grid.transform.f, grid.transform.e, grid.transform.f,
                        window.row_off, window.height, covering.row_off, covering.height)  # fmt: skip
        columns = _nearest(mask.grid.transform.a, mask.grid.transform.c, grid.transform.a, grid.transform.c,
                           window.col_off, window.width, covering.col_off, covering.width)  # fmt: skip
        return found[np.ix_(rows, columns)]
    placed = np.zeros((window.height, window.width), np.uint8)
    warp(found, mask.grid, covering, placed, grid, window, Resampling.nearest, nodata=None)
    return placed


def _nearest(
    mask_step: float, mask_start: float, step: float, start: float, first: int, count: int, offset: int, limit: int
) -> npt.NDArray[np.int64]:
    """Index of the mask's pixel under the centre of each of `count` pixels."""
    centres = start + step * (first + np.arange(count) + 0.5)
    index = np.floor((centres - mask_start) / mask_step + 1e-6).astype(np.int64) - offset
    nearest: npt.NDArray[np.int64] = np.clip(index, 0, limit - 1)
    return nearest


def _scl(values: npt.NDArray[np.generic]) -> Flags:
    """Sen2Cor's scene classification (S2 PSD 14.9, section 3.4)."""
    table = np.zeros(256, np.uint8)
    table[[0, 1]] = NODATA  # no data, saturated or defective
    table[3] = SHADOW
    table[[8, 9, 10]] = CLOUD  # medium and high probability, thin cirrus
    table[11] = SNOW
    return table[values.astype(np.uint8)]


def _qa_pixel(values: npt.NDArray[np.generic]) -> Flags:
    """Landsat Collection 2 (USGS LSDS-1619): bits 0 fill, 1 dilated cloud, 2 cirrus, 3 cloud, 4 shadow, 5 snow."""
    bits = values.astype(np.uint32)
    return _where((bits & 1, NODATA), (bits & 0b1110, CLOUD), (bits & 0b1_0000, SHADOW), (bits & 0b10_0000, SNOW))


def _bqa(values: npt.NDArray[np.generic]) -> Flags:
    """Landsat Collection 1 (USGS LSDS-1656): bits 0 fill, 4 cloud; 7, 9, 11 confidence of shadow, snow, cirrus.

    Confidences have two bits; 3 is high.
    """
    bits = values.astype(np.uint32)
    cloud = (bits >> 4 & 1) | (bits >> 11 & 3 == 3)
    return _where((bits & 1, NODATA), (cloud, CLOUD), (bits >> 7 & 3 == 3, SHADOW), (bits >> 9 & 3 == 3, SNOW))


def _bqa_pre_collection(values: npt.NDArray[np.generic]) -> Flags:
    """Landsat 8 before Collection 1 (USGS, Landsat 8 Pre-Collection Quality Assessment Band): bit 0 fill.

    Confidence of snow in bits 10-11, of cirrus in 12-13, of cloud in 14-15; 3 is high. There is no cloud shadow.
    """
    bits = values.astype(np.uint32)
    cloud = (bits >> 14 & 3 == 3) | (bits >> 12 & 3 == 3)
    return _where((bits & 1, NODATA), (cloud, CLOUD), (bits >> 10 & 3 == 3, SNOW))


def _pixel_qa(values: npt.NDArray[np.generic]) -> Flags:
    """Landsat Collection 1 surface reflectance (USGS LSDS-1368): bits 0 fill, 3 shadow, 4 snow, 5 cloud; 8-9 cirrus."""
    bits = values.astype(np.uint32)
    cloud = (bits >> 5 & 1) | (bits >> 8 & 3 == 3)
    return _where((bits & 1, NODATA), (cloud, CLOUD), (bits >> 3 & 1, SHADOW), (bits >> 4 & 1, SNOW))


def _fmask(values: npt.NDArray[np.generic]) -> Flags:
    """Fmask (Zhu and Woodcock 2012): 0 land, 1 water, 2 cloud shadow, 3 snow, 4 cloud, 255 no observation."""
    table = np.zeros(256, np.uint8)
    table[2], table[3], table[4], table[255] = SHADOW, SNOW, CLOUD, NODATA
    return table[values.astype(np.uint8)]


def _udm(values: npt.NDArray[np.generic]) -> Flags:
    """Planet's unusable data mask: bit 0 blackfill, bit 1 cloud, others a band that is missing or suspect."""
    bits = values.astype(np.uint32)
    return _where((bits & ~np.uint32(2), NODATA), (bits & 2, CLOUD))


def _udm2(values: npt.NDArray[np.generic]) -> Flags:
    """Planet's UDM2, band 1: 1 where the pixel is clear; what is not clear counts as cloud."""
    return _where((values == 0, CLOUD))


def _valid(values: npt.NDArray[np.generic]) -> Flags:
    return _where((values == 0, NODATA))


def _cloud(values: npt.NDArray[np.generic]) -> Flags:
    return _where((values != 0, CLOUD))


def _cloud_shadow(values: npt.NDArray[np.generic]) -> Flags:
    return _where((values != 0, SHADOW))


def _snow(values: npt.NDArray[np.generic]) -> Flags:
    return _where((values != 0, SNOW))


def _cloud_probability(values: npt.NDArray[np.generic]) -> Flags:
    return _where((_percent(values) >= CLOUD_PERCENT, CLOUD))


def _snow_probability(values: npt.NDArray[np.generic]) -> Flags:
    return _where((_percent(values) >= SNOW_PERCENT, SNOW))


def _percent(values: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    """Integers are per cent, floats are shares; 255 and NaN are unknown and count as clear."""
    if values.dtype.kind == "f":
        return np.nan_to_num(100 * values.astype(np.float32))
    percent = values.astype(np.float32)
    percent[percent == _PROBABILITY_NODATA] = 0
    return percent


def _where(*pairs: tuple[npt.NDArray[np.generic], int]) -> Flags:
    flags = np.zeros(pairs[0][0].shape, np.uint8)
    for condition, flag in pairs:
        flags[condition.astype(bool)] |= flag
    return flags


_DECODERS: Mapping[str, Callable[[npt.NDArray[np.generic]], Flags]] = {
    "SCL": _scl,
    "QA_PIXEL": _qa_pixel,
    "BQA": _bqa,
    "BQA-pre-collection": _bqa_pre_collection,
    "pixel_qa": _pixel_qa,
    "fmask": _fmask,
    "UDM": _udm,
    "UDM2": _udm2,
    "cloud_probability": _cloud_probability,
    "snow_probability": _snow_probability,
    "cloud": _cloud,
    "cloud_shadow": _cloud_shadow,
    "snow": _snow,
    "valid": _valid,
}

"""What a scene is: descriptors that travel to workers, and the open scene that reads pixels.

Arrays are [C, Y, X] for bands and [Y, X] for masks, in the file's own integers; windows are rasterio windows in pixels
of the band's own grid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from affine import Affine
from rasterio.crs import CRS
from rasterio.windows import Window

from voxtile.closing import Closing
from voxtile.errors import ConfigError, InputError
from voxtile_remote_sensing.bands.registry import Band, choose_band


class SceneError(InputError):
    """A scene cannot be used as it is."""


@dataclass(frozen=True)
class SceneOptions:
    """What a reader may do, and what it cannot know from the files.

    Attributes:
        outside: files may lie outside the input folder (VRT sources, STAC hrefs, symbolic links).
        network: hrefs may point to the network.
        sidecar: a sidecar YAML for files that have none of their own.
        calibration: sigma0, beta0 or gamma0 by the annotation of Sentinel-1 GRD, or none for the stored numbers.
    """

    outside: bool = False
    network: bool = False
    sidecar: Path | None = None
    calibration: str = "sigma0"


@dataclass(frozen=True)
class SceneRef:
    """Where a scene lies; small, picklable, made from file names and never from pixels.

    Attributes:
        id: name for the ledger and the tiles: the path relative to the input folder, with `#part` where one product
            holds several scenes.
        reader: name of the reader that found it.
        root: the input folder.
        path: the scene's file or folder, relative to `root`, with forward slashes.
        files: the files it is made of, relative to `root`, sorted.
        nbytes: their size together.
        part: granule, subdataset or item inside `path`; empty where there is one.
        options: as given to `find_scenes`.
    """

    id: str
    reader: str
    root: Path
    path: str
    files: tuple[str, ...]
    nbytes: int = 0
    part: str = ""
    options: SceneOptions = SceneOptions()

    @property
    def location(self) -> Path:
        """The scene's file or folder on this machine."""
        return self.root / self.path


@dataclass(frozen=True)
class Grid:
    """Where pixels lie on the ground.

    Attributes:
        crs: coordinate reference system; never None.
        transform: pixel (column, row) → coordinates of the pixel's upper left corner; rotation and shear are kept.
        shape: rows, columns.
    """

    crs: CRS
    transform: Affine
    shape: tuple[int, int]

    @property
    def crs_text(self) -> str:
        """`EPSG:32632` where the system has a code, WKT otherwise."""
        code = self.crs.to_epsg()
        return f"EPSG:{code}" if code else str(self.crs.to_wkt())

    @property
    def pixel_size(self) -> tuple[float, float]:
        """Width and height of a pixel in units of the crs, also where the transform is rotated."""
        a, b, _, d, e, _ = tuple(self.transform)[:6]
        return float(np.hypot(a, d)), float(np.hypot(b, e))

    @property
    def is_north_up(self) -> bool:
        """Columns run east and rows run south."""
        a, b, _, d, e, _ = tuple(self.transform)[:6]
        return bool(b == 0 and d == 0 and a > 0 and e < 0)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, bottom, right, top of all corners, in the crs."""
        rows, columns = self.shape
        a, b, c, d, e, f = tuple(self.transform)[:6]
        corners = ((0, 0), (columns, 0), (0, rows), (columns, rows))
        xs = [a * x + b * y + c for x, y in corners]
        ys = [d * x + e * y + f for x, y in corners]
        return min(xs), min(ys), max(xs), max(ys)


MASK = 0


@dataclass(frozen=True)
class Layer:
    """Where one band's pixels are stored.

    Attributes:
        path: file or store, absolute.
        index: band in the file, from 1; `MASK` is the file's own mask of what was measured.
        variable: of a NetCDF, HDF5 or Zarr store, or the calibration that is applied on reading; empty for rasters
            that are read as they are.
    """

    path: str
    index: int = 1
    variable: str = ""


@dataclass(frozen=True)
class SceneBand:
    """One band of a scene: what it measures, where its pixels are and what they mean.

    Attributes:
        band: name, wavelength, and the scale, offset, nodata and unit that hold for this scene.
        layer: where the pixels are stored.
        grid: where they lie on the ground.
        dtype: of the stored values.
        block: rows and columns that the file stores together; reading in multiples of it is fastest.
    """

    band: Band
    layer: Layer
    grid: Grid
    dtype: str
    block: tuple[int, int]

    @property
    def name(self) -> str:
        """The band's name."""
        return self.band.name

    @property
    def scale(self) -> float:
        """Physical = stored · scale + offset."""
        return self.band.scale

    @property
    def offset(self) -> float:
        """As above."""
        return self.band.offset

    @property
    def nodata(self) -> float | None:
        """Stored value of pixels that were not measured."""
        return self.band.nodata

    @property
    def crs(self) -> CRS:
        """Of the grid."""
        return self.grid.crs

    @property
    def transform(self) -> Affine:
        """Of the grid."""
        return self.grid.transform

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the grid."""
        return self.grid.shape

    def channel(self) -> dict[str, Any]:
        """The band's row of the corpus's channel table."""
        return {
            "name": self.band.name,
            "wavelength_nm": self.band.wavelength_nm,
            "unit": self.band.unit,
            "scale": self.band.scale,
            "offset": self.band.offset,
        }


@dataclass(frozen=True)
class SceneMask:
    """A layer of classes or flags that says which pixels are usable.

    Attributes:
        name: as in the product, e.g. `SCL`.
        kind: how to read it: SCL, QA_PIXEL, BQA, BQA-pre-collection, pixel_qa, cloud_probability, snow_probability,
            UDM2, UDM, fmask, cloud, cloud_shadow, snow or valid.
        layer: where the pixels are stored.
        grid: where they lie on the ground.
        dtype: of the stored values.
        nodata: stored value of pixels without a class.
        block: rows and columns stored together.
    """

    name: str
    kind: str
    layer: Layer
    grid: Grid
    dtype: str
    nodata: float | None
    block: tuple[int, int]


@dataclass(frozen=True)
class MissingBand:
    """A band that the scene should have and lacks.

    Attributes:
        band: which.
        reason: a sentence for people.
        required: the scene is refused unless other bands are asked for by name. One that nobody downloaded is left out
            and noted in the ledger instead.
        what: band, or mask for a class or flag layer, without which nobody knows the clouds.
    """

    band: Band
    reason: str
    required: bool = True
    what: Literal["band", "mask"] = "band"


class PixelSource(Protocol):
    """Reads stored values; opened in the process that reads, and closed there."""

    def read(self, layers: Sequence[Layer], window: Window) -> npt.NDArray[Any]:
        """Stored values [C, Y, X] of layers that share one grid."""

    def close(self) -> None:
        """Close what was opened."""


@runtime_checkable
class GappyPixels(Protocol):
    """Pixels of files that may lack a part of them."""

    def absent(self, layers: Sequence[Layer], window: Window) -> npt.NDArray[np.bool_] | None:
        """Where [Y, X] nothing is stored in any of the layers; None where all is."""


@dataclass
class Scene(Closing):
    """An open scene.

    Attributes:
        ref: what it was opened from.
        sensor: name in the band registry, e.g. `sentinel-2-msi`; `unknown` where nobody says.
        modality: MSI, HSI, SAR or RGB.
        product: processing level, e.g. `L2A`.
        platform: spacecraft or aircraft, e.g. `S2B`; None where unknown.
        datetime: of the acquisition, ISO 8601 in UTC; None where unknown.
        bands: what can be read, in the sensor's order.
        masks: cloud and quality layers.
        missing: bands that the scene should have and lacks.
        attributes: acquisition facts that may go into a sample's `attributes` (tile, orbit, sun elevation, baseline).
        licence: of the data; None where unknown.
        pixels: reads them.
    """

    ref: SceneRef
    sensor: str
    modality: str
    product: str
    platform: str | None
    datetime: str | None
    bands: tuple[SceneBand, ...]
    pixels: PixelSource = field(repr=False)
    masks: tuple[SceneMask, ...] = ()
    missing: tuple[MissingBand, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    licence: str | None = None

    @property
    def id(self) -> str:
        """The scene's name."""
        return self.ref.id

    def band(self, name: str) -> SceneBand:
        """One band by name, alias or STAC common name.

        Raises:
            SceneError: the scene lacks it; the sentence says why or lists what there is.
        """
        for lost in (m for m in self.missing if m.what == "band"):
            if lost.band.is_called(name) or lost.band.common_name == name.lower():
                raise SceneError(f"{self.id}: {lost.reason}")
        try:
            chosen = choose_band((b.band for b in self.bands), name, where=f"scene '{self.id}'")
        except ConfigError as error:
            raise SceneError(str(error)) from error
        return next(b for b in self.bands if b.name == chosen.name)

    def select(self, names: Sequence[str] | None = None) -> tuple[SceneBand, ...]:
        """Bands by name in the order asked for; all of them for None.

        Raises:
            SceneError: one is missing or unknown; with None, any band that the scene should have.
        """
        if names is None:
            lost = next((m for m in self.missing if m.required), None)
            if lost is not None:
                raise SceneError(f"{self.id}: {lost.reason}")
            return self.bands
        return tuple(self.band(name) for name in names)

    def absent(self, bands: Sequence[SceneBand], window: Window) -> npt.NDArray[np.bool_] | None:
        """Where [Y, X] of a window inside the grid nothing is stored of any of the bands; None where all is."""
        if not isinstance(self.pixels, GappyPixels):
            return None
        return self.pixels.absent([band.layer for band in bands], window)

    def read(self, bands: Sequence[SceneBand | str], window: Window | None = None) -> npt.NDArray[Any]:
        """Stored values [C, Y, X] of bands on one grid.

        Args:
            bands: bands or their names; all on the same grid.
            window: in pixels of that grid, inside it; None reads all.

        Raises:
            SceneError: the bands lie on different grids, the window leaves the grid, or the file is damaged.
        """
        chosen = [self.band(b) if isinstance(b, str) else b for b in bands]
        if len({b.grid for b in chosen}) != 1:
            raise SceneError(
                f"{self.id}: bands {', '.join(b.name for b in chosen)} lie on different grids; read each grid by itself"
            )
        return self.pixels.read([b.layer for b in chosen], self._inside(chosen[0].grid, window))

    def read_mask(self, mask: SceneMask | str, window: Window | None = None) -> npt.NDArray[Any]:
        """Stored values [Y, X] of a mask layer.

        Raises:
            SceneError: no such mask, the window leaves the grid, or the file is damaged.
        """
        chosen = self.mask(mask) if isinstance(mask, str) else mask
        return np.asarray(self.pixels.read([chosen.layer], self._inside(chosen.grid, window))[0])

    def mask(self, name: str) -> SceneMask:
        """A mask layer by name or kind.

        Raises:
            SceneError: there is none.
        """
        for mask in self.masks:
            if name in (mask.name, mask.kind):
                return mask
        raise SceneError(f"{self.id}: no mask '{name}'; there are: {', '.join(m.name for m in self.masks) or 'none'}")

    def grids(self) -> dict[Grid, tuple[SceneBand, ...]]:
        """Bands by the grid they lie on, the finest grid first."""
        groups: dict[Grid, list[SceneBand]] = {}
        for band in self.bands:
            groups.setdefault(band.grid, []).append(band)
        ordered = sorted(groups.items(), key=lambda item: item[0].pixel_size)
        return {grid: tuple(bands) for grid, bands in ordered}

    def close(self) -> None:
        """Close the files."""
        self.pixels.close()

    def _inside(self, grid: Grid, window: Window | None) -> Window:
        rows, columns = grid.shape
        if window is None:
            return Window(0, 0, columns, rows)
        column, row, width, height = (round(v) for v in window.flatten())
        if column < 0 or row < 0 or width < 1 or height < 1 or column + width > columns or row + height > rows:
            raise SceneError(
                f"{self.id}: the window at row {row}, column {column} of {height}×{width} pixels leaves the grid of "
                f"{rows}×{columns}; cut it to the scene first"
            )
        return Window(column, row, width, height)

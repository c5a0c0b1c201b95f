"""Rasters that GDAL reads (GeoTIFF, JPEG 2000, VRT, ENVI): a checked header, and pixels by window."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rasterio._err import CPLE_BaseError
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from voxtile_remote_sensing.bands.registry import Band
from voxtile_remote_sensing.scenes.access import fenced_gdal, opened
from voxtile_remote_sensing.scenes.protocol import MASK, Grid, Layer, SceneBand, SceneError, SceneMask, SceneOptions
from voxtile_remote_sensing.scenes.raster_size import check_size, types_of
from voxtile_remote_sensing.scenes.stated_nodata import stated_nodata
from voxtile_remote_sensing.scenes.tiff_directory import block_bytes


@dataclass(frozen=True)
class RasterHeader:
    """What a file says of itself, checked before any pixel is read.

    Attributes:
        path: the file, absolute.
        driver: of GDAL.
        grid: None where the file has no coordinate reference system or no transform.
        shape: rows, columns.
        dtypes: of each band.
        nodata: of each band.
        descriptions: of each band; empty text where there is none.
        scales: of each band, as GDAL tells; 1 where nothing is said.
        offsets: of each band.
        units: of each band.
        colours: colour interpretation of each band.
        block: rows and columns stored together.
        photometric: TIFF's photometric interpretation or colour space, lower case; empty where unknown.
        tags: the file's own.
        gcps: ground control points and their system, for images that are not on a map grid.
        has_mask: the file has a mask of its own beside its bands (inside a TIFF, or as `.msk`).
        has_crs: its coordinate reference system is known, whether it has a transform or not.
    """

    path: str
    driver: str
    grid: Grid | None
    shape: tuple[int, int]
    dtypes: tuple[str, ...]
    nodata: tuple[float | None, ...]
    descriptions: tuple[str, ...]
    scales: tuple[float, ...]
    offsets: tuple[float, ...]
    units: tuple[str, ...]
    colours: tuple[ColorInterp, ...]
    block: tuple[int, int]
    photometric: str
    tags: Mapping[str, str]
    gcps: tuple[GroundControlPoint, ...] = ()
    gcp_crs: CRS | None = None
    has_mask: bool = False
    has_crs: bool = False

    def on_ground(self, where: str) -> Grid:
        """The grid.

        Raises:
            SceneError: the file has no coordinate reference system, or no transform.
        """
        if self.grid is None:
            lost = "coordinate reference system; state it with 'crs: EPSG:…' in a sidecar YAML or gdal_edit.py -a_srs"
            if self.gcps:
                lost = "map grid but ground control points; bring it onto one with gdalwarp -t_srs EPSG:… IN OUT"
            elif self.has_crs:
                lost = "transform that places it; put its world file beside it, or use gdal_edit.py -a_ullr"
            raise SceneError(f"{where}: the file has no {lost}")
        return self.grid

    def band(self, band: Band, index: int = 1, *, grid: Grid | None = None) -> SceneBand:
        """A scene's band from one band of the file (from 1).

        Raises:
            SceneError: no coordinate reference system, or the file has fewer bands.
        """
        where = Path(self.path).name
        if not 1 <= index <= len(self.dtypes):
            raise SceneError(f"{where}: band {index} is asked for, but the file has {len(self.dtypes)}")
        check_nodata(band.nodata, self.dtypes[index - 1], where)
        return SceneBand(
            band, Layer(self.path, index), grid or self.on_ground(where), self.dtypes[index - 1], self.block
        )

    def mask(self, name: str, kind: str, index: int = 1, *, nodata: float | None = None) -> SceneMask:
        """A scene's mask layer from one band of the file (from 1).

        Raises:
            SceneError: no coordinate reference system, or the file has fewer bands.
        """
        where = Path(self.path).name
        if not 1 <= index <= len(self.dtypes):
            raise SceneError(f"{where}: band {index} is asked for, but the file has {len(self.dtypes)}")
        layer = Layer(self.path, index)
        return SceneMask(name, kind, layer, self.on_ground(where), self.dtypes[index - 1], nodata, self.block)

    def own_masks(self, used: Collection[int]) -> tuple[SceneMask, ...]:
        """What the file itself says of where it was measured: its mask, or an alpha band that is none of those used.

        Args:
            used: bands from 1; writers call the fourth of four bytes alpha, which may be the near infrared.
        """
        if self.has_mask:
            return (replace(self.mask("mask", "valid"), layer=Layer(self.path, MASK), dtype="uint8"),)
        alphas = [n for n, colour in enumerate(self.colours, start=1) if colour == ColorInterp.alpha and n not in used]
        return tuple(self.mask("alpha", "valid", n) for n in alphas[:1])


def check_integers(band: Band, dtype: npt.DTypeLike, where: str, how: str) -> None:
    """Refuse a sensor's scale, which is for the product's integers, where a file has floats and states none.

    Args:
        band: as the registry has it.
        dtype: of the file's values.
        where: what is read.
        how: where a scale is stated.

    Raises:
        SceneError: nothing says whether the scale is applied already.
    """
    if np.dtype(dtype).kind == "f" and (band.scale, band.offset) != (1.0, 0.0):
        raise SceneError(
            f"{where}: band {band.name} holds {dtype}, and the sensor's scale of {band.scale:g} is for integers; "
            f"state {how}: 1 where values are {band.unit} already, {band.scale:g} where they are the product's "
            "numbers, with the offset"
        )


def check_nodata(nodata: float | None, dtype: str, where: str) -> None:
    """Refuse a nodata value that integers cannot hold.

    Raises:
        SceneError: NaN, a fraction or a number out of range for an integer type.
    """
    kind = np.dtype(dtype)
    if nodata is None or kind.kind not in "iu":
        return
    limits = np.iinfo(kind)
    if not math.isfinite(nodata) or nodata != int(nodata) or not limits.min <= nodata <= limits.max:
        raise SceneError(
            f"{where}: nodata is {nodata}, which {dtype} values cannot be; state the right one with 'nodata: …' "
            f"(or 'nodata: null') in a sidecar YAML, or with gdal_edit.py -a_nodata"
        )


def read_header(path: str, root: Path, options: SceneOptions, *, crs: CRS | None = None) -> RasterHeader:
    """Open a file, check its header and close it.

    Args:
        path: the file.
        root: the input folder.
        options: what is allowed.
        crs: to use where the file has none.

    Raises:
        SceneError: the file is missing, damaged, outside the input folder, or its header claims more than it can hold.
    """
    with open_raster(path, root, options) as dataset:
        check_size(dataset, path)
        try:
            return _header(dataset, path, crs)
        except UnicodeDecodeError as error:
            raise SceneError(
                f"{Path(path).name}: what it calls its bands is no text in UTF-8; write it again with gdal_translate"
            ) from error
        except CPLE_BaseError as error:  # an address for a coordinate system among others, which GDAL does not ask
            raise SceneError(
                f"{Path(path).name}: what it says of itself, or the .aux.xml beside it, cannot be read; write it again "
                "with gdal_translate"
            ) from error


def _header(dataset: DatasetReader, path: str, crs: CRS | None) -> RasterHeader:
    known = dataset.crs or crs
    placed = known is not None and not dataset.transform.is_identity
    grid = Grid(known, dataset.transform, dataset.shape) if placed else None
    gcps, gcp_crs = dataset.gcps
    return RasterHeader(
        path=path,
        driver=dataset.driver,
        grid=grid,
        shape=dataset.shape,
        dtypes=types_of(dataset),
        nodata=_nodata(dataset, path),
        descriptions=tuple((text or "").strip() for text in dataset.descriptions),
        scales=tuple(dataset.scales),
        offsets=tuple(dataset.offsets),
        units=tuple((text or "").strip() for text in dataset.units),
        colours=tuple(dataset.colorinterp),
        block=dataset.block_shapes[0],
        photometric=str(dataset.photometric.value if dataset.photometric else "").lower(),
        tags=dict(dataset.tags()),
        gcps=tuple(gcps),
        gcp_crs=gcp_crs,
        has_crs=known is not None,
        has_mask=any(flags == [MaskFlags.per_dataset] for flags in dataset.mask_flag_enums),
    )


@contextmanager
def open_raster(path: str, root: Path, options: SceneOptions) -> Iterator[DatasetReader]:
    """A dataset, opened with the one driver that fits its content, closed at the end.

    Raises:
        SceneError: it cannot be opened.
    """
    dataset = _open(path, root, options)
    try:
        yield dataset
    finally:
        dataset.close()


@dataclass
class RasterPixels:
    """Pixels of GDAL rasters; files stay open until `close`.

    Attributes:
        root: the input folder.
        options: what is allowed.
    """

    root: Path
    options: SceneOptions
    _open: dict[str, DatasetReader] = field(default_factory=dict, repr=False)
    _gaps: dict[str, bool] = field(default_factory=dict, repr=False)

    def read(self, layers: Sequence[Layer], window: Window) -> npt.NDArray[Any]:
        """Stored values [C, Y, X]; each file is read once for all its layers.

        Raises:
            SceneError: a file is damaged.
        """
        paths = list(dict.fromkeys(layer.path for layer in layers))
        if len(paths) == 1:
            return self._read(paths[0], [layer.index for layer in layers], window)
        parts = {path: [n for n, layer in enumerate(layers) if layer.path == path] for path in paths}
        arrays = {path: self._read(path, [layers[n].index for n in own], window) for path, own in parts.items()}
        dtype = np.result_type(*(a.dtype for a in arrays.values()))
        out = np.empty((len(layers), *next(iter(arrays.values())).shape[1:]), dtype)
        for path, own in parts.items():
            out[own] = arrays[path]
        return out

    def absent(self, layers: Sequence[Layer], window: Window) -> npt.NDArray[np.bool_] | None:
        """Where [Y, X] no layer has a block in its file; None where there are all.

        GDAL gives zeros for the pixels of a block that was never written, which look like values.
        """
        absent: npt.NDArray[np.bool_] | None = None
        for layer in layers:
            own = self._absent(layer, window)
            if own is None:
                return None
            absent = own if absent is None else absent & own
        return absent

    def _absent(self, layer: Layer, window: Window) -> npt.NDArray[np.bool_] | None:
        dataset = self._dataset(layer.path)
        if layer.path not in self._gaps:
            self._gaps[layer.path] = _has_gaps(dataset, layer.path)
        if not self._gaps[layer.path]:
            return None
        rows, columns = dataset.block_shapes[layer.index - 1]
        absent = np.zeros((window.height, window.width), bool)
        for i in range(window.row_off // rows, -(-(window.row_off + window.height) // rows)):
            for j in range(window.col_off // columns, -(-(window.col_off + window.width) // columns)):
                if dataset.get_tag_item(f"BLOCK_OFFSET_{j}_{i}", "TIFF", bidx=layer.index) is None:
                    top, left = i * rows - window.row_off, j * columns - window.col_off
                    absent[max(0, top) : max(0, top + rows), max(0, left) : max(0, left + columns)] = True
        return absent if absent.any() else None

    def close(self) -> None:
        """Close the files."""
        for dataset in self._open.values():
            dataset.close()
        self._open.clear()

    def _read(self, path: str, indexes: list[int], window: Window) -> npt.NDArray[Any]:
        dataset = self._dataset(path)
        try:
            with fenced_gdal(self.options):
                if indexes == [MASK]:
                    mask: npt.NDArray[Any] = dataset.dataset_mask(window=window)
                    return mask[None]
                array: npt.NDArray[Any] = dataset.read(indexes, window=window)
        except (RasterioError, OSError) as error:
            raise SceneError(
                f"{_relative(path, self.root)}: the pixels at row {window.row_off}, column {window.col_off} cannot be "
                f"read, so the file is truncated or damaged; copy it again from its source"
            ) from error
        return array

    def _dataset(self, path: str) -> DatasetReader:
        if path not in self._open:
            self._open[path] = _open(path, self.root, self.options)
        return self._open[path]


def _open(path: str, root: Path, options: SceneOptions) -> DatasetReader:
    try:
        return opened(path, root, options)
    except (RasterioError, OSError) as error:
        raise SceneError(
            f"{_relative(path, root)}: the file is truncated or damaged and cannot be opened; copy it again from its "
            f"source"
        ) from error


def _nodata(dataset: DatasetReader, path: str) -> tuple[float | None, ...]:
    """GDAL's values; where it has none for integers, what the file states all the same."""
    values: tuple[float | None, ...] = tuple(dataset.nodatavals)
    integers = all(np.dtype(d).kind in "iu" for d in types_of(dataset))
    if any(v is not None for v in values) or not integers or path.startswith("/vsi"):
        return values
    return (stated_nodata(Path(path), dataset.driver),) * int(dataset.count)


def _has_gaps(dataset: DatasetReader, path: str) -> bool:
    """Blocks of a GeoTIFF were never written (SPARSE_OK), so that their pixels are not data."""
    if dataset.driver != "GTiff" or path.startswith("/vsi"):
        return False
    listed = block_bytes(Path(path))
    return listed is not None and not listed.all()


def _relative(path: str, root: Path) -> str:
    try:
        return Path(path).relative_to(root).as_posix()
    except ValueError:
        return Path(path).name

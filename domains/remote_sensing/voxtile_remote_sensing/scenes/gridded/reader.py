"""NetCDF and Zarr through xarray and rioxarray: each time step of a dataset is one scene.

Variables on two spatial axes are bands; a third axis is named by its labels, its wavelengths or a sidecar. Rows run
south in what is read, whatever the file's order. Stored integers stay as they are; CF's scale_factor and add_offset go
to the channel table (CF Conventions 1.11, section 8.1).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import rioxarray  # noqa: F401  (adds the .rio accessor)
import xarray as xr
from rasterio.windows import Window

from voxtile.errors import ConfigError
from voxtile_remote_sensing.bands.registry import Band, load_sensor, modality_of
from voxtile_remote_sensing.scenes.access import check_inside
from voxtile_remote_sensing.scenes.gridded.axes import Axes, find_axes
from voxtile_remote_sensing.scenes.gridded.measured import Limits, beyond, stored_range, stored_type
from voxtile_remote_sensing.scenes.gridded.safety import check_hdf5, check_zarr
from voxtile_remote_sensing.scenes.gridded.times import check_times, moment_of, number_of_times
from voxtile_remote_sensing.scenes.listing import Found, Listing
from voxtile_remote_sensing.scenes.protocol import Layer, Scene, SceneBand, SceneError, SceneRef
from voxtile_remote_sensing.scenes.raster import check_integers, check_nodata
from voxtile_remote_sensing.scenes.raster_size import MAX_BLOCK_BYTES
from voxtile_remote_sensing.scenes.sidecar import Sidecar, sidecar_of, sidecar_of_scene

SUFFIXES = (".nc", ".nc4", ".cdf")
NANOMETRES = {"nm": 1.0, "nanometer": 1.0, "nanometre": 1.0, "nanometers": 1.0, "um": 1e3, "µm": 1e3, "micrometer": 1e3}


class GriddedReader:
    """A NetCDF file or Zarr store; one scene a time step."""

    name = "gridded"

    def find(self, listing: Listing) -> Found:
        """`*.nc` files and `*.zarr` folders; what cannot be opened here is reported when it is opened as a scene."""
        refs, taken = [], set()
        for path, files in _datasets(listing).items():
            sidecar = sidecar_of(path, listing.sizes, None)
            used = files if sidecar is None else [*files, sidecar]
            taken |= set(files)
            first = listing.ref(self.name, path, used)
            try:
                with opened(first) as dataset:
                    times = number_of_times(dataset)
            except SceneError:
                times = 0
            parts = [""] if times < 2 else [f"{n:05d}" for n in range(times)]
            refs += [listing.ref(self.name, path, used, part=part) for part in parts]
        return Found(tuple(refs), frozenset(taken))

    def open(self, ref: SceneRef) -> Scene:
        """Open one time step.

        Raises:
            SceneError: damaged, unsafe, without regular axes, or with bands that nobody names.
        """
        sidecar = sidecar_of_scene(ref)
        step = int(ref.part or 0)
        with opened(ref) as dataset:
            axes = find_axes(dataset, ref.id, crs=sidecar.crs)
            bands = tuple(_bands(ref, dataset, axes, sidecar))
            limits = {
                band.layer: Limits(*ends, band.nodata)
                for band in bands
                if (ends := stored_range(dataset[band.layer.variable])) is not None and band.nodata is not None
            }
            moment = moment_of(dataset, step)
            attributes = {
                key: str(dataset.attrs[key]) for key in ("title", "source", "Conventions") if key in dataset.attrs
            }
            platform = dataset.attrs.get("platform")
        if not bands:
            raise SceneError(f"{ref.id}: no variable lies on the axes {axes.y} and {axes.x}; is the data in a group?")
        sensor = load_sensor(sidecar.sensor) if sidecar.sensor else None
        return Scene(
            ref=ref,
            sensor=sidecar.sensor or "unknown",
            modality=sidecar.modality
            or (sensor.modality if sensor else modality_of((b.band for b in bands), (b.dtype for b in bands))),
            product=sidecar.product or "",
            platform=sidecar.platform or (None if platform is None else str(platform)),
            datetime=sidecar.datetime or moment,
            bands=bands,
            pixels=GriddedPixels(ref, axes, step, limits),
            attributes=attributes,
            licence=sidecar.licence or (sensor.licence if sensor else None),
        )


@dataclass
class GriddedPixels:
    """Pixels of an xarray dataset, read lazily.

    Attributes:
        ref: the scene.
        axes: names and order of the axes.
        step: index on the time axis.
        limits: values that count as measured, of layers that state them.
    """

    ref: SceneRef
    axes: Axes
    step: int
    limits: Mapping[Layer, Limits] = field(default_factory=dict)
    _dataset: Any = field(default=None, repr=False)

    def read(self, layers: Sequence[Layer], window: Window) -> npt.NDArray[Any]:
        """Stored values [C, Y, X], rows running south.

        Raises:
            SceneError: a chunk is damaged.
        """
        if self._dataset is None:
            self._dataset = opened(self.ref)
        rows = self.axes.rows(window.row_off, window.height)
        columns = slice(window.col_off, window.col_off + window.width)
        arrays = []
        for layer in layers:
            variable = self._dataset[layer.variable].variable
            place: dict[str, Any] = {self.axes.y: rows, self.axes.x: columns}
            for axis in variable.dims:
                if axis not in place:
                    place[axis] = self.step if axis == self.axes.time else layer.index - 1
            try:
                values = variable.isel(place).transpose(self.axes.y, self.axes.x).values
            except (OSError, RuntimeError, ValueError, KeyError) as error:
                raise SceneError(
                    f"{self.ref.id}: {layer.variable} at row {window.row_off} cannot be read, so the file is truncated "
                    f"or damaged; copy it again from its source"
                ) from error
            values = values.view(stored_type(self._dataset[layer.variable]))
            if layer in self.limits:
                values = self.limits[layer].applied(values)
            arrays.append(values[::-1] if self.axes.south_first else values)
        return np.stack(arrays)

    def close(self) -> None:
        """Close the dataset."""
        if self._dataset is not None:
            self._dataset.close()
            self._dataset = None


def opened(ref: SceneRef) -> xr.Dataset:
    """The dataset, lazily, with stored values as they are; checked before anything of it is decoded.

    Raises:
        SceneError: damaged, outside the input folder, or with codecs or links that could do harm.
    """
    path = ref.location
    check_inside(ref.root, path, ref.options, where=ref.id)
    if path.is_dir():
        check_zarr(path, ref.id)
        engine = "zarr"
    else:
        with path.open("rb") as stream:
            head = stream.read(8)
        engine = "scipy" if head.startswith(b"CDF") else "h5netcdf"
        if engine == "h5netcdf":
            check_hdf5(path, ref.id)
    extra = {"consolidated": False} if engine == "zarr" else {}  # one truth: each array's own metadata
    opening = partial(
        xr.open_dataset,
        path,
        engine=engine,
        mask_and_scale=False,
        decode_timedelta=False,
        decode_coords="all",
        cache=False,
        backend_kwargs=extra,
    )
    try:
        return check_times(opening, ref.id)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise SceneError(f"{ref.id}: not a readable NetCDF or Zarr dataset; copy it again from its source") from error


def _datasets(listing: Listing) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in listing.sizes:
        parts = PurePosixPath(path).parts
        store = next((n for n, part in enumerate(parts[:-1], start=1) if part.lower().endswith(".zarr")), None)
        if store is not None:
            found.setdefault("/".join(parts[:store]), []).append(path)
        elif path.lower().endswith(SUFFIXES):
            found[path] = [path]
    return found


def _bands(ref: SceneRef, dataset: xr.Dataset, axes: Axes, sidecar: Sidecar) -> Iterator[SceneBand]:
    # Without consolidated metadata a store's arrays come as its folder lists them, which differs by file system.
    is_store = ref.location.is_dir()
    for name, array in sorted(dataset.data_vars.items()) if is_store else dataset.data_vars.items():
        if axes.y not in array.dims or axes.x not in array.dims:
            continue
        other = [axis for axis in array.dims if axis not in (axes.y, axes.x, axes.time)]
        if len(other) > 1:
            raise SceneError(
                f"{ref.id}: variable '{name}' has the axes {', '.join(map(str, array.dims))}; cut it to three"
            )
        if array.dtype.kind not in "iuf" or array.dtype.itemsize > 8:
            raise SceneError(f"{ref.id}: variable '{name}' holds {array.dtype}; integers and real numbers are read")
        dtype = str(stored_type(array))
        labels = [str(name)] if not other else _labels(ref, dataset, array, str(other[0]), sidecar)
        block = _block(array, axes)
        if block[0] * block[1] * array.dtype.itemsize > MAX_BLOCK_BYTES:
            raise SceneError(
                f"{ref.id}: variable '{name}' is stored in chunks of more than {MAX_BLOCK_BYTES >> 20} MiB; rechunk it"
            )
        for index, label in enumerate(labels, start=1):
            band = _described(_named(sidecar, label, ref), array, sidecar)
            wavelength = _wavelength(dataset, str(other[0]), index - 1) if other else None
            if wavelength is not None:
                band = replace(band, wavelength_nm=wavelength)
            check_nodata(band.nodata, dtype, f"{ref.id}: {label}")
            if band.nodata is None and (ends := stored_range(array)) is not None:
                band = replace(band, nodata=beyond(ends, np.dtype(dtype)))
            layer = Layer(str(ref.location), index, str(name))
            yield SceneBand(band, layer, axes.grid, dtype, block)


def _named(sidecar: Sidecar, label: str, ref: SceneRef) -> Band:
    """The sensor's band of this name, or a band that is only a name."""
    if sidecar.sensor is None:
        described = {e["name"]: e for e in sidecar.bands or () if isinstance(e, Mapping) and "name" in e}
        return replace(sidecar.named(described.get(label, label)), source="the dataset's variables")
    try:
        return load_sensor(sidecar.sensor).band(label, sidecar.product, platform=sidecar.platform)
    except ConfigError as error:
        raise SceneError(f"{ref.id}: {error}") from error


def _described(band: Band, array: xr.DataArray, sidecar: Sidecar) -> Band:
    """Scale, offset, nodata and unit by CF attributes, unless the sidecar says otherwise."""
    held: Mapping[Any, Any] = {**array.encoding, **array.attrs}
    values: dict[str, Any] = {}
    if "scale_factor" in held or "add_offset" in held:
        values["scale"] = float(np.asarray(held.get("scale_factor", 1)).item())
        values["offset"] = float(np.asarray(held.get("add_offset", 0)).item())
    elif "scale" not in sidecar.common and sidecar.sensor is not None:
        check_integers(band, array.dtype, sidecar.where, "'scale' in the sidecar")
    fill = held.get("_FillValue", held.get("missing_value"))
    if fill is not None:
        value = np.asarray(fill).ravel()[:1]
        same = value.dtype.kind in "iu" and value.dtype.itemsize == array.dtype.itemsize
        values["nodata"] = float((value.view(stored_type(array)) if same else value)[0])
    if "units" in held and band.unit == "1":
        values["unit"] = str(held["units"])
    return replace(band, **{k: v for k, v in values.items() if k not in sidecar.common}, **sidecar.common)


def _labels(ref: SceneRef, dataset: xr.Dataset, array: xr.DataArray, axis: str, sidecar: Sidecar) -> list[str]:
    count = array.sizes[axis]
    if sidecar.bands is not None:
        if len(sidecar.bands) != count:
            raise SceneError(
                f"{ref.id}: {sidecar.where} names {len(sidecar.bands)} bands, but '{array.name}' has {count}"
            )
        return [sidecar.named(entry).name for entry in sidecar.bands]
    if axis in dataset.coords and dataset.coords[axis].dtype.kind in "UOT":
        labels = [str(v) for v in dataset.coords[axis].values]
        if len(set(labels)) == count:
            return labels
    if all(_wavelength(dataset, axis, n) is not None for n in range(count)):
        return [f"{_wavelength(dataset, axis, n):g}nm" for n in range(count)]
    names = array.attrs.get("long_name")
    if isinstance(names, list | tuple) and len(names) == count and len(set(names)) == count:
        return [str(n) for n in names]
    raise SceneError(
        f"{ref.id}: nobody says which of the {count} layers of '{array.name}' is which, and a position proves nothing; "
        f"write {PurePosixPath(ref.path).stem}.yaml beside it with 'bands: [...]' in their order"
    )


def _wavelength(dataset: xr.Dataset, axis: str, index: int) -> float | None:
    """Nanometres at a position of an axis of wavelengths."""
    for name in (axis, "wavelength", "wavelengths"):
        coordinate = dataset.coords.get(name)
        if coordinate is None or coordinate.dims != (axis,) or coordinate.dtype.kind not in "iuf":
            continue
        factor = NANOMETRES.get(str(coordinate.attrs.get("units", "")).lower())
        if factor is not None:
            return round(float(coordinate.values[index]) * factor, 4)
    return None


def _block(array: xr.DataArray, axes: Axes) -> tuple[int, int]:
    chunks = array.encoding.get("preferred_chunks") or {}
    stored = array.encoding.get("chunksizes") or ()
    sizes = dict(zip(array.dims, stored, strict=False)) | dict(chunks)
    rows, columns = sizes.get(axes.y, 1), sizes.get(axes.x, array.sizes[axes.x])
    return int(rows), int(columns)

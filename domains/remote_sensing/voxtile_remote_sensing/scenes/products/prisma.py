"""PRISMA Level 2D products in HDF5: reflectance cubes on a UTM grid.

Cubes are stored [row, band, column]; reflectance = Min + DN · (Max - Min) / 65535 with the product's own Min and Max,
and corner coordinates are of pixel centres (ASI, PRISMA Products Specification Document, issue 2.3).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from affine import Affine
from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.windows import Window

from voxtile_remote_sensing.bands.registry import Band, load_sensor
from voxtile_remote_sensing.scenes.access import check_inside
from voxtile_remote_sensing.scenes.gridded.safety import check_hdf5
from voxtile_remote_sensing.scenes.listing import Found, Listing
from voxtile_remote_sensing.scenes.protocol import Grid, Layer, Scene, SceneBand, SceneError, SceneRef
from voxtile_remote_sensing.scenes.sidecar import iso_utc_text

SENSOR = "prisma"
CUBES = {
    "Vnir": "HDFEOS/SWATHS/PRS_L2D_HCO/Data Fields/VNIR_Cube",
    "Swir": "HDFEOS/SWATHS/PRS_L2D_HCO/Data Fields/SWIR_Cube",
}
STORED_MAX = 65535
RESOLUTION_M = 30.0


class PrismaReader:
    """One `PRS_L2D_….he5`, one scene."""

    name = "prisma"

    def find(self, listing: Listing) -> Found:
        """Files by name; other levels have no map grid and are refused when opened."""
        paths = [p for p in listing.sizes if p.lower().endswith(".he5")]
        return Found(tuple(listing.ref(self.name, path, [path]) for path in paths), frozenset(paths))

    def open(self, ref: SceneRef) -> Scene:
        """Open one product.

        Raises:
            SceneError: no Level 2D product, damaged, or attributes are missing.
        """
        check_inside(ref.root, ref.location, ref.options, where=ref.id)
        check_hdf5(ref.location, ref.id)
        try:
            with h5py.File(ref.location, "r") as file:
                if not all(path in file for path in CUBES.values()):
                    raise SceneError(f"{ref.id}: no PRISMA Level 2D cubes; levels 1 to 2C have no map grid: get L2D")
                bands = tuple(_bands(ref, file))
                start = _text(file.attrs.get("Product_StartTime"))
                sun = file.attrs.get("Sun_zenith_angle")
        except (OSError, KeyError, ValueError, TypeError, IndexError, CRSError) as error:
            raise SceneError(
                f"{ref.id}: an attribute of the product is missing or damaged ({error}); copy it again"
            ) from error
        table = load_sensor(SENSOR)
        return Scene(
            ref=ref,
            sensor=SENSOR,
            modality=table.modality,
            product="L2D",
            platform="PRISMA",
            datetime=iso_utc_text(start, ref.id),
            bands=bands,
            pixels=CubePixels(ref),
            attributes={} if sun is None else {"sun_elevation": 90 - float(np.asarray(sun).item())},
            licence=table.licence,
        )


@dataclass
class CubePixels:
    """Pixels of cubes stored [row, band, column].

    Attributes:
        ref: the scene.
    """

    ref: SceneRef
    _file: Any = field(default=None, repr=False)

    def read(self, layers: Sequence[Layer], window: Window) -> npt.NDArray[Any]:
        """Stored values [C, Y, X].

        Raises:
            SceneError: a chunk is damaged.
        """
        if self._file is None:
            self._file = h5py.File(self.ref.location, "r")
        rows = slice(window.row_off, window.row_off + window.height)
        columns = slice(window.col_off, window.col_off + window.width)
        out = np.empty((len(layers), window.height, window.width), np.uint16)
        for variable in dict.fromkeys(layer.variable for layer in layers):
            own = [n for n, layer in enumerate(layers) if layer.variable == variable]
            wanted = sorted({layers[n].index - 1 for n in own})
            try:
                cube = self._file[variable][rows, wanted[0] : wanted[-1] + 1, columns]
            except (OSError, RuntimeError) as error:
                raise SceneError(f"{self.ref.id}: row {window.row_off} is damaged; copy the product again") from error
            for n in own:
                out[n] = cube[:, layers[n].index - 1 - wanted[0]]
        return out

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _bands(ref: SceneRef, file: h5py.File) -> Iterator[SceneBand]:
    """Bands in order of wavelength; those that the product flags as absent have the wavelength 0 and are left out."""
    found: list[tuple[float, SceneBand]] = []
    for part, path in CUBES.items():
        cube = file[path]
        attributes: Mapping[str, Any] = file.attrs
        centres, widths = np.asarray(attributes[f"List_Cw_{part}"]), np.asarray(attributes[f"List_Fwhm_{part}"])
        low, high = (float(attributes[f"L2Scale{part}{end}"]) for end in ("Min", "Max"))
        rows, count, columns = cube.shape
        if len(centres) != count:
            raise SceneError(
                f"{ref.id}: {len(centres)} wavelengths for {count} bands of {part}; copy the product again"
            )
        grid = _grid(attributes, (rows, columns))
        chunks = cube.chunks or (1, count, columns)
        for index, (centre, width) in enumerate(zip(centres, widths, strict=True), start=1):
            if centre <= 0:
                continue
            band = Band(
                name=f"{part.upper()}{index:03d}",
                wavelength_nm=round(float(centre), 4),
                width_nm=round(float(width), 4),
                resolution_m=RESOLUTION_M,
                scale=(high - low) / STORED_MAX,
                offset=low,
                nodata=0.0,
                unit="reflectance",
                source="PRISMA attributes",
            )
            layer = Layer(str(ref.location), index, path)
            found.append((float(centre), SceneBand(band, layer, grid, str(cube.dtype), (chunks[0], chunks[2]))))
    yield from (band for _, band in sorted(found, key=lambda item: item[0]))


def _grid(attributes: Mapping[str, Any], shape: tuple[int, int]) -> Grid:
    crs = CRS.from_epsg(int(attributes["Epsg_Code"]))
    left, right = (float(attributes[f"Product_{c}corner_easting"]) for c in ("UL", "LR"))
    top, bottom = (float(attributes[f"Product_{c}corner_northing"]) for c in ("UL", "LR"))
    width, height = (right - left) / (shape[1] - 1), (top - bottom) / (shape[0] - 1)
    return Grid(crs, Affine(width, 0.0, left - width / 2, 0.0, -height, top + height / 2), shape)


def _text(value: object) -> str | None:
    if value is None:
        return None
    value = np.asarray(value).item()
    return value.decode() if isinstance(value, bytes) else str(value)

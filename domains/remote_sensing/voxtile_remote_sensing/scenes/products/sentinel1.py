"""Sentinel-1 ground range detected products in SAFE folders, calibrated by their annotation.

sigma0 = DN² / A², with A from the calibration annotation's look-up table by bilinear interpolation between its vectors
(ESA, Sentinel-1 Level 1 Detailed Algorithm Definition, section 8.2, and Radiometric Calibration of S-1 Level-1
Products, ESA-EOPG-CSCOP-TN-0002). Thermal noise is not removed. A GRD image is not on a map grid: its transform is the
affine map that fits its ground control points best, and the largest misfit is in `attributes`; terrain-corrected
products (RTC) have none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
from affine import Affine
from rasterio.crs import CRS
from rasterio.windows import Window

from voxtile_remote_sensing.bands.registry import load_sensor
from voxtile_remote_sensing.scenes.listing import Found, Listing
from voxtile_remote_sensing.scenes.metadata_xml import all_of, parse_xml, text_of
from voxtile_remote_sensing.scenes.protocol import Grid, Layer, Scene, SceneBand, SceneError, SceneRef
from voxtile_remote_sensing.scenes.raster import RasterHeader, RasterPixels, read_header

SENSOR = "sentinel-1-sar"
MEASUREMENT = re.compile(r"^s1[a-d]-\w+-grd-(?P<polarisation>vv|vh|hh|hv)-.*\.tiff?$")
FOLDER = re.compile(r"^S1[A-D]_.*_GRD[HMF]_.*\.SAFE$", re.IGNORECASE)
CALIBRATIONS = ("sigma0", "beta0", "gamma0", "none")
_VECTORS = {"sigma0": "sigmaNought", "beta0": "betaNought", "gamma0": "gamma"}
EARTH_RADIUS = 6_371_000.0


class Sentinel1Reader:
    """One GRD SAFE folder, one scene with one band a polarisation."""

    name = "sentinel1-safe"

    def find(self, listing: Listing) -> Found:
        """Folders `S1…_GRD…SAFE` with a `measurement` folder."""
        folders = sorted({PurePosixPath(p).parts[:n] for p in listing.sizes for n in range(1, p.count("/") + 1)})
        refs, taken = [], set()
        for parts in folders:
            if not FOLDER.match(parts[-1]):
                continue
            folder = "/".join(parts)
            files = listing.under(folder)
            if any(MEASUREMENT.match(PurePosixPath(f).name) for f in files):
                refs.append(listing.ref(self.name, folder, files))
                taken |= set(files)
        return Found(tuple(refs), frozenset(taken))

    def open(self, ref: SceneRef) -> Scene:
        """Open a product.

        Raises:
            SceneError: annotation missing or damaged, no ground control points, or an unknown calibration.
        """
        kind = ref.options.calibration
        if kind not in CALIBRATIONS:
            raise SceneError(f"calibration '{kind}' is unknown; take one of {', '.join(CALIBRATIONS)}")
        table = load_sensor(SENSOR)
        bands: list[SceneBand] = []
        tables: dict[str, CalibrationTable] = {}
        facts: dict[str, Any] = {}
        for path in ref.files:
            match = MEASUREMENT.match(PurePosixPath(path).name)
            if match is None:
                continue
            header = read_header(str(ref.root / path), ref.root, ref.options)
            grid, facts = _grid(header, path)
            product = "GRD-DN" if kind == "none" else "GRD"
            band = table.band(match["polarisation"].upper(), product)
            scene_band = header.band(band, grid=grid)
            if kind != "none":
                tables[header.path] = read_calibration(_calibration_file(ref, path), ref.root, kind)
                layer = replace(scene_band.layer, variable=kind)
                scene_band = replace(scene_band, band=replace(band, unit=kind), dtype="float32", layer=layer)
            bands.append(scene_band)
        annotation = next((f for f in ref.files if re.search(r"/annotation/s1[^/]*\.xml$", f)), None)
        root = parse_xml(ref.root / annotation, where=annotation) if annotation else None
        return Scene(
            ref=ref,
            sensor=SENSOR,
            modality="SAR",
            product="GRD",
            platform=PurePosixPath(ref.id).name[:3],
            datetime=None if root is None else _utc(text_of(root, "startTime")),
            bands=tuple(sorted(bands, key=_polarisation)),
            pixels=CalibratedPixels(RasterPixels(ref.root, ref.options), tables),
            attributes={
                "calibration": kind,
                "pass": None if root is None else text_of(root, "pass"),
                "mode": None if root is None else text_of(root, "mode"),
                "thermal_noise_removed": False,
                **facts,
            },
            licence=table.licence,
        )


@dataclass(frozen=True)
class CalibrationTable:
    """The look-up table of one polarisation.

    Attributes:
        lines: [V] image lines of the vectors.
        pixels: [P] image columns of their values.
        values: [V, P] A of sigma0 = DN² / A².
    """

    lines: npt.NDArray[np.float64]
    pixels: npt.NDArray[np.float64]
    values: npt.NDArray[np.float64]

    def at(self, window: Window) -> npt.NDArray[np.float64]:
        """A [Y, X] in a window, bilinear between vectors and held constant beyond them."""
        rows = window.row_off + np.arange(window.height, dtype=np.float64)
        columns = window.col_off + np.arange(window.width, dtype=np.float64)
        across = np.stack([np.interp(columns, self.pixels, vector) for vector in self.values])
        upper = np.clip(np.searchsorted(self.lines, rows, side="right"), 1, len(self.lines) - 1)
        span = self.lines[upper] - self.lines[upper - 1]
        share = np.clip((rows - self.lines[upper - 1]) / span, 0, 1)[:, None]
        return np.asarray(across[upper - 1] * (1 - share) + across[upper] * share)


@dataclass
class CalibratedPixels:
    """Pixels of detected images as backscatter.

    Attributes:
        source: reads the digital numbers.
        tables: file → its look-up table; files without one are read as they are.
    """

    source: RasterPixels
    tables: dict[str, CalibrationTable] = field(default_factory=dict)

    def read(self, layers: Sequence[Layer], window: Window) -> npt.NDArray[Any]:
        """Backscatter in linear power, float32 [C, Y, X]; digital numbers 0 stay 0.

        Raises:
            SceneError: a file is damaged.
        """
        numbers = self.source.read(layers, window)
        if not any(layer.path in self.tables for layer in layers):
            return numbers
        out = np.empty(numbers.shape, np.float32)
        for index, layer in enumerate(layers):
            out[index] = (numbers[index].astype(np.float64) / self.tables[layer.path].at(window)) ** 2
        return out

    def close(self) -> None:
        """Close the files."""
        self.source.close()


def read_calibration(path: str, root: Path, kind: str) -> CalibrationTable:
    """Read a calibration annotation.

    Args:
        path: relative to `root`.
        root: the input folder.
        kind: sigma0, beta0 or gamma0.

    Raises:
        SceneError: damaged, or its vectors do not share their columns.
    """
    vectors = all_of(parse_xml(root / path, where=path), "calibrationVector")
    try:
        lines = [float(text_of(v, "line") or "") for v in vectors]
        columns = [[float(n) for n in (text_of(v, "pixel") or "").split()] for v in vectors]
        values = [[float(n) for n in (text_of(v, _VECTORS[kind]) or "").split()] for v in vectors]
        pixels = columns[0]
        table = np.array([np.interp(pixels, own, row) for own, row in zip(columns, values, strict=True)])
    except (ValueError, IndexError) as error:
        raise SceneError(
            f"{path}: the calibration vectors are damaged; copy the product again from its source"
        ) from error
    if len(lines) < 2 or not np.all(np.diff(lines) > 0) or not np.all(table > 0) or not np.isfinite(table).all():
        raise SceneError(f"{path}: the calibration vectors are out of order; copy the product again from its source")
    return CalibrationTable(np.array(lines), np.array(pixels), table)


def _calibration_file(ref: SceneRef, measurement: str) -> str:
    wanted = f"calibration-{PurePosixPath(measurement).stem}.xml".lower()
    for path in ref.files:
        if PurePosixPath(path).name.lower() == wanted:
            return path
    raise SceneError(
        f"{measurement}: its calibration annotation is not there, so numbers are no backscatter; copy it again, or "
        f"take them as they are with --calibration none"
    )


def _grid(header: RasterHeader, where: str) -> tuple[Grid, dict[str, Any]]:
    """The map grid of the file, or the affine map that fits its control points best."""
    if header.grid is not None:
        return header.grid, {}
    if len(header.gcps) < 3 or header.gcp_crs is None:
        raise SceneError(f"{where}: neither a map grid nor control points, so its place is unknown; copy it again")
    image = np.array([[p.col, p.row, 1.0] for p in header.gcps])
    ground = np.array([[p.x, p.y] for p in header.gcps])
    if header.gcp_crs.is_geographic and np.ptp(ground[:, 0]) > 180:  # the scene crosses the antimeridian
        ground[:, 0] = np.where(ground[:, 0] < 0, ground[:, 0] + 360, ground[:, 0])
    solution, _, rank, _ = np.linalg.lstsq(image, ground, rcond=None)
    if rank < 3:
        raise SceneError(f"{where}: its control points lie on a line, so its place is unknown; copy it again")
    transform = Affine(solution[0, 0], solution[1, 0], solution[2, 0], solution[0, 1], solution[1, 1], solution[2, 1])
    misfit = image @ solution - ground
    if header.gcp_crs.is_geographic:
        metres = np.deg2rad(misfit) * EARTH_RADIUS
        metres[:, 0] *= np.cos(np.deg2rad(ground[:, 1]))
        misfit = metres
    worst = float(np.linalg.norm(misfit, axis=1).max())
    return Grid(CRS(header.gcp_crs), transform, header.shape), {"georeference": "gcps", "georeference_error_m": worst}


def _polarisation(band: SceneBand) -> int:
    return ("VV", "VH", "HH", "HV").index(band.name)


def _utc(text: str | None) -> str | None:
    return None if text is None else f"{text.rstrip('Z')}Z"

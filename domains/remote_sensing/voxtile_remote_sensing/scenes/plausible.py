"""What the numbers of a scene can be: the size of a pixel by what the sensor is, its place, and its scale.

The limits are wide: they are there for damage and for lies, and not to judge a product.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from rasterio.crs import CRS

from voxtile_remote_sensing.scenes.protocol import Grid, Scene, SceneBand, SceneError

METRES_PER_DEGREE = 111_320.0  # of longitude at the equator, WGS 84
_DEGREE = math.radians(1)

# Least and largest side of a pixel on the ground in metres, by modality.
GSD_M: Mapping[str, tuple[float, float]] = {
    # Drones take 2 mm; the coarsest colour composites of the whole disc from geostationary orbit have 8 km.
    "RGB": (1e-3, 1e5),
    # Multispectral drones take 1 cm, climate records of radiances are gridded at 0.25 to 2.5 degrees (280 km).
    "MSI": (1e-3, 5e5),
    "HSI": (1e-3, 5e5),
    # Airborne radar reaches 5 cm, scatterometers (ASCAT) are gridded at 25 km and reduced to 50 km.
    "SAR": (1e-2, 1e5),
}
_OTHER_GSD_M = (1e-3, 5e5)
# Eastings and northings of no map grid exceed twice the earth's circumference of 40,000 km.
MOST_COORDINATE_M = 1e8
# Products scale by 1e-10 (radiance in W/cm²) to 1e4; the corpus's columns are doubles, but a preset's are floats.
SCALE = (1e-20, 1e20)
# Of ultraviolet to far infrared, and to radar's longest waves (P band, 1 m). What lies below is mostly in micrometres,
# what lies above in nanometres where micrometres are asked for (STAC).
WAVELENGTH_NM = (100.0, 1e5)
_WAVE_OF_RADAR_NM = 1e9


class ImplausibleSceneError(SceneError):
    """A number of the scene cannot be; `reason` is the ledger's name for it."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


def check_scene(scene: Scene) -> None:
    """Refuse a scene with a band whose pixels cannot lie where and be as large as it says.

    Raises:
        SceneError: its coordinate system is that of no map.
        ImplausibleSceneError: `implausible-gsd`, `implausible-place`, `implausible-scale` or `implausible-wavelength`.
    """
    checked: set[Grid] = set()
    for band in scene.bands:
        if band.grid not in checked:
            checked.add(band.grid)
            _check_system(band.grid.crs, f"{scene.id}, band {band.name}")
            _check_grid(band.grid, scene.modality, f"{scene.id}, band {band.name}")
        _check_scale(band, f"{scene.id}, band {band.name}")
        _check_wavelength(band, scene.modality, f"{scene.id}, band {band.name}")


def _check_system(crs: CRS, where: str) -> None:
    if not (crs.is_geographic or crs.is_projected):  # geocentric, or a site's own
        raise SceneError(
            f"{where}: its coordinate system is neither in degrees nor a projection, so that its pixels have no place "
            "on a map; assign the right one, for example with gdal_translate -a_srs"
        )


def _check_grid(grid: Grid, modality: str, where: str) -> None:
    metres = metres_per_unit(grid.crs)
    least, most = GSD_M.get(modality, _OTHER_GSD_M)
    for size in grid.pixel_size:
        if not least <= size * metres <= most:
            raise ImplausibleSceneError(
                "implausible-gsd",
                f"{where}: a pixel of {size * metres:g} m cannot be; {modality} has {least:g} to {most:g} m; "
                "write the file again with its true transform",
            )
    if not all(math.isfinite(value) and abs(value) * metres <= MOST_COORDINATE_M for value in grid.bounds):
        left, top = grid.transform.c, grid.transform.f
        raise ImplausibleSceneError(
            "implausible-place",
            f"{where}: its corner lies at {left:g}, {top:g}, which is not on earth; write the file again",
        )
    if grid.crs.is_geographic:
        _check_latitudes(grid, where)


def _check_latitudes(grid: Grid, where: str) -> None:
    """Grids of the world whose rows are centred on the poles reach half a pixel beyond them; no place lies there."""
    _, bottom, _, top = grid.bounds
    pole = math.pi / 2 / grid.crs.units_factor[1]
    if max(top, -bottom) > pole + max(grid.pixel_size):
        raise ImplausibleSceneError(
            "implausible-place",
            f"{where}: it reaches from {bottom:g} to {top:g} in latitude, and a pole is at {pole:g}; if longitude and "
            "latitude are exchanged, write the file again with its true transform",
        )


def metres_per_unit(crs: CRS) -> float:
    """Length of the crs's unit in metres; degrees (or grads) are those of the equator."""
    if crs.is_geographic:
        unit = float(crs.units_factor[1])
        return METRES_PER_DEGREE if math.isclose(unit, _DEGREE) else METRES_PER_DEGREE * unit / _DEGREE
    return float(crs.linear_units_factor[1])


def _check_scale(band: SceneBand, where: str) -> None:
    if not (math.isfinite(band.offset) and SCALE[0] <= abs(band.scale) <= SCALE[1]):
        raise ImplausibleSceneError(
            "implausible-scale",
            f"{where}: physical = stored · {band.scale:g} + {band.offset:g} cannot be; state scale and offset in a "
            "sidecar YAML",
        )


def _check_wavelength(band: SceneBand, modality: str, where: str) -> None:
    length, (least, most) = band.band.wavelength_nm, WAVELENGTH_NM
    if length is not None and not least <= length <= (_WAVE_OF_RADAR_NM if modality == "SAR" else most):
        raise ImplausibleSceneError(
            "implausible-wavelength",
            f"{where}: a wavelength of {length:g} nm cannot be; state it in its own unit (red is 650 nm or 0.65 µm)",
        )

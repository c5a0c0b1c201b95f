"""What decides the pixels of a tile: sizes, bands, grids, resampling, and which tiles are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.errors import CRSError

from voxtile.errors import ConfigError
from voxtile_remote_sensing.bands.registry import Band
from voxtile_remote_sensing.tiles.grid import Length, parse_length

# Kernels of GDAL's warper. Those in the second set give values that the source does not hold.
METHODS = ("nearest", "bilinear", "cubic", "cubic_spline", "lanczos", "average", "mode")
_INVENTS_VALUES = frozenset(METHODS) - {"nearest", "mode"}
CLASS_UNITS = frozenset({"class", "classes", "flags", "bits"})
DEFAULT_KEY = ""


@dataclass(frozen=True)
class TileSettings:
    """Settings of a conversion; plain values that are hashed into every job's id.

    Attributes:
        size: side of a tile.
        stride: from one tile to the next.
        bands: names to take; None takes all that a scene has.
        resolution_m: pixel of the one grid that all bands are resampled to; None keeps each band's own.
        resampling: band name → kernel; the empty name is for all others.
        reproject: coordinate system of the tiles, `utm` for the zone of each scene, None for the scene's own.
        min_valid: least share of pixels with data and without cloud or cloud shadow.
        coords_only: store where the pixels are, and leave them there.
        previews: store a small picture for people.
    """

    size: Length
    stride: Length
    bands: tuple[str, ...] | None = None
    resolution_m: float | None = None
    resampling: Mapping[str, str] = field(default_factory=lambda: {DEFAULT_KEY: "bilinear"})
    reproject: str | None = None
    min_valid: float = 0.5
    coords_only: bool = False
    previews: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.min_valid <= 1:
            raise ConfigError(f"--min-valid is a share from 0 to 1, not {self.min_valid}")
        if self.coords_only and (self.resolution_m is not None or self.reproject is not None):
            raise ConfigError(
                "--coords-only leaves the pixels in their files, so they cannot be resampled; drop --resolution and "
                "--reproject, or store the pixels"
            )

    @property
    def is_native(self) -> bool:
        """Pixels are those of the files."""
        return self.resolution_m is None and self.reproject is None

    def kernel(self, band: Band) -> Resampling:
        """How to resample a band.

        Raises:
            ConfigError: classes would be averaged.
        """
        is_class = band.unit in CLASS_UNITS
        named = next((m for name, m in self.resampling.items() if name and band.is_called(name)), None)
        method = named or ("nearest" if is_class else self.resampling[DEFAULT_KEY])
        if is_class and method in _INVENTS_VALUES:
            raise ConfigError(f"band {band.name} holds classes, which '{method}' would average; use nearest or mode")
        return Resampling[method]

    def config(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self) | {"resampling": dict(self.resampling)}


def parse_settings(
    *,
    size: str,
    stride: str | None,
    bands: str | None,
    resolution: str,
    resampling: str,
    reproject: str | None,
    min_valid: float,
    coords_only: bool,
    previews: bool,
) -> TileSettings:
    """Read the options of the command line.

    Raises:
        ConfigError: one of them makes no sense; the message names it.
    """
    side = parse_length(size, "--size")
    step = parse_length(stride, "--stride") if stride else side
    if step.unit != side.unit:
        raise ConfigError(f"--size {side} and --stride {step} need the same unit")
    names = tuple(name.strip() for name in bands.split(",") if name.strip()) if bands else None
    if names is not None and (not names or len(set(names)) != len(names)):
        raise ConfigError(f"--bands names each band once, such as B04,B03,B02; got '{bands}'")
    return TileSettings(
        side,
        step,
        names,
        _resolution(resolution),
        _methods(resampling),
        _target(reproject),
        min_valid,
        coords_only,
        previews,
    )


def _resolution(text: str) -> float | None:
    if text == "native":
        return None
    length = parse_length(text, "--resolution", default_unit="m")
    if length.unit != "m":
        raise ConfigError(f"--resolution is native or a pixel size in metres such as 10, got '{text}'")
    return length.value


def _methods(text: str) -> dict[str, str]:
    methods = {DEFAULT_KEY: "bilinear"}
    for part in text.split(","):
        name, _, method = part.strip().rpartition("=")
        if method not in METHODS:
            raise ConfigError(
                f"--resampling knows {', '.join(METHODS)}, for all bands or for some (bilinear,B01=cubic); got '{part}'"
            )
        methods[name.strip()] = method
    return methods


def _target(text: str | None) -> str | None:
    if text is None or text.lower() == "utm":
        return text and text.lower()
    try:
        CRS.from_user_input(text)
    except CRSError as error:
        raise ConfigError(f"--reproject is utm or a coordinate system such as EPSG:3857, got '{text}'") from error
    return text

"""Rasters with an ENVI text header: wavelengths, widths and scaling come from the header.

Format: NV5 Geospatial, ENVI Header Files: `key = value` or `key = {list}`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path, PurePosixPath

from voxtile_remote_sensing.bands.registry import Band, modality_of
from voxtile_remote_sensing.scenes.geotiff import open_described
from voxtile_remote_sensing.scenes.listing import Found, Listing
from voxtile_remote_sensing.scenes.protocol import MissingBand, Scene, SceneError, SceneRef
from voxtile_remote_sensing.scenes.raster import RasterPixels, read_header
from voxtile_remote_sensing.scenes.sidecar import Sidecar, iso_utc_text, sidecar_of, sidecar_of_scene

MAX_BYTES = 8 << 20
_NUMBERED = re.compile(r"band[ _]?\d+$", re.IGNORECASE)  # as GDAL calls bands of which it knows nothing
DATA_SUFFIXES = ("", ".img", ".dat", ".bin", ".bsq", ".bil", ".bip", ".raw")
NANOMETRES = {
    "nanometers": 1.0,
    "nanometres": 1.0,
    "nm": 1.0,
    "micrometers": 1e3,
    "micrometres": 1e3,
    "um": 1e3,
    "μm": 1e3,
}


class EnviReader:
    """One header with its data file, one scene."""

    name = "envi"

    def find(self, listing: Listing) -> Found:
        """`x.hdr` that begins with ENVI, with `x`, `x.img`, `x.dat` and so on."""
        refs, taken = [], set()
        for path in listing.sizes:
            if not path.lower().endswith(".hdr") or not _is_envi(listing.root / path):
                continue
            stem = path[: -len(".hdr")]
            data = next((stem + s for s in DATA_SUFFIXES if stem + s in listing.sizes), None)
            if data is not None:
                sidecar = sidecar_of(data, listing.sizes, None)
                files = [data, path] if sidecar is None else [data, path, sidecar]
                refs.append(listing.ref(self.name, data, files))
                taken |= {data, path}
        return Found(tuple(refs), frozenset(taken))

    def open(self, ref: SceneRef) -> Scene:
        """Open one scene.

        Raises:
            SceneError: the header names neither bands nor wavelengths, or disagrees with itself.
        """
        path = next(f for f in ref.files if f.lower().endswith(".hdr"))
        values, sidecar = read_envi_header(ref.root / path, path), sidecar_of_scene(ref)
        is_own = PurePosixPath(ref.path).with_suffix(".yaml").as_posix() in ref.files
        if "wavelength" in values and not is_own:
            sidecar = Sidecar()  # one of many files: this file names its bands itself
        if sidecar.bands is not None or sidecar.sensor is not None:
            divisor = _numbers(values, "reflectance scale factor", 1, path)
            scale = {"scale": 1 / divisor[0], "unit": "reflectance"} if divisor else {}
            return open_described(ref, replace(sidecar, common={**scale, **sidecar.common}))
        header = read_header(str(ref.location), ref.root, ref.options, crs=sidecar.crs)
        bands = [replace(band, **sidecar.common) for band in _bands(values, len(header.dtypes), path)]
        good = _numbers(values, "bbl", len(bands), path) or [1.0] * len(bands)
        if not any(good):
            raise SceneError(f"{path}: 'bbl' calls all {len(bands)} bands bad; mend or remove it")
        return Scene(
            ref=ref,
            sensor=_text(values, "sensor type") or "unknown",
            modality=sidecar.modality or modality_of(bands, header.dtypes),
            product=sidecar.product or "",
            platform=sidecar.platform,
            datetime=sidecar.datetime or iso_utc_text(_text(values, "acquisition time"), path),
            licence=sidecar.licence,
            bands=tuple(header.band(band, index) for index, band in enumerate(bands, start=1) if good[index - 1]),
            missing=tuple(_bad(band, path) for band, is_good in zip(bands, good, strict=True) if not is_good),
            pixels=RasterPixels(ref.root, ref.options),
        )


def read_envi_header(file: Path, where: str) -> dict[str, list[str]]:
    """Keys in lower case, each with its list of values.

    Raises:
        SceneError: larger than a header is, or not text.
    """
    if file.stat().st_size > MAX_BYTES:
        raise SceneError(f"{where}: an ENVI header of more than {MAX_BYTES >> 20} MiB is none")
    text = file.read_text("utf-8", errors="replace")
    found: dict[str, list[str]] = {}
    for key, braces, plain in re.findall(
        r"^[ \t]*([^={}\n]+?)[ \t]*=[ \t]*(?:\{([^}]*)\}|([^\n]*))", text, re.MULTILINE
    ):
        found[key.strip().lower()] = [v.strip() for v in braces.split(",")] if braces else [plain.strip()]
    return found


def _bands(values: dict[str, list[str]], count: int, where: str) -> list[Band]:
    wavelengths = _numbers(values, "wavelength", count, where)
    widths = _numbers(values, "fwhm", count, where)
    gains = _numbers(values, "data gain values", count, where)
    offsets = _numbers(values, "data offset values", count, where)
    names = values.get("band names")
    if names is not None and (len(set(names)) != count or len(names) != count or all(map(_NUMBERED.match, names))):
        names = None
    if names is None and wavelengths is None:
        raise SceneError(
            f"{where}: neither 'wavelength' nor distinct 'band names' for its {count} bands, and a position proves "
            f"nothing; add one of them to the header, or name them in a sidecar YAML beside it ('bands: [red, …]')"
        )
    unit = (_text(values, "wavelength units") or "").lower()
    if wavelengths is not None and unit not in NANOMETRES:
        raise SceneError(f"{where}: 'wavelength units' is '{unit or 'missing'}'; write Nanometers or Micrometers")
    divisor = _numbers(values, "reflectance scale factor", 1, where)
    ignore = _numbers(values, "data ignore value", 1, where)
    factor = 1.0 if wavelengths is None else NANOMETRES[unit]
    return [
        Band(
            name=names[n] if names else f"B{n + 1:03d}",
            wavelength_nm=None if wavelengths is None else round(wavelengths[n] * factor, 4),
            width_nm=None if widths is None else round(widths[n] * factor, 4),
            scale=1 / divisor[0] if divisor else gains[n] if gains else 1.0,
            offset=offsets[n] if offsets and not divisor else 0.0,
            nodata=ignore[0] if ignore else None,
            unit="reflectance" if divisor else "1",
            source="ENVI header",
        )
        for n in range(count)
    ]


def _bad(band: Band, where: str) -> MissingBand:
    reason = f"{where}: band {band.name} is bad by the header's 'bbl'; set it to 1 there if it shall be used"
    return MissingBand(band, reason, required=False)


def _numbers(values: dict[str, list[str]], key: str, count: int, where: str) -> list[float] | None:
    if key not in values:
        return None
    try:
        numbers = [float(v) for v in values[key]]
    except ValueError as error:
        raise SceneError(f"{where}: '{key}' holds something that is not a number") from error
    if len(numbers) != count:
        raise SceneError(f"{where}: '{key}' has {len(numbers)} values for {count} bands; mend the header")
    if key == "reflectance scale factor" and numbers[0] <= 0:
        raise SceneError(f"{where}: 'reflectance scale factor' is {numbers[0]}; it must be above 0")
    return numbers


def _text(values: dict[str, list[str]], key: str) -> str | None:
    return ",".join(values[key]) if key in values else None


def _is_envi(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(4) == b"ENVI"

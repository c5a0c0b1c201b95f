"""The sidecar YAML: what a plain raster file does not say of itself.

`scene.tif` is described by `scene.yaml` beside it, else by `bands.yaml` in its folder or a folder above, up to the
input folder. Example, for a Landsat crop whose file holds blue, green, red in this order:

    sensor: landsat-8-9-oli-tirs
    product: L1
    sun_elevation: 38.2
    datetime: 2020-05-18T13:30:00Z
    bands: [B2, B3, B4]
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, date, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from rasterio.crs import CRS
from rasterio.errors import CRSError

from voxtile.bounded_text import load_yaml
from voxtile.errors import ConfigError, CorpusError
from voxtile.formats.geotiff import checked_crs
from voxtile_remote_sensing.bands.registry import COMMON_NAMES, Band, load_sensor
from voxtile_remote_sensing.scenes.landsat_level import level_1_without_mtl
from voxtile_remote_sensing.scenes.protocol import SceneError, SceneRef
from voxtile_remote_sensing.scenes.time_in_name import expression_of, time_in_name

FOLDER_FILE = "bands.yaml"
MAX_BYTES = 1 << 20
EXAMPLE = "bands: [{name: B2, common_name: blue}, {name: B3, common_name: green}, {name: B4, common_name: red}]"
_MAY_BE_NULL = ("nodata", "wavelength_nm", "width_nm", "resolution_m")
_BAND_KEYS = frozenset({f.name for f in fields(Band)} - {"source", "aliases"})


@dataclass(frozen=True)
class SidecarMask:
    """A mask layer beside a plain raster.

    Attributes:
        file: relative to the raster's folder, `{stem}` standing for the raster's name without extension; empty where
            the mask is a band of the raster itself.
        kind: SCL, QA_PIXEL, BQA, cloud_probability, snow_probability, UDM2 or valid.
        band: in the file, from 1.
    """

    file: str
    kind: str
    band: int = 1


@dataclass(frozen=True)
class Sidecar:
    """What a sidecar says.

    Attributes:
        where: the file, for messages; empty where there is none.
        sensor: of the band registry, or None.
        product: of that sensor.
        platform: spacecraft or aircraft.
        modality: MSI, HSI, SAR or RGB.
        datetime: ISO 8601 in UTC.
        datetime_in_name: how the names of files say it, by strftime's directives: `%Y-%m-%d`.
        licence: of the data.
        synthetic: what made the file, where no device measured it.
        crs: for files without one.
        sun_elevation: at the scene's centre in degrees, for reflectance of Landsat Level 1.
        bands: entries by position in the file: a name, or a mapping with `name` and other values; None for a band
            that is not used.
        common: scale, offset, nodata, unit and resolution for all bands.
        masks: layers that say which pixels are usable.
    """

    where: str = ""
    sensor: str | None = None
    product: str | None = None
    platform: str | None = None
    modality: str | None = None
    datetime: str | None = None
    datetime_in_name: str | None = None
    licence: str | None = None
    synthetic: str | None = None
    crs: CRS | None = None
    sun_elevation: float | None = None
    bands: tuple[Any, ...] | None = None
    common: Mapping[str, Any] = field(default_factory=dict)
    masks: tuple[SidecarMask, ...] = ()

    def named(self, entry: object) -> Band:
        """The band that one entry describes.

        Raises:
            SceneError: unknown keys, a name that the sensor lacks, or a common name that is not STAC's.
        """
        values = dict(entry) if isinstance(entry, Mapping) else {"name": entry}
        if not isinstance(values.get("name"), str):
            raise SceneError(f"{self.where}: every band needs a name as text; for example {EXAMPLE}")
        unknown = set(values) - _BAND_KEYS
        if unknown:
            raise SceneError(f"{self.where}: band {values['name']} has unknown keys: {', '.join(sorted(unknown))}")
        if values.get("common_name") not in COMMON_NAMES | {None}:
            raise SceneError(
                f"{self.where}: '{values['common_name']}' is no common name of STAC; take one of "
                f"{', '.join(sorted(COMMON_NAMES))}"
            )
        band = self._of_sensor(str(values["name"]))
        where = f"{self.where}: band {values['name']}"
        own = {key: _checked(key, value, where) for key, value in values.items() if key not in ("name", "common_name")}
        return replace(band, **{**self.common, **own, **{k: v for k, v in values.items() if k == "common_name"}})

    def _of_sensor(self, name: str) -> Band:
        if self.sensor is None:
            common = name.lower() if name.lower() in COMMON_NAMES else None
            return Band(name, common_name=common, source=f"sidecar {self.where}")
        try:
            band = load_sensor(self.sensor).band(name, self.product, platform=self.platform)
        except ConfigError as error:
            raise SceneError(f"{self.where}: {error}") from error
        return self.of_level(band)

    def of_level(self, band: Band) -> Band:
        """A band of the registry with the scale that can be known without the scene's metadata.

        Raises:
            SceneError: the sun's elevation cannot be.
        """
        if self.sensor is None or not self.sensor.startswith("landsat") or self.product != "L1":
            return band
        return level_1_without_mtl(band, self.sun_elevation, self.sensor, self.platform, self.where)


def sidecar_of(path: str, files: Mapping[str, int], given: Path | None) -> str | None:
    """The sidecar of a raster, relative to the root (absolute for the one given); None where there is none.

    Args:
        path: of the raster, relative to the root.
        files: all files of the input folder.
        given: a sidecar for files without one.
    """
    raster = PurePosixPath(path)
    own = raster.with_suffix(".yaml").as_posix()
    if own in files:
        return own
    for folder in raster.parents:
        candidate = (folder / FOLDER_FILE).as_posix()
        if candidate in files:
            return candidate
    return None if given is None else str(given.resolve())


def sidecar_of_scene(ref: SceneRef) -> Sidecar:
    """What the sidecar among a scene's files says, else the one given for all; nothing where there is none.

    Raises:
        SceneError: it does not exist, or cannot be read.
    """
    own = next((f for f in ref.files if f.endswith(".yaml")), None)
    if own is not None:
        return _with_time_of(ref, read_sidecar(ref.root / own, own))
    if ref.options.sidecar is not None:
        if not ref.options.sidecar.is_file():
            raise SceneError(f"the sidecar '{ref.options.sidecar.name}' does not exist")
        return _with_time_of(ref, read_sidecar(ref.options.sidecar, ref.options.sidecar.name))
    return Sidecar()


def _with_time_of(ref: SceneRef, sidecar: Sidecar) -> Sidecar:
    """The sidecar with the time that the name of the scene's file says, where it tells how.

    Raises:
        SceneError: the name says none.
    """
    pattern = sidecar.datetime_in_name
    if pattern is None or sidecar.datetime is not None:
        return sidecar
    moment = time_in_name(PurePosixPath(ref.path).name, pattern)
    if moment is None:
        raise SceneError(
            f"{ref.id}: its name has no time such as '{pattern}', which {sidecar.where} says of names; write "
            f"{PurePosixPath(ref.path).stem}.yaml with 'datetime' beside it"
        )
    is_day = not {"%H", "%M", "%S"} & set(re.findall("%.", pattern))
    return replace(sidecar, datetime=moment.date().isoformat() if is_day else iso_utc(moment))


def sidecar_digest(ref: SceneRef) -> str | None:
    """SHA-256 (hex) of the sidecar of a scene, so that one which is edited makes another input; None without one."""
    own = next((ref.root / name for name in ref.files if name.endswith(".yaml")), None)
    file = own or ref.options.sidecar
    if file is None or not file.is_file():
        return None
    with file.open("rb") as stream:
        return hashlib.sha256(stream.read(MAX_BYTES + 1)).hexdigest()


def read_sidecar(file: Path, where: str) -> Sidecar:
    """Read and check a sidecar.

    Raises:
        SceneError: not YAML, unknown keys, or values of the wrong kind.
    """
    if file.stat().st_size > MAX_BYTES:
        raise SceneError(f"{where}: a sidecar of more than {MAX_BYTES >> 20} MiB is none")
    try:
        values = load_yaml(file.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SceneError(f"{where}: not valid YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(values, dict):
        raise SceneError(f"{where}: a sidecar is a mapping; for example {EXAMPLE}")
    known = {"sensor", "product", "platform", "modality", "datetime", "datetime_in_name", "licence", "synthetic", "crs",
             "bands", "masks", "sun_elevation"}  # fmt: skip
    common = {"scale", "offset", "nodata", "unit", "resolution_m"}
    unknown = set(values) - known - common
    if unknown:
        raise SceneError(f"{where}: unknown keys: {', '.join(sorted(map(str, unknown)))}; known are "
                         f"{', '.join(sorted(known | common))}")  # fmt: skip
    bands = values.get("bands")
    if bands is not None and (not isinstance(bands, list) or all(entry is None for entry in bands)):
        raise SceneError(f"{where}: 'bands' is a list in the order of the file; for example {EXAMPLE}")
    sensor = values.get("sensor")
    if sensor is not None:
        try:
            load_sensor(str(sensor)).product(values.get("product"))
        except ConfigError as error:
            raise SceneError(f"{where}: {error}") from error
    return Sidecar(
        where=where,
        sensor=sensor,
        product=_text("product", values.get("product"), where),
        platform=_text("platform", values.get("platform"), where),
        modality=_text("modality", values.get("modality"), where),
        datetime=_datetime(values.get("datetime"), where),
        datetime_in_name=_pattern(values.get("datetime_in_name"), where),
        licence=_text("licence", values.get("licence"), where),
        synthetic=_text("synthetic", values.get("synthetic"), where),
        crs=_crs(values.get("crs"), where),
        sun_elevation=_degrees(values.get("sun_elevation"), where),
        bands=None if bands is None else tuple(bands),
        common={key: _checked(key, values[key], where) for key in sorted(common & set(values))},
        masks=_masks(values.get("masks", []), where),
    )


def iso_utc(moment: datetime) -> str:
    """ISO 8601 in UTC with a `Z`; a time without a zone is taken as UTC."""
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.isoformat().replace("+00:00", "Z")


def iso_utc_text(text: str | None, where: str) -> str | None:
    """A text in ISO 8601 as UTC with a `Z`.

    Raises:
        SceneError: it is none.
    """
    if text is None:
        return None
    try:
        return iso_utc(datetime.fromisoformat(text))
    except ValueError as error:
        raise SceneError(f"{where}: '{text}' is not an ISO 8601 time like 2020-05-18T13:30:00Z") from error


def _datetime(value: object, where: str) -> str | None:
    if value is None or isinstance(value, str):
        return iso_utc_text(value, where)
    if isinstance(value, datetime):
        return iso_utc(value)
    if isinstance(value, date):
        return value.isoformat()
    raise SceneError(f"{where}: '{value}' is not an ISO 8601 time like 2020-05-18T13:30:00Z")


def _pattern(value: object, where: str) -> str | None:
    text = _text("datetime_in_name", value, where)
    if text is not None:
        try:
            expression_of(text)
        except ValueError as error:
            raise SceneError(f"{where}: 'datetime_in_name' is '{text}', but {error}; for example '%Y-%m-%d'") from error
    return text


def _crs(value: object, where: str) -> CRS | None:
    if value is None:
        return None
    try:
        return CRS.from_user_input(value if isinstance(value, int) else checked_crs(str(value)))
    except (CRSError, CorpusError) as error:
        raise SceneError(f"{where}: '{value}' is not a coordinate reference system; write e.g. EPSG:32632") from error


def _checked(key: str, value: object, where: str) -> float | str | None:
    return _text(key, value, where) or "1" if key == "unit" else _number(key, value, where)


def _text(key: str, value: object, where: str) -> str | None:
    if isinstance(value, list | dict):
        raise SceneError(f"{where}: '{key}' is '{value}', not a text")
    return None if value is None else str(value)


def _number(key: str, value: object, where: str) -> float | None:
    if value is None and key in _MAY_BE_NULL:
        return None
    try:
        if isinstance(value, bool):
            raise TypeError
        return float(value)  # type: ignore[arg-type]  # YAML 1.1 has 1e-4 as text, and 1.0e-4 as a number
    except (TypeError, ValueError):
        raise SceneError(f"{where}: '{key}' is '{value}', not a number") from None


def _degrees(value: object, where: str) -> float | None:
    number = None if value is None else _number("sun_elevation", value, where)
    return None if number is None else float(number)


def _masks(entries: object, where: str) -> tuple[SidecarMask, ...]:
    try:
        if not isinstance(entries, list):
            raise TypeError
        return tuple(SidecarMask(str(e.get("file", "")), str(e["kind"]), int(e.get("band", 1))) for e in entries)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SceneError(f"{where}: 'masks' is a list like [{{file: '{{stem}}_SCL.tif', kind: SCL}}]") from error

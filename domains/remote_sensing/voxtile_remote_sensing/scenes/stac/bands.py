"""The bands of a STAC asset: the registry's where the item's names are known, and what their numbers mean.

Scale and offset are the item's word, then the file's, then the registry's. Where a level of Landsat has numbers of its
own, the level comes from the item's properties or the product's name, and a band whose level nobody states is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

import pystac

from voxtile.errors import ConfigError
from voxtile_remote_sensing.bands.registry import COMMON_NAMES, Band, Sensor, load_sensor
from voxtile_remote_sensing.scenes.landsat_level import level_1_band, level_of
from voxtile_remote_sensing.scenes.protocol import MissingBand, SceneBand, SceneError
from voxtile_remote_sensing.scenes.raster import RasterHeader, check_integers
from voxtile_remote_sensing.scenes.stac.assets import base_name

# Platform or constellation → sensor of the registry.
SENSORS = {
    "sentinel-2": "sentinel-2-msi",
    "sentinel-1": "sentinel-1-sar",
    "landsat-8": "landsat-8-9-oli-tirs",
    "landsat-9": "landsat-8-9-oli-tirs",
    "landsat-7": "landsat-7-etm",
    "landsat-5": "landsat-4-5-tm",
    "landsat-4": "landsat-4-5-tm",
}
S2_OFFSET_SINCE = 4.0  # processing baseline 04.00
S2_OFFSET_FROM = "2022-01-25"  # scenes of that day and later are of no earlier baseline
RADIANCE = "W m-2 sr-1 um-1"
_RADIANCE = re.compile(r"(watt|\bw\b).*(steradian|\bsr\b)", re.IGNORECASE)
_UNITS = {"k": "kelvin", "kelvin": "kelvin", "reflectance": "reflectance", "db": "dB", "decibel": "dB"}
_UNITLESS = frozenset(("", "1", "none", "unitless", "dimensionless"))


@dataclass(frozen=True)
class Product:
    """What an item says of all its bands.

    Attributes:
        where: the scene, for messages.
        properties: of the item.
        sensor: of the registry; None where the platform is not known.
        name: of the sensor's product; None where nobody says.
    """

    where: str
    properties: Mapping[str, Any] = field(repr=False)
    sensor: Sensor | None = None
    name: str | None = None

    @property
    def platform(self) -> str:
        """Lower case, with hyphens: `landsat-8`."""
        return str(self.properties.get("platform", "")).lower().replace("_", "-")

    @property
    def is_landsat(self) -> bool:
        """Of a sensor whose levels have numbers of their own."""
        return self.sensor is not None and self.sensor.name.startswith("landsat")


def product_of(item: pystac.Item, where: str) -> Product:
    """Sensor and product of an item."""
    properties = item.properties
    sensor = _sensor(properties)
    return Product(where, properties, sensor, None if sensor is None else _product_name(item, sensor))


def asset_bands(
    key: str, asset: pystac.Asset, header: RasterHeader, product: Product
) -> Iterator[SceneBand | MissingBand]:
    """The bands of one file; none where the sensor is known and the asset is no band of it.

    A thermal band whose numbers nobody explains is left out by name: the reflectance beside it is still good.

    Raises:
        SceneError: several bands without names, or numbers that nobody explains.
    """
    count = len(header.dtypes)
    named = _list(asset.extra_fields, "eo:bands", count) or _list(asset.extra_fields, "bands", count)
    scaled = _list(asset.extra_fields, "raster:bands", count) or named
    if named is None and count > 1:
        raise SceneError(
            f"{product.where}: asset '{key}' has {count} bands and nobody says which is which; list them in 'bands'"
        )
    for index in range(count):
        band = named_band(named[index] if named else {}, key, product)
        if band is None:
            continue
        try:
            known = _scaled(band, scaled[index] if scaled else {}, asset.extra_fields, header, index, product)
        except SceneError as error:
            if band.unit == "reflectance":
                raise
            yield MissingBand(band, str(error).removeprefix(f"{product.where}: "), required=False)
            continue
        yield header.band(known, index + 1)


def named_band(entry: Mapping[str, Any], key: str, product: Product) -> Band | None:
    """The registry's band of the item's name or common name, with what the item says of it.

    A name that the item's own common name contradicts is not taken: `B1` of MSS is green and of TM it is blue. None
    where the asset names nothing and the sensor has no such band: it is a map of something else.
    """
    name = str(entry.get("name") or base_name(key))
    common = entry.get("eo:common_name", entry.get("common_name"))
    common = common if common in COMMON_NAMES else None
    centre, width = (entry.get(f"eo:{k}", entry.get(k)) for k in ("center_wavelength", "full_width_half_max"))
    found = _registered((name, base_name(key), common), common, product)
    if found is None and product.sensor is not None and not entry:
        return None
    band = found or Band(name, common_name=common, source="STAC item")
    if band.wavelength_nm is None and isinstance(centre, float | int):  # micrometres
        band = replace(band, wavelength_nm=round(centre * 1000, 4))
        band = replace(band, width_nm=round(width * 1000, 4)) if isinstance(width, float | int) else band
    return band


def _registered(names: tuple[str | None, ...], common: str | None, product: Product) -> Band | None:
    if product.sensor is None:
        return None
    levels = (product.name,) if product.name or not product.is_landsat else ("L2", "L1")
    for name in names:
        for level in levels:
            try:
                band = product.sensor.band(name or "", level)
            except ConfigError:
                continue
            if common is None or band.is_called(common) or (band.common_name or "").startswith(common):
                return band if product.name or not product.is_landsat else replace(band, scale=1.0, offset=0.0)
    return None


def _scaled(
    band: Band, entry: Mapping[str, Any], fields: Mapping[str, Any], header: RasterHeader, index: int, product: Product
) -> Band:
    """Scale, offset, unit and nodata: the item's word, then the file's, then the registry's."""

    def said(name: str) -> Any:  # noqa: ANN401  (JSON)
        return next((d[k] for d in (entry, fields) for k in (f"raster:{name}", name) if d.get(k) is not None), None)

    nodata = said("nodata")
    nodata = header.nodata[index] if nodata is None else nodata
    if nodata is not None:
        band = replace(band, nodata=float(nodata))
    scale, offset, unit = said("scale"), said("offset"), _unit(said("unit"))
    stated = None
    if scale is not None or offset is not None:
        stated = float(1 if scale is None else scale), float(offset or 0)
    elif (header.scales[index], header.offsets[index]) != (1.0, 0.0):
        stated = header.scales[index], header.offsets[index]
    elif product.sensor is not None:
        check_integers(band, header.dtypes[index], product.where, "the band's 'raster:scale'")
    if product.is_landsat:
        return _landsat(band, stated, unit, product)
    band = band if stated is None else replace(band, scale=stated[0], offset=stated[1])
    if product.sensor is not None and product.sensor.name == "sentinel-2-msi":
        band = _sentinel_2(band, stated, product)
    return replace(band, unit=unit) if unit and (band.unit == "1" or stated is not None) else band


def _landsat(band: Band, stated: tuple[float, float] | None, unit: str | None, product: Product) -> Band:
    if product.name == "L1":
        return level_1_band(
            band, stated, unit, product.properties.get("view:sun_elevation"), product.platform, product.where
        )
    if product.name is None and (stated is None or unit is None):
        raise SceneError(
            f"{product.where}: nothing says whether band {band.name} is of Level 1 or Level 2, and their numbers "
            f"differ; state 'landsat:correction' (L1TP, L1GT, L2SP, …) or 'processing:level'"
        )
    band = band if stated is None else replace(band, scale=stated[0], offset=stated[1])
    return replace(band, unit=unit) if unit and stated is not None else band


def _sentinel_2(band: Band, stated: tuple[float, float] | None, product: Product) -> Band:
    """The offset of baseline 04.00, unless the item says that it has been taken off.

    Raises:
        SceneError: the scene is of a time that has the offset, and the item does not say whether it is taken off.
    """
    if _offset_applied(product.properties):
        return replace(band, offset=0.0)
    if stated is not None:
        return band
    baseline = _baseline(product.properties)
    if baseline is None and str(product.properties.get("datetime") or "") >= S2_OFFSET_FROM:
        raise SceneError(
            f"{product.where}: nothing says whether the offset of Sentinel-2's baseline 04.00 is in the numbers of "
            f"band {band.name}; state 's2:processing_baseline' or the band's 'raster:bands' with scale and offset"
        )
    return replace(band, offset=-1000 * band.scale) if (baseline or 0) >= S2_OFFSET_SINCE else band


def _unit(text: object) -> str | None:
    """The registry's word for a unit of STAC; None where it says nothing."""
    said = str(text or "").strip()
    if said.lower() in _UNITLESS:
        return None
    return RADIANCE if _RADIANCE.search(said) else _UNITS.get(said.lower(), said)


def _offset_applied(properties: Mapping[str, Any]) -> bool:
    """Copies of Earth Search may have the offset of baseline 04.00 taken off; then the stated one is not true."""
    return any(properties.get(f"{name}:boa_offset_applied") is True for name in ("earthsearch", "sentinel"))


def _baseline(properties: Mapping[str, Any]) -> float | None:
    for key in ("s2:processing_baseline", "processing:version", "sentinel:processing_baseline"):
        if match := re.fullmatch(r"N?(\d\d)\.?(\d\d)", str(properties.get(key) or "")):
            return float(f"{match[1]}.{match[2]}")
    return None


def _sensor(properties: Mapping[str, Any]) -> Sensor | None:
    said = [str(properties.get(key, "")).lower().replace("_", "-") for key in ("platform", "constellation")]
    instruments = properties.get("instruments")
    if isinstance(instruments, list) and [str(i).lower() for i in instruments] == ["mss"]:
        return None  # Landsat 4 and 5 carried it beside TM, with other bands under the same numbers
    name = next((SENSORS[start] for start in SENSORS for text in said if text.startswith(start)), None)
    return None if name is None else load_sensor(name)


def _product_name(item: pystac.Item, sensor: Sensor) -> str | None:
    said = item.properties
    if sensor.name.startswith("landsat"):
        keys = ("landsat:correction", "landsat:processing_level", "processing:level")
        level = level_of([*(said.get(key) for key in keys), item.collection_id, item.id])
        if any("_sr_band" in PurePosixPath(asset.href).name.lower() for asset in item.assets.values()):
            return "C1-L2"
        return None if level is None else f"L{level}"
    if sensor.name == "sentinel-1-sar":
        texts = (said.get("sar:product_type"), item.collection_id, item.id)
        return "RTC" if any("rtc" in str(text).lower() for text in texts) else "GRD-DN"  # STAC holds no calibration
    text = str(said.get("processing:level") or said.get("s2:product_type") or "").upper().replace("S2MSI", "L")
    return text if text in sensor.products else None


def _list(fields: Mapping[str, Any], key: str, count: int) -> list[Mapping[str, Any]] | None:
    value = fields.get(key)
    if isinstance(value, list) and len(value) == count and all(isinstance(v, dict) for v in value):
        return value
    return None

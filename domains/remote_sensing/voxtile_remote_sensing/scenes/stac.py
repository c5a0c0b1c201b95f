"""STAC items on disk: assets are bands, with the item's own names, wavelengths and scaling.

Extensions: `eo` and `raster` as of STAC 1.0, the common `bands` of STAC 1.1. Catalogues and collections are not walked:
every item file of the input folder is a scene. Hrefs are relative to the item; those that leave the folder or lead to
the network are refused unless allowed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pystac
from pystac.errors import STACError

from voxtile.errors import ConfigError
from voxtile_remote_sensing.bands.registry import COMMON_NAMES, Band, Sensor, load_sensor
from voxtile_remote_sensing.scenes.access import inside, is_remote
from voxtile_remote_sensing.scenes.listing import Found, Listing
from voxtile_remote_sensing.scenes.protocol import Scene, SceneBand, SceneError, SceneMask, SceneRef
from voxtile_remote_sensing.scenes.raster import RasterHeader, RasterPixels, read_header

MAX_BYTES = 8 << 20
RASTER_TYPES = ("image/tiff", "image/jp2", "image/vnd.stac.geotiff")
NOT_DATA = frozenset(("thumbnail", "overview", "metadata", "visual"))
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
MASKS = {"scl": "SCL", "qa_pixel": "QA_PIXEL", "udm2": "UDM2", "fmask": "fmask", "cloud": "cloud_probability"}
# Properties that are kept, and their names in the other readers.
ATTRIBUTES = {
    "view:sun_elevation": "sun_elevation",
    "view:sun_azimuth": "sun_azimuth",
    "eo:cloud_cover": "cloud_percent",
    "s2:processing_baseline": "processing_baseline",
    "earthsearch:boa_offset_applied": "boa_offset_applied",
}
S2_OFFSET_SINCE = 4.0  # processing baseline 04.00


class StacReader:
    """One item file, one scene."""

    name = "stac"

    def find(self, listing: Listing) -> Found:
        """JSON files that are STAC items, with their local assets."""
        refs, taken = [], set()
        for path in listing.sizes:
            if PurePosixPath(path).suffix not in (".json", ".geojson") or listing.sizes[path] > MAX_BYTES:
                continue
            item = _json(listing.root / path)
            if item is None:
                continue
            folder = PurePosixPath(path).parent
            hrefs = [str(a.get("href", "")) for a in item.get("assets", {}).values() if isinstance(a, dict)]
            local = {(folder / h).as_posix() for h in hrefs if not is_remote(h)} & set(listing.sizes)
            refs.append(listing.ref(self.name, path, [path, *local]))
            taken |= {path, *local}
        return Found(tuple(refs), frozenset(taken))

    def open(self, ref: SceneRef) -> Scene:
        """Open one item.

        Raises:
            SceneError: not a valid item, an asset outside the folder or on the network, or bands that nobody names.
        """
        value = _json(ref.location)
        try:
            item = pystac.Item.from_dict(value or {}, preserve_dict=True)
        except (STACError, KeyError, ValueError, TypeError, AttributeError) as error:
            raise SceneError(f"{ref.id}: not a valid STAC item ({error}); validate it with pystac") from error
        properties = dict(item.properties)
        sensor = _sensor(properties)
        product = _product(properties, sensor)
        bands: list[SceneBand] = []
        masks: list[SceneMask] = []
        for key, asset in item.assets.items():
            if not _is_raster(asset) or NOT_DATA & set(asset.roles or []) or key in NOT_DATA:
                continue
            path = inside(ref.root, asset.href, ref.options, base=ref.location.parent, where=f"{ref.id}: asset '{key}'")
            header = read_header(path, ref.root, ref.options)
            kind = MASKS.get(key.lower())
            if kind is not None:
                masks.append(header.mask(key, kind, nodata=header.nodata[0]))
            else:
                bands += _asset_bands(ref, key, asset, header, sensor, product, properties)
        if not bands:
            raise SceneError(f"{ref.id}: no asset is a raster with data; is the media type of the assets stated?")
        names = [band.name for band in bands]
        if len(set(names)) != len(names):
            raise SceneError(f"{ref.id}: two assets call a band the same ({', '.join(sorted(names))}); name them apart")
        attributes = {name: properties[key] for key, name in ATTRIBUTES.items() if key in properties}
        return Scene(
            ref=ref,
            sensor=sensor.name if sensor else "unknown",
            modality=sensor.modality if sensor else "MSI",
            product=product or "",
            platform=properties.get("platform"),
            datetime=properties.get("datetime") or properties.get("start_datetime"),
            bands=tuple(bands),
            pixels=RasterPixels(ref.root, ref.options),
            masks=tuple(masks),
            attributes=attributes,
            licence=properties.get("license") or (sensor.licence if sensor else None),
        )


def _asset_bands(
    ref: SceneRef,
    key: str,
    asset: pystac.Asset,
    header: RasterHeader,
    sensor: Sensor | None,
    product: str | None,
    properties: Mapping[str, Any],
) -> Iterator[SceneBand]:
    count = len(header.dtypes)
    named = _list(asset.extra_fields, "eo:bands", count) or _list(asset.extra_fields, "bands", count)
    scaled = _list(asset.extra_fields, "raster:bands", count) or named
    if named is None and count > 1:
        raise SceneError(
            f"{ref.id}: asset '{key}' has {count} bands and nobody says which is which; list them in 'bands'"
        )
    for index in range(count):
        entry = named[index] if named else {}
        band = _band(entry, key, sensor, product)
        band = _scaling(band, scaled[index] if scaled else {}, asset.extra_fields, header, index, sensor, properties)
        yield header.band(band, index + 1)


def _band(entry: Mapping[str, Any], key: str, sensor: Sensor | None, product: str | None) -> Band:
    """The registry's band of the item's name or common name, with what the item says of it."""
    name = str(entry.get("name") or key)
    common = entry.get("eo:common_name", entry.get("common_name"))
    common = common if common in COMMON_NAMES else None
    centre, width = (entry.get(f"eo:{k}", entry.get(k)) for k in ("center_wavelength", "full_width_half_max"))
    band = Band(name, common_name=common, source="STAC item")
    for candidate in (name, key, common):
        if sensor is None or candidate is None:
            continue
        try:
            band = sensor.band(str(candidate), product)
            break
        except ConfigError:
            continue
    if band.wavelength_nm is None and isinstance(centre, float | int):  # micrometres
        band = replace(band, wavelength_nm=round(centre * 1000, 4))
        band = replace(band, width_nm=round(width * 1000, 4)) if isinstance(width, float | int) else band
    return band


def _scaling(
    band: Band,
    entry: Mapping[str, Any],
    fields: Mapping[str, Any],
    header: RasterHeader,
    index: int,
    sensor: Sensor | None,
    properties: Mapping[str, Any],
) -> Band:
    """Scale, offset and nodata: the item's word, then the file's, then the registry's with Sentinel-2's baseline."""

    def said(name: str) -> Any:  # noqa: ANN401  (JSON)
        return next((d[k] for d in (entry, fields) for k in (f"raster:{name}", name) if d.get(k) is not None), None)

    nodata = said("nodata")
    nodata = header.nodata[index] if nodata is None else nodata
    if nodata is not None:
        band = replace(band, nodata=float(nodata))
    scale, offset = said("scale"), said("offset")
    unit = said("unit")
    if scale is not None or offset is not None:
        band = replace(band, scale=float(1 if scale is None else scale), offset=float(offset or 0))
    elif (header.scales[index], header.offsets[index]) != (1.0, 0.0):
        band = replace(band, scale=header.scales[index], offset=header.offsets[index])
    elif sensor is not None and sensor.name == "sentinel-2-msi" and _baseline(properties) >= S2_OFFSET_SINCE:
        band = replace(band, offset=-1000 * band.scale)
    if sensor is not None and sensor.name == "sentinel-2-msi" and _offset_applied(properties):
        band = replace(band, offset=0.0)
    return replace(band, unit=str(unit)) if unit and band.unit == "1" else band


def _offset_applied(properties: Mapping[str, Any]) -> bool:
    """Copies of Earth Search may have the offset of baseline 04.00 taken off; then the stated one is not true."""
    return any(properties.get(f"{name}:boa_offset_applied") is True for name in ("earthsearch", "sentinel"))


def _baseline(properties: Mapping[str, Any]) -> float:
    for key in ("s2:processing_baseline", "processing:version", "sentinel:processing_baseline"):
        try:
            return float(properties[key])
        except (KeyError, TypeError, ValueError):
            continue
    return 0.0


def _sensor(properties: Mapping[str, Any]) -> Sensor | None:
    said = [str(properties.get(key, "")).lower().replace("_", "-") for key in ("platform", "constellation")]
    name = next((SENSORS[start] for start in SENSORS for text in said if text.startswith(start)), None)
    return None if name is None else load_sensor(name)


def _product(properties: Mapping[str, Any], sensor: Sensor | None) -> str | None:
    if sensor is None:
        return None
    level = str(
        properties.get("processing:level")
        or properties.get("s2:product_type")
        or properties.get("landsat:correction")
        or ""
    )
    level = level.upper().replace("S2MSI", "L").replace("L2SP", "L2").replace("L2SR", "L2").replace("L1TP", "L1")
    return next((p for p in sensor.products if p == level), None)


def _is_raster(asset: pystac.Asset) -> bool:
    media = (asset.media_type or "").lower()
    return media.startswith(RASTER_TYPES) or (not media and asset.href.lower().endswith((".tif", ".tiff", ".jp2")))


def _list(fields: Mapping[str, Any], key: str, count: int) -> list[Mapping[str, Any]] | None:
    value = fields.get(key)
    if isinstance(value, list) and len(value) == count and all(isinstance(v, dict) for v in value):
        return value
    return None


def _json(path: Path) -> dict[str, Any] | None:
    """The item, or None where the file is something else."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except (ValueError, OSError, RecursionError):
        return None
    is_item = isinstance(value, dict) and value.get("type") == "Feature" and "stac_version" in value
    return value if is_item else None

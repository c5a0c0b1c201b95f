"""Landsat 4-9 scenes described by an MTL text file: Collection 1 and 2, Level 1 and 2.

Level 2 (Collection 2): reflectance = DN · REFLECTANCE_MULT + REFLECTANCE_ADD, temperature likewise (USGS LSDS-1618 and
LSDS-1619). Level 1: top-of-atmosphere reflectance = (DN · MULT + ADD) / sin(sun elevation) (USGS LSDS-1574, section 5);
thermal bands as radiance. The MTL of a Level 2 product repeats the Level 1 numbers under the same names in another
group, so values are taken by group.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, TypeAlias

from voxtile_remote_sensing.bands.registry import Band, Sensor, load_sensor
from voxtile_remote_sensing.scenes.landsat_level import bqa_kind, over_sine
from voxtile_remote_sensing.scenes.listing import Found, Listing
from voxtile_remote_sensing.scenes.products.landsat_mtl import Groups, mtl_value, read_mtl
from voxtile_remote_sensing.scenes.protocol import Grid, MissingBand, Scene, SceneBand, SceneError, SceneMask, SceneRef
from voxtile_remote_sensing.scenes.raster import RasterHeader, RasterPixels, read_header

SENSORS = {"OLI_TIRS": "landsat-8-9-oli-tirs", "OLI": "landsat-8-9-oli-tirs", "TIRS": "landsat-8-9-oli-tirs"}
SENSORS |= {"ETM": "landsat-7-etm", "ETM+": "landsat-7-etm", "TM": "landsat-4-5-tm"}
# Keys of mask files in the MTL, and what they hold.
MASKS = {"FILE_NAME_QUALITY_L1_PIXEL": "QA_PIXEL", "FILE_NAME_BAND_QUALITY": "BQA"}
# Further keys that are kept, and their names in the other readers.
FACTS = {
    "WRS_PATH": "wrs_path",
    "WRS_ROW": "wrs_row",
    "COLLECTION_NUMBER": "collection",
    "COLLECTION_CATEGORY": "tier",
    "CLOUD_COVER": "cloud_percent",
    "SUN_AZIMUTH": "sun_azimuth",
}
Scaling: TypeAlias = tuple[float, float]


class LandsatReader:
    """One MTL file, one scene."""

    name = "landsat"

    def find(self, listing: Listing) -> Found:
        """`*_MTL.txt` with the rasters of the same product identifier beside it."""
        refs: list[SceneRef] = []
        taken: set[str] = set()
        for path in listing.sizes:
            pure = PurePosixPath(path)
            if not pure.name.endswith("_MTL.txt"):
                continue
            prefix = path.removesuffix("MTL.txt")
            files = [p for p in listing.starting_with(prefix) if "/" not in p[len(prefix) :]]
            used = [p for p in files if p.lower().endswith((".tif", ".tiff")) or p == path]
            refs.append(listing.ref(self.name, path, used))
            taken |= set(files)
        return Found(tuple(refs), frozenset(taken))

    def open(self, ref: SceneRef) -> Scene:
        """Open a scene with the scaling of its MTL.

        Raises:
            SceneError: the MTL is damaged, of an unknown sensor, or disagrees with the rasters.
        """
        groups = read_mtl(ref.location, ref.path)
        kind = str(mtl_value(groups, "SENSOR_ID", where=ref.path)).upper()
        if kind not in SENSORS:
            raise SceneError(f"{ref.path}: sensor '{kind}' is not known; there are: {', '.join(sorted(SENSORS))}")
        sensor = load_sensor(SENSORS[kind])
        product = _product(ref, groups)
        bands, missing = _bands(ref, groups, sensor, product)
        if not bands:
            raise SceneError(f"{ref.path}: no band that the MTL lists is beside it; copy the scene again")
        sun = mtl_value(groups, "SUN_ELEVATION", where=ref.path)
        return Scene(
            ref=ref,
            sensor=sensor.name,
            modality=sensor.modality,
            product=product,
            platform=str(mtl_value(groups, "SPACECRAFT_ID", where=ref.path)),
            datetime=_datetime(groups, ref.path),
            bands=bands,
            pixels=RasterPixels(ref.root, ref.options),
            masks=tuple(_masks(ref, groups, product)),
            missing=missing,
            attributes={"sun_elevation": sun, **_facts(groups)},
            licence=sensor.licence,
        )


def _product(ref: SceneRef, groups: Groups) -> str:
    level = str(
        groups.get("PRODUCT_CONTENTS", {}).get("PROCESSING_LEVEL")
        or groups.get("PRODUCT_METADATA", {}).get("DATA_TYPE")
        or groups.get("PRODUCT_METADATA", {}).get("PROCESSING_LEVEL")
        or "L1"
    )
    if level.startswith("L2"):
        return "L2"
    has_sr = any(re.search(r"_sr_band\d+\.tif$", f) for f in ref.files)
    return "C1-L2" if has_sr else "L1"


def _listed(ref: SceneRef, groups: Groups, sensor: Sensor, product: str) -> Iterator[tuple[Band, str, str]]:
    """Band, its key in the MTL (`5`, `ST_B10`, `6_VCID_1`), and its file name, as the MTL lists them."""
    for band in sensor.bands_of(product):
        if product == "C1-L2":
            number = band.name.removeprefix("B")
            stem = PurePosixPath(ref.path).name.removesuffix("_MTL.txt")
            yield band, number, f"{stem}_sr_band{number}.tif"
            continue
        keys = [alias.removeprefix("B") for alias in (band.name, *band.aliases) if re.match(r"(B\d|ST_B)", alias)]
        for key in keys:
            name = groups.get("PRODUCT_CONTENTS", groups.get("PRODUCT_METADATA", {})).get(f"FILE_NAME_BAND_{key}")
            if name is not None:
                yield band, key, str(name)
                break


def _bands(
    ref: SceneRef, groups: Groups, sensor: Sensor, product: str
) -> tuple[tuple[SceneBand, ...], tuple[MissingBand, ...]]:
    bands, missing = [], []
    for band, key, name in _listed(ref, groups, sensor, product):
        path = _beside(ref, name)
        if path is None:
            reason = f"the MTL lists band {band.name} as '{name}', but the file is not there; copy it again, or ask "
            missing.append(MissingBand(band, reason + "for the other bands by name"))
            continue
        header = read_header(str(path), ref.root, ref.options)
        _check_grid(ref, groups, band, key, header)
        scale, offset = _scaling(ref, groups, band, key, product)
        bands.append(header.band(replace(band, scale=scale, offset=offset)))
    return tuple(bands), tuple(missing)


def _scaling(ref: SceneRef, groups: Groups, band: Band, key: str, product: str) -> Scaling:
    """Multiply and add of the MTL; the published ones where a Collection 1 surface product has none."""
    if product == "C1-L2":
        return band.scale, band.offset
    if product == "L2":
        thermal = band.unit == "kelvin"
        group = f"LEVEL2_SURFACE_{'TEMPERATURE' if thermal else 'REFLECTANCE'}_PARAMETERS"
        return _pair(ref, groups.get(group, {}), "TEMPERATURE" if thermal else "REFLECTANCE", key)
    group = "LEVEL1_RADIOMETRIC_RESCALING" if "LEVEL1_RADIOMETRIC_RESCALING" in groups else "RADIOMETRIC_RESCALING"
    if band.unit != "reflectance":
        return _pair(ref, groups.get(group, {}), "RADIANCE", key)
    scale, offset = _pair(ref, groups.get(group, {}), "REFLECTANCE", key)
    return over_sine(scale, offset, mtl_value(groups, "SUN_ELEVATION", where=ref.path), ref.path)


def _pair(ref: SceneRef, group: Mapping[str, Any], quantity: str, key: str) -> Scaling:
    names = (f"{quantity}_MULT_BAND_{key}", f"{quantity}_ADD_BAND_{key}")
    values = [group.get(name) for name in names]
    if not all(isinstance(v, float | int) for v in values):
        raise SceneError(f"{ref.path}: {names[0]} or {names[1]} is missing; copy the scene again from its source")
    return float(values[0]), float(values[1])  # type: ignore[arg-type]


def _check_grid(ref: SceneRef, groups: Groups, band: Band, key: str, header: RasterHeader) -> None:
    """Refuse a raster whose size or zone is not what the MTL says."""
    name = Path(header.path).name
    thermal, pan = "kelvin" in band.unit or "sr-1" in band.unit, key == "8"
    what = "PANCHROMATIC" if pan else "THERMAL" if thermal else "REFLECTIVE"
    grid: Grid = header.on_ground(name)
    flat = {k: v for group in ("PROJECTION_ATTRIBUTES", "PRODUCT_METADATA") for k, v in groups.get(group, {}).items()}
    claimed = flat.get(f"{what}_LINES"), flat.get(f"{what}_SAMPLES")
    if None not in claimed and claimed != grid.shape:
        raise SceneError(
            f"{ref.path}: the MTL says that {name} has {claimed[0]}×{claimed[1]} pixels, but it has "
            f"{grid.shape[0]}×{grid.shape[1]}; the two belong to different scenes or the raster was cut"
        )
    zone = groups.get("PROJECTION_ATTRIBUTES", groups.get("PROJECTION_PARAMETERS", {})).get("UTM_ZONE")
    zone = zone or groups.get("PROJECTION_PARAMETERS", {}).get("UTM_ZONE")
    code = grid.crs.to_epsg() or 0
    if zone is not None and code // 100 in (326, 327) and code % 100 != abs(int(zone)):
        raise SceneError(f"{ref.path}: the MTL says UTM zone {zone}, but {name} is in EPSG:{code}; copy both again")


def _masks(ref: SceneRef, groups: Groups, product: str) -> Iterator[SceneMask]:
    contents = groups.get("PRODUCT_CONTENTS", groups.get("PRODUCT_METADATA", {}))
    names = {kind: str(contents[key]) for key, kind in MASKS.items() if key in contents}
    if product == "C1-L2":
        names["pixel_qa"] = PurePosixPath(ref.path).name.removesuffix("MTL.txt") + "pixel_qa.tif"
    for kind, name in names.items():
        path = _beside(ref, name)
        if path is None:
            continue
        layout = bqa_kind((path.name,), _facts(groups).get("collection"), ref.path) if kind == "BQA" else kind
        yield read_header(str(path), ref.root, ref.options).mask(kind, layout, nodata=1.0)  # bit 0 is fill


def _beside(ref: SceneRef, name: str) -> Path | None:
    """A file beside the MTL; None where it is not there or the name is a path."""
    path = ref.location.parent / name
    return path if PurePosixPath(name).name == name and path.is_file() else None


def _datetime(groups: Groups, where: str) -> str:
    day = mtl_value(groups, "DATE_ACQUIRED", where=where)
    time = str(mtl_value(groups, "SCENE_CENTER_TIME", where=where)).strip('"')
    return f"{day}T{time[:15].rstrip('Z')}Z"


def _facts(groups: Groups) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for group in groups.values():
        for key, name in FACTS.items():
            if key in group:
                found.setdefault(name, group[key])
    return found

"""Which assets of a STAC item are bands, which are class and flag layers, and which are neither.

Catalogues add more rasters than bands: aerosol and water vapour maps, quality bits, pictures for people, the same band
at coarser pixels (`blue_20m` of stactools) or in the operator's own format (`blue-jp2` of Earth Search).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

import pystac

from voxtile_remote_sensing.scenes.access import is_remote
from voxtile_remote_sensing.scenes.landsat_level import bqa_kind

RASTER_TYPES = ("image/tiff", "image/jp2", "image/vnd.stac.geotiff")
NOT_DATA = frozenset(("thumbnail", "overview", "metadata", "visual"))
# Asset → kind of mask, by the names of Planetary Computer, Earth Search, USGS and stactools.
MASKS = {
    "scl": "SCL",
    "qa_pixel": "QA_PIXEL",
    "bqa": "BQA",
    "pixel_qa": "pixel_qa",
    "udm2": "UDM2",
    "fmask": "fmask",
    "cloud": "cloud_probability",
    "snow": "snow_probability",
}
# Roles of the best practices of STAC for layers that say something of the pixels and measure nothing.
QUALITY_ROLES = frozenset(
    ("cloud", "cloud-shadow", "snow-ice", "land-water", "water-mask", "data-mask", "saturation", "incidence-angle",
     "azimuth", "sun-azimuth", "sun-elevation", "terrain-shadow", "terrain-occlusion", "terrain-illumination")
)  # fmt: skip
_MEASURED = frozenset(("data", "reflectance", "temperature"))
_QUALITY = re.compile(r"^(qa|b?qa_\w+|\w+_qa|qa\d+|radsat_\w+|aot|wvp|\w*angles?|date|dataset)$")
_COPY = re.compile(r"([-_]jp2|[-_]\d+m)$")


@dataclass(frozen=True)
class AssetUse:
    """What an asset is for.

    Attributes:
        key: of the asset.
        asset: as the item has it.
        kind: of the mask; empty for a band.
        remote: its file is on the network.
    """

    key: str
    asset: pystac.Asset
    kind: str
    remote: bool


def assets_of(item: pystac.Item, where: str) -> Iterator[AssetUse]:
    """The rasters of an item that are bands or masks; a copy of another is left out, and what is neither, too.

    Raises:
        SceneError: a quality layer of Landsat whose bits nobody states.
    """
    rasters = {key: asset for key, asset in item.assets.items() if _is_raster(asset)}
    for key, asset in rasters.items():
        roles = set(asset.roles or [])
        base = base_name(key)
        if NOT_DATA & roles or base in NOT_DATA or _is_copy(key, rasters):
            continue
        kind = MASKS.get(base, "")
        if kind == "BQA":
            names = (PurePosixPath(asset.href).name, item.id)
            kind = bqa_kind(names, item.properties.get("landsat:collection_number"), where)
        elif not kind and (_QUALITY.match(base) or (roles & QUALITY_ROLES and not roles & _MEASURED)):
            continue
        yield AssetUse(key, asset, kind, is_remote(asset.href))


def base_name(key: str) -> str:
    """The key of an asset without what marks a copy of it: `blue` of `blue-jp2` and `blue_20m`."""
    return _COPY.sub("", key.lower())


def _is_copy(key: str, rasters: Mapping[str, pystac.Asset]) -> bool:
    """Another asset holds the same, on this machine or with finer pixels."""
    base = base_name(key)
    same = [name for name in rasters if base_name(name) == base]
    return key != min(same, key=lambda name: (is_remote(rasters[name].href), _metres(name, rasters[name]), len(name)))


def _metres(key: str, asset: pystac.Asset) -> float:
    marked = re.search(r"[-_](\d+)m$", key.lower())
    if marked:
        return float(marked[1])
    stated = asset.extra_fields.get("gsd", 0)
    return float(stated) if isinstance(stated, int | float) else 0.0


def _is_raster(asset: pystac.Asset) -> bool:
    media = (asset.media_type or "").lower()
    return media.startswith(RASTER_TYPES) or (not media and asset.href.lower().endswith((".tif", ".tiff", ".jp2")))

"""STAC items on disk: assets are bands, with the item's own names, wavelengths and scaling.

Extensions: `eo` and `raster` as of STAC 1.0, the common `bands` of STAC 1.1. Catalogues and collections are not walked:
every item file of the input folder is a scene, and so is every item of a collection of items, as searches are saved
(of those with a local asset). Hrefs are relative to the item; those that leave the folder are refused
unless allowed. A raster on the network is left out by name, so that an item of a catalogue whose red band alone was
downloaded is a scene with a red band.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pystac
from pystac.errors import STACError

from voxtile.bounded_text import load_json
from voxtile_remote_sensing.bands.registry import Band, modality_of
from voxtile_remote_sensing.scenes.access import inside, is_remote, without_query
from voxtile_remote_sensing.scenes.listing import Found, Listing
from voxtile_remote_sensing.scenes.protocol import MissingBand, Scene, SceneBand, SceneError, SceneMask, SceneRef
from voxtile_remote_sensing.scenes.raster import RasterPixels, read_header
from voxtile_remote_sensing.scenes.sidecar import iso_utc_text
from voxtile_remote_sensing.scenes.stac.assets import AssetUse, assets_of
from voxtile_remote_sensing.scenes.stac.bands import Product, asset_bands, named_band, product_of

MAX_BYTES = 8 << 20
# Properties that are kept, and their names in the other readers.
ATTRIBUTES = {
    "view:sun_elevation": "sun_elevation",
    "view:sun_azimuth": "sun_azimuth",
    "eo:cloud_cover": "cloud_percent",
    "s2:processing_baseline": "processing_baseline",
    "earthsearch:boa_offset_applied": "boa_offset_applied",
}


class StacReader:
    """One item file, one scene."""

    name = "stac"

    def find(self, listing: Listing) -> Found:
        """JSON files that are STAC items or hold several (what a search answers), with their local assets."""
        refs, taken = [], set()
        for path in listing.sizes:
            if PurePosixPath(path).suffix not in (".json", ".geojson") or listing.sizes[path] > MAX_BYTES:
                continue
            items, is_search = _json(listing.root / path)
            for number, item in enumerate(items):
                local = _local(item, PurePosixPath(path).parent) & set(listing.sizes)
                if is_search and not local and not listing.options.network:
                    continue  # of a search's answer the user has downloaded some
                part = f"{number:05d}" if is_search else ""
                refs.append(listing.ref(self.name, path, [path, *local], part=part))
                taken |= {path, *local}
        return Found(tuple(refs), frozenset(taken))

    def open(self, ref: SceneRef) -> Scene:
        """Open one item.

        Raises:
            SceneError: not a valid item, an asset outside the folder, all of them on the network, or bands that nobody
                names or whose numbers nobody explains.
        """
        try:
            return self._open(ref)
        except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise SceneError(
                f"{ref.id}: not a valid STAC item (a value of another kind: {error}); validate it with pystac"
            ) from error

    def _open(self, ref: SceneRef) -> Scene:
        item = _item(ref)
        product = product_of(item, ref.id)
        bands: list[SceneBand] = []
        masks: list[SceneMask] = []
        missing: list[MissingBand] = []
        for use in assets_of(item, ref.id):
            if use.remote and not ref.options.network:
                missing += _remote(use, product)
                continue
            where = f"{ref.id}: asset '{use.key}'"
            path = inside(ref.root, use.asset.href, ref.options, base=ref.location.parent, where=where)
            header = read_header(path, ref.root, ref.options)
            if use.kind:
                masks.append(header.mask(use.key, use.kind, nodata=header.nodata[0]))
            else:
                found = list(asset_bands(use.key, use.asset, header, product))
                missing += [band for band in found if isinstance(band, MissingBand)]
                own = [band for band in found if isinstance(band, SceneBand)]
                bands += own
                for mask in header.own_masks([band.layer.index for band in own]) if own else ():
                    masks.append(replace(mask, name=f"{use.key} {mask.name}"))
        _check(ref, bands, missing)
        properties = item.properties
        sensor = product.sensor
        return Scene(
            ref=ref,
            sensor=sensor.name if sensor else "unknown",
            modality=sensor.modality if sensor else modality_of((b.band for b in bands), (b.dtype for b in bands)),
            product=product.name or "",
            platform=properties.get("platform"),
            datetime=_moment(properties.get("datetime") or properties.get("start_datetime"), ref.id),
            bands=tuple(bands),
            pixels=RasterPixels(ref.root, ref.options),
            masks=tuple(masks),
            missing=tuple(missing),
            attributes={name: properties[key] for key, name in ATTRIBUTES.items() if key in properties},
            licence=properties.get("license") or (sensor.licence if sensor else None),
        )


def _moment(text: str | None, where: str) -> str | None:
    """As the item has it where that is UTC, else in UTC."""
    return text if text is None or text.endswith("Z") else iso_utc_text(text, where)


def _item(ref: SceneRef) -> pystac.Item:
    items, _ = _json(ref.location)
    try:
        return pystac.Item.from_dict(items[int(ref.part or 0)], preserve_dict=True)
    except (STACError, IndexError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise SceneError(f"{ref.id}: not a valid STAC item ({error}); validate it with pystac") from error


def _remote(use: AssetUse, product: Product) -> Iterator[MissingBand]:
    """What an asset on the network would have been, with the way to have it; nothing for a map that is no band."""
    fields = use.asset.extra_fields
    entries = fields.get("eo:bands") or fields.get("bands") or [{}]
    entry = entries[0] if isinstance(entries, list) and isinstance(entries[0], dict) else {}
    named = None if use.kind else named_band(entry, use.key, product)
    reason = (
        f"asset '{use.key}': '{without_query(use.asset.href)}' leads to the network; download it into the input folder "
        f"and write its href into the item, or allow it with --allow-network"
    )
    if use.kind:
        yield MissingBand(Band(use.key), reason, required=False, what="mask")
    elif named is not None:
        yield MissingBand(named, reason, required=False)


def _check(ref: SceneRef, bands: list[SceneBand], missing: list[MissingBand]) -> None:
    if not bands and missing:
        raise SceneError(f"{ref.id}: {missing[0].reason}")
    if not bands:
        raise SceneError(f"{ref.id}: no asset is a raster with data; is the media type of the assets stated?")
    names = [band.name for band in bands]
    if len(set(names)) != len(names):
        raise SceneError(f"{ref.id}: two assets call a band the same ({', '.join(sorted(names))}); name them apart")


def _local(item: dict[str, Any], folder: PurePosixPath) -> set[str]:
    """Files that an item's assets name, relative to the input folder."""
    assets = item.get("assets")
    described = assets.values() if isinstance(assets, dict) else ()
    hrefs = [str(asset.get("href", "")) for asset in described if isinstance(asset, dict)]
    return {os.path.normpath(folder / href) for href in hrefs if not is_remote(href)}


def _json(path: Path) -> tuple[list[dict[str, Any]], bool]:
    """The item of a file or the items of a collection of them, and whether it is one; none of any other file."""
    try:
        value = load_json(path.read_text("utf-8"))
    except (ValueError, OSError):
        return [], False
    is_search = isinstance(value, dict) and value.get("type") == "FeatureCollection"
    features = value.get("features") if is_search else [value]
    items = features if isinstance(features, list) else []
    are_items = all(isinstance(i, dict) and i.get("type") == "Feature" and "stac_version" in i for i in items)
    return (items, is_search) if are_items else ([], False)

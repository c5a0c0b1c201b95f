"""Scenes on a map: footprints of all samples that have a place, and tiles that QGIS and other programs open."""

from __future__ import annotations

import json
from functools import cache
from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from voxtile.formats.optional import require
from voxtile.formats.pictures.band_pictures import band_picture, band_pictures
from voxtile.formats.pictures.encode import png
from voxtile.formats.pictures.map_tiles import TILE, extent_of, map_tile
from voxtile.serve.routes import Served

router = APIRouter(tags=["maps"])
_KEPT = {"Cache-Control": "private, max-age=600"}
_MOST_FOOTPRINTS = 3000


class TileJson(BaseModel):
    """TileJSON 3.0 (github.com/mapbox/tilejson-spec): where the tiles of a sample are, and what they cover."""

    tilejson: str = "3.0.0"
    tiles: list[str]
    bounds: list[float]
    minzoom: int
    maxzoom: int
    bands: list[str]


@router.get("/footprints")
def footprints(
    served: Served,
    west: Annotated[float, Query(ge=-180, le=180)] = -180,
    south: Annotated[float, Query(ge=-90, le=90)] = -90,
    east: Annotated[float, Query(ge=-180, le=180)] = 180,
    north: Annotated[float, Query(ge=-90, le=90)] = 90,
) -> Response:
    """GeoJSON of the samples that have a place on the ground, in longitude and latitude; at most 3,000 of them.

    `total` says how many there are, `inside` how many the part of the map has that is asked for. Where these are more
    than 3,000, those that come are a fair sample of them; a smaller part has them all.
    """
    shapely = require("shapely", "remote-sensing")
    inside = served.footprints.within(west, south, east, north)
    rows = served.rows(inside[:_MOST_FOOTPRINTS].tolist(), ("uid", "modality", "datetime", "geometry"))
    features = [
        {
            "type": "Feature",
            "geometry": shapely.geometry.mapping(shapely.from_wkb(bytes(row["geometry"]))),
            "properties": {
                "uid": row["uid"], "modality": row["modality"], "datetime": row["datetime"] and str(row["datetime"]),
            },
        }
        for row in rows
    ]  # fmt: skip
    counts = {"total": len(served.footprints.numbers), "inside": len(inside)}
    content = {"type": "FeatureCollection", **counts, "features": features}
    return Response(json.dumps(content), media_type="application/geo+json")


@router.get("/samples/{uid}/tiles.json")
def tile_json(
    served: Served, uid: str, request: Request, bands: Annotated[str | None, Query(max_length=200)] = None
) -> TileJson:
    """Where the map tiles of a sample are; QGIS takes the address in `tiles` as an XYZ layer."""
    row = served.row(uid)
    extent = extent_of(row)
    shown = band_picture(row, bands)
    address = str(request.url_for("scene_tile", uid=uid, z=0, x=0, y=0)).removesuffix("/0/0/0.png")
    query = "" if shown is None else str(request.url.replace(query="").include_query_params(bands=shown.name).query)
    return TileJson(
        tiles=[f"{address}/{{z}}/{{x}}/{{y}}.png" + (f"?{query}" if query else "")],
        bounds=list(extent.bounds),
        minzoom=0,
        maxzoom=extent.nearest,
        bands=[picture.name for picture in band_pictures(row)],
    )


@router.get("/samples/{uid}/tiles/{z}/{x}/{y}.png", name="scene_tile")
def scene_tile(
    served: Served, uid: str, z: int, x: int, y: int, bands: Annotated[str | None, Query(max_length=200)] = None
) -> Response:
    """A tile of 256 × 256 pixels in the web's Mercator (EPSG:3857); see-through where there is no value."""
    row = served.row(uid)
    with served.source(row) as source:
        found = map_tile(source, band_picture(row, bands), z, x, y)
    return Response(_nothing() if found is None else png(found), media_type="image/png", headers=_KEPT)


@cache
def _nothing() -> bytes:
    return png(np.zeros((TILE, TILE, 4), np.uint8))

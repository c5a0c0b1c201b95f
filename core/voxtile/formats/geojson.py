"""Regions of a sample as GeoJSON: one feature a region, masks as polygons.

Of a tile with a place on Earth in longitude and latitude (RFC 7946), else in pixels, as QuPath reads and writes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from voxtile.corpus.reader import Corpus
from voxtile.corpus.storage import write_atomically
from voxtile.errors import CorpusError, required
from voxtile.formats.geotiff import checked_crs
from voxtile.formats.optional import require

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

SUFFIX = ".geojson"


def write_geojson(corpus: Corpus, row: Mapping[str, Any], out: Path) -> list[Path]:
    """Write the regions of a sample.

    Coordinates are longitude and latitude where the sample has a place on Earth (`crs`, `transform`), level-0 pixels of
    the slide where it says what it covers of one (`level0_box`), else pixels of the sample, y downwards. A mask becomes
    the outline of its pixels, whatever grid it is on; a region without a mask its box, turned by its angle.

    Args:
        corpus: where the sample is.
        row: of the sample; two-dimensional.
        out: the file.

    Raises:
        CorpusError: the sample has no region, is not two-dimensional, or its place is none.
        MissingExtraError: shapely, or of a tile with a place rasterio, is not installed.
    """
    axes = str(row.get("axes"))
    if "Z" in axes or "Y" not in axes:
        raise CorpusError(f"the sample {row['uid']} has axes {axes}; GeoJSON holds regions of pictures")
    regions = [r for r in corpus.table("regions", with_root=True).to_pylist() if r["uid"] == row["uid"]]
    if not regions:
        raise CorpusError(
            f"the sample {row['uid']} has no region; choose one that has: voxtile inspect CORPUS --uid UID"
        )
    features = [_feature(corpus, row, region) for region in sorted(regions, key=lambda r: str(r["region_id"]))]
    content = {"type": "FeatureCollection", "features": [feature for feature in features if feature is not None]}
    write_atomically(out, json.dumps(content, ensure_ascii=False).encode())
    return [out]


def _feature(corpus: Corpus, row: Mapping[str, Any], region: Mapping[str, Any]) -> dict[str, Any] | None:
    with required("shapely", "pathology"):
        from shapely import affinity
        from shapely.geometry import box, mapping
    size = _size(row)
    mask = corpus.mask(region)
    shape: BaseGeometry
    if mask is not None:
        grid = (size[0] / mask.shape[1], size[1] / mask.shape[0])
        shape = affinity.scale(outline(mask > 0), *grid, origin=(0, 0))
    elif region["box"] and len(region["box"]) == 4:
        y0, x0, y1, x1 = region["box"]
        shape = affinity.rotate(box(x0, y0, x1, y1), -(region["angle"] or 0.0), origin="centroid")  # y points down
    else:
        return None
    if row.get("level0_box"):
        x0, y0, x1, y1 = row["level0_box"]
        shape = affinity.affine_transform(shape, [(x1 - x0) / size[0], 0, 0, (y1 - y0) / size[1], x0, y0])
    properties = {"objectType": "annotation", "classification": {"name": region["phrase"] or "region"}}
    if row.get("crs") and row.get("transform"):
        a, b, c, d, e, f = row["transform"]  # x = a·column + b·row + c, y = d·column + e·row + f
        shape = on_earth(affinity.affine_transform(shape, [a, b, d, e, c, f]), row["crs"])
    return {"type": "Feature", "id": region["region_id"], "geometry": mapping(shape), "properties": properties}


def on_earth(shape: BaseGeometry, crs: str) -> BaseGeometry:
    """A shape in longitude and latitude, cut at the dateline (RFC 7946, section 3.1.9).

    Raises:
        CorpusError: the coordinate reference system is none, or the shape has no place in it.
        MissingExtraError: rasterio is not installed.
    """
    rasterio = require("rasterio", "remote-sensing")
    from rasterio.warp import transform_geom
    from shapely import affinity
    from shapely.geometry import mapping
    from shapely.geometry import shape as shaped

    try:
        placed = transform_geom(checked_crs(crs), "EPSG:4326", mapping(shape), antimeridian_cutting=True)
    except (rasterio.errors.RasterioError, rasterio.errors.CRSError) as error:
        raise CorpusError(f"a region has no place on Earth: {error}") from error
    found: BaseGeometry = shaped(placed)
    if found.bounds[0] >= 180:  # of a grid from 0° to 360°
        found = affinity.translate(found, -360)
    return found


def _size(row: Mapping[str, Any]) -> tuple[int, int]:
    """Width and height of a sample, from its shape and axes."""
    axes, shape = str(row["axes"]), row["shape"]
    return int(shape[axes.index("X")]), int(shape[axes.index("Y")])


def outline(mask: npt.NDArray[np.bool_]) -> BaseGeometry:
    """Polygons whose area is exactly the true pixels of a mask [Y, X]; edges follow the edges of pixels."""
    import shapely

    padded = np.zeros((mask.shape[0], mask.shape[1] + 2), np.int8)
    padded[:, 1:-1] = mask
    steps = np.diff(padded, axis=1)
    rows, starts = np.nonzero(steps == 1)
    ends = np.nonzero(steps == -1)[1]
    return shapely.simplify(shapely.union_all(shapely.box(starts, rows, ends, rows + 1)), 0)

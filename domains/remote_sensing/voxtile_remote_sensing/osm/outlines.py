"""Outlines of mapped areas as masks, for models that learn more than boxes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from rasterio.features import rasterize

from voxtile.corpus.records import Mask, Row
from voxtile_remote_sensing.osm.regions import BOX_RULE, REFERRING_RULE
from voxtile_remote_sensing.osm.visible_features import MapObject, Scene

_WITH_OUTLINE = (BOX_RULE, REFERRING_RULE)


def outlined_regions(scene: Scene, rows: list[Row], ids: dict[tuple[str, str], str]) -> tuple[list[Row], list[Mask]]:
    """Regions that stay boxes, and those that get the outline of their object too.

    Lines and points have none, nor has an area that holds no pixel's centre; a rotated box says what it is.

    Args:
        scene: the tile.
        rows: of its regions.
        ids: (concept, OSM id) → id of the upright box, as `region_rows` gives both.
    """
    objects = {ids[key]: o for group in scene.objects.values() for o in group if (key := (o.concept, o.osm_id)) in ids}
    drawn = {key: mask for key, found in objects.items() if (mask := _mask(scene, found)) is not None}
    boxes, masks = [], []
    for row in rows:
        mask = drawn.get(row["region_id"].partition("-")[0]) if row["source"] in _WITH_OUTLINE else None
        if mask is None:
            boxes.append(row)
        else:
            masks.append(Mask(row, mask))
    return boxes, masks


def _mask(scene: Scene, found: MapObject) -> npt.NDArray[np.bool_] | None:
    """[Y, X] pixels whose centres lie in the object."""
    if found.form != "area":
        return None
    shape = (scene.frame.height, scene.frame.width)
    mask = rasterize([scene.frame.to_pixels(found.clipped)], out_shape=shape, dtype=np.uint8).astype(np.bool_)
    return mask if mask.any() else None

"""Annotations to regions of patches: which ones touch a patch, where in its pixels, and their masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry import box as rectangle

from voxtile.corpus.identity import sample_uid
from voxtile.corpus.records import Mask
from voxtile_pathology.annotations.annotation import Annotation
from voxtile_pathology.annotations.raster import mask_box, rasterise


@dataclass(frozen=True)
class PatchRegion:
    """An annotation as it lies in a patch.

    Attributes:
        phrase: the annotation's label.
        box: (min y, min x, max y, max x) in pixel edges of the patch: array index order, half-open.
        mask: bool [Y, X] of the patch's shape; None where the box says it all (boxes) or there is no area (points).
        fraction: share of the patch that it covers.
    """

    phrase: str
    box: tuple[float, float, float, float]
    mask: npt.NDArray[np.bool_] | None
    fraction: float


class AnnotationIndex:
    """Finds the annotations that touch a part of the slide.

    Args:
        annotations: of one slide.
    """

    def __init__(self, annotations: Sequence[Annotation]) -> None:
        self.annotations = tuple(annotations)
        self._tree = shapely.STRtree([annotation.polygon for annotation in self.annotations])

    def touching(self, box: tuple[float, float, float, float]) -> list[Annotation]:
        """Annotations that touch a box (x0, y0, x1, y1) at level 0, in the file's order."""
        found = sorted(int(index) for index in self._tree.query(rectangle(*box), predicate="intersects"))
        return [self.annotations[index] for index in found]

    def regions(self, level0_box: tuple[int, int, int, int], shape: tuple[int, int]) -> list[PatchRegion]:
        """Regions of a patch: what is left of each annotation inside it.

        Args:
            level0_box: (x0, y0, x1, y1) of the patch at level 0.
            shape: (rows, columns) of the patch.
        """
        found = (_region(annotation, level0_box, shape) for annotation in self.touching(level0_box))
        return [region for region in found if region is not None]


def mask_region(uid: str, phrase: str, mask: npt.NDArray[np.bool_], source: str) -> Mask | None:
    """A region of a sample that has the sample's own pixels; None where the mask is empty.

    Args:
        uid: the sample.
        phrase: what it is; no other region of the sample from this source has it.
        mask: [Y, X] over the sample.
        source: who found it, with its version.
    """
    box = mask_box(mask)
    if box is None:
        return None
    region_id = sample_uid(uid, phrase)
    return Mask({"region_id": region_id, "uid": uid, "phrase": phrase, "box": list(box), "source": source}, mask)


def _region(
    annotation: Annotation, level0_box: tuple[int, int, int, int], shape: tuple[int, int]
) -> PatchRegion | None:
    x0, y0, x1, y1 = level0_box
    scale_y, scale_x = shape[0] / (y1 - y0), shape[1] / (x1 - x0)
    if annotation.kind == "box":
        inside = annotation.polygon.intersection(rectangle(*level0_box))
        left, top, right, bottom = inside.bounds
        edges = ((top - y0) * scale_y, (left - x0) * scale_x, (bottom - y0) * scale_y, (right - x0) * scale_x)
        area = (edges[2] - edges[0]) * (edges[3] - edges[1])
        return PatchRegion(annotation.label, edges, None, area / (shape[0] * shape[1])) if area > 0 else None
    if annotation.kind == "polygon":
        mask = rasterise(annotation.polygon, level0_box, shape)
        box = mask_box(mask)
        if box is None:
            return None
        return PatchRegion(annotation.label, box, mask, float(mask.mean()))
    inside = annotation.polygon.intersection(rectangle(*level0_box))
    left, top, right, bottom = inside.bounds
    edges = ((top - y0) * scale_y, (left - x0) * scale_x, (bottom - y0) * scale_y, (right - x0) * scale_x)
    return PatchRegion(annotation.label, edges, None, 0.0)

"""From maps to boxes, and from boxes that somebody proposes to the one that a phrase means.

Boxes are half-open in array index order, min corner then max corner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from voxtile.errors import InputError

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Box = tuple[int, ...]

ALPHA = 0.5
"""Exponent of the area (GroundVLP, section 3.2: between the sum, which favours large boxes, and the mean)."""


@dataclass(frozen=True)
class Component:
    """A connected part of a mask.

    Attributes:
        box: around it.
        mask: [*G] bool.
        score: largest value of the map inside.
    """

    box: Box
    mask: Mask
    score: float


def components(heat: Floats, threshold: float, *, least: int = 1) -> list[Component]:
    """Connected parts of what reaches a threshold, neighbours by corners too, the highest peak first.

    Args:
        heat: [*G].
        threshold: of its values.
        least: parts of fewer voxels are left out.
    """
    labels, count = ndimage.label(heat >= threshold, np.ones((3,) * heat.ndim))
    found = []
    for number, places in enumerate(ndimage.find_objects(labels, count), start=1):
        mask = labels == number
        if places is not None and np.count_nonzero(mask) >= least:
            box = (*(int(s.start) for s in places), *(int(s.stop) for s in places))
            found.append(Component(box, mask, float(heat[mask].max())))
    return sorted(found, key=lambda part: -part.score)


def proposal_scores(heat: Floats, proposals: Sequence[Mask], *, alpha: float = ALPHA) -> npt.NDArray[np.float64]:
    """[R] how much of a map each proposed region holds: Σ_inside heat / area^α (GroundVLP, Shen et al., AAAI 2024).

    Args:
        heat: [*G], at least 0.
        proposals: R masks [*G].
        alpha: 0 takes the sum, 1 the mean.

    Raises:
        InputError: a proposal lies outside the image, or on another grid.
    """
    scores = np.zeros(len(proposals))
    for number, mask in enumerate(proposals):
        if mask.shape != heat.shape:
            raise InputError(
                f"proposal {number} has the shape {mask.shape}, but the image has {heat.shape}; resample it"
            )
        area = np.count_nonzero(mask)
        if not area:
            raise InputError(f"proposal {number} has no voxel inside the image; check its coordinates")
        scores[number] = float(heat[mask].sum(dtype=np.float64)) / area**alpha
    return scores

"""Take the face off a head: the outer layer of its front half, and all of the front half below the nose.

The layer is thinner than skin and skull over the brain, and takes what stands out (nose, lips, brows) from both sides.
It does not ask how the chin is held, as planes that are fitted to an upright head do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtile_medical.deface.head import Head, find_head
from voxtile_medical.verdicts import Verdict

LAYER_MM = 10.0  # skin and skull of the forehead are 11 to 16 mm (of the ICBM 152 average head: 12 to 15 mm)
_FOREHEAD_MM = 40.0  # below the vertex, where the layer begins
_JAW_MM, _CHIN_MM = 155.0, 270.0  # below the vertex, between which all of the front half is taken
_BEFORE_MM = 20.0  # in front of the middle, where that begins: behind it lies the brain stem of a head bent back
_AIR_HU = -1000.0


def without_face(
    array: npt.NDArray[Any],
    spacing: Sequence[float],
    modality: str,
    units: str,
    scale: tuple[float, float],
    body_part: str | None,
) -> tuple[npt.NDArray[Any], dict[str, Any]]:
    """A volume whose face is air, where it shows one.

    Args:
        array: [Z, Y, X] stored values, axes up, front, right.
        spacing: mm, (z, y, x).
        modality: only CT and MR are looked at.
        units: of the physical values.
        scale: slope and intercept from stored to physical values.
        body_part: a common term, where the header states one.

    Returns:
        The array, a copy where something was taken off; and for `attributes`, `defaced` with the share of voxels that
        are air now, nothing where there is no head.

    Raises:
        Verdict: `head-unsure`, there may be a face, and where is not certain.
    """
    if modality not in ("CT", "MR"):
        return array, {}
    if modality == "CT" and units != "HU":
        raise Verdict("head-unsure", "a CT that is not in HU, in which air and skin are not known; leave out --deface")
    slope, intercept = scale
    values = array * np.float32(slope) + np.float32(intercept) if modality == "CT" else array
    head = find_head(values, spacing, modality, body_part)
    if head is None:
        return array, {}
    face = face_voxels(array.shape, spacing, head)
    air = (_AIR_HU - intercept) / slope if modality == "CT" else float(array.min())
    whole = array.dtype.kind in "iu"
    limits = np.iinfo(array.dtype) if whole else np.finfo(array.dtype)
    copy = array.copy()
    copy[face] = np.clip(round(air) if whole else air, limits.min, limits.max)
    return copy, {"defaced": {"removed": round(float(face.mean()), 4)}}


def face_voxels(shape: Sequence[int], spacing: Sequence[float], head: Head) -> npt.NDArray[np.bool_]:
    """[Z, Y, X]: the face, and the air in front of it."""
    mm = head.steps[0] * spacing[0]
    below = (head.vertex - np.arange(head.depth.shape[0])) * mm
    layer = head.depth <= LAYER_MM
    front = np.arange(head.depth.shape[1]) - head.middle
    jaw = (below > _JAW_MM)[:, None] & (front * head.steps[1] * spacing[1] > _BEFORE_MM)[None, :]
    face = layer & ((below > _FOREHEAD_MM) & (below < _CHIN_MM))[:, None, None] & (front > 0)[None, :, None]
    face |= (jaw & (below < _CHIN_MM)[:, None])[:, :, None]
    where = [np.minimum(np.arange(n) // step, m - 1) for n, step, m in zip(shape, head.steps, face.shape, strict=True)]
    fine: npt.NDArray[np.bool_] = face[np.ix_(*where)]
    return fine

"""Whether a volume shows a head with its skin, from its outer shape and from the skull under it.

Sizes are those of adults' heads (Farkas 1994, Anthropometry of the Head and Face: length 163 to 212 mm, breadth 130 to
167 mm), with room for children from about two years on, noses, ears and a bowed head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtile_medical.verdicts import Verdict

GRID_MM = 2.0  # of the outline that is looked at
_AIR_HU, _BONE_HU = -300.0, 250.0
_LENGTH_MM, _BREADTH_MM = (130.0, 250.0), (110.0, 200.0)  # of the upper part
_UPPER_MM, _VAULT_MM = 110.0, 60.0  # below the vertex: where sizes are taken, and where the skull is looked for
_OPEN_TOP_CM2 = 70.0  # a section of this size at the border says that the vertex is outside
_TORSO_MM = 250.0  # no head is as broad
_SKULL_MM, _BRAIN_MM = (3.0, 15.0), (20.0, 35.0)  # depths below the skin of the vault
_SPECK_MM3, _GAP_MM = 2000.0, 10.0  # noise is smaller; skull, nostrils and mouth are narrower than twice this
_DIP = 0.75  # of the brain's signal in MR, below which the darkest layer is bone

Mask = npt.NDArray[np.bool_]
HEADS = frozenset(["HEAD", "BRAIN", "SKULL", "ORBIT", "EYE", "HEADNECK", "NECK", "CSPINE", "FACE", "WHOLEBODY"])


@dataclass(frozen=True)
class Head:
    """A head on a coarse grid: voxel k of it is voxel k · step of the volume.

    Attributes:
        depth: mm below the skin, [Z, Y, X]; 0 outside.
        steps: voxels of the volume, along z, y and x.
        vertex: first coarse plane above the head.
        middle: coarse row halfway between the back of the head and the forehead.
    """

    depth: npt.NDArray[np.float32]
    steps: tuple[int, ...]
    vertex: int
    middle: int


def find_head(values: npt.NDArray[Any], spacing: Sequence[float], modality: str, body_part: str | None) -> Head | None:
    """Find the head of a volume.

    Args:
        values: [Z, Y, X], axes up, front, right; HU for CT.
        spacing: mm, (z, y, x).
        modality: CT or MR.
        body_part: a common term, where the header states one.

    Returns:
        The head; None where there is none.

    Raises:
        Verdict: `head-unsure`, there may be one.
    """
    elsewhere = body_part is not None and body_part not in HEADS
    if elsewhere and modality == "MR":
        return None
    steps = tuple(max(1, round(GRID_MM / mm)) for mm in spacing)
    grid = tuple(step * mm for step, mm in zip(steps, spacing, strict=True))
    coarse = values[:: steps[0], :: steps[1], :: steps[2]].astype(np.float32)
    body = _outline(coarse, grid, modality)
    if not body.any():
        return None
    found = _checked(body, coarse, grid, steps, modality)
    if isinstance(found, Head):
        return found
    if elsewhere or (_extent(body.any(axis=(0, 1)), grid[2]) > _TORSO_MM and not _narrows(body, grid)):
        return None
    raise Verdict("head-unsure", f"whether it shows a face is not certain: {found}; convert it without --deface")


def _checked(
    body: Mask, coarse: npt.NDArray[np.float32], grid: Sequence[float], steps: tuple[int, ...], modality: str
) -> Head | str:
    """The head, or why it is none."""
    from scipy.ndimage import distance_transform_edt

    top = int(np.nonzero(body.any(axis=(1, 2)))[0].max())
    if top >= body.shape[0] - 2 and body[top].sum() * grid[1] * grid[2] / 100 > _OPEN_TOP_CM2:
        return "the top of the head is outside the volume"
    upper = body[max(0, top - round(_UPPER_MM / grid[0])) : top + 1]
    length, breadth = _extent(upper.any(axis=(0, 2)), grid[1]), _extent(upper.any(axis=(0, 1)), grid[2])
    if not (_LENGTH_MM[0] <= length <= _LENGTH_MM[1] and _BREADTH_MM[0] <= breadth <= _BREADTH_MM[1]):
        return f"its upper part is {length:.0f} mm long and {breadth:.0f} mm broad, which no head is"
    if len(upper) * grid[0] < _VAULT_MM:
        return "the volume ends too close below its top"
    depth = distance_transform_edt(np.pad(body, ((0, 1), (1, 1), (1, 1))), sampling=grid)[:-1, 1:-1, 1:-1]
    vault = slice(max(0, top - round(_VAULT_MM / grid[0])), top + 1)
    if not _has_skull(coarse[vault], depth[vault], modality):
        return "no skull is found below its surface (a brain without skin, or a sequence that does not show it)"
    rows = np.nonzero(upper.any(axis=(0, 2)))[0]
    return Head(depth.astype(np.float32), steps, top + 1, int(rows.min() + rows.max()) // 2)


def _has_skull(values: npt.NDArray[np.float32], depth: npt.NDArray[Any], modality: str) -> bool:
    """The vault has a layer of bone: bright in CT, dark in MR."""
    edges = np.arange(*_SKULL_MM, 2.0)
    layers = [values[(depth >= low) & (depth < low + 2.0)] for low in edges]
    means = [float(layer.mean()) for layer in layers if layer.size]
    brain = values[(depth >= _BRAIN_MM[0]) & (depth < _BRAIN_MM[1])]
    if not means or not brain.size:
        return False
    return max(means) > _BONE_HU if modality == "CT" else min(means) < _DIP * float(brain.mean())


def _outline(coarse: npt.NDArray[np.float32], grid: Sequence[float], modality: str) -> Mask:
    """The largest body, filled: the skin, the dark skull, nostrils and mouth are parts of a head."""
    from scipy import ndimage

    body = coarse > (_AIR_HU if modality == "CT" else _threshold(coarse))
    labels, _ = ndimage.label(body)
    sizes = np.bincount(labels.reshape(-1)) * np.prod(grid)
    body &= sizes[labels] > _SPECK_MM3
    reach = round(_GAP_MM / min(grid)) + 1
    padded = np.pad(body, ((0, reach), (reach, reach), (reach, reach)))
    outside = ndimage.distance_transform_edt(~padded, sampling=grid) > _GAP_MM
    closed = ndimage.distance_transform_edt(~outside, sampling=grid) > _GAP_MM
    closed = closed[: body.shape[0], reach:-reach, reach:-reach] | body
    filled = np.stack([ndimage.binary_fill_holes(section) for section in closed])
    opened = ndimage.binary_opening(filled, structure=_ball(4.0, grid))
    labels, count = ndimage.label(opened)
    if not count:
        return np.zeros(coarse.shape, dtype=bool)
    largest: Mask = labels == int(np.argmax(np.bincount(labels.reshape(-1))[1:])) + 1
    return largest


def _threshold(values: npt.NDArray[np.float32]) -> float:
    """Between air and tissue of an MR: a share of the bright tissue's level, above the noise of air."""
    bright = values[values > values.mean()]
    level = float(np.percentile(bright, 75)) if bright.size else 0.0
    return 0.15 * level + 0.85 * float(np.percentile(values, 2))


def _ball(radius_mm: float, grid: Sequence[float]) -> Mask:
    reach = [int(radius_mm // mm) for mm in grid]
    z, y, x = np.ogrid[-reach[0] : reach[0] + 1, -reach[1] : reach[1] + 1, -reach[2] : reach[2] + 1]
    ball: Mask = (z * grid[0]) ** 2 + (y * grid[1]) ** 2 + (x * grid[2]) ** 2 <= radius_mm**2
    return ball


def _extent(along: npt.ArrayLike, mm: float) -> float:
    found = np.nonzero(np.asarray(along))[0]
    return float((found.max() - found.min() + 1) * mm)


def _narrows(body: Mask, grid: Sequence[float]) -> bool:
    """The body has a level, in its upper 300 mm, that is narrower than a torso."""
    top = int(np.nonzero(body.any(axis=(1, 2)))[0].max())
    upper = body[max(0, top - round(300 / grid[0])) : top + 1]
    return any(_extent(section.any(axis=0), grid[2]) < _BREADTH_MM[1] for section in upper if section.any())

"""A plane of one volume with another of the same patient space over it, such as PET in SUV over CT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from voxtile.corpus.source import StoredSample
from voxtile.errors import ConfigError
from voxtile.formats.display import Window
from voxtile.formats.geometry import volume_affine
from voxtile.formats.pictures.planes import PlaneName, cut_of, is_volume
from voxtile.formats.pictures.values import Floats, axes_of, box, physical, size_along

# Matplotlib's hot: nearly black, red, yellow, white; each channel rises between two places of 0 to 1.
_RISES = ((-0.015846, 0.365079), (0.365079, 0.746032), (0.746032, 1.0))
_STRENGTH = 153  # of 255: the plane beneath stays to be seen


def fused_colours(
    meta: Mapping[str, Any], other: StoredSample, name: PlaneName, index: int, window: Window
) -> npt.NDArray[np.uint8]:
    """[rows, columns, 4] of what another volume has in a plane, as the plane hangs; see-through below the window.

    It is read where the plane meets it, and resampled linearly by the two affines.

    Args:
        meta: row of the volume whose plane it is.
        other: what lies over it.
        name: direction of the plane.
        index: of the plane.
        window: values of the other that are black and white.

    Raises:
        ConfigError: one of them is no volume, or has no place in the patient.
        CorpusError: the other cannot be read.
    """
    own, others = volume_affine(meta), volume_affine(other.meta)
    if own is None or others is None or not is_volume(other.meta):
        raise ConfigError("one of the volumes has no place in the patient, so that neither lies over the other")
    cut, rows, columns = cut_of(name)
    axes = {
        cut: np.array([index]),
        rows: np.arange(size_along(meta, rows)),
        columns: np.arange(size_along(meta, columns)),
    }
    places = _places([axes[axis] for axis in "XYZ"], np.linalg.inv(others) @ own)
    values = _sampled(other, places).squeeze("ZYX".index(cut))
    shares = (values - window.low) / (window.high - window.low)
    colours = [np.clip((shares - low) / (high - low), 0, 1) * 255 for low, high in _RISES]
    shown = np.where(np.nan_to_num(shares, nan=-1.0) > 0, float(_STRENGTH), 0.0)
    return np.stack([*map(np.nan_to_num, colours), shown], axis=-1).round().astype(np.uint8)[::-1, ::-1]


def _places(axes: Sequence[npt.NDArray[np.int64]], turn: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """[3, Z, Y, X] where voxels of one volume lie in another: z, y, x in its voxels. Axes and `turn` go x, y, z."""
    grid = np.stack(np.meshgrid(*axes, indexing="ij")).astype(np.float64)
    found = np.einsum("ij,jxyz->ixyz", turn[:3, :3], grid) + turn[:3, 3, None, None, None]
    return np.asarray(found[::-1].transpose(0, 3, 2, 1))


def _sampled(other: StoredSample, places: npt.NDArray[np.float64]) -> Floats:
    """[Z, Y, X] values at places, of which the box that they touch is read; NaN outside the volume."""
    meta = other.meta
    sizes = [size_along(meta, axis) for axis in "ZYX"]
    inside = np.logical_and.reduce([(p >= -0.5) & (p <= n - 0.5) for p, n in zip(places, sizes, strict=True)])
    out = np.full(places.shape[1:], np.nan, np.float32)
    if not inside.any():
        return out
    edges = [
        (max(0, int(np.floor(p[inside].min()))), min(n, int(np.ceil(p[inside].max())) + 1))
        for p, n in zip(places, sizes, strict=True)
    ]
    first: dict[str, int | slice] = {axis: 0 for axis in axes_of(meta) if axis not in "ZYX"}
    parts = {axis: slice(*edge) for axis, edge in zip("ZYX", edges, strict=True)}
    stored = other.array(box(meta, **first, **parts)).reshape([stop - start for start, stop in edges])
    at = [p[inside] - start for p, (start, _) in zip(places, edges, strict=True)]
    out[inside] = ndimage.map_coordinates(physical(meta, stored), at, order=1, mode="nearest")
    return out

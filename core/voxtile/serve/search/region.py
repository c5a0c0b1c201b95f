"""A drawn part of a sample as a sample of its own: its pixels, and where they lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from voxtile.api.inputs import ArraySample
from voxtile.corpus.shards.codecs import decode_picture
from voxtile.corpus.source import StoredSample
from voxtile.errors import ConfigError
from voxtile.formats.pictures.values import axes_of, size_along

_PICTURES = ("jpg", "png")  # codecs
_LEAST = 4  # pixels of a side
_PLANES = {
    "axial": tuple("ZYX"),
    "coronal": tuple("YZX"),
    "sagittal": tuple("XZY"),
}  # the axis across, and those of rows and columns


def plane_box(meta: Mapping[str, Any], name: str, index: int, box: Sequence[float]) -> list[float]:
    """The box of a volume that a box on one of its planes means: as deep as it is wide, about the plane.

    Args:
        meta: row of the volume.
        name: of the plane, as `pictures.planes` shows it: both axes run against the array's.
        index: place of the plane.
        box: (row, column) min corner, then max corner, in pixel edges of the plane.

    Returns:
        (z, y, x) min corner, then max corner.

    Raises:
        ConfigError: the sample is no volume, or the box has not four numbers.
    """
    if len(box) != 4 or not all(axis in axes_of(meta) for axis in "ZYX"):
        raise ConfigError("a region on a plane is of a volume and has four numbers: row and column, twice")
    across, rows, columns = _PLANES[name]
    size = {axis: size_along(meta, axis) for axis in "ZYX"}
    spacing = dict(zip("ZYX", meta.get("spacing") or (1.0, 1.0, 1.0), strict=True))
    ranges = {
        rows: (size[rows] - box[2], size[rows] - box[0]),
        columns: (size[columns] - box[3], size[columns] - box[1]),
    }
    side_mm = sum((high - low) * spacing[axis] for axis, (low, high) in ranges.items()) / 2
    depth = max(1, round(side_mm / spacing[across]))
    low = max(0, index - depth // 2)
    ranges[across] = (low, min(size[across], low + depth))
    return [ranges[axis][0] for axis in "ZYX"] + [ranges[axis][1] for axis in "ZYX"]


def region_of(source: StoredSample, box: Sequence[float]) -> ArraySample:
    """The part of a sample within a box.

    Args:
        source: the sample.
        box: half-open, in pixel edges and array order, as in the table `regions`: min corner, then max corner, along
            (y, x), or (z, y, x) of a volume.

    Raises:
        ConfigError: the box lies outside, is smaller than 4 pixels along a side, or has not two numbers an axis.
    """
    meta = source.meta
    spatial = [axis for axis in "ZYX" if axis in (axes_of(meta) or "YX")]
    if len(box) != 2 * len(spatial):
        raise ConfigError(f"a region of this sample has {2 * len(spatial)} numbers: {', '.join(spatial).lower()} twice")
    picture = decode_picture(source.encoded()) if meta.get("codec") in _PICTURES else None
    shape = meta["shape"] if picture is None else picture.shape
    axes = axes_of(meta) if picture is None else {2: "YX", 3: "YXC"}[picture.ndim]
    sizes = np.array([shape[axes.index(axis)] for axis in spatial])
    low = np.clip(np.floor(box[: len(spatial)]), 0, sizes).astype(int)
    high = np.clip(np.ceil(box[len(spatial) :]), 0, sizes).astype(int)
    if (high - low < np.minimum(_LEAST, sizes)).any():
        raise ConfigError(
            f"the region is smaller than {_LEAST} pixels along a side, or lies outside; draw a larger one"
        )
    parts = dict(zip(spatial, map(slice, low.tolist(), high.tolist()), strict=True))
    chosen = tuple(parts.get(axis, slice(None)) for axis in axes)
    cut = source.array(chosen) if picture is None else picture[chosen]
    moved = _moved(meta, dict(zip(spatial, low.tolist(), strict=True)))
    own = {"shape": list(cut.shape), "axes": axes, "dtype": str(cut.dtype), "codec": "b2nd"}
    return ArraySample(cut, {**meta, **moved, **own})


def _moved(meta: Mapping[str, Any], low: Mapping[str, int]) -> dict[str, Any]:
    """The affine and the transform of the part: its first pixel lies where it lay."""
    moved: dict[str, Any] = {}
    step = np.array([low.get(axis, 0) for axis in "XYZ"], float)
    if meta.get("affine"):
        affine = np.asarray(meta["affine"], float).reshape(4, 4).copy()
        affine[:3, 3] += affine[:3, :3] @ step
        moved["affine"] = affine.reshape(-1).tolist()
    if meta.get("transform"):
        a, b, c, d, e, f = meta["transform"]
        moved["transform"] = [a, b, c + a * step[0] + b * step[1], d, e, f + d * step[0] + e * step[1]]
    return moved

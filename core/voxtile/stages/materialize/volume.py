"""Volumes at the spacing and in the central box of a `VolumePreset`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from voxtile.corpus.source import StoredSample
from voxtile.data.presets.base import spacing_mm
from voxtile.data.presets.resample import plan_axis, resample
from voxtile.data.presets.volume import VolumePreset
from voxtile.errors import PresetError
from voxtile.stages.materialize.derive import Derived, derive, to_type


class _Axis(NamedTuple):
    """Size of the result, and its pixel and lower edge in the source's pixels."""

    size: int
    ratio: float
    origin: float


@derive.register
def _(preset: VolumePreset, source: StoredSample) -> Derived:
    """Resample the part of a volume that the preset can see; nothing is padded.

    A preset that takes the centre sees its grid and the margin of its shifts; the result is aligned with that grid, so
    that the preset gives the same values up to the rounding to the stored type. One that crops at random sees all.
    """
    axes = _axes(preset, source.meta)
    plans = [plan_axis(n, a.size, a.ratio, a.origin) for n, a in zip(source.meta["shape"], axes, strict=True)]
    stored = source.array(tuple(slice(plan.start, plan.stop) for plan in plans))
    values = stored
    if any(plan.weights is not None for plan in plans):
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # sums in another order round differently, and the bytes would depend on the machine
        try:
            box = torch.from_numpy(np.ascontiguousarray(stored, dtype=np.float32))
            values = to_type(resample(box, plans, pad=0.0).numpy(), stored.dtype)
        finally:
            torch.set_num_threads(threads)
    origin, ratio = tuple(a.origin for a in axes), tuple(a.ratio for a in axes)
    columns = _columns(preset, source.meta, origin, ratio)
    return Derived(np.ascontiguousarray(values), columns, values.shape, origin, ratio)


def _axes(preset: VolumePreset, meta: Mapping[str, Any]) -> list[_Axis]:
    ratios = (1.0, 1.0, 1.0)
    if preset.spacing != "native":
        spacing = spacing_mm(meta)
        if not spacing:
            raise PresetError(f"the sample {meta['uid']} has no spacing in mm, which this preset needs")
        ratios = tuple(t / s for t, s in zip(preset.spacing, spacing, strict=True))  # type: ignore[assignment]
    if not preset.cacheable:  # a random crop may lie anywhere
        whole = [max(1, math.floor(n / r + 1e-9)) for n, r in zip(meta["shape"], ratios, strict=True)]
        return [_Axis(size, ratio, 0.0) for size, ratio in zip(whole, ratios, strict=True)]
    return [_central(n, out, r) for n, out, r in zip(meta["shape"], preset.base_shape, ratios, strict=True)]


def _central(source: int, out: int, ratio: float) -> _Axis:
    """The central `out` pixels, less those whose centres lie outside the volume (as many on each side)."""
    free = source - out * ratio
    if ratio == 1.0:
        return _Axis(source, 1.0, 0.0) if free <= 0 else _Axis(out, 1.0, float(free // 2))
    outside = max(0, math.ceil(-free / 2 / ratio - 0.5))
    if out - 2 * outside < 1:  # thinner than one pixel
        outside = (out - 1) // 2
    return _Axis(out - 2 * outside, ratio, free / 2 + outside * ratio)


def _columns(
    preset: VolumePreset, meta: Mapping[str, Any], origin: tuple[float, ...], ratio: tuple[float, ...]
) -> dict[str, Any]:
    spacing = spacing_mm(meta)
    columns: dict[str, Any] = {}
    if preset.spacing != "native":
        columns["spacing"] = list(preset.spacing)  # exactly, so that the preset resamples no more
    elif spacing:
        columns["spacing"] = list(spacing)
    if meta.get("affine"):
        place = np.diag([*ratio[::-1], 1.0])
        # The centre of the first voxel, in source voxel centres.
        place[:3, 3] = [o + 0.5 * r - 0.5 for o, r in zip(origin[::-1], ratio[::-1], strict=True)]
        columns["affine"] = (np.asarray(meta["affine"], np.float64).reshape(4, 4) @ place).ravel().tolist()
    return columns

"""Masks of the samples of a study on the study's one grid, each where its own sample's affine says that it lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from voxtile.data.presets.base import BasePreset, SampleSource
from voxtile.data.presets.placement import affine_of, grid_affine, place_on_grid
from voxtile.errors import PresetError

_CENTRE = "grid_centre"


@dataclass(frozen=True, kw_only=True)
class StudyMasks(BasePreset):
    """The geometry of a `StudyPreset` for masks; a sample's metadata must say where the grid is, see `anchored`.

    Attributes:
        shape: voxels of the grid (z, y, x).
        spacing: of the grid, mm (z, y, x).
        shift: largest shift in training, voxels (z, y, x).
        flip: axes that are mirrored with probability 1/2 in training.

    Examples:
        >>> import numpy as np
        >>> from voxtile.api.inputs import ArraySample
        >>> from voxtile.data import StudyMasks
        >>> from voxtile.data.presets.study_masks import anchored
        >>> preset = StudyMasks(shape=(8, 16, 16), spacing=(4, 4, 4), shift=(0, 0, 0))
        >>> meta = anchored({"kind": "mask", "shape": (10, 32, 32), "spacing": (1.6, 2, 2)}, np.zeros(3))
        >>> mask = preset(ArraySample(np.ones((10, 32, 32), np.uint8), meta), None)
        >>> mask.shape, round(mask.mean().item(), 2)  # 16 mm of the grid's 32 along z
        (torch.Size([1, 8, 16, 16]), 0.5)
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    shift: tuple[int, int, int]
    flip: tuple[Literal["z", "y", "x"], ...] = ()

    @property
    def version(self) -> str:
        """Version of the code."""
        return "1"

    @property
    def channels(self) -> int:
        """The mask."""
        return 1

    @property
    def grid(self) -> tuple[int, ...]:
        """(Z, Y, X)."""
        return self.shape

    def check(self, metas: Sequence[Mapping[str, Any]]) -> None:
        """Raise PresetError if a sample does not say where the grid is."""
        for meta in metas:
            _centre(meta)

    def __call__(self, source: SampleSource, rng: np.random.Generator | None) -> Tensor:
        """Return [1, Z, Y, X] float32, the share of each voxel; random only with `rng`."""
        return self.finish(self.base(source), rng)

    @property
    def cacheable(self) -> bool:
        """Always."""
        return True

    @property
    def base_shape(self) -> tuple[int, int, int]:
        """Shape of `base`: the grid and a margin for shifts."""
        z, y, x = (s + 2 * m for s, m in zip(self.shape, self.shift, strict=True))
        return z, y, x

    @property
    def base_dtype(self) -> torch.dtype:
        """Half precision."""
        return torch.float16

    def base(self, source: SampleSource) -> Tensor:
        """[*base_shape] float16, before anything random."""
        grid = grid_affine(self.base_shape, self.spacing, _centre(source.meta))
        values = torch.from_numpy(np.ascontiguousarray(source.array(), dtype=np.float32))
        return place_on_grid(values, affine_of(source.meta), self.base_shape, grid, 0.0).to(self.base_dtype)

    def finish(self, base: Tensor, rng: np.random.Generator | None) -> Tensor:
        """Shift and mirror (with `rng`): [*base_shape] to [1, Z, Y, X] float32."""
        start = first_voxel(self.shift, rng)
        box = tuple(slice(a, a + n) for a, n in zip(start, self.shape, strict=True))
        return base[box].float().flip(mirrored_axes(self.flip, rng))[None]


def anchored(meta: Mapping[str, Any], centre: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Metadata of a sample of a study whose grid has its centre here: [3], mm, (x, y, z), RAS+."""
    return {**meta, _CENTRE: [float(v) for v in centre]}


def first_voxel(shift: Sequence[int], rng: np.random.Generator | None) -> list[int]:
    """Corner of the grid within its margin: drawn, or the middle without `rng`."""
    return [m if rng is None else int(rng.integers(0, 2 * m + 1)) if m else 0 for m in shift]


def mirrored_axes(flip: Sequence[str], rng: np.random.Generator | None) -> list[int]:
    """Axes of (z, y, x) that are mirrored: each of `flip` with probability 1/2, none without `rng`."""
    return [axis for axis, name in enumerate("zyx") if rng is not None and name in flip and rng.random() < 0.5]


def _centre(meta: Mapping[str, Any]) -> npt.NDArray[np.float64]:
    if _CENTRE not in meta:
        raise PresetError("a mask of a study needs the place of the study's grid")
    return np.asarray(meta[_CENTRE], dtype=np.float64)

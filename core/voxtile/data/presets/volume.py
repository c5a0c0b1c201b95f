"""Preprocessing of volumes: resample, crop or pad, window to channels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from voxtile.data.presets.base import (
    BasePreset,
    SampleSource,
    as_tuples,
    check_volume,
    described,
    rescale_of,
    spacing_mm,
)
from voxtile.data.presets.resample import AxisPlan, plan_axis, resampled_by_slabs
from voxtile.errors import PresetError

_AXES = ("z", "y", "x")
_PERCENTILES = (0.5, 99.5)  # of a volume in arbitrary units: the range that nnU-Net clips to (Isensee et al. 2021)


@dataclass(frozen=True)
class VolumeAugment:
    """Random changes in training; all zero by default.

    Attributes:
        shift: largest shift in output voxels (z, y, x), drawn uniformly.
        flip: axes that are mirrored with probability 1/2; mirroring x swaps left and right.
        scale: half-width of a factor around 1 on the intensity.
        offset: half-width of an offset, in the volume's units.
        noise: standard deviation of Gaussian noise, in the volume's units.

    Examples:
        >>> import numpy as np
        >>> from voxtile.api.inputs import ArraySample
        >>> from voxtile.data import VolumeAugment, VolumePreset
        >>> preset = VolumePreset(shape=(4, 8, 8), windows=((0, 100),), augment=VolumeAugment(offset=10))
        >>> volume = np.full((4, 8, 8), 50, np.int16)
        >>> sample = ArraySample(volume, {"kind": "volume", "shape": volume.shape, "units": "HU"})
        >>> preset(sample, None).unique().item()  # nothing is random in evaluation
        0.5
        >>> bool(0.4 <= preset(sample, np.random.default_rng(0)).unique().item() <= 0.6)
        True
    """

    shift: tuple[int, int, int] = (0, 0, 0)
    flip: tuple[Literal["z", "y", "x"], ...] = ()
    scale: float = 0.0
    offset: float = 0.0
    noise: float = 0.0


class Geometry(NamedTuple):
    """Per axis (z, y, x): output size and source size, output spacing over source spacing."""

    out: tuple[int, ...]
    source: tuple[int, ...]
    ratio: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class VolumePreset(BasePreset):
    """A volume in the model's grid, one channel an intensity window.

    Attributes:
        shape: output voxels (z, y, x).
        spacing: output spacing in mm (z, y, x), or `native` to keep the source's.
        windows: (low, high) in the source's units, a channel each; empty: one channel from the 0.5th to the 99.5th
            percentile of what the grid holds, padding too, for units that mean nothing across scanners (MR). Where the
            grid cuts volumes or is larger than they are, take `StudyPreset`, whose percentiles are of the whole volume.
        value_range: what a window maps to; values beyond are clipped.
        units: required units, or None for any.
        modalities: accepted modalities; empty accepts all.
        coordinates: append three channels with the place in the grid, from -1 to 1 along z, y and x.
        pad: value outside the volume, in the source's units; None: the lowest window's low end (percentiles: the
            minimum of what is read).
        crop: training takes the `centre`, or a `random` box of the volume (only its chunks are read); evaluation always
            takes the centre.
        augment: random changes in training.

    Raises:
        PresetError: a shape, a spacing or a window that cannot be.

    Examples:
        >>> import numpy as np
        >>> from voxtile.api.inputs import ArraySample
        >>> from voxtile.data import VolumePreset
        >>> preset = VolumePreset(shape=(16, 32, 32), spacing=(4, 2, 2), windows=((-160, 240), (-1000, 400)))
        >>> volume = np.full((20, 64, 64), 40, np.int16)  # 40 HU
        >>> meta = {"kind": "volume", "shape": volume.shape, "units": "HU", "spacing": (3, 1, 1)}
        >>> image = preset(ArraySample(volume, meta), None)
        >>> image.shape, round(image[0, 8, 16, 16].item(), 2)  # a channel a window; 40 is the middle of the first
        (torch.Size([2, 16, 32, 32]), 0.5)
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float] | Literal["native"] = "native"
    windows: tuple[tuple[float, float], ...] = ((-1000.0, 1000.0),)
    value_range: tuple[float, float] = (0.0, 1.0)
    units: str | None = "HU"
    modalities: tuple[str, ...] = ()
    coordinates: bool = False
    pad: float | None = None
    crop: Literal["centre", "random"] = "centre"
    augment: VolumeAugment = field(default_factory=VolumeAugment)

    def __post_init__(self) -> None:
        for name in ("shape", "windows", "value_range", "modalities"):
            object.__setattr__(self, name, as_tuples(getattr(self, name)))
        if isinstance(self.augment, Mapping):
            object.__setattr__(self, "augment", VolumeAugment(**{k: as_tuples(v) for k, v in self.augment.items()}))
        if self.spacing != "native":
            object.__setattr__(self, "spacing", tuple(float(s) for s in self.spacing))
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise PresetError(f"shape: {self.shape} is not three positive numbers of voxels (z, y, x)")
        if self.spacing != "native" and (len(self.spacing) != 3 or min(self.spacing) <= 0):
            raise PresetError(f"spacing: {self.spacing} is not three positive sizes in mm (z, y, x)")
        for window in self.windows:
            if len(window) != 2 or not window[0] < window[1]:
                raise PresetError(f"windows: {window} is not (low, high) with low below high")

    @property
    def version(self) -> str:
        """Version of the code."""
        return "1"

    @property
    def channels(self) -> int:
        """Windows, and three coordinates where asked."""
        return max(1, len(self.windows)) + (3 if self.coordinates else 0)

    @property
    def grid(self) -> tuple[int, ...]:
        """(Z, Y, X)."""
        return self.shape

    @cached_property
    def of_masks(self) -> VolumePreset:
        """The same geometry for masks, see `voxtile.data.regions.masks`."""
        change = VolumeAugment(shift=self.augment.shift, flip=self.augment.flip)
        plain: dict[str, Any] = {"windows": ((0.0, 1.0),), "value_range": (0.0, 1.0), "pad": 0.0, "units": None}
        return replace(self, **plain, modalities=(), coordinates=False, augment=change)

    def check(self, metas: Sequence[Mapping[str, Any]]) -> None:
        """Raise PresetError if a sample is not a volume with the right units, modality, axes and spacing."""
        for meta in metas:
            check_volume(meta, self.units, self.modalities)
            if self.spacing != "native" and not spacing_mm(meta):
                raise PresetError(
                    f"this model needs the spacing in mm, but the corpus holds {described(meta)} without it"
                )

    def __call__(self, source: SampleSource, rng: np.random.Generator | None) -> Tensor:
        """Return [C, Z, Y, X] float32; random only with `rng`."""
        if rng is not None and self.crop == "random":
            geometry = self._geometry(source.meta, margin=(0, 0, 0))
            return self._augmented(self._read(source, geometry, _random_origin(geometry, rng)), rng)
        return self.finish(self.base(source), rng)

    def geometry(self, meta: Mapping[str, Any]) -> Geometry:
        """How the model's grid lies on a sample: sizes and spacing of both."""
        return self._geometry(meta, margin=(0, 0, 0))

    def share_read(self, meta: Mapping[str, Any]) -> float:
        """Part of a sample's voxels that is read, from 0 to 1."""
        geometry = self._geometry(meta, margin=self.augment.shift)
        parts = zip(geometry.out, geometry.ratio, geometry.source, strict=True)
        return math.prod(min(1.0, out * ratio / source) for out, ratio, source in parts)

    def image_at(self, source: SampleSource, origin: Sequence[float]) -> Tensor:
        """[C, Z, Y, X] float32 of the window whose lower edge is here, in source voxels; nothing is random."""
        return self._windowed(self._read(source, self.geometry(source.meta), tuple(origin)))

    @property
    def cacheable(self) -> bool:
        """Whether training can start from `base`: not where it crops at random."""
        return self.crop == "centre"

    @property
    def base_shape(self) -> tuple[int, int, int]:
        """Shape of `base`: the grid and a margin for shifts."""
        z, y, x = (s + 2 * m for s, m in zip(self.shape, self.augment.shift, strict=True))
        return z, y, x

    @property
    def base_dtype(self) -> torch.dtype:
        """Half precision: to 0.5 below 2,048 HU, where 12-bit scanners store whole numbers."""
        return torch.float16

    def base(self, source: SampleSource) -> Tensor:
        """The deterministic part: the central box with its margin, [*base_shape] float16 in the source's units."""
        geometry = self._geometry(source.meta, margin=self.augment.shift)
        return self._read(source, geometry, _central_origin(geometry)).to(self.base_dtype)

    def finish(self, base: Tensor, rng: np.random.Generator | None) -> Tensor:
        """The rest: shift, augment (with `rng`), window.

        Args:
            base: [*base_shape], from `base`.
            rng: source of randomness, or None for the centre.

        Returns:
            [C, Z, Y, X] float32.
        """
        margin = self.augment.shift
        start = margin if rng is None else tuple(int(rng.integers(0, 2 * m + 1)) if m else 0 for m in margin)
        box = tuple(slice(a, a + n) for a, n in zip(start, self.shape, strict=True))
        values = base[box].float()
        return self._windowed(values) if rng is None else self._augmented(values, rng)

    def _augmented(self, values: Tensor, rng: np.random.Generator) -> Tensor:
        change = self.augment
        mirrored = [axis for axis, name in enumerate(_AXES) if name in change.flip and rng.random() < 0.5]
        if mirrored:
            values = values.flip(mirrored)
        if change.scale or change.offset:
            factor, offset = 1 + change.scale * rng.uniform(-1, 1), change.offset * rng.uniform(-1, 1)
            values = values * float(factor) + float(offset)
        if change.noise:
            noise = rng.standard_normal(values.shape, dtype=np.float32)
            values = values + change.noise * torch.from_numpy(noise)
        return self._windowed(values)

    def _windowed(self, values: Tensor) -> Tensor:
        """[Z, Y, X] in the source's units to [C, Z, Y, X] in the value range."""
        low, high = self.value_range
        out = torch.empty(self.channels, *values.shape)
        for channel, (bottom, top) in enumerate(self.windows or (_percentile_window(values),)):
            scale = (high - low) / (top - bottom)
            torch.mul(values, scale, out=out[channel])
            out[channel].add_(low - bottom * scale).clamp_(low, high)
        if self.coordinates:
            out[-3:] = self._coordinate_channels
        return out

    @cached_property
    def _coordinate_channels(self) -> Tensor:
        axes = [torch.linspace(-1, 1, n) if n > 1 else torch.zeros(1) for n in self.shape]
        return torch.stack(torch.meshgrid(*axes, indexing="ij"))

    def _geometry(self, meta: Mapping[str, Any], margin: tuple[int, int, int]) -> Geometry:
        out = tuple(s + 2 * m for s, m in zip(self.shape, margin, strict=True))
        if self.spacing == "native":
            return Geometry(out, tuple(meta["shape"]), (1.0, 1.0, 1.0))
        spacing = spacing_mm(meta)
        if not spacing:
            raise PresetError(f"this model needs the spacing in mm, but {described(meta)} has none")
        return Geometry(out, tuple(meta["shape"]), tuple(t / s for t, s in zip(self.spacing, spacing, strict=True)))

    def _read(self, source: SampleSource, geometry: Geometry, origin: tuple[float, ...]) -> Tensor:
        """Read and resample one box: [*geometry.out] float32 in the source's units."""
        plans = list(map(plan_axis, geometry.source, geometry.out, geometry.ratio, origin))
        pad = min((low for low, _ in self.windows), default=None) if self.pad is None else self.pad
        return resampled_by_slabs(lambda part: _physical(source, part), plans, pad)


def _physical(source: SampleSource, plans: Sequence[AxisPlan]) -> Tensor:
    """[Z, Y, X] float32 of the box that plans name, in the source's units."""
    stored = source.array(tuple(slice(plan.start, plan.stop) for plan in plans))
    values = torch.from_numpy(np.ascontiguousarray(stored, dtype=np.float32))
    scale, offset = rescale_of(source.meta)
    return values if (scale, offset) == (1.0, 0.0) else values * scale + offset


def _percentile_window(values: Tensor) -> tuple[float, float]:
    low, high = np.percentile(values.numpy(), _PERCENTILES)
    return float(low), max(float(high), float(low) + 1e-6)


def _central_origin(geometry: Geometry) -> tuple[float, ...]:
    """Lower edge of the central box in source voxels; whole voxels where nothing is resampled."""
    edges = []
    for out, source, ratio in zip(geometry.out, geometry.source, geometry.ratio, strict=True):
        free = source - out * ratio
        edges.append(float(free // 2) if ratio == 1.0 else free / 2)
    return tuple(edges)


def _random_origin(geometry: Geometry, rng: np.random.Generator) -> tuple[float, ...]:
    """Lower edge of a box inside the volume, whole output voxels from its edge; centred where the volume is smaller."""
    edges = []
    for axis, centred in enumerate(_central_origin(geometry)):
        out, source, ratio = geometry.out[axis], geometry.source[axis], geometry.ratio[axis]
        room = int((source - out * ratio) / ratio + 1e-9)
        edges.append(float(rng.integers(0, room + 1)) * ratio if room > 0 else centred)
    return tuple(edges)

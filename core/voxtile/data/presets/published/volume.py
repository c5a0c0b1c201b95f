"""Preprocessing of volumes as published models had it, which differs in what comes first and where voxels lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from voxtile.data.presets.base import (
    BasePreset,
    SampleSource,
    as_tuples,
    check_volume,
    described,
    rescale_of,
)
from voxtile.data.presets.published.axes import Sampling, columns_along, interpolated, places_along, turned
from voxtile.errors import PresetError

_SENSES = ("RL", "AP", "SI")


@dataclass(frozen=True, kw_only=True)
class PublishedVolume(BasePreset):
    """A volume as the code of a published model prepares it; one channel, nothing random.

    What comes first differs from `VolumePreset`: nothing is averaged where the grid is coarser, the axes may be in
    another order, and there is a choice of what comes before the resampling.

    Attributes:
        axes: of the output, a letter for where the index of each grows to: R or L, A or P, S or I; `SPL` is slices
            upwards, rows to the back and columns to the left, as axial DICOM files have them.
        shape: output voxels along `axes`.
        spacing: mm along `axes`; None where `sampling` is `fit`.
        sampling: where the output's voxels lie: `sizes`, `fit`, `first` or `centred`
            (`voxtile.data.presets.published.axes.Sampling`).
        window: (low, high) in the source's units, clipped and mapped to `value_range`; None takes the volume's minimum
            and maximum.
        value_range: what the window maps to.
        clip: the window is cut `before` or `after` the resampling.
        foreground: cut to the box of what is above the window's low end, before the resampling.
        pad: value where the volume ends, in `value_range`, or `minimum` of the volume.
        long_end: where an odd number of voxels is padded or cut, whether the `last` or the `first` end has one more.
        mean, std: normalisation of all of it, padding too.
        units: required units, or None for any.
        modalities: accepted modalities; empty accepts all.

    Raises:
        PresetError: axes, a shape, a spacing or a window that cannot be.

    Examples:
        >>> import numpy as np
        >>> from voxtile.api.inputs import ArraySample
        >>> from voxtile.data import PublishedVolume
        >>> preset = PublishedVolume(axes="RAS", shape=(8, 8, 4), spacing=(2, 2, 3), sampling="first", pad=0)
        >>> affine = [-1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 3, 0, 0, 0, 0, 1]
        >>> volume = np.full((4, 16, 16), 500, np.int16)
        >>> meta = {"kind": "volume", "shape": volume.shape, "units": "HU", "affine": affine}
        >>> image = preset(ArraySample(volume, meta), None)
        >>> image.shape, round(image[0, 4, 4, 2].item(), 4)
        (torch.Size([1, 8, 8, 4]), 0.75)
    """

    axes: str
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float] | None = None
    sampling: Sampling = "sizes"
    window: tuple[float, float] | None = (-1000.0, 1000.0)
    value_range: tuple[float, float] = (0.0, 1.0)
    clip: Literal["before", "after"] = "after"
    foreground: bool = False
    pad: float | Literal["minimum"] = 0.0
    long_end: Literal["first", "last"] = "last"
    mean: float = 0.0
    std: float = 1.0
    units: str | None = "HU"
    modalities: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("shape", "spacing", "window", "value_range", "modalities"):
            object.__setattr__(self, name, as_tuples(getattr(self, name)))
        senses = sorted(next((i for i, pair in enumerate(_SENSES) if letter in pair), -1) for letter in self.axes)
        if senses != [0, 1, 2]:
            raise PresetError(f"axes: '{self.axes}' is not one of R or L, one of A or P and one of S or I, such as SPL")
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise PresetError(f"shape: {self.shape} is not three positive numbers of voxels along {self.axes}")
        if self.sampling != "fit" and (self.spacing is None or len(self.spacing) != 3 or min(self.spacing) <= 0):
            raise PresetError(f"spacing: {self.spacing} is not three positive sizes in mm along {self.axes}")
        if self.window is not None and not self.window[0] < self.window[1]:
            raise PresetError(f"window: {self.window} is not (low, high) with low below high")

    @property
    def version(self) -> str:
        """Version of the code."""
        return "1"

    @property
    def channels(self) -> int:
        """One."""
        return 1

    @property
    def grid(self) -> tuple[int, ...]:
        """Voxels along `axes`."""
        return self.shape

    def check(self, metas: Sequence[Mapping[str, Any]]) -> None:
        """Raise PresetError if a sample is not a volume with the right units and modality and an affine."""
        for meta in metas:
            check_volume(meta, self.units, self.modalities)
            if not meta.get("affine"):
                raise PresetError(
                    f"this model reads volumes whose axes grow to {', '.join(self.axes)}, but the corpus holds "
                    f"{described(meta)} without an affine that says where its axes grow to; convert it from DICOM or "
                    "NIfTI files, which state it"
                )

    def __call__(self, source: SampleSource, rng: np.random.Generator | None) -> Tensor:
        """Return [1, *shape] float32; nothing is random."""
        self.check([source.meta])
        values, columns = self._read(source)
        limits = self._limits(values)
        if self.foreground:
            values = _foreground(values, limits[0])
        places = places_along(self.sampling, values.shape, columns, self.spacing, self.shape)
        counts = [len(along) for along in places]
        boxes = [self._box(have, out) for have, out in zip(counts, self.shape, strict=True)]
        pads = [self._pads(have, out) for have, out in zip(counts, self.shape, strict=True)]
        padded = any(any(pair) for pair in pads)
        whole = padded and self.pad == "minimum"  # the minimum is of all, of what is cut away too
        if not whole:
            places = [along[slice(*box)] for along, box in zip(places, boxes, strict=True)]
        if self.clip == "before":
            values = values.clamp(*limits)
        values = self._mapped(interpolated(values, places), limits)
        pad = float(values.min()) if self.pad == "minimum" else self.pad
        if whole:
            values = values[tuple(slice(*box) for box in boxes)]
        if padded:
            values = F.pad(values, [n for pair in reversed(pads) for n in pair], value=pad)
        if (self.mean, self.std) != (0.0, 1.0):
            values = values.sub_(self.mean).div_(self.std)
        return values[None].contiguous()

    def _read(self, source: SampleSource) -> tuple[Tensor, npt.NDArray[np.float64]]:
        """The volume along `axes` in its units, and the step in mm of each axis."""
        affine = np.asarray(source.meta["affine"], dtype=np.float64).reshape(4, 4)
        scale, offset = rescale_of(source.meta)
        values = np.ascontiguousarray(turned(source.array(), affine, self.axes), dtype=np.float32)
        if (scale, offset) != (1.0, 0.0):
            values = values * np.float32(scale) + np.float32(offset)
        return torch.from_numpy(values), columns_along(affine, self.axes)

    def _limits(self, values: Tensor) -> tuple[float, float]:
        if self.window is not None:
            return self.window
        low, high = float(values.min()), float(values.max())
        return low, max(high, low + 1e-8)

    def _mapped(self, values: Tensor, limits: tuple[float, float]) -> Tensor:
        (low, high), (bottom, top) = limits, self.value_range
        return values.clamp(low, high).sub_(low).mul_((top - bottom) / (high - low)).add_(bottom)

    def _box(self, have: int, out: int) -> tuple[int, int]:
        cut = max(0, have - out)
        start = cut // 2 if self.long_end == "last" else (cut + 1) // 2
        return start, start + min(have, out)

    def _pads(self, have: int, out: int) -> tuple[int, int]:
        more = max(0, out - have)
        before = more // 2 if self.long_end == "last" else (more + 1) // 2
        return before, more - before


def _foreground(values: Tensor, background: float) -> Tensor:
    """The box of what is above the background; all where nothing is."""
    above = values > background
    box = []
    for axis in range(3):
        there = above.any(dim=tuple(other for other in range(3) if other != axis)).nonzero()[:, 0]
        box.append(slice(int(there[0]), int(there[-1]) + 1) if len(there) else slice(None))
    return values[tuple(box)]

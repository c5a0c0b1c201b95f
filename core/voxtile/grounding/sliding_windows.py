"""Windows over a whole sample on a model's grid, and answers back on the sample's own grid.

A sample that is larger than the model's grid is seen through overlapping windows, and their answers are blended with a
Gaussian that trusts the middle of a window most (nnU-Net, Isensee et al., Nature Methods 2021, supplement).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import singledispatch
from itertools import product

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from voxtile.data.presets.base import PlacingPreset, Preset, SampleSource
from voxtile.data.presets.resample import plan_axis, resample
from voxtile.data.presets.tile import TilePreset
from voxtile.data.presets.volume import VolumePreset
from voxtile.data.regions.masks import spatial_shape
from voxtile.errors import ConfigError
from voxtile.models.rgb_pictures import BandsPreset

Floats = npt.NDArray[np.float32]

_SIGMA = 1 / 8  # of the window's length, as nnU-Net's
_LEAST_WEIGHT = 1e-3  # so that the corners of a sample, seen by one window alone, are known


@dataclass(frozen=True)
class Window:
    """A part of a sample as the model sees it.

    Attributes:
        image: [C, *G] float32.
        back: [P, *G] answers to [P, *H] on the sample's own grid, 0 outside the window.
    """

    image: Tensor
    back: Callable[[Tensor], Tensor]


@singledispatch
def windows(preset: Preset, source: SampleSource, overlap: float) -> Iterator[Window]:
    """Windows that together cover a sample.

    Args:
        preset: of the model.
        source: the sample.
        overlap: share of a window's length that the next one sees again.

    Raises:
        ConfigError: the preset cannot bring answers back to the sample.
    """
    if not isinstance(preset, PlacingPreset):
        raise ConfigError(
            f"answers of the preset {type(preset).__name__} cannot be brought back to the image; ground with a model "
            "whose preset is VolumePreset, TilePreset, ImagePreset or has a method 'placed' "
            "(voxtile.data.PlacingPreset)"
        )
    return iter([_whole(preset, preset(source, None), source)])


@windows.register
def _(preset: VolumePreset, source: SampleSource, overlap: float) -> Iterator[Window]:
    geometry = preset.geometry(source.meta)
    extent = [n * ratio for n, ratio in zip(geometry.out, geometry.ratio, strict=True)]
    axes = [_starts(n, size, overlap) for n, size in zip(geometry.source, extent, strict=True)]
    for origin in product(*axes):

        def back(answers: Tensor, origin: Sequence[float] = origin) -> Tensor:
            return torch.stack([_onto(one, geometry.source, geometry.ratio, origin) for one in answers])

        yield Window(preset.image_at(source, origin), back)


@windows.register
def _(preset: TilePreset, source: SampleSource, overlap: float) -> Iterator[Window]:
    """One window: tiles are cut to the model's size when they are converted."""
    shape = spatial_shape(source.meta)
    ratio = preset.gsd_m / float(source.meta["gsd_m"]) if preset.gsd_m else 1.0
    grid, origin = preset.size, [(n - size * ratio) / 2 for n, size in zip(shape, preset.size, strict=True)]
    if ratio == 1.0:  # whole pixels, rounded as the preset rounds
        origin = [float((n - s) // 2 if n >= s else -((s - n) // 2)) for n, s in zip(shape, grid, strict=True)]

    def back(answers: Tensor) -> Tensor:
        return torch.stack([_onto(one, shape, (ratio, ratio), origin) for one in answers])

    yield Window(preset(source, None), back)


@windows.register
def _(preset: BandsPreset, source: SampleSource, overlap: float) -> Iterator[Window]:
    """One window: a tile as the picture that is made of its bands."""
    yield _whole(preset.picture, preset(source, None), source)


def _whole(placing: PlacingPreset, image: Tensor, source: SampleSource) -> Window:
    """The one window of a preset that shows a sample whole."""
    shape = spatial_shape(source.meta)
    ratio, origin = placing.placed(shape)

    def back(answers: Tensor) -> Tensor:
        return torch.stack([_onto(one, shape, ratio, origin) for one in answers])

    return Window(image, back)


def ground_sample(
    ground: Callable[[Tensor], tuple[Tensor, Tensor]],
    preset: Preset,
    source: SampleSource,
    *,
    overlap: float = 0.5,
    finish: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Answers about a whole sample on its own grid.

    Args:
        ground: [1, C, *G] to [1, P, *G] probabilities of voxels and [1, P] of a target.
        preset: of the model.
        source: the sample.
        overlap: of neighbouring windows.
        finish: what is done to the blended answers, with [*H] bool, True where a window was.

    Returns:
        [P, *H] float32 and [P]: the blended probabilities, and the largest probability of a target in any window.
    """
    total = weight = presence = None
    for window in windows(preset, source, overlap):
        masks, there = ground(window.image[None])
        trust = gaussian(window.image.shape[1:])
        answers = window.back(torch.cat([masks[0] * trust, trust[None]]))
        total = answers[:-1] if total is None else total + answers[:-1]
        weight = answers[-1] if weight is None else weight + answers[-1]
        presence = there[0] if presence is None else torch.maximum(presence, there[0])
    assert total is not None
    assert weight is not None
    assert presence is not None
    blended = total / weight.clamp(min=1e-6)
    return (blended if finish is None else finish(blended, weight > _LEAST_WEIGHT / 2)), presence


def gaussian(grid: Sequence[int]) -> Tensor:
    """[*G] weight of each voxel of a window, 1 in the middle."""
    weight = torch.ones(())
    for size in grid:
        place = (torch.arange(size) - (size - 1) / 2) / max(1.0, size * _SIGMA)
        weight = weight.unsqueeze(-1) * torch.exp(-place.square() / 2)
    return weight.clamp(min=_LEAST_WEIGHT)


def _starts(length: int, window: float, overlap: float) -> list[float]:
    """Lower edges of windows along an axis of a sample; one, centred, where it holds all."""
    if length <= window:
        return [(length - window) / 2]
    count = math.ceil((length - window) / (window * (1 - overlap))) + 1
    return [float(edge) for edge in np.linspace(0, length - window, count)]


def _onto(answer: Tensor, shape: Sequence[int], ratio: Sequence[float], origin: Sequence[float]) -> Tensor:
    """[*G] on the model's grid to [*H] on the sample's: linear, and the nearest voxel where finer is asked for."""
    if answer.ndim == 2:
        return _onto(answer[None], (1, *shape), (1.0, *ratio), (0.0, *origin))[0]
    plans = [
        plan_axis(have, want, 1 / r, -edge / r)
        for have, want, r, edge in zip(answer.shape, shape, ratio, origin, strict=True)
    ]
    box = tuple(slice(plan.start, plan.stop) for plan in plans)
    return resample(answer.float()[box].contiguous(), plans, 0.0)

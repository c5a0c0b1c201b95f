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

from voxtile.data.presets import picture
from voxtile.data.presets.base import PlacingPreset, Preset, SampleSource
from voxtile.data.presets.image import ImagePreset
from voxtile.data.presets.resample import axis_order, plan_axis, resample
from voxtile.data.presets.tile import TilePreset
from voxtile.data.presets.volume import VolumePreset
from voxtile.data.regions.masks import spatial_shape
from voxtile.errors import ConfigError
from voxtile.models.rgb_pictures import BandsPreset

Floats = npt.NDArray[np.float32]

_SIGMA = 1 / 8  # of the window's length, as nnU-Net's
_SLAB = 1 << 22  # places of all maps that are brought back at a time
_LEAST_WEIGHT = 1e-3  # so that the corners of a sample, seen by one window alone, are known


@dataclass(frozen=True)
class Window:
    """A part of a sample as the model sees it.

    Attributes:
        image: [C, *G] float32.
        shape: *H, the sample's own grid.
        ratio, origin: pixels of the sample a pixel of the window, and its lower edge in pixels of the sample.
    """

    image: Tensor
    shape: tuple[int, ...]
    ratio: tuple[float, ...]
    origin: tuple[float, ...]

    @property
    def rows(self) -> range:
        """Of the sample's first axis, those that the window touches."""
        low = math.floor(self.origin[0])
        high = math.ceil(self.origin[0] + self.image.shape[1] * self.ratio[0])
        return range(min(max(low, 0), self.shape[0]), max(0, min(high, self.shape[0])))

    def back(self, answers: Tensor, rows: range | None = None) -> Tensor:
        """[P, *G] answers to [P, *H] on the sample's own grid, 0 outside the window; of the first axis, these rows."""
        part = range(self.shape[0]) if rows is None else rows
        return torch.stack([_onto(one, self.shape, self.ratio, self.origin, part) for one in answers])


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
        yield Window(preset.image_at(source, origin), tuple(geometry.source), tuple(geometry.ratio), origin)


@windows.register
def _(preset: ImagePreset, source: SampleSource, overlap: float) -> Iterator[Window]:
    """Windows along the longer side of a picture that the preset would cut to its middle."""
    shape = spatial_shape(source.meta)
    ratio, _ = preset.placed(shape)
    if all(n < size * r + 0.5 for n, size, r in zip(shape, preset.size, ratio, strict=True)):
        yield _whole(preset, preset(source, None), source)
        return
    whole = preset.whole(source)
    axes = [_starts(n, size, overlap) for n, size in zip(whole.shape[1:], preset.size, strict=True)]
    for y, x in product(*axes):
        box = picture.Box(round(y), round(x), *preset.size)
        yield Window(picture.crop(whole, box), shape, ratio, (box.top * ratio[0], box.left * ratio[1]))


@windows.register
def _(preset: TilePreset, source: SampleSource, overlap: float) -> Iterator[Window]:
    """One window: tiles are cut to the model's size when they are converted."""
    shape = spatial_shape(source.meta)
    ratio = preset.gsd_m / float(source.meta["gsd_m"]) if preset.gsd_m else 1.0
    grid, origin = preset.size, [(n - size * ratio) / 2 for n, size in zip(shape, preset.size, strict=True)]
    if ratio == 1.0:  # whole pixels, rounded as the preset rounds
        origin = [float((n - s) // 2 if n >= s else -((s - n) // 2)) for n, s in zip(shape, grid, strict=True)]
    yield Window(preset(source, None), shape, (ratio, ratio), tuple(origin))


@windows.register
def _(preset: BandsPreset, source: SampleSource, overlap: float) -> Iterator[Window]:
    """One window: a tile as the picture that is made of its bands."""
    yield _whole(preset.picture, preset(source, None), source)


def _whole(placing: PlacingPreset, image: Tensor, source: SampleSource) -> Window:
    """The one window of a preset that shows a sample whole."""
    shape = spatial_shape(source.meta)
    ratio, origin = placing.placed(shape)
    return Window(image, shape, tuple(ratio), tuple(origin))


def ground_sample(
    ground: Callable[[Tensor], tuple[Tensor, Tensor]],
    preset: Preset,
    source: SampleSource,
    *,
    overlap: float = 0.5,
    finish: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Answers about a whole sample on its own grid.

    Beside what is returned it takes four bytes a place, and a slab of each axis's last step.

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
        if total is None or weight is None or presence is None:
            total, weight = torch.zeros(masks.shape[1], *window.shape), torch.zeros(window.shape)
            presence = there[0]
        presence = torch.maximum(presence, there[0])
        answers = torch.cat([masks[0] * trust, trust[None]])
        for rows in _slabs(window, len(answers)):
            found = window.back(answers, rows)
            total[:, rows.start : rows.stop] += found[:-1]
            weight[rows.start : rows.stop] += found[-1]
    assert total is not None
    assert weight is not None
    assert presence is not None
    seen = weight > _LEAST_WEIGHT / 2
    blended = total.div_(weight.clamp_(min=1e-6))
    del total, weight
    return (blended if finish is None else finish(blended, seen)), presence


def _slabs(window: Window, maps: int) -> Iterator[range]:
    """The rows that a window touches, few at a time: what brings them back takes several times their memory."""
    step = max(1, _SLAB // (maps * math.prod(window.shape[1:])))
    for start in range(window.rows.start, window.rows.stop, step):
        yield range(start, min(start + step, window.rows.stop))


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


def _onto(answer: Tensor, shape: Sequence[int], ratio: Sequence[float], origin: Sequence[float], rows: range) -> Tensor:
    """[*G] on the model's grid to [*H] on the sample's: linear, and the nearest voxel where finer is asked for.

    Of the first axis of H, rows alone are made; each is the same to the last bit in whichever part it is made.
    """
    if answer.ndim == 2:  # as one plane of a volume; rows are then along its second axis
        return _placed(answer[None], (1, *shape), (1.0, *ratio), (0.0, *origin), 1, rows)[0]
    return _placed(answer, shape, ratio, origin, 0, rows)


def _placed(
    answer: Tensor, shape: Sequence[int], ratio: Sequence[float], origin: Sequence[float], axis: int, rows: range
) -> Tensor:
    plans = [
        plan_axis(have, want, 1 / r, -edge / r)
        for have, want, r, edge in zip(answer.shape, shape, ratio, origin, strict=True)
    ]
    order = axis_order(plans)
    plans[axis] = plans[axis].part(rows.start, rows.stop)
    box = tuple(slice(plan.start, plan.stop) for plan in plans)
    return resample(answer.float()[box].contiguous(), plans, 0.0, order)

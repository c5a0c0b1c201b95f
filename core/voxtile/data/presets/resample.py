"""Separable resampling of volumes: any spacing and offset, anti-aliased, the same bits whatever the thread count."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_MOST_READ = 1 << 24  # source elements


@dataclass(frozen=True)
class AxisPlan:
    """How one axis is resampled.

    Attributes:
        start, stop: source indices that are needed; nothing outside is read.
        out: number of output elements.
        taps: [out, T] int64, source indices from `start` that each output element averages; None for a plain copy.
        weights: [out, T] float32, each row sums to 1 (or 0 outside the volume).
        before: output elements of a plain copy that lie before the volume.
    """

    start: int
    stop: int
    out: int
    taps: Tensor | None = None
    weights: Tensor | None = None
    before: int = 0

    def part(self, first: int, last: int) -> AxisPlan:
        """The plan of output elements from `first` to before `last`: the same values, of fewer source indices."""
        if self.taps is None or self.weights is None:
            start, stop = (
                self.start + min(max(edge - self.before, 0), self.stop - self.start) for edge in (first, last)
            )
            return AxisPlan(start, stop, last - first, before=min(max(self.before - first, 0), last - first))
        taps, weights = self.taps[first:last], self.weights[first:last]
        used = taps[weights > 0]
        low, high = (int(used.min()), int(used.max()) + 1) if len(used) else (0, 0)
        return AxisPlan(
            self.start + low, self.start + high, last - first, (taps - low).clamp(0, max(high - low - 1, 0)), weights
        )


def plan_axis(source: int, out: int, ratio: float, origin: float) -> AxisPlan:
    """Plan one axis.

    The kernel is the triangle of linear interpolation, widened by `ratio` when downsampling so that it averages instead
    of skipping (the anti-aliasing of Pillow and of `torch.nn.functional.interpolate(antialias=True)`).

    Args:
        source: number of source elements.
        out: number of output elements.
        ratio: output spacing over source spacing.
        origin: place of the output's lower edge, in source elements from the source's lower edge.
    """
    if ratio == 1.0 and origin == int(origin):
        first = int(origin)
        start, stop = min(max(first, 0), source), min(max(first + out, 0), source)
        return AxisPlan(start, stop, out, before=min(max(-first, 0), out))
    support = max(1.0, ratio)
    centres = (origin + (torch.arange(out, dtype=torch.float64) + 0.5) * ratio)[:, None]
    lowest = torch.ceil(centres - support - 0.5).long()
    taps = lowest + torch.arange(math.ceil(2 * support) + 1)
    weights = (1 - (taps + 0.5 - centres).abs() / support).clamp_(min=0)
    weights[(taps < 0) | (taps >= source) | (centres < 0) | (centres > source)] = 0
    weights /= weights.sum(1, keepdim=True).clamp(min=1e-12)
    used = taps[weights > 0]
    start, stop = (int(used.min()), int(used.max()) + 1) if len(used) else (0, 0)
    return AxisPlan(start, stop, out, (taps - start).clamp(0, max(stop - start - 1, 0)), weights.float())


def resample(values: Tensor, plans: Sequence[AxisPlan], pad: float, order: Sequence[int] | None = None) -> Tensor:
    """Apply the plans.

    Args:
        values: [Z, Y, X] float32, the box of the source that the plans name.
        plans: one per axis.
        pad: value of what lies outside the volume.
        order: of the axes; that of `axis_order` for these plans where left out. Parts of a volume are equal to the
            last bit to the whole where both are given the whole's.

    Returns:
        [Z, Y, X] float32 in the output's shape.
    """
    shape = [plan.out for plan in plans]
    if not values.numel():
        return torch.full(shape, pad)
    if all(plan.taps is None for plan in plans):
        return _padded(values, plans, pad)
    out = values - pad  # what lies outside then counts as zero
    for axis in axis_order(plans) if order is None else order:
        plan = plans[axis]
        if plan.taps is not None and plan.weights is not None:
            out = _averaged(out, plan.taps, plan.weights, axis)
    copied = [plan if plan.taps is None else AxisPlan(0, plan.out, plan.out) for plan in plans]
    return _padded(out, copied, 0.0) + pad


def resampled_by_slabs(
    read: Callable[[Sequence[AxisPlan]], Tensor], plans: Sequence[AxisPlan], pad: float | None
) -> Tensor:
    """[Z, Y, X] as `resample` gives it, to the last bit; of a large box no more is read at a time than 64 MB.

    Args:
        read: [Z, Y, X] float32 of the box that plans name.
        plans: one per axis.
        pad: value of what lies outside the volume; None for the lowest that is read, for which all is read at once.
    """
    if pad is None:
        values = read(plans)
        return resample(values, plans, float(values.min()) if values.numel() else 0.0)
    out, order = plans[0].out, axis_order(plans)
    slabs = math.ceil(math.prod(plan.stop - plan.start for plan in plans) / _MOST_READ)
    step = max(1, out // max(1, slabs))
    parts = [[plans[0].part(start, min(start + step, out)), *plans[1:]] for start in range(0, out, step)]
    found = [resample(read(part), part, pad, order) for part in parts]
    return found[0] if len(found) == 1 else torch.cat(found)


def axis_order(plans: Sequence[AxisPlan]) -> list[int]:
    """Axes as they are resampled: the one that shrinks most first, so that the others have less to do."""
    return sorted(range(3), key=lambda a: plans[a].out / max(1, plans[a].stop - plans[a].start))


def _averaged(values: Tensor, taps: Tensor, weights: Tensor, axis: int) -> Tensor:
    """Weighted sums along an axis, tap by tap: unlike in a matrix product, threads do not change the order."""
    along = [1, 1, 1]
    along[axis] = -1
    total = values.index_select(axis, taps[:, 0]).mul_(weights[:, 0].view(along))
    for tap in range(1, taps.shape[1]):
        total += values.index_select(axis, taps[:, tap]).mul_(weights[:, tap].view(along))
    return total


def _padded(values: Tensor, plans: Sequence[AxisPlan], pad: float) -> Tensor:
    """Pad the copied axes to their output size."""
    edges: list[int] = []
    for axis in (2, 1, 0):
        edges += [plans[axis].before, plans[axis].out - plans[axis].before - values.shape[axis]]
    return torch.nn.functional.pad(values, edges, value=pad) if any(edges) else values

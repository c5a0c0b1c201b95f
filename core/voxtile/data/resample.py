"""Separable resampling of volumes by small matrices: any spacing, any sub-voxel offset, anti-aliased."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class AxisPlan:
    """How one axis is resampled.

    Attributes:
        start, stop: source indices that are needed; nothing outside is read.
        weights: [out, stop - start] float32, each row sums to 1 (or 0 outside the volume); None for a plain copy.
        before, after: output elements of a plain copy that lie outside the volume.
    """

    start: int
    stop: int
    weights: Tensor | None
    before: int = 0
    after: int = 0


def plan_axis(source: int, out: int, ratio: float, origin: float) -> AxisPlan:
    """Plan one axis.

    The kernel is the triangle of linear interpolation, widened by `ratio` when downsampling so that it averages
    instead of skipping (the anti-aliasing of Pillow and of `torch.nn.functional.interpolate(antialias=True)`).

    Args:
        source: number of source elements.
        out: number of output elements.
        ratio: output spacing over source spacing.
        origin: place of the output's lower edge, in source elements from the source's lower edge.
    """
    if ratio == 1.0 and origin == int(origin):
        first = int(origin)
        start, stop = min(max(first, 0), source), min(max(first + out, 0), source)
        before = min(max(-first, 0), out)
        return AxisPlan(start, stop, None, before, out - before - (stop - start))
    support = max(1.0, ratio)
    centres = origin + (torch.arange(out, dtype=torch.float64) + 0.5) * ratio
    start = min(max(int(origin + 0.5 * ratio - support - 0.5), 0), source)
    stop = min(max(int(origin + (out - 0.5) * ratio + support + 1.5), start), source)
    places = torch.arange(start, stop, dtype=torch.float64) + 0.5
    weights = (1 - (places[None, :] - centres[:, None]).abs() / support).clamp_(min=0)
    weights[(centres < 0) | (centres > source)] = 0
    total = weights.sum(1, keepdim=True)
    return AxisPlan(start, stop, (weights / total.clamp(min=1e-12)).float())


def resample(values: Tensor, plans: Sequence[AxisPlan], pad: float) -> Tensor:
    """Apply the plans.

    Args:
        values: [Z, Y, X] float32, the box of the source that the plans name.
        plans: one per axis.
        pad: value of what lies outside the volume.

    Returns:
        [Z, Y, X] float32 in the output's shape.
    """
    if all(plan.weights is None for plan in plans):
        edges = [edge for plan in reversed(plans) for edge in (plan.before, plan.after)]
        return torch.nn.functional.pad(values, edges, value=pad) if any(edges) else values
    out = values - pad  # what lies outside then counts as zero
    # The axis that shrinks most goes first, so that the others have less to do.
    for axis in sorted(range(3), key=lambda a: _size(plans[a], values.shape[a]) / max(values.shape[a], 1)):
        plan = plans[axis]
        if plan.weights is not None:
            out = torch.movedim(torch.matmul(plan.weights, torch.movedim(out, axis, 1)), 1, axis)
        elif plan.before or plan.after:
            edges = [0] * 6
            edges[2 * (2 - axis)], edges[2 * (2 - axis) + 1] = plan.before, plan.after
            out = torch.nn.functional.pad(out, edges)
    return (out + pad).contiguous()


def _size(plan: AxisPlan, source: int) -> int:
    return len(plan.weights) if plan.weights is not None else source + plan.before + plan.after

"""Memory and time of a training step on a GPU, and the largest micro-batch that fits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from lightning.fabric.utilities.throughput import get_available_flops

from voxtile.errors import ConfigError
from voxtile.training.planning.cards import GPUS, Gpu, require_card
from voxtile.training.planning.measure import Step

# Bytes a number: weights and gradients in float32, and two moments of AdamW. Autocast's copies are among activations.
_WEIGHT, _GRADIENT, _MOMENTS = 4, 4, 8
_CONTEXT = 0.7 * 2**30  # of CUDA and its libraries
_LOST = 1.1  # activations take so much more in the allocator's blocks
_USABLE = 0.95  # of the card
_BATCHES = 2  # the one in work and the one that is moved ahead


@dataclass(frozen=True)
class Memory:
    """Bytes of a training step by what they are for.

    Attributes:
        weights, gradients, optimiser, average: of the model, its objectives and their teachers; `average` where an
            average of the weights is kept.
        activations: the most that is held at once beside all this: kept for the backward pass, or in work.
        inputs: batches on the card.
        context: of CUDA itself.
    """

    weights: float
    gradients: float
    optimiser: float
    average: float
    activations: float
    inputs: float
    context: float = _CONTEXT

    @property
    def total(self) -> float:
        """All of it."""
        model = self.weights + self.gradients + self.optimiser + self.average
        return model + self.activations + self.inputs + self.context


def memory(step: Step, *, averaged: bool) -> Memory:
    """What a step takes.

    Args:
        step: measured.
        averaged: an average of the weights is kept beside them.
    """
    return Memory(
        weights=step.parameters * _WEIGHT - step.half_weights * (_WEIGHT - 2) + step.buffers,
        gradients=step.trained * _GRADIENT,
        optimiser=step.trained * _MOMENTS,
        average=step.parameters * _WEIGHT if averaged else 0.0,
        activations=step.peak * _LOST,
        inputs=step.inputs * _BATCHES,
    )


def seconds(step: Step, gpu: Gpu, *, half: bool, utilisation: float) -> float:
    """Time of a step where the card reaches this share of its peak."""
    return step.operations / ((gpu.half if half else gpu.full) * utilisation)


def largest(needed: Callable[[int], float], gpu: Gpu, *, limit: int = 65_536) -> int:
    """The largest micro-batch whose need fits the card, 0 where not even two items do.

    Args:
        needed: bytes that a micro-batch of so many items takes; every item adds the same.
        gpu: the card.
        limit: of what is asked for.
    """
    few, more = 8, 16
    base, top = needed(few), needed(more)
    each = (top - base) / (more - few)
    found = few + int((gpu.memory * _USABLE - base) // each)
    return min(found, limit) if found >= 2 else 0


def find_gpu(name: str) -> Gpu:
    """A card by its name, or the one in this machine for `here`.

    Raises:
        ConfigError: there is no such card.
    """
    if name != "here":
        require_card(name)
        return GPUS[name]
    if not torch.cuda.is_available():
        raise ConfigError("there is no GPU in this machine; name one with --gpu, e.g. --gpu a100-80gb")
    device = torch.device("cuda")
    half, full = (get_available_flops(device, dtype) for dtype in (torch.bfloat16, torch.float32))
    if half is None or full is None:
        raise ConfigError("the rates of the GPU in this machine are not known; name a similar one with --gpu")
    found = torch.cuda.get_device_properties(device)
    return Gpu(found.name, float(found.total_memory), float(half), float(full))

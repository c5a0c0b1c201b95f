"""A training step without numbers: shapes alone tell what is kept for the backward pass and how much is computed.

Shape letters: B items, C channels, *G the grid.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
    UnsupportedOperatorException,
)
from torch.utils.flop_counter import FlopCounterMode

from voxtile.data.preset import Preset
from voxtile.training.module import ContrastiveModule
from voxtile.training.rebuild import module_from_config
from voxtile.types import Batch

_FACTS = 12  # concepts, where the corpus is not known
_DEPENDS_ON_VALUES = (
    DataDependentOutputException,
    DynamicOutputShapeException,
    UnsupportedOperatorException,
    NotImplementedError,
)


@dataclass(frozen=True)
class Step:
    """A training step on one micro-batch.

    Attributes:
        parameters, trained: numbers of the model, and those with a gradient.
        kept: bytes that the forward pass keeps for the backward one.
        inputs: bytes of the batch.
        operations: floating-point operations, forward and backward.
        left_out: objectives whose work depends on values, of which only the towers are counted.
    """

    parameters: int
    trained: int
    kept: int
    inputs: int
    operations: int
    left_out: tuple[str, ...]


def measure(
    model: Mapping[str, Any], preset: Preset, *, items: int, texts: int, images: int = 1, half: bool = True
) -> Step:
    """Go through a step on fake tensors, which have shapes and no memory.

    Args:
        model: the `model` part of a config.
        preset: of the images.
        items: B of the micro-batch.
        texts: of an item.
        images: of an item.
        half: in mixed precision of 16 bits.
    """
    with warnings.catch_warnings(), FakeTensorMode(allow_non_fake_inputs=True):
        warnings.filterwarnings("ignore", message="Accessing the data pointer of FakeTensor")  # torch copies a module
        module = module_from_config(model).train()
        module.large_batch = None
        module.setup_objectives(tuple(f"fact_{number}" for number in range(_FACTS)))
        tokenizer = module.encoder.text.tokenizer
        if not tokenizer.ready:
            tokenizer.train(["a finding is seen"])
        batch = _batch(module, preset, items, texts, images)
        longest = " ".join(["finding"] * 512)  # cut to the tower's context: the longest that there can be
        tokens = tokenizer.encode([longest])[0].expand(len(batch.texts), -1)
        module.tokenised = lambda batch: replace(batch, tokens=tokens)  # type: ignore[method-assign]
        own = frozenset(value.untyped_storage()._cdata for value in module.parameters())
        kept: dict[int, int] = {}
        left: list[str] = []
        counter = FlopCounterMode(display=False)
        autocast = torch.autocast("cpu", dtype=torch.bfloat16) if half else nullcontext()
        with counter:
            with _recording(kept, own), autocast:
                loss = _loss(module, batch, left)
            torch.autograd.backward(loss)
        numbers = [(p.numel(), p.requires_grad) for p in module.parameters()]
        inputs = batch.images.nbytes
    return Step(
        parameters=sum(n for n, _ in numbers),
        trained=sum(n for n, learns in numbers if learns),
        kept=sum(kept.values()),
        inputs=inputs,
        operations=counter.get_total_flops(),
        left_out=tuple(left),
    )


def _loss(module: ContrastiveModule, batch: Batch, left: list[str]) -> Tensor:
    """The weighted loss; what depends on values is noted in `left`, and its features are summed instead."""
    features = module.features(batch)
    total = features.image.sum() + features.text.sum()
    for part in (features.image_encoded, features.text_encoded):
        total = total + sum((level.float().sum() for level in part.levels or ()), part.pooled.float().sum())
    for name, objective in module.objectives.items():
        try:
            total = total + objective(features)
        except _DEPENDS_ON_VALUES:
            left.append(name)
    return total


@contextmanager
def _recording(kept: dict[int, int], own: frozenset[int]) -> Iterator[None]:
    """Note the bytes of every storage that is kept for the backward pass, the parameters' left out."""

    def pack(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage.nbytes()
        return value

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
        yield


def _batch(module: ContrastiveModule, preset: Preset, items: int, texts: int, images: int) -> Batch:
    number = torch.arange(items)
    count = items * texts
    return Batch(
        images=torch.empty(items * images, preset.channels, *preset.grid),
        image_item=number.repeat_interleave(images),
        texts=[""] * count,
        text_item=number.repeat_interleave(texts),
        study=number,
        subject=number,
        text_hash=torch.arange(count),
        facts=torch.zeros(items, _FACTS, dtype=torch.int8),
        fact_names=module.fact_names or (),
        uids=[str(place) for place in range(items)],
        draws=number,
        text_facts=torch.zeros(count, _FACTS, dtype=torch.int8),
    )

"""A training step without numbers: shapes alone tell what is kept for the backward pass and how much is computed.

Shape letters: B items, C channels, *G the grid.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
    UnsupportedOperatorException,
    unset_fake_temporarily,
)

from voxtile.data.preset import Preset
from voxtile.models.blocks import blocks
from voxtile.models.patches import BandPatchEmbedding
from voxtile.models.wavelength import WavelengthTower
from voxtile.training.economy import recompute_activations
from voxtile.training.module import ContrastiveModule
from voxtile.training.operations import operation_counter
from voxtile.training.rebuild import module_from_config
from voxtile.types import Batch, Features

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
        kept: bytes that the forward pass keeps for the backward one; where blocks are computed again, their inputs and
            the one that is at work.
        inputs: bytes of the batch.
        operations: floating-point operations, forward and backward, with what is computed again; in a large-batch step
            also the pass that caches embeddings.
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
        with _no_draws():
            module = module_from_config(model).train()
        cached, module.large_batch = module.large_batch is not None, None
        with mock.patch.object(Tensor, "__deepcopy__", _copied):
            module.setup_objectives(tuple(f"fact_{number}" for number in range(_FACTS)))
        tokenizer = module.encoder.text.tokenizer
        if not tokenizer.ready:
            tokenizer.train(["a finding is seen"])
        batch = _batch(module, preset, items, texts, images)
        longest = " ".join(["finding"] * 512)  # cut to the tower's context: the longest that there can be
        with unset_fake_temporarily():
            tokens = tokenizer.encode([longest])[0].expand(len(batch.texts), -1)
        module.tokenised = lambda batch: replace(batch, tokens=tokens)  # type: ignore[method-assign]
        own = frozenset(value.untyped_storage()._cdata for value in module.parameters())
        for part in module.modules():
            if isinstance(part, BandPatchEmbedding | WavelengthTower):
                part.band_dropout = 0.0  # which bands are hidden is drawn; all are counted
        kept: dict[int, int] = {}
        left: list[str] = []
        _guard_rows(module, left)
        if module.recompute:
            recompute_activations(module.encoder)
        again = _Recomputed(module, kept)
        counter = operation_counter()
        autocast = torch.autocast("cpu", dtype=torch.bfloat16) if half else nullcontext()
        with counter:
            with _recording(kept, own), autocast:
                loss = _loss(module, batch, left)
            forward = counter.get_total_flops()
            torch.autograd.backward(loss)
        with autocast:
            working = again.working(own)
        numbers = [(p.numel(), p.requires_grad) for p in module.parameters()]
        inputs = batch.images.nbytes
    return Step(
        parameters=sum(n for n, _ in numbers),
        trained=sum(n for n, learns in numbers if learns),
        kept=sum(kept.values()) + working,
        inputs=inputs,
        operations=counter.get_total_flops() + (forward if cached else 0),
        left_out=tuple(left),
    )


def _loss(module: ContrastiveModule, batch: Batch, left: list[str]) -> Tensor:
    """The weighted loss; what depends on values is noted in `left`, and its features are summed instead."""
    features = module.features(batch)
    total = features.image.sum() + features.text.sum()
    for part in (features.image_encoded, features.text_encoded):
        total = total + sum((level.float().sum() for level in part.levels or ()), part.pooled.float().sum())
    for name, objective in module.objectives.items():
        if name in left:
            continue
        try:
            total = total + objective(features)
        except _DEPENDS_ON_VALUES:
            left.append(name)
    return total


def _guard_rows(module: ContrastiveModule, left: list[str]) -> None:
    """Note in `left` the objectives whose `rows` depend on values, and go on without them."""
    for name, objective in module.objectives.items():

        def rows(features: Features, name: str = name, rows: Any = objective.rows) -> Tensor | None:  # noqa: ANN401
            try:
                made: Tensor | None = rows(features)
            except _DEPENDS_ON_VALUES:
                left.append(name)
                return None
            return made

        objective.rows = rows  # type: ignore[assignment]


def _copied(tensor: Tensor, memo: object) -> Tensor:
    """A copy of a fake tensor, which torch's own would take from a storage that is not there."""
    made = tensor.detach().clone()
    return nn.Parameter(made, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else made


@contextmanager
def _no_draws() -> Iterator[None]:
    """Leave out what needs numbers: truncated normals look at what they drew, and modules move by swapping tensors."""
    with (
        mock.patch.object(nn.init, "trunc_normal_", lambda tensor, *args, **kwargs: tensor),
        mock.patch.object(nn.Module, "to", lambda module, *args, **kwargs: module),
    ):
        yield


class _Recomputed:
    """Blocks that keep their input alone: what that takes, and what one of them takes while it is computed again.

    Args:
        module: with its towers prepared.
        kept: where the bytes of each input are noted.
    """

    def __init__(self, module: ContrastiveModule, kept: dict[int, int]) -> None:
        self._kept = kept
        self._first: dict[str, tuple[nn.Module, tuple[Any, ...], dict[str, Any]]] = {}
        self._hooks = []
        for name, tower in (("image", module.encoder.image), ("text", module.encoder.text)):
            if module.recompute or getattr(tower, "checkpointing", False):
                for block in blocks(tower).values():
                    hook = functools.partial(self._note, name)
                    self._hooks.append(block.register_forward_pre_hook(hook, with_kwargs=True))

    def _note(self, name: str, block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        for value in args:
            if isinstance(value, Tensor):
                self._kept[value.untyped_storage()._cdata] = value.untyped_storage().nbytes()
        self._first.setdefault(name, (block, args, kwargs))

    def working(self, own: frozenset[int]) -> int:
        """Bytes that the block with the most keeps for its own gradient."""
        for hook in self._hooks:
            hook.remove()
        most = 0
        for block, args, kwargs in self._first.values():
            kept: dict[int, int] = {}
            given = [a.detach().requires_grad_() if isinstance(a, Tensor) else a for a in args]
            with _recording(kept, own):
                type(block).forward(block, *given, **kwargs)
            most = max(most, sum(kept.values()))
        return most


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

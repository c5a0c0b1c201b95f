"""A training step without numbers: shapes alone tell how much memory it takes and how much is computed.

Shape letters: B items, C channels, *G the grid.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
    UnsupportedOperatorException,
)
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.flop_counter import FlopCounterMode

from voxtile.data.presets.base import Preset
from voxtile.errors import ConfigError
from voxtile.models.image.patches import BandPatchEmbedding
from voxtile.models.image.wavelength import WavelengthTower
from voxtile.models.tower import full_precision
from voxtile.objectives.base import Objective
from voxtile.objectives.planned import PlannedBatch, PlannedWork
from voxtile.training.callbacks.telemetry import operation_counter
from voxtile.training.memory import recompute_activations
from voxtile.training.module import ContrastiveModule
from voxtile.training.objective_states import reads_data
from voxtile.training.planning.live_memory import Alive
from voxtile.training.planning.longest import fact_names, longest_batch
from voxtile.training.rebuild import without_weights
from voxtile.types import Features

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
        parameters, trained: numbers of the model and of what objectives add, such as fusion layers and the copies of
            towers that teach; and those of them with a gradient.
        buffers: bytes of what else the model holds, such as queues and statistics.
        kept: bytes that are alive between the forward pass and the backward one, without parameters and batch.
        peak: the most bytes that are alive at once in both, without parameters, their gradients and the batch: what is
            kept, what an operation works on, what is computed again, and what a teacher computes without a gradient.
        inputs: bytes of the batch.
        operations: floating-point operations, forward and backward, of towers and objectives, with what is computed
            again and what a teacher computes; in a large-batch step also the pass that caches embeddings.
        left_out: objectives whose work depends on values, of which only the towers are counted.
        half_weights: those of the parameters that stand still and take 2 bytes each.
        assumed: what was taken for granted of objectives that are counted by their sizes, in sentences.
    """

    parameters: int
    trained: int
    buffers: int
    kept: int
    peak: int
    inputs: int
    operations: int
    left_out: tuple[str, ...]
    half_weights: int = 0
    assumed: tuple[str, ...] = ()


def measure(
    model: Mapping[str, Any],
    preset: Preset,
    *,
    items: int,
    texts: int,
    images: int = 1,
    regions: int = 0,
    samples: bool = False,
    dialogues: int = 0,
    half: bool = True,
) -> Step:
    """Go through a step on fake tensors, which have shapes and no memory.

    Args:
        model: the `model` part of a config; files of weights are not read.
        preset: of the images.
        items: B of the micro-batch.
        texts: of an item.
        images: of an item.
        regions: phrases of an item with their masks, for objectives that ground.
        samples: where items are studies, each of their images has a text of its own.
        dialogues: of an item.
        half: in mixed precision of 16 bits.
    """
    with warnings.catch_warnings(), ShapesAlone():
        warnings.filterwarnings("ignore", message="Accessing the data pointer of FakeTensor")  # torch copies a module
        with _no_draws():
            module = ContrastiveModule.from_config(without_weights(model)).train()
        work = _by_sizes(module, PlannedBatch(items, texts, dialogues, 0, module.encoder.image.width, half), preset)
        _require_shapes(module)
        cached, module.large_batch = module.large_batch is not None, None
        with mock.patch.object(Tensor, "__deepcopy__", _copied):
            module.setup_objectives(fact_names(module))
        batch = longest_batch(module, preset, items=items, texts=texts, images=images, regions=regions, samples=samples)
        for part in module.modules():
            if isinstance(part, BandPatchEmbedding | WavelengthTower):
                part.band_dropout = 0.0  # which bands are hidden is drawn; all are counted
        if module.recompute:
            recompute_activations(module.encoder)
        given = [batch.images] if batch.regions is None else [batch.images, batch.regions.masks]
        alive = Alive([*module.parameters(), *module.buffers(), *given])
        for parameter in module.parameters():
            if parameter.requires_grad:
                parameter.register_post_accumulate_grad_hook(lambda p: alive.leave_out(p.grad))  # type: ignore[no-untyped-call]
        counter = operation_counter()
        rows = _Rows(module, counter)
        autocast = torch.autocast("cpu", dtype=torch.bfloat16) if half else nullcontext()
        with alive, counter:
            with autocast:
                features = module.features(batch)
                encoding = counter.get_total_flops() - rows.once
                loss = _loss(module, features, rows.left, beside=bool(work))
            del features
            kept = alive.now
            if loss.requires_grad:  # a model that stands still has no backward pass of its own
                torch.autograd.backward(loss)
        numbers = [(p.numel(), p.requires_grad) for p in module.parameters()]
    return Step(
        parameters=sum(n for n, _ in numbers) + sum(part.parameters for part in work),
        trained=sum(n for n, learns in numbers if learns) + sum(part.trained for part in work),
        buffers=sum(value.nbytes for value in module.buffers()),
        kept=kept + sum(part.activations for part in work),
        peak=alive.peak + sum(part.activations for part in work),
        inputs=sum(value.nbytes for value in given),
        operations=counter.get_total_flops() + (encoding if cached else 0) + sum(part.operations for part in work),
        left_out=tuple(rows.left),
        half_weights=sum(part.half_weights for part in work),
        assumed=tuple(part.said for part in work),
    )


def _by_sizes(module: ContrastiveModule, batch: PlannedBatch, preset: Preset) -> list[PlannedWork]:
    """Take the objectives that are counted by their sizes out of a module, and say what they add."""
    found = {name: o for name, o in module._objectives.items() if type(o).planned is not Objective.planned}
    if not found:
        return []
    with torch.no_grad():
        images = torch.empty(batch.items, preset.channels, *preset.grid)
        tokens = module.encoder.encode_samples(images, tokens=True)[1].tokens
    known = replace(batch, tokens=0 if tokens is None else tokens.shape[1])
    for name in found:
        del module.objectives[name]
    return [work for objective in found.values() if (work := objective.planned(known)) is not None]


def _loss(module: ContrastiveModule, features: Features, left: list[str], *, beside: bool) -> Tensor:
    """The sum of the losses; what depends on values is noted in `left`, and what the towers give is summed instead.

    Args:
        module: with the objectives that are gone through.
        features: of the batch.
        left: names of those that are not.
        beside: others are counted by their sizes, and read what the towers give.
    """
    losses = []
    for name, objective in module.objectives.items():
        if name in left:
            continue
        try:
            losses.append(full_precision(objective(features)))
        except _DEPENDS_ON_VALUES:
            left.append(name)
    if left or beside:
        losses += [features.image.sum(), features.text.sum()]
        for part in (features.image_encoded, features.text_encoded):
            losses += [level.float().sum() for level in (part.pooled, *(part.levels or ()))]
    return torch.stack(losses).sum()


class _Rows:
    """Watches the objectives' `rows`.

    Args:
        module: its objectives are changed in place.
        counter: of operations.

    Attributes:
        left: names of those whose rows depend on values; the step goes on without them.
        once: operations of those that a large-batch step computes in one of its two passes alone.
    """

    def __init__(self, module: ContrastiveModule, counter: FlopCounterMode) -> None:
        self.left: list[str] = []
        self.once = 0
        self._counter = counter
        for name, objective in module.objectives.items():
            objective.rows = self._watched(name, objective.rows, once=not objective.rows_learn)  # type: ignore[assignment, arg-type]

    def _watched(
        self, name: str, inner: Callable[[Features], Tensor | None], *, once: bool
    ) -> Callable[[Features], Tensor | None]:
        def rows(features: Features) -> Tensor | None:
            before = self._counter.get_total_flops()
            try:
                return inner(features)
            except _DEPENDS_ON_VALUES:
                self.left.append(name)
                return None
            finally:
                self.once += (self._counter.get_total_flops() - before) * once

        return rows


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


_ATEN = torch.ops.aten


class ShapesAlone(FakeTensorMode):  # type: ignore[no-untyped-call]
    """Fake tensors for images, weights and all that is computed of them; real ones for integers and what they give.

    A step asks of its batch how many texts an item has, draws one by the item's key, and looks for pairs that belong
    together: numbers that depend on no weight, and without which most objectives cannot be gone through. Where a
    condition on computed numbers chooses, all counts as chosen; where one of them is a factor, it is 1. What needs an
    integer or a decision from computed numbers is refused, as by `FakeTensorMode`.
    """

    def __init__(self) -> None:
        super().__init__(allow_non_fake_inputs=True)

    def dispatch(
        self, func: OpOverload, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> object:
        """Run an operation on numbers where it has them, on shapes elsewhere."""
        given = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
        fake = [value for value in given if isinstance(value, FakeTensor)]
        if given and not fake:
            return func(*args, **(kwargs or {}))
        if func is _ATEN.nonzero.default:
            with self:
                return fake[0].new_empty(fake[0].numel(), fake[0].dim(), dtype=torch.int64)
        if func is _ATEN._local_scalar_dense.default and fake[0].is_floating_point():
            return 1.0
        if len(fake) < len(given):
            args, kwargs = tree_map(self._shape_of, (args, kwargs))
        made = super().dispatch(func, types, args, kwargs or {})
        if not given and isinstance(made, FakeTensor) and not (made.is_floating_point() or made.is_complex()):
            return func(*args, **(kwargs or {}))
        return made

    def _shape_of(self, value: object) -> object:
        """A fake tensor for a real one; `FakeTensorMode` also keeps of what it is a view, and imports the compiler."""
        if not isinstance(value, Tensor) or isinstance(value, FakeTensor):
            return value
        return self.fake_tensor_converter.from_meta_and_device(self, value.detach().to("meta"), value.device)


def _require_shapes(module: ContrastiveModule) -> None:
    """Refuse what goes by the corpus's own texts, which a plan does not read.

    Raises:
        ConfigError: names the objective.
    """
    for name, objective in module._objectives.items():
        if reads_data(objective):
            raise ConfigError(
                f"the work of the objective '{name}' goes by the corpus's own texts, which a plan does not read; try a "
                "short run with --trainer.max_epochs -1 --trainer.max_steps 5"
            )

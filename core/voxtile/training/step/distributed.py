"""Several processes that train one model: each encodes its share of a global batch, and the loss is that of the whole.

All processes exchange their embeddings (a few kilobytes an item), never logits or feature maps; what a loss then sends
is in `voxtile.distributed`. What is a part of the loss itself (scale, bias, heads) has its full gradient in every
process, so that an average over processes leaves it as it is.

Shape letters: B items, T texts, N tokens.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.nn.parallel import DistributedDataParallel

from voxtile.distributed import Share, is_sharded, place
from voxtile.errors import ConfigError
from voxtile.models.dual import DualEncoder
from voxtile.models.tuning import blocks
from voxtile.objectives.base import Objective
from voxtile.training.step.seeds import seed_generators
from voxtile.types import Batch, Encoded, Features, RowsOf

_OWN = frozenset({"images", "image_days", "tokens"})  # of a batch, which no loss reads of other processes
_OWNERS = frozenset({"image_item", "text_item"})
_BATCH_NORM = nn.modules.batchnorm._BatchNorm
_CONVERTED = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)  # others lose what they add, e.g. an activation


class Processes:
    """What the number of processes changes in a step.

    Args:
        encoder: the two towers.

    Attributes:
        sharded: whether the towers are spread over the processes.
        waited: seconds that this process has waited for the others' features so far, and exchanged them.
    """

    def __init__(self, encoder: DualEncoder) -> None:
        self._encoder = encoder
        self.sharded = False
        self.waited = 0.0

    def shard_towers(self, mesh: DeviceMesh) -> None:
        """Spread the weights of both towers over the processes, once."""
        if not self.sharded:
            shard(self._encoder, mesh)
            self.sharded = True

    def gathered(self, own: Features, seed: int) -> Features:
        """The features of the global batch, with the scales of all its sources, see `gathered`.

        Args:
            own: of this process's items; of a single process those of all.
            seed: of the step, with which every process begins, so that what the loss draws is the same in all of them.
        """
        if place()[1] == 1:
            return own
        seed_generators(seed)
        if own.image.is_cuda:  # the exchange waits for the device anyway; what it computes is no waiting for others
            torch.cuda.synchronize(own.image.device)
        begun = time.monotonic()
        whole = gathered(_without_items(own) if own.batch.is_filler else own)
        self.waited += time.monotonic() - begun
        return self._scaled(whole)

    def _scaled(self, features: Features) -> Features:
        """With the scales of the whole batch, which may be of more sources than a process's own part."""
        if self._encoder.source_scales is None:
            return features
        scale, bias, each = self._encoder.scales_of(features.batch)
        samples = None if features.samples is None else self._scaled(features.samples)
        return replace(features, logit_scale=scale, logit_bias=bias, each=each, samples=samples)

    def clip(self, parameters: Iterable[nn.Parameter], limit: float | None, algorithm: str | None) -> bool:
        """Clip gradients over whole and sharded parameters together; False where that is left to Lightning."""
        if not self.sharded or not limit or algorithm == "value":
            return False
        clip_gradients(parameters, float(limit))
        return True


def check_statistics(module: nn.Module, *, converted: bool) -> None:
    """Refuse batch normalisation by statistics of each process's own items, in the modes that the modules are in.

    Args:
        module: what is trained by several processes.
        converted: whether Lightning has made `SyncBatchNorm` of what it can; before that, only what torch's conversion
            would break is refused.

    Raises:
        ConfigError: names the module.
    """
    for name, part in module.named_modules():
        alone = isinstance(part, _BATCH_NORM) and not isinstance(part, nn.SyncBatchNorm)
        if not alone or not (part.training or part.running_mean is None):
            continue
        plain = type(part) in _CONVERTED
        if plain and not converted:
            continue
        sync = "set trainer.sync_batchnorm to true (GPUs, trainer.strategy ddp), " if plain else ""
        raise ConfigError(
            f"{type(part).__name__} '{name}' normalises by the statistics of each process's own items, which is not "
            f"the gradient of the whole batch; {sync}freeze the tower (its running statistics are then exact), use one "
            "with group norm such as ConvTower, or train with one process"
        )


def gathered(features: Features) -> Features:
    """The features of the global batch, from those of every process's share of it.

    Args:
        features: of this process's items.

    Returns:
        The same of all items, in the order of ranks, with `share` saying which are this process's own. The batch's
        images, regions and feature maps at several resolutions stay where they are.
    """
    batch = features.batch
    items, texts = Share.of(len(batch), batch.images.device), Share.of(len(batch.texts), batch.images.device)
    return replace(
        features,
        image=items.gather(features.image),
        text=texts.gather(features.text),
        image_encoded=_encoded(features.image_encoded, items),
        text_encoded=_encoded(features.text_encoded, texts),
        batch=_batch(batch, items, texts),
        samples=None if features.samples is None else gathered(features.samples),
        share=items,
        rows={objective: _rows(objective, rows, items) for objective, rows in features.rows.items()},
    )


def shard(encoder: DualEncoder, mesh: DeviceMesh) -> None:
    """Spread the weights of both towers over the processes (FSDP2, Zhao et al., VLDB 2023, by parameter).

    Repeated blocks of a tower are gathered one after the other, the rest of it at once. Projections, scale, bias and
    heads are small and stay whole in every process.

    Args:
        encoder: its towers are changed in place.
        mesh: one dimension, over the processes.
    """
    from torch.distributed.fsdp import fully_shard  # which imports SymPy, and few runs are sharded

    for tower in (encoder.image, encoder.text):
        for block in blocks(tower).values():
            fully_shard(block, mesh=mesh)
        fully_shard(tower, mesh=mesh)


def leave_averaging(model: nn.Module | None) -> None:
    """Have DistributedDataParallel average no gradients in this step: each micro-batch would set it off."""
    if isinstance(model, DistributedDataParallel):
        model.require_backward_grad_sync = False


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Average gradients over the processes, as DistributedDataParallel does, where its own hooks cannot be used.

    Args:
        parameters: of the model, in the same order in every process; sharded ones are left to their own hooks.
    """
    ranks = place()[1]
    waiting: dict[torch.dtype, list[Tensor]] = {}
    for parameter in parameters:
        if parameter.grad is not None and not is_sharded(parameter.grad):
            waiting.setdefault(parameter.grad.dtype, []).append(parameter.grad)
    for grads in waiting.values():
        flat = torch.cat([grad.flatten() for grad in grads])
        dist.all_reduce(flat)
        flat /= ranks
        for grad, part in zip(grads, torch.split(flat, [grad.numel() for grad in grads]), strict=True):
            grad.copy_(part.view_as(grad))


def gradient_norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    """Euclidean norm of the gradients of whole and sharded parameters together; the same in every process."""
    kinds: tuple[list[Tensor], list[Tensor]] = ([], [])
    for parameter in parameters:
        if parameter.grad is not None:
            kinds[is_sharded(parameter.grad)].append(parameter.grad)
    norms = [torch.nn.utils.get_total_norm(grads) for grads in kinds if grads]
    whole = [norm.full_tensor() if is_sharded(norm) else norm for norm in norms]
    return torch.stack(whole).norm() if whole else torch.zeros(())


def clip_gradients(parameters: Iterable[nn.Parameter], limit: float) -> None:
    """Scale the gradients of whole and sharded parameters so that their norm is at most `limit`."""
    held = list(parameters)
    factor = float((limit / (gradient_norm(held) + 1e-6)).clamp(max=1.0))
    for parameter in held:
        if parameter.grad is not None:
            parameter.grad.mul_(factor)


def _rows(objective: Objective, rows: Tensor, items: Share) -> Tensor:
    return (Share.of(len(rows), rows.device) if objective.of_regions else items).gather(rows)


def _encoded(encoded: Encoded, share: Share) -> Encoded:
    tokens, mask = encoded.tokens, encoded.mask
    if tokens is not None:
        widths = Share.of(tokens.shape[1], tokens.device).each
        if mask is None and max(widths) > min(widths):
            mask = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
        tokens = share.gather(_padded(tokens, max(widths)))
        mask = None if mask is None else share.gather(_padded(mask, max(widths)))
    return Encoded(share.gather(encoded.pooled), tokens, encoded.grid, mask)


def _padded(values: Tensor, longest: int) -> Tensor:
    """[n, N, …] filled up along N with zeros."""
    missing = longest - values.shape[1]
    if not missing:
        return values
    return torch.cat([values, values.new_zeros(len(values), missing, *values.shape[2:])], 1)


def _batch(batch: Batch, items: Share, texts: Share) -> Batch:
    """What objectives read of a batch, of all processes."""
    images = Share.of(len(batch.image_item), batch.image_item.device)
    kept = {
        name: (share, value)
        for what, share in (("items", items), ("images", images), ("texts", texts))
        for name, value in batch.rows_of(cast(RowsOf, what)).items()
        if name not in _OWN and value is not None
    }
    strings: list[Any] = [None for _ in items.each]
    dist.all_gather_object(strings, {name: value for name, (_, value) in kept.items() if isinstance(value, list)})
    whole: dict[str, Any] = {name: [one for part in strings for one in part[name]] for name in strings[0]}
    whole |= {
        name: share.gather(value + items.start if name in _OWNERS else value)
        for name, (share, value) in kept.items()
        if name not in whole
    }
    return replace(batch, **whole, tokens=None, samples=None, image_days=None, others=None, is_filler=False)


def _without_items(own: Features) -> Features:
    """No rows of features, in the shapes of those that there are."""
    none = slice(0, 0)
    return replace(
        own,
        image=own.image[none],
        text=own.text[none],
        image_encoded=own.image_encoded.at(none),
        text_encoded=own.text_encoded.at(none),
        batch=own.batch.select(none),
        samples=None if own.samples is None else _without_items(own.samples),
        rows={objective: rows[none] for objective, rows in own.rows.items()},
    )

"""The large-batch step: the loss of a whole batch, with the memory of a small one.

Embeddings of all micro-batches are computed first without a graph; the loss over the whole batch gives their gradients;
then each micro-batch is encoded again, with the same dropout, and its part of the gradient flows on into the towers
(GradCache, Gao et al., RepL4NLP 2021, section 3.2). The result is that of one pass over the whole batch. The scale, the
bias and what objectives learn are part of the loss's own graph, so that their gradient is counted once.

Shape letters: B items, S images, T texts, D the shared width, W a tower's width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from voxtile.distributed import place
from voxtile.errors import ConfigError
from voxtile.models.dual import DualEncoder
from voxtile.objectives.base import Objective
from voxtile.training.step.seeds import micro_seed, seed_generators, step_seed
from voxtile.training.step.texts import TextReader, with_phrases
from voxtile.training.step.with_others import encoded_with_others
from voxtile.types import Batch, Encoded, Features

_CACHED = frozenset({"pooled", "facts"})  # what objectives may need beside the embeddings
_NONE = torch.empty(0)  # in place of rows that get no gradient, where they are not needed again
_NORMALISES_OVER_BATCH = nn.modules.batchnorm._BatchNorm


@dataclass(frozen=True)
class LargeBatch:
    """Sizes of a large-batch step.

    Attributes:
        total: items whose loss is taken together.
        micro: items that are encoded at a time.
    """

    total: int
    micro: int

    @classmethod
    def from_config(cls, batch: Mapping[str, int]) -> LargeBatch:
        """From `{global: …, micro: …}`.

        Raises:
            ConfigError: other keys, sizes below 1, or a global size that is not a multiple of the micro size.
        """
        if set(batch) != {"global", "micro"}:
            raise ConfigError(f"model.batch needs exactly the keys global and micro, not {', '.join(map(str, batch))}")
        total, micro = batch["global"], batch["micro"]
        if min(total, micro) < 1:
            raise ConfigError(f"model.batch: global {total} and micro {micro} must both be at least 1")
        if total % micro:
            raise ConfigError(
                f"model.batch: global {total} is not a multiple of micro {micro}; take e.g. global "
                f"{max(1, total // micro) * micro}"
            )
        return cls(total, micro)

    def check(self, encoder: nn.Module, objectives: Mapping[str, Objective], batch_size: int, ranks: int) -> None:
        """Refuse what would not give the loss of the whole batch, in the modes that the modules are in.

        Raises:
            ConfigError: names the module, the objective or the setting.
        """
        if batch_size != self.total:
            raise ConfigError(
                f"model.batch.global is {self.total}, but data.batch_size is {batch_size}; set both to the same number"
            )
        if self.total % (self.micro * ranks):
            raise ConfigError(
                f"model.batch: global {self.total} cannot be shared by {ranks} processes in micro-batches of "
                f"{self.micro}; make it a multiple of {self.micro * ranks}"
            )
        for name, module in encoder.named_modules():
            if isinstance(module, _NORMALISES_OVER_BATCH) and (module.training or module.running_mean is None):
                raise ConfigError(
                    f"model.batch: {type(module).__name__} '{name}' normalises over the batch, so that micro-batches "
                    "would give another result; use a tower that does not, such as ConvTower or a ViT, freeze this one "
                    "(its running statistics are then exact), or remove model.batch"
                )
        for name, objective in objectives.items():
            beyond = ", ".join(sorted(objective.needs - _CACHED))
            if beyond:
                raise ConfigError(
                    f"model.batch: the objective '{name}' needs {beyond}, which would be too large to keep for a whole "
                    "batch; remove it, or model.batch"
                )


class MicroBatches:
    """A whole batch encoded in parts, whose gradient encodes them again, see `voxtile.training.step.encoding`.

    Args:
        encoder: the two towers.
        objectives: named terms of the loss.
        texts: reads the texts.
        sizes: of the step.
        seed: key of the randomness of the run.

    Attributes:
        sizes: of the step.
    """

    def __init__(
        self,
        encoder: DualEncoder,
        objectives: Mapping[str, Objective],
        texts: TextReader,
        sizes: LargeBatch,
        seed: int,
    ) -> None:
        self._encoder, self._objectives, self._texts = encoder, objectives, texts
        self.sizes, self._seed = sizes, seed

    def parts(self, batch: Batch) -> list[Batch]:
        """The micro-batches."""
        return list(split_items(batch, self.sizes.micro))

    def features(self, batch: Batch, step: int, images: Encoded | None) -> Features:
        """Encode a batch, see `Encoding.features`; `images` are not known, which `check_cache` has seen to."""
        asked = [objective for objective in self._objectives.values() if objective.has_rows]
        if batch.regions is not None and any("regions" in objective.row_needs for objective in asked):
            self._texts.count_phrases(batch.regions)
        before = place()[0] * -(-len(batch) // self.sizes.micro)
        cached = encode_cached(
            self._encoder,
            batch,
            self.sizes.micro,
            lambda number: micro_seed(self._seed, step, before + number),
            asked,
            step,
        )
        seed_generators(step_seed(self._seed, step))
        scale, bias, each = self._encoder.scales_of(batch)
        return Features(
            image=cached.image,
            text=cached.text,
            logit_scale=scale,
            logit_bias=bias,
            each=each,
            image_encoded=cached.image_encoded,
            text_encoded=cached.text_encoded,
            batch=batch,
            step=step,
            rows=dict(zip(asked, cached.rows, strict=True)),
        )


@dataclass(frozen=True)
class Cached:
    """Embeddings of a whole batch whose gradient, once known, is carried on into the towers.

    Attributes:
        image: [B, D].
        text: [T, D].
        image_encoded, text_encoded: with `pooled` [B, W] and [T, W].
        rows: [B, K] of each objective that was asked.
    """

    image: Tensor
    text: Tensor
    image_encoded: Encoded
    text_encoded: Encoded
    rows: list[Tensor]


def encode_cached(
    encoder: DualEncoder,
    batch: Batch,
    micro: int,
    seeds: Callable[[int], int],
    asked: Sequence[Objective] = (),
    step: int = 0,
) -> Cached:
    """Encode a batch, micro-batch by micro-batch.

    Args:
        encoder: the towers.
        batch: with its tokens filled in.
        micro: items at a time.
        seeds: seed of all randomness of a micro-batch by its number; both passes use it.
        asked: objectives that compute something of each item, see `Objective.rows`.
        step: global optimiser step.
    """
    reads = frozenset().union(*(objective.row_needs for objective in asked))
    tokens, regions = "tokens" in reads, "regions" in reads
    parts = list(split_items(batch, micro))
    context = _autocast(batch.images.device.type)

    def encode(number: int) -> tuple[Tensor, ...]:
        part = parts[number]
        seed_generators(seeds(number))
        with context():
            embedded, seen, others = encoded_with_others(encoder, part, tokens=tokens, others="others" in reads)
            image, image_encoded = encoder.pool_items(embedded, seen, part.image_item, len(part), part.image_days)
            assert part.tokens is not None
            text, text_encoded = encoder.encode_texts(part.tokens, local=tokens)
            if regions:
                part = with_phrases(encoder, part)
            scale, bias, each = encoder.scales_of(part)
            made = Features(image, text, scale, bias, image_encoded, text_encoded, part, step, each=each)
            made.others_encoded = others
            again = torch.is_grad_enabled()
            rows = [objective.rows(made) if objective.rows_learn or not again else _NONE for objective in asked]
        return image, image_encoded.pooled, text, text_encoded.pooled, *(row for row in rows if row is not None)

    with torch.no_grad():
        made = [encode(number) for number in range(len(parts))]
    whole = [torch.cat(column) for column in zip(*made, strict=True)]
    if torch.is_grad_enabled():
        trigger = torch.zeros((), requires_grad=True)
        sizes = [[len(tensor) for tensor in row] for row in made]
        whole = list(_Replayed.apply(trigger, encode, sizes, *whole))  # type: ignore[no-untyped-call]
    image, image_pooled, text, text_pooled, *rows = whole
    return Cached(image, text, Encoded(image_pooled), Encoded(text_pooled), rows)


class _Replayed(torch.autograd.Function):
    """Passes tensors through; their gradient encodes each micro-batch again and goes on from there."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - torch's context
        trigger: Tensor,
        encode: Callable[[int], tuple[Tensor, ...]],
        sizes: Sequence[Sequence[int]],
        *whole: Tensor,
    ) -> tuple[Tensor, ...]:
        ctx.encode, ctx.sizes = encode, sizes
        return tuple(tensor.clone() for tensor in whole)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:  # noqa: ANN401 - torch's context
        rng = torch.get_rng_state()
        starts = [0] * len(grads)
        for number, sizes in enumerate(ctx.sizes):
            with torch.enable_grad():
                again = ctx.encode(number)
            flowing = [
                (tensor, grad[start : start + size].to(tensor.dtype))
                for tensor, grad, start, size in zip(again, grads, starts, sizes, strict=True)
                if grad is not None and tensor.requires_grad
            ]
            if flowing:
                torch.autograd.backward(*map(list, zip(*flowing, strict=True)))  # type: ignore[arg-type]
            starts = [start + size for start, size in zip(starts, sizes, strict=True)]
        torch.set_rng_state(rng)
        return (None, None, None, *(None for _ in grads))


def split_items(batch: Batch, micro: int) -> Iterator[Batch]:
    """Consecutive micro-batches of at most so many items, with their images and texts, as views of the whole."""
    for start in range(0, len(batch), micro):
        yield batch.select(slice(start, start + micro))


def _autocast(device: str) -> Callable[[], AbstractContextManager[Any]]:
    """The autocast state of now, to be entered again in the backward pass, which has none of its own."""
    enabled, dtype = torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)
    return lambda: torch.autocast(device, dtype=dtype, enabled=enabled)

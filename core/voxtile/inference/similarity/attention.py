"""Attention, blocks and poolings of vision transformers as plain functions, whichever library they come from.

Shape letters: S images, N tokens (Q of them asking), W features, h heads, D the shared width, *g the grid of patches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Map = Callable[[Tensor], Tensor]


def unchanged(x: Tensor) -> Tensor:
    """The same."""
    return x


@dataclass(frozen=True)
class Attention:
    """Multi-head attention (Vaswani et al., 2017, section 3.2.2).

    Attributes:
        heads: h.
        queries, keys, values: linear maps of [S, N, W].
        out: the map after the heads are joined.
        norm_queries, norm_keys: of each head's [S, h, N, W / h].
    """

    heads: int
    queries: Map
    keys: Map
    values: Map
    out: Map
    norm_queries: Map = unchanged
    norm_keys: Map = unchanged

    def weights(self, asking: Tensor, asked: Tensor) -> Tensor:
        """[S, h, Q, N] softmax over the asked tokens."""
        q = self.norm_queries(self._split(self.queries(asking)))
        k = self.norm_keys(self._split(self.keys(asked)))
        logits: Tensor = q @ k.transpose(2, 3) * q.shape[3] ** -0.5
        return logits.softmax(3)

    def mixed(self, weights: Tensor, asked: Tensor) -> Tensor:
        """[S, Q, W] what the weights gather."""
        return self.out((weights @ self._split(self.values(asked))).transpose(1, 2).flatten(2))

    def value_path(self, asked: Tensor) -> Tensor:
        """[S, N, W] every token's own value, as if it attended to itself alone."""
        return self.out(self.values(asked))

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


@dataclass(frozen=True)
class Block:
    """A pre-norm transformer block.

    Attributes:
        module: whose input is the block's.
        norm: the module before the attention.
        attention: over its output.
        after: residual and feed-forward, of the block's input and what attention gave.
    """

    module: nn.Module
    norm: nn.Module
    attention: Attention
    after: Callable[[Tensor, Tensor], Tensor]

    def by_values(self, x: Tensor) -> Tensor:
        """[S, N, W] after the block with each token attending to itself alone."""
        return self.after(x, self.attention.value_path(self.norm(x)))

    def by_weights(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[S, h, N, N] attention, from which gradients flow on, and [S, N, W] after the block."""
        seen = self.norm(x)
        weights = self.attention.weights(seen, seen).detach().requires_grad_()
        return weights, self.after(x, self.attention.mixed(weights, seen))


@dataclass(frozen=True)
class AttentionPool:
    """Pooling by a learned query, as in SigLIP and CoCa.

    Attributes:
        query: [1, 1, W].
        attention: of the query over the tokens.
        after: of what it gathered, before the projection.
    """

    query: Tensor
    attention: Attention
    after: Map = unchanged


@dataclass(frozen=True)
class PatchTransformer:
    """A vision transformer.

    Attributes:
        run: the whole tower: [S, C, *G] to [S, D].
        blocks: in order.
        prefix: tokens before the patches.
        grid: *g.
        last: of the last block's tokens before a pooling by attention.
        project: tokens, or what was pooled, to the shared space.
        pool: where pooling is by attention.
    """

    run: Map
    blocks: Sequence[Block]
    prefix: int
    grid: tuple[int, ...]
    project: Map
    last: Map = unchanged
    pool: AttentionPool | None = None

    def inputs(self, images: Tensor, count: int) -> list[Tensor]:
        """[S, N, W] inputs of the last `count` blocks, and last of all the output of the last one."""
        noted: list[Tensor] = []
        hooks = [
            block.module.register_forward_pre_hook(_noting_input(noted), with_kwargs=True)
            for block in self.blocks[len(self.blocks) - count :]
        ]
        hooks.append(self.blocks[-1].module.register_forward_hook(lambda _, __, out: noted.append(_first(out))))
        try:
            self.run(images)
        finally:
            for hook in hooks:
                hook.remove()
        return noted


def of_torch(attention: nn.MultiheadAttention) -> Attention:
    """Attention of torch, whose query, key and value maps are one matrix or three."""
    separate = attention.in_proj_weight is None
    matrices: tuple[Tensor, ...] = (
        (attention.q_proj_weight, attention.k_proj_weight, attention.v_proj_weight)
        if separate
        else attention.in_proj_weight.chunk(3)
    )
    biases: Sequence[Tensor | None] = (None,) * 3 if attention.in_proj_bias is None else attention.in_proj_bias.chunk(3)
    queries, keys, values = (_linear(weight, bias) for weight, bias in zip(matrices, biases, strict=True))
    return Attention(attention.num_heads, queries, keys, values, attention.out_proj)


def thirds(joined: Map) -> tuple[Map, Map, Map]:
    """Query, key and value maps from one that gives them side by side."""
    return _part(joined, 0, 3), _part(joined, 1, 3), _part(joined, 2, 3)


def halves(joined: Map) -> tuple[Map, Map]:
    """Key and value maps from one that gives them side by side."""
    return _part(joined, 0, 2), _part(joined, 1, 2)


def _part(joined: Map, place: int, parts: int) -> Map:
    return lambda x: joined(x).chunk(parts, dim=-1)[place]


def _linear(weight: Tensor, bias: Tensor | None) -> Map:
    return lambda x: torch.nn.functional.linear(x, weight, bias)


def _noting_input(noted: list[Tensor]) -> Callable[..., None]:
    def note(_: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Tensor]) -> None:
        noted.append(args[0] if args else kwargs["hidden_states"])

    return note


def _first(out: Tensor | tuple[Tensor, ...]) -> Tensor:
    return out if isinstance(out, Tensor) else out[0]

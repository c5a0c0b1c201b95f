"""Floating-point operations of a step, attention on a CPU among them."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

_Shape = torch.Size


def operation_counter() -> FlopCounterMode:
    """PyTorch's counter of the whole, which knows fused attention on GPUs alone, with its formulas for that on CPUs.

    It also counts the one operation that a layer of `nn.TransformerEncoder` is where no gradient is asked for.
    """
    aten = torch.ops.aten
    counter = FlopCounterMode(
        display=False,
        custom_mapping={
            aten._scaled_dot_product_flash_attention_for_cpu: _attention,
            aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
            aten._transformer_encoder_layer_fwd: _encoder_layer,
        },
    )
    counter.mod_tracker = _Whole()  # type: ignore[assignment]
    return counter


class _Whole:
    """In place of the count by modules, whose hooks would hold all that a block computes again in the backward pass."""

    parents = frozenset({"Global"})

    def __enter__(self) -> None:
        """Watch no module."""

    def __exit__(self, *args: object) -> None:
        """Nothing was watched."""


def _attention(query: _Shape, key: _Shape, value: _Shape, *args: object, **kwargs: object) -> int:
    return int(sdpa_flop_count(query, key, value))  # type: ignore[no-untyped-call]


def _attention_backward(
    grad: _Shape, query: _Shape, key: _Shape, value: _Shape, *args: object, **kwargs: object
) -> int:
    return int(sdpa_backward_flop_count(grad, query, key, value))  # type: ignore[no-untyped-call]


def _encoder_layer(source: _Shape, width: int, heads: int, *args: object, **kwargs: object) -> int:
    """Four projections of attention, two products of tokens by tokens, and a perceptron; [B, L, W] come in."""
    batch, length, _ = source
    hidden = args[11][0]  # type: ignore[index] # of the perceptron's first weights, [H, W]
    return int(2 * batch * length * (4 * width**2 + 2 * width * hidden) + 4 * batch * length**2 * width)

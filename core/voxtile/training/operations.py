"""Floating-point operations of a step, attention on a CPU among them."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

_Shape = torch.Size


def operation_counter() -> FlopCounterMode:
    """PyTorch's counter, which knows fused attention on GPUs alone, with the same formulas for that on CPUs."""
    aten = torch.ops.aten
    return FlopCounterMode(
        display=False,
        custom_mapping={
            aten._scaled_dot_product_flash_attention_for_cpu: _attention,
            aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
        },
    )


def _attention(query: _Shape, key: _Shape, value: _Shape, *args: object, **kwargs: object) -> int:
    return int(sdpa_flop_count(query, key, value))  # type: ignore[no-untyped-call]


def _attention_backward(
    grad: _Shape, query: _Shape, key: _Shape, value: _Shape, *args: object, **kwargs: object
) -> int:
    return int(sdpa_backward_flop_count(grad, query, key, value))  # type: ignore[no-untyped-call]

"""Tensors with shapes and no numbers, but for the integers of which a batch is made: who owns which text, and draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._pytree import tree_leaves

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
        made = super().dispatch(func, types, args, kwargs or {})
        if not given and isinstance(made, FakeTensor) and not (made.is_floating_point() or made.is_complex()):
            return func(*args, **(kwargs or {}))
        return made

"""Bytes that are alive during a step, on fake tensors as on real ones."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Alive(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the storages of what operations return, from when they are made until they are freed.

    Args:
        left_out: tensors that are not counted, such as parameters and the batch.

    Attributes:
        now: bytes that are alive.
        peak: the most that were alive at once.
    """

    def __init__(self, left_out: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._counted: dict[int, int] = {value.untyped_storage()._cdata: 0 for value in left_out}

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        """Run an operation and count what is new."""
        made = func(*args, **(kwargs or {}))
        for value in tree_leaves(made):
            if isinstance(value, Tensor):
                self._count(value)
        self.peak = max(self.peak, self.now)
        return made

    def leave_out(self, value: Tensor) -> None:
        """Count a tensor no longer, as a gradient, which is counted with the weights."""
        key = value.untyped_storage()._cdata
        self.now -= self._counted.get(key, 0)
        self._counted[key] = 0

    def _count(self, value: Tensor) -> None:
        storage = value.untyped_storage()
        if storage._cdata not in self._counted:
            self._counted[storage._cdata] = storage.nbytes()
            self.now += storage.nbytes()
            weakref.finalize(storage, self._freed, storage._cdata)

    def _freed(self, key: int) -> None:
        self.now -= self._counted.pop(key, 0)

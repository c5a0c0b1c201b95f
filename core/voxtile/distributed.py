"""The part of a global batch that one process encodes, and what processes tell each other about the loss."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor

from voxtile.errors import VoxtileError

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor

_Made = TypeVar("_Made")


def place() -> tuple[int, int]:
    """This process's rank and the number of processes; (0, 1) outside a distributed run."""
    if not dist.is_available() or not dist.is_initialized():
        return 0, 1
    return dist.get_rank(), dist.get_world_size()


def is_sharded(value: object) -> TypeGuard[DTensor]:
    """Whether a tensor is spread over processes; the class, and SymPy with it, is not imported to know of none."""
    sharding = sys.modules.get("torch.distributed.tensor")
    return sharding is not None and isinstance(value, sharding.DTensor)


def made_by_rank_0(make: Callable[[], _Made]) -> _Made:
    """What rank 0 makes, in every process; all processes must ask, and the others read nothing for it.

    Args:
        make: its result, and what it raises, can be pickled.

    Raises:
        VoxtileError: the one that `make` raised in rank 0, in every process.
    """
    rank, ranks = place()
    if ranks == 1:
        return make()
    told: list[Any] = [None, None]
    if rank == 0:
        try:
            told[0] = make()
        except VoxtileError as error:
            told[1] = error
    dist.broadcast_object_list(told, src=0)
    if told[1] is not None:
        raise _said_once(told[1])
    return cast(_Made, told[0])


def made_by_each(make: Callable[[], _Made]) -> _Made:
    """What each process makes for itself, unless one cannot; all processes must ask.

    Raises:
        VoxtileError: the one that `make` raised in the first process of those in which it did, in every process.
    """
    ranks = place()[1]
    if ranks == 1:
        return make()
    made, own = None, None
    try:
        made = make()
    except VoxtileError as error:
        own = error
    errors: list[Any] = [None for _ in range(ranks)]
    dist.all_gather_object(errors, own)
    if (first := next((error for error in errors if error is not None), None)) is not None:
        raise _said_once(first)
    return cast(_Made, made)


def _said_once(error: VoxtileError) -> VoxtileError:
    """An error that is raised in every process, which one of each machine tells."""
    error.is_told = int(os.environ.get("LOCAL_RANK") or os.environ.get("SLURM_LOCALID") or 0) > 0
    return error


@dataclass(frozen=True)
class Share:
    """The rows of the items (or texts) of a global batch that are this process's own.

    Attributes:
        each: how many rows each process has, in the order of ranks, which is that of the global batch.
        rank: of this process.
    """

    each: tuple[int, ...]
    rank: int

    @classmethod
    def of(cls, own: int, device: torch.device) -> Share:
        """The share of a process with so many rows; all processes must ask."""
        rank, ranks = place()
        each = [torch.zeros(1, dtype=torch.int64, device=device) for _ in range(ranks)]
        dist.all_gather(each, torch.tensor([own], device=device))
        return cls(tuple(int(rows) for rows in each), rank)

    @property
    def start(self) -> int:
        """The first own row."""
        return sum(self.each[: self.rank])

    @property
    def stop(self) -> int:
        """One after the last own row."""
        return self.start + self.each[self.rank]

    def gather(self, own: Tensor) -> Tensor:
        """[n, …] all rows from every process's own ones; their gradient flows to the own ones.

        A process that knows the whole loss needs no exchange for that. The gradient is multiplied by the number of
        processes, because DistributedDataParallel averages over them where a sum is meant.
        """
        whole: Tensor = _Gather.apply(own, self)  # type: ignore[no-untyped-call]
        return whole

    def strings(self, own: list[str]) -> list[str]:
        """Every process's strings, in the order of ranks; all processes must ask."""
        parts: list[Any] = [None for _ in self.each]
        dist.all_gather_object(parts, own)
        return [string for part in parts for string in part]


def own_rows(share: Share | None, rows: int) -> tuple[int, int]:
    """First row, and one after the last, that this process computes; all in a single process."""
    return (0, rows) if share is None else (share.start, share.stop)


@torch.no_grad()
def summed_(share: Share | None, *values: Tensor) -> None:
    """Sum tensors over the processes, in place; nothing in a single process."""
    if share is not None:
        for value in values:
            dist.all_reduce(value)


@torch.no_grad()
def highest_(share: Share | None, value: Tensor) -> None:
    """Take the highest over the processes, in place; nothing in a single process."""
    if share is not None:
        dist.all_reduce(value, dist.ReduceOp.MAX)


def whole_gradient(share: Share | None, value: Tensor) -> Tensor:
    """The same value, whose gradient is summed over the processes: each uses it for its own rows only."""
    if share is None:
        return value
    whole: Tensor = _WholeGradient.apply(value)  # type: ignore[no-untyped-call]
    return whole


class _WholeGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:  # noqa: ANN401 - torch's context
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:  # noqa: ANN401 - torch's context
        grad = grad.clone()
        dist.all_reduce(grad)
        return grad


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: Tensor, share: Share) -> Tensor:  # noqa: ANN401 - torch's context
        ctx.share = share
        sent = own.new_zeros(max(share.each), *own.shape[1:], dtype=_carrier(own.dtype))
        sent[: len(own)] = own
        parts = [torch.empty_like(sent) for _ in share.each]
        dist.all_gather(parts, sent)
        return torch.cat([part[:rows] for part, rows in zip(parts, share.each, strict=True)]).to(own.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401 - torch's context
        share: Share = ctx.share
        return grad[share.start : share.stop] * len(share.each), None


def _carrier(dtype: torch.dtype) -> torch.dtype:
    """What backends can send: gloo has no booleans."""
    return torch.uint8 if dtype == torch.bool else dtype

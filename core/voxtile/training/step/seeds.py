"""Keys of the randomness of a step: pure functions of where a run is, so that a resumed run draws the same."""

from __future__ import annotations

import functools
import hashlib

import torch


def step_seed(seed: int, step: int, rank: int = 0) -> int:
    """A 63-bit key for the randomness of a step, another one in each process."""
    return _key(seed, step, *("rank", rank) if rank else ())


def heads_seed(seed: int) -> int:
    """A 63-bit key for the first weights of what objectives learn."""
    return _key("heads", seed)


def micro_seed(seed: int, step: int, number: int) -> int:
    """A 63-bit key for the randomness of a micro-batch by its place in the whole batch."""
    return _key(seed, step, number)


def seed_generators(seed: int) -> None:
    """Start torch's generators from a key.

    Where there is no accelerator this is the CPU's alone: `torch.manual_seed` also notes what a GPU would have to be
    given, with a stack trace that takes longer than a small layer.
    """
    if _accelerated():
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)


@functools.cache
def _accelerated() -> bool:
    return torch.accelerator.is_available()


def _key(*parts: int | str) -> int:
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1

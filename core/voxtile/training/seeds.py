"""Keys of the randomness of a step: pure functions of where a run is, so that a resumed run draws the same."""

from __future__ import annotations

import hashlib


def step_seed(seed: int, step: int, rank: int = 0) -> int:
    """A 63-bit key for the randomness of a step, another one in each process."""
    return _key(seed, step, *("rank", rank) if rank else ())


def heads_seed(seed: int) -> int:
    """A 63-bit key for the first weights of what objectives learn."""
    return _key("heads", seed)


def micro_seed(seed: int, step: int, number: int) -> int:
    """A 63-bit key for the randomness of a micro-batch by its place in the whole batch."""
    return _key(seed, step, number)


def _key(*parts: int | str) -> int:
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1

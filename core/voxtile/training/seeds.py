"""Keys of the randomness of a step: pure functions of where a run is, so that a resumed run draws the same."""

from __future__ import annotations

import hashlib


def step_seed(seed: int, step: int) -> int:
    """A 63-bit key for the randomness of a step."""
    return _key(seed, step)


def micro_seed(seed: int, step: int, number: int) -> int:
    """A 63-bit key for the randomness of a micro-batch by its place in the whole batch."""
    return _key(seed, step, number)


def _key(*parts: int) -> int:
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1

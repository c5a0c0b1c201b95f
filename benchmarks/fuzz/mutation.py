"""Mutants of seeds: of bytes, and of values where a seed is JSON, so that not each of them fails at the first bracket.

Deterministic for a key: the suite sees the same ones on every machine. The fuzzer mixes them with its own.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Any

_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)
_TEXTS = (b"NaN", b"Infinity", b"-1", b"1e999", b"null", b"[]", b"{}", b'""', b"9" * 40, b"\0", b"\xff\xfe", b"../")
_VALUES = (
    None,
    True,
    -1,
    0,
    10**30,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "x",
    "../../x",
    "\ud800",
    "9" * 5000,
    [],
    [[]],
    {},
    {"": None},
    [None],
    [1, "a"],
    {"a": {"a": []}},
)


def mutants(seeds: Sequence[bytes], count: int, key: str) -> Iterator[bytes]:
    """Inputs near the seeds, up to four changes each.

    Args:
        seeds: sound inputs.
        count: how many mutants there are.
        key: of the random numbers.
    """
    chance = random.Random(key)
    for number in range(count):
        yield mutant(seeds[number % len(seeds)], seeds, chance)


def mutant(seed: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    """One input near a seed.

    Args:
        seed: that is changed.
        others: from which pieces are taken.
        chance: random numbers.
    """
    if seed[:1] in (b"{", b"[") and chance.random() < 0.6 and (changed := _of_values(seed, chance)) is not None:
        return changed
    data = bytearray(seed)
    for _ in range(chance.randint(1, 4)):
        _change(data, others, chance)
    return bytes(data)


def _of_values(seed: bytes, chance: random.Random) -> bytes | None:
    """The same JSON with other values in up to three places; None for what is no JSON."""
    try:
        value: Any = json.loads(seed)
    except (ValueError, RecursionError):
        return None
    for _ in range(chance.randint(1, 3)):
        places = list(_places(value))
        if not places:
            break
        holder, key = chance.choice(places)
        if chance.random() < 0.2:
            del holder[key]
        else:
            holder[key] = deepcopy(chance.choice(_VALUES))  # it may be changed in its turn
    return json.dumps(value).encode()


def _places(value: Any, depth: int = 0) -> Iterator[tuple[Any, Any]]:
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        if depth < 20:
            yield from _places(value[key], depth + 1)


def _change(data: bytearray, others: Sequence[bytes], chance: random.Random) -> None:
    at = chance.randrange(len(data) + 1)
    length = chance.choice((1, 2, 4, 8, chance.randrange(1, 64)))
    kind = chance.randrange(8)
    if kind == 0:
        del data[at : at + length]
    elif kind == 1:
        data[at:at] = data[at : at + length] * chance.choice((1, 3, 50))
    elif kind == 2:
        data[at : at + length] = chance.randbytes(length)
    elif kind == 3:
        width = chance.choice((1, 2, 4, 8))
        number = chance.choice(_NUMBERS) % 256**width
        data[at : at + width] = number.to_bytes(width, chance.choice(("little", "big")))
    elif kind == 4:
        text = chance.choice(_TEXTS)
        data[at : at + chance.choice((0, len(text)))] = text
    elif kind == 5:
        del data[at:]
    elif kind == 6 and data:
        data[at % len(data)] ^= 1 << chance.randrange(8)
    else:
        other = chance.choice(others)
        start = chance.randrange(len(other) + 1)
        data[at : at + length] = other[start : start + length]

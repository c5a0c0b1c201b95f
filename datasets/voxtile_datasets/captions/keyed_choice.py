"""Choices among texts by a key: the same on every machine, and another key, another choice."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any


def _digest(key: str) -> int:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")


def pick(options: Sequence[str], key: str) -> str:
    """One of some texts, by a key."""
    return options[_digest(key) % len(options)]


def share_of(key: str) -> float:
    """A number from 0 to 1, by a key."""
    return _digest(key) / 2**64


def shuffled(items: Sequence[Any], key: str) -> list[Any]:
    """The items in an order that a key says."""
    return [
        item for _, item in sorted(((_digest(f"{key}|{i}"), item) for i, item in enumerate(items)), key=lambda p: p[0])
    ]

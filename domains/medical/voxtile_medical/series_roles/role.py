"""A role of a series, and what it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Aspect = Literal["weighting", "contrast", "phase", "kernel", "correction", "view", "choice"]


@dataclass(frozen=True)
class SeriesRole:
    """One role.

    Attributes:
        role: what studies are asked for: `t1-post`, `flair`, `lung-kernel`, `pet`, `frontal`, …
        aspect: what it is about.
        evidence: attributes of the sample that say so, by name.
        certain: False where only a description says so, where the elements leave room, or where the two disagree.
    """

    role: str
    aspect: Aspect
    evidence: Mapping[str, Any] = field(default_factory=dict)
    certain: bool = True


def between(value: object, low: float, high: float) -> bool:
    """Whether a number is known and within limits, both included."""
    return isinstance(value, int | float) and low <= value <= high


def picked(attributes: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Those of the named attributes that are known."""
    return {name: attributes[name] for name in names if attributes.get(name) not in (None, [], "")}

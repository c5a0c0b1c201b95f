"""Varied wording for phantom reports: sentence banks with slots, lists in prose, and shuffled order."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from voxtile.bounded_text import load_yaml

T = TypeVar("T")


@cache
def wording_bank(path: Path) -> dict[str, Any]:
    """The sentences of a YAML file; not to be written to."""
    bank: dict[str, Any] = load_yaml(path.read_text(encoding="utf-8"))
    return bank


def pick(rng: np.random.Generator, choices: Sequence[T]) -> T:
    """One of the choices, each as likely."""
    return choices[int(rng.integers(len(choices)))]


def shuffled(rng: np.random.Generator, items: Sequence[T]) -> list[T]:
    """The items in a random order."""
    return [items[int(i)] for i in rng.permutation(len(items))]


def slots(template: str) -> frozenset[str]:
    """Names of the {slots} of a template."""
    return frozenset(name for _, name, _, _ in string.Formatter().parse(template) if name)


def sentence(rng: np.random.Generator, templates: Sequence[str], values: Mapping[str, str]) -> str:
    """Fill one of the templates whose slots all have a value.

    Args:
        rng: chooses the template.
        templates: sentences with `{slot}`s; at least one must be fillable.
        values: what is known; an empty string counts as unknown.

    Returns:
        The sentence, its first letter in upper case.
    """
    known = {name for name, value in values.items() if value}
    usable = [t for t in templates if slots(t) <= known]
    text = " ".join(pick(rng, usable).format(**values).split())
    return text[0].upper() + text[1:]


def listing(items: Sequence[str], conjunction: str = "or") -> str:
    """Join in prose: "a", "a or b", "a, b, or c"."""
    if len(items) < 3:
        return f" {conjunction} ".join(items)
    return f"{', '.join(items[:-1])}, {conjunction} {items[-1]}"


def measure(rng: np.random.Generator, millimetres: float) -> str:
    """A length as people dictate it: "14 mm", "1.4 cm"."""
    if rng.random() < 0.5:
        return f"{millimetres:.0f} mm"
    return f"{millimetres / 10:.1f} cm"

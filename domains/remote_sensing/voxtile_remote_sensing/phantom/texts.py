"""Captions of phantom squares in varied wording, true to what was painted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from voxtile.phantom.wording import sentence, shuffled, slots, wording_bank
from voxtile_remote_sensing.osm.english import share_percent

TEXTS = 3
"""Captions of a square."""

_SEASONS = (*["winter"] * 2, *["spring"] * 3, *["summer"] * 3, *["autumn"] * 3, "winter")  # January to December
# Directions as a bearing of a line: 0° is east-west in image coordinates.
_AXES = ("east to west", "from north-west to south-east", "north to south", "from north-east to south-west")


def wording(name: str) -> dict[str, Any]:
    """A wording bank of this folder."""
    return wording_bank(Path(__file__).with_name(f"wording_{name}.yaml"))


def captions(rng: np.random.Generator, bank: str, concept: str, values: Mapping[str, str], count: int) -> list[str]:
    """Different captions of one concept.

    Args:
        rng: chooses.
        bank: wording bank.
        concept: a key of its `concepts`.
        values: what the slots are filled with; an empty string leaves out templates that need it.
        count: how many, at most.
    """
    known = {name for name, value in values.items() if value}
    templates = [t for t in shuffled(rng, wording(bank)["concepts"][concept]) if slots(t) <= known]
    return list(dict.fromkeys(sentence(rng, [template], values) for template in templates[:count]))


def season(day: np.datetime64, *, southern: bool) -> str:
    """Meteorological season of a day."""
    month = int(f"{day}"[5:7])
    return _SEASONS[(month + 5) % 12] if southern else _SEASONS[month - 1]


def axis_words(degrees: float | None) -> str:
    """A direction of lines in words; empty without one. Image angles run clockwise since y points down."""
    if degrees is None:
        return ""
    return _AXES[round((degrees % 180) / 45) % 4]


def share_words(rng: np.random.Generator, share: float) -> str:
    """A share of the area as people write it."""
    rounded = max(1, share_percent(share)[0])
    return f"{rounded} %" if rng.random() < 0.5 else f"about {rounded} percent"

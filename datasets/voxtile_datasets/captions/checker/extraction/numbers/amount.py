"""A number of a sentence with what it stands for."""

from __future__ import annotations

from dataclasses import dataclass

COUNT, SHARE = "count", "share"


@dataclass(frozen=True)
class Amount:
    """A number, or several that belong together (22 x 14 mm).

    Attributes:
        start, end: words, half-open, unit and `about` included.
        bounds: lowest and highest value that each stands for, in the base of the unit.
        dimension: of the unit; `count` where there is none.
        unit: name of the unit.
        is_vague: a word such as `several`.
    """

    start: int
    end: int
    bounds: tuple[tuple[float, float], ...]
    dimension: str
    unit: str
    is_vague: bool = False

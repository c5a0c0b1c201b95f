"""A stretch of a text that identifies somebody."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

IdentifierKind: TypeAlias = Literal["name", "date", "age", "contact", "number", "place"]


@dataclass(frozen=True, order=True)
class Identifier:
    """What identifies, and where it stands: text[start:end].

    Attributes:
        start, end: characters.
        kind: of a person, a day, an age over 89, a telephone or address of the net, a record or device, a place.
    """

    start: int
    end: int
    kind: IdentifierKind


def without_overlaps(found: Iterable[Identifier]) -> list[Identifier]:
    """In the order of the text; what overlaps becomes one, of the kind of the part that begins first."""
    joined: list[Identifier] = []
    for item in sorted(found, key=lambda each: (each.start, -each.end)):
        if joined and item.start < joined[-1].end:
            last = joined[-1]
            joined[-1] = Identifier(last.start, max(last.end, item.end), last.kind)
        else:
            joined.append(item)
    return joined

"""Findings that a sentence lists with a size and a place each: "4 mm in the RUL, 6 mm in the lingula and 9 mm LLL"."""

from __future__ import annotations

from collections.abc import Sequence

_SEPARATORS = frozenset([",", "and", ";", "&"])
# Of such a list one thing alone is said, and not each of its parts.
_OF_ONE = frozenset(["largest", "larger", "smallest", "smaller", "dominant", "biggest", "previously", "was", "from"])
_FEWEST = 2


def segments(
    words: Sequence[str], start: int, end: int, sizes: Sequence[int], places: Sequence[int]
) -> list[tuple[int, int]]:
    """Words [first, last) of each finding that a list names by one size and a side or place; empty where it does not.

    Args:
        words: of the sentence.
        start: word after the name of the findings.
        end: word at which what is said of them ends.
        sizes: words at which sizes stand.
        places: words at which sides and places stand.
    """
    borders = [i for i in range(start, end) if words[i] in _SEPARATORS or words[i] == ":"]
    pieces = list(zip([start, *(i + 1 for i in borders)], [*borders, end], strict=True))
    found = [piece for piece in pieces if any(piece[0] <= at < piece[1] for at in sizes)]
    is_each = all(
        sum(first <= at < last for at in sizes) == 1
        and any(first <= at < last for at in places)
        and _OF_ONE.isdisjoint(words[first:last])
        for first, last in found
    )
    is_all = all(start <= at < end for at in sizes)
    return found if len(found) >= _FEWEST and is_each and is_all else []

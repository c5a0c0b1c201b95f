"""What a text only compares a thing to: "winds like a snake", "as flat as a runway"."""

from __future__ import annotations

_SIMILES = frozenset(["like", "resembling", "resemble", "resembles", "reminiscent", "recalls", "recalling"])
_FURTHEST_SIMILE = 4  # words between the comparison and what it names


def is_simile(words: tuple[str, ...], start: int) -> bool:
    """Whether a word only says what something is like: "winds like a snake", "as flat as a pancake"."""
    before = words[max(0, start - _FURTHEST_SIMILE) : start]
    for offset, word in enumerate(before):
        rest = before[offset + 1 :]
        if word in _SIMILES and rest[:1] and rest[0] in ("a", "an", "the", "of", "so", "one") and "," not in rest:
            return True
        if word == "as" and rest[:1] in (("a",), ("an",)) and "," not in rest:
            return True
    return False

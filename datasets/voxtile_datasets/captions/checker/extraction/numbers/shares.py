"""Shares in words: most of, about half, more than a quarter, three fifths, one in four."""

from __future__ import annotations

from dataclasses import replace

from voxtile_datasets.captions.checker.extraction.grammar import Grammar
from voxtile_datasets.captions.checker.extraction.numbers.amount import SHARE, Amount
from voxtile_datasets.captions.checker.extraction.numbers.parts_of_whole import part_of_whole

_THESE = [("which",), ("these",), ("them",), ("those",), ("whom",)]
_HALF_A = [
    ("a",),
    ("an",),
    ("way",),
    ("moon",),
    ("circle",),
    ("timbered",),
    ("built",),
    ("finished",),
    ("full",),
    ("empty",),
    ("open",),
]
# After these "over" is no "more than": "ice extends over a fifth of the scene".
_SPREADING = frozenset(
    ["extends", "extend", "extending", "spreads", "spread", "spreading", "stretches", "stretch", "lies", "lie"]
)  # fmt: skip
_SEEING = [("see",), ("find",), ("notice",), ("look",), ("spot",), ("get",), ("concern",)]
_REST = frozenset(["rest", "remainder", "remaining", "else", "balance"])
_TO_REST = 3  # words from a share to what it is a share of
_SOME = 0.001
_NO_SHARES = [(2.0, 4), (1.0, 2)]  # two quarters of a town
# After "a third" these make a share of it: "a third under snow".
_AFTER_SHARE = frozenset(["under", "is", "are", "was", "each", "covered", "being", "the", "and", "to", "goes", "go"])


def share_at(texts: tuple[str, ...], position: int, grammar: Grammar) -> Amount | None:
    """Such as "most of", "about half of", "more than a quarter of the picture", "three fifths", "mostly".

    Of "most of the rest" nobody knows how much that is of the whole.
    """
    amount = _share_at(texts, position, grammar)
    if amount is not None and _REST & set(texts[amount.end : amount.end + _TO_REST]):
        return replace(amount, bounds=((_SOME, 1.0),))
    return amount


def _share_at(texts: tuple[str, ...], position: int, grammar: Grammar) -> Amount | None:
    start = position
    if start and texts[start] in grammar.fractions and texts[start - 1] in grammar.numbers:
        return None  # of "the northern two fifths"
    if start and (texts[start - 1] in grammar.edges or grammar.directions.longest_at(texts, start - 1)):
        return None  # the northern half is a place
    if texts[max(0, start - 2) : start + 1] == ("and", "a", "half") or texts[max(0, start - 1) : start + 2] == (
        "and",
        "a",
        "half",
    ):
        return None  # "a centimetre and a half"
    comparator = grammar.comparators.longest_at(texts, position)
    kind = comparator[1][0] if comparator and texts[start - 1] not in _SPREADING else None
    if comparator is not None:
        position = comparator[0]
    fraction = _fraction(texts, position, grammar)
    if fraction is not None:
        end, value, is_plain = fraction
        if not is_plain and not _is_share(texts, end):
            return None
        return Amount(start, end, (_share_bounds(value, kind),), SHARE, "fraction")
    if (counted := part_of_whole(texts, position, grammar)) is not None:
        end, low, high = counted
        bounds = _share_bounds(low, kind)[0], _share_bounds(high, kind)[1]
        return Amount(start, end, (bounds,), SHARE, "fraction")
    found = grammar.shares.longest_at(texts, position) or grammar.shares.longest_at(texts, start)
    if found is None:
        return None
    span = found[1][0]
    if span.is_vague and texts[found[0] : found[0] + 1] in _SEEING:
        return None  # "what you mostly see"
    if span.is_vague and _REST & set(texts[max(0, start - 2) : start]):
        return None  # "the rest mostly vineyards"
    if not span.is_vague and (
        texts[found[0] : found[0] + 1] != ("of",) or texts[found[0] + 1 : found[0] + 2] in _THESE
    ):
        return None
    middle = (span.low + span.high) / 2
    bounds = {
        "more": (middle, 1.0),
        "less": (0.0, middle),
        "at_most": (0.0, span.high),
        "no_more": (0.0, span.high),
    }.get(kind if kind and span.high < 1 else "about", (span.low, span.high))  # "cloud over most of it"
    return Amount(start, found[0], (bounds,), SHARE, "fraction")


def _fraction(texts: tuple[str, ...], position: int, grammar: Grammar) -> tuple[int, float, bool] | None:
    """End and value of a fraction in words, and whether it can be nothing else: "two thirds", "a quarter", "half"."""
    word = texts[position] if position < len(texts) else ""
    if word == "half":
        return None if texts[position + 1 : position + 2] in _HALF_A else (position + 1, 0.5, False)
    count = 1.0 if word in ("a", "one") else float(grammar.numbers.get(word, 0)) or _digit(word)
    if texts[position + 1 : position + 2] == ("/",) and count < _digit("".join(texts[position + 2 : position + 3])):
        return position + 3, count / float(texts[position + 2]), False
    part = grammar.fractions.get(texts[position + 1]) if count and position + 1 < len(texts) else None
    if part is None or count >= part:
        return None
    return position + 2, count / part, word != "a" and (count, part) not in _NO_SHARES


def _digit(word: str) -> float:
    return float(word) if len(word) == 1 and word.isdecimal() else 0.0


def _is_share(texts: tuple[str, ...], end: int) -> bool:
    """Whether "a third" or "half" before a word is a share: "a third of it", "half water"; "a third bridge" is none."""
    following = texts[end : end + 1]
    if following == ("of",):
        return texts[end + 1 : end + 2] not in _THESE
    is_half = texts[end - 1] == "half"
    return not following or not following[0].isalnum() or following[0] in _AFTER_SHARE or is_half


def _share_bounds(value: float, kind: str | None) -> tuple[float, float]:
    """Shares of which a fraction is said: more loosely the nearer it is to a half."""
    margin = 0.02 + 0.2 * min(value, 1 - value)
    if kind == "less":
        return 0.0, value
    if kind in ("at_most", "no_more"):
        return 0.0, value + margin
    if kind == "more":
        return value * (1 - 1e-9), 1.0
    if kind == "just_under":
        return value - margin - 0.03, value + 0.01
    if kind == "just_over":
        return value - 0.01, value + margin + 0.03
    return value - margin - (0.02 if kind else 0), value + margin + (0.02 if kind else 0)

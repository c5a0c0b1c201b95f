"""Numbers in a sentence: sizes with their units, shares, counts, with what `about` and `at least` do to them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from voxtile.words.tokens import Words
from voxtile_datasets.captions.checker.extraction.grammar import Grammar, Unit

COUNT, SHARE = "count", "share"
_TOLERANCE, _ABOUT, _JUST = 0.05, 0.13, 0.15  # relative
_ODD = 1.35
_LARGE = [("hundred",), ("thousand",)]
_LEVEL = re.compile(r"[ctls]\d{1,2}")  # of the spine
_PERCENT_STEP = 5.0  # people round shares to five percent
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
_HALVES = [("half", "a"), ("half", "an")]
_NO_SHARES = [(2.0, 4), (1.0, 2)]  # two quarters of a town
# After "a third" these make a share of it: "a third under snow".
_AFTER_SHARE = frozenset(["under", "is", "are", "was", "each", "covered", "being", "the", "and", "to", "goes", "go"])
_ORDINALS = [("th",), ("st",), ("nd",), ("rd",)]
_TIMES_AS = [("time",), ("times",), ("fold",)]  # "four times as much"
_CLOSING = frozenset([",", ";", ".", ")", "and", "of", "!", "as", "in"])
_COUNTED = frozenset(["pixel", "square", "cell", "part", "point", "hectare", "acre", "patch", "plot", "m", "unit"])
_EACH = frozenset(["every", "each", "any", "the"])
_TIMES = frozenset(["x", "×", "by"])
_LABELS = frozenset(
    ["series", "image", "slice", "se", "im", "level", "grade", "stage", "segment", "type", "zone", "phase", "figure",
     "number", "page", "view", "band", "class", "channel", "step", "version"]
)  # fmt: skip
_LARGEST_WORD = 1000


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


def amounts(words: Words, grammar: Grammar, taken: frozenset[int]) -> Iterator[Amount]:
    """All amounts of a sentence.

    Args:
        words: the sentence.
        grammar: number words and units.
        taken: words that are part of a date, a name or the number of a record.
    """
    position, texts = 0, words.words
    is_of_percent = False
    while position < len(texts):
        if position in taken or _LEVEL.fullmatch(texts[position]):
            position += 1
            continue
        amount = (
            _half_of_unit(texts, position, grammar)
            or _share(texts, position, grammar)
            or _measured(words, position, grammar)
            or _worded(texts, position, grammar)
        )
        if amount is None:
            position += 1
            continue
        if amount.dimension == COUNT and (is_of_percent or _is_fraction(amount)) and _stands_alone(texts, amount):
            amount = _as_share(amount, 1.0 if _is_fraction(amount) else 0.01)
        is_of_percent |= amount.unit == "percent"
        yield amount
        position = amount.end


def _is_fraction(amount: Amount) -> bool:
    """Whether a number without a unit can only be a share: 0.45."""
    return not amount.is_vague and all(0 < low <= high < 1 for low, high in amount.bounds)


def _stands_alone(texts: tuple[str, ...], amount: Amount) -> bool:
    """Whether nothing follows a number of which it could be the count: "olives have 35 percent, forest 30"."""
    following = texts[amount.end : amount.end + 1]
    is_number = any(text[0].isdigit() for text in texts[amount.start : amount.end])
    is_single = amount.end - amount.start < 4 and len(amount.bounds) == 1
    return is_single and is_number and (not following or following[0] in _CLOSING) and amount.bounds[0][1] <= 100


def _as_share(amount: Amount, size: float) -> Amount:
    margin = 0.005 if size == 1.0 else 1.0
    bounds = tuple(((low - margin) * size, (high + margin) * size) for low, high in amount.bounds)
    return replace(amount, bounds=bounds, dimension=SHARE, unit="fraction" if size == 1.0 else "percent")


def _half_of_unit(texts: tuple[str, ...], position: int, grammar: Grammar) -> Amount | None:
    """Such as "half a centimetre", "half-centimetre"."""
    if texts[position] != "half":
        return None
    begin = position + 1 + (texts[position + 1 : position + 2] in (("a",), ("an",)))
    unit = grammar.units.longest_at(texts, begin) if begin < len(texts) else None
    if unit is None or unit[1][0].dimension != "length" or unit[1][0].name in ("m", "km", "mile", "yard"):
        return None
    size = unit[1][0].size
    return Amount(position, unit[0], ((0.4 * size, 0.6 * size),), "length", unit[1][0].name)


def _share(texts: tuple[str, ...], position: int, grammar: Grammar) -> Amount | None:
    """Such as "most of", "about half of", "more than a quarter of the picture", "three fifths", "mostly"."""
    start = position
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
    if (counted := _out_of(texts, position, grammar)) is not None:
        end, value = counted
        end += bool(texts[end : end + 1]) and texts[end] in _COUNTED  # "out of every 100 pixels"
        return Amount(start, end, (_share_bounds(value, kind),), SHARE, "fraction")
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
    bounds = {"more": (middle, 1.0), "less": (0.0, middle), "at_most": (0.0, span.high)}.get(
        kind or "about", (span.low, span.high)
    )
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


def _out_of(texts: tuple[str, ...], position: int, grammar: Grammar) -> tuple[int, float] | None:
    """End and value of a share in words such as "44 out of every 100", "one in four"."""
    part, end = _whole(texts, position, grammar)
    if texts[end : end + 2] == ("out", "of"):
        end += 2
    elif texts[end : end + 1] == ("in",) and texts[end + 1 : end + 2] and texts[end + 1] not in _EACH:
        end += 1
    else:
        return None
    end += texts[end : end + 1] != () and texts[end] in _EACH
    whole, last = _whole(texts, end, grammar)
    if not part or not whole or part >= whole:
        return None
    return last, part / whole


def _whole(texts: tuple[str, ...], position: int, grammar: Grammar) -> tuple[float, int]:
    """A whole number in digits or in one word, and its end; 0 where there is none."""
    word = texts[position] if position < len(texts) else ""
    if word.isdigit():
        return float(word), position + 1
    if word in grammar.numbers and texts[position + 1 : position + 2] and texts[position + 1] in grammar.numbers:
        return float(grammar.numbers[word] + grammar.numbers[texts[position + 1]]), position + 2
    return (float(grammar.numbers[word]), position + 1) if word in grammar.numbers else (0.0, position)


def _digit(word: str) -> float:
    return float(word) if len(word) == 1 and word.isdigit() else 0.0


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
    if kind == "at_most":
        return 0.0, value + margin
    if kind == "more":
        return value * (1 - 1e-9), 1.0
    if kind == "just_under":
        return value - margin - 0.03, value + 0.01
    if kind == "just_over":
        return value - 0.01, value + margin + 0.03
    return value - margin - (0.02 if kind else 0), value + margin + (0.02 if kind else 0)


def _worded(texts: tuple[str, ...], position: int, grammar: Grammar) -> Amount | None:
    comparator = grammar.comparators.longest_at(texts, position)
    start = comparator[0] if comparator else position
    start += (
        comparator is not None and texts[start : start + 1] == ("a",) and texts[start + 1 : start + 2] == ("dozen",)
    )
    found = grammar.counts.longest_at(texts, start) if comparator else None
    if found is None:
        comparator, found = None, grammar.counts.longest_at(texts, position)
    if found is None:
        return None
    span = found[1][0]
    middle = (span.low + span.high) / 2
    kind = comparator[1][0] if comparator else None
    bounds = {
        "more": (middle, math.inf), "just_over": (middle, span.high * 1.2), "less": (0.0, middle),
        "just_under": (span.low * 0.8, middle), "at_most": (0.0, span.high),
    }.get(kind or "", (span.low, span.high))  # fmt: skip
    return Amount(position, found[0], (bounds,), COUNT, COUNT, span.is_vague)


def _measured(words: Words, position: int, grammar: Grammar) -> Amount | None:
    texts = words.words
    start = position
    comparator = grammar.comparators.longest_at(texts, position)
    if comparator is not None:
        position = comparator[0]
    named = grammar.measures.longest_at(texts, position)
    if named is not None:
        position = named[0] + (texts[named[0] : named[0] + 1] in ((":",), ("=",)))
    if texts[position : position + 1] == ("a",) and texts[position + 1 : position + 2] in _LARGE:
        position += 1
    numbers, end, is_range = _numbers(words, position, grammar)
    if not numbers and texts[position : position + 2] in _HALVES and grammar.units.longest_at(texts, position + 2):
        numbers, end = [("0.5", 0.5)], position + 2  # "half a kilometre"
    if not numbers or (start and texts[start - 1] in _LABELS) or _follows_level(words, position):
        return None
    if texts[end : end + 1] in _ORDINALS or texts[end : end + 1] in _TIMES_AS:
        return None
    is_odd = texts[end : end + 1] == ("odd",)  # thirty-odd houses
    unit, end = _unit(texts, end + is_odd, grammar, named[1][0] if named else None)
    if unit is None and texts[end : end + 1] == ("-",):
        return None
    kind = "odd" if is_odd else comparator[1][0] if comparator else None
    size = unit.size if unit else 1.0
    dimension = unit.dimension if unit else COUNT
    bounds = tuple(_bounds(text, value, size, kind, dimension) for text, value in numbers)
    if is_range:
        bounds = ((bounds[0][0], bounds[-1][1]),)
    return Amount(start, end, bounds, dimension, unit.name if unit else COUNT)


def _numbers(words: Words, position: int, grammar: Grammar) -> tuple[list[tuple[str, float]], int, bool]:
    """The numbers that begin at a word with how they are written, where they end, and whether they are a range."""
    texts = words.words
    found: list[tuple[str, float]] = []
    is_range = False
    while (read := _number(words, position, grammar)) is not None:
        text, value, end = read
        found.append((text, value))
        position = end
        joint = texts[position : position + 1]
        following = texts[position + 1 : position + 2]
        if joint and joint[0] in _TIMES and _is_number(following, grammar):
            position += 1
        elif joint and joint[0] == "to" and _is_number(following, grammar) and len(found) == 1:
            position, is_range = position + 1, True
        elif _hyphened(words, position) and len(found) == 1:
            is_range = True
        else:
            unit = grammar.units.longest_at(texts, position)
            after = texts[unit[0] : unit[0] + 1] if unit else ()
            again = texts[unit[0] + 1 : unit[0] + 2] if unit else ()
            if unit and after and after[0] in _TIMES and _is_number(again, grammar):
                position = unit[0] + 1
            else:
                break
    return found, position, is_range


def _is_number(texts: tuple[str, ...], grammar: Grammar) -> bool:
    return bool(texts) and (texts[0][0].isdigit() or texts[0] in grammar.numbers)


def _hyphened(words: Words, position: int) -> bool:
    """Whether a number follows after a hyphen alone: 3-5 mm."""
    if not 0 < position < len(words.words) or not words.words[position][0].isdigit():
        return False
    return words.text[words.ends[position - 1] : words.starts[position]] in ("-", "–")


def _number(words: Words, position: int, grammar: Grammar) -> tuple[str, float, int] | None:
    texts = words.words
    if position >= len(texts):
        return None
    text = texts[position]
    if text[0].isdigit():
        if _is_decimal(words, position):
            text = f"0.{text}"
        value = number_of(text)
        before = words.text[max(0, words.starts[position] - 2) : words.starts[position]]
        is_negative = before.endswith(("-", "−")) and not before[:-1].strip(" (")
        return text, -value if is_negative else value, position + 1
    if text not in grammar.numbers:
        return None
    total = 0
    while position < len(texts) and texts[position] in grammar.numbers:
        value = grammar.numbers[texts[position]]
        total = max(total, 1) * value if value >= 100 else total + value
        position += 1
    if texts[position : position + 3] == ("and", "a", "half"):
        return f"{total}.5", total + 0.5, position + 3
    return str(total), float(total), position


def _is_decimal(words: Words, position: int) -> bool:
    """Whether a number is written without the nought before its point: ".70"."""
    start = words.starts[position]
    return words.text[start - 1 : start] == "." and not words.text[max(0, start - 2) : start - 1].strip(" =:(~≈<>")


def number_of(text: str) -> float:
    """`1,200` and `2.2` and `2,2`: a comma before three digits parts thousands."""
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?", text):
        return float(text.replace(",", ""))
    parts = text.replace(",", ".").split(".")
    return float(text.replace(",", ".")) if len(parts) <= 2 else float(parts[0])


def _follows_level(words: Words, position: int) -> bool:
    """Whether a number is the second half of "L4-5"."""
    if not position:
        return False
    before = words.words[position - 1]
    return len(before) in (2, 3) and before[0] in "ctl" and before[1:].isdigit()


def _unit(texts: tuple[str, ...], end: int, grammar: Grammar, named: str | None) -> tuple[Unit | None, int]:
    found = grammar.units.longest_at(texts, end)
    if found is not None:
        return found[1][0], found[0]
    return (Unit("SUV", named, 1.0), end) if named else (None, end)


def _bounds(text: str, value: float, size: float, kind: str | None, dimension: str) -> tuple[float, float]:
    """Values that a written number stands for: those that round to it, and 5 % (after `about` 13 %) beside it."""
    if kind == "less":
        return 0.0, value * size
    if kind == "more":
        return value * size * (1 - 1e-9), math.inf
    if kind == "odd":
        return value * size, value * size * _ODD
    if kind in ("just_under", "just_over"):
        near = max(abs(value) * _JUST, 1.0 if dimension in (COUNT, SHARE) else 0.0) * size
        return (value * size - near, value * size) if kind == "just_under" else (value * size, value * size + near)
    is_count = dimension == COUNT
    if is_count and kind is None:
        return value, value
    _, _, decimals = text.replace(",", ".").partition(".")
    half = 0.5 * 10.0 ** -len(decimals)
    if is_count:
        half = 0.0
    margin = max(half if value < 10 or decimals else 0.5, abs(value) * (_ABOUT if kind == "about" else _TOLERANCE))
    if dimension == SHARE and kind == "about":
        margin = max(margin, _PERCENT_STEP / 2)
    return (value - margin) * size, (value + margin) * size

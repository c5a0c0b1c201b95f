"""Numbers in a sentence: sizes with their units, shares, counts, with what `about` and `at least` do to them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import replace

from voxtile.words.tokens import Words
from voxtile_datasets.captions.checker.extraction.grammar import Grammar, Unit
from voxtile_datasets.captions.checker.extraction.numbers.amount import COUNT, SHARE, Amount
from voxtile_datasets.captions.checker.extraction.numbers.shares import share_at

_TOLERANCE, _ABOUT, _JUST = 0.05, 0.13, 0.2  # relative
_ODD = 1.35
_LARGE = [("hundred",), ("thousand",)]
_LEVEL = re.compile(r"[ctls]\d{1,2}")  # of the spine
_PERCENT_STEP = 5.0  # people round shares to five percent
_HALVES = [("half", "a"), ("half", "an")]
_ORDINALS = [("th",), ("st",), ("nd",), ("rd",)]
_TIMES_AS = [("time",), ("times",), ("fold",)]  # "four times as much"
_CLOSING = frozenset([",", ";", ".", ")", "and", "of", "!", "as", "in"])
_TIMES = frozenset(["x", "×", "by"])
_BEFORE_MARGIN = [("(",), (",",)]
_LABELS = frozenset(
    ["series", "image", "slice", "se", "im", "level", "grade", "stage", "segment", "type", "zone", "phase", "figure",
     "number", "page", "view", "band", "class", "channel", "step", "version"]
)  # fmt: skip
_LARGEST_DIGIT = 10
_GROUPS = {"pair": 2, "trio": 3, "quartet": 4}
_SHARING = frozenset(["each", "either", "every", "per"])
_AFTER_COUNT = 4  # words
_ONE = [("a",), ("an",)]
_AFTER_UNIT = frozenset(["long", "wide", "across", "away", "north", "south", "east", "west", "from", "off", "further"])


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
        if position in taken or _LEVEL.fullmatch(texts[position]) or _is_of_code(words, position):
            position += 1
            continue
        amount = (
            _half_of_unit(texts, position, grammar)
            or share_at(texts, position, grammar)
            or _measured(words, position, grammar)
            or _worded(texts, position, grammar)
        )
        if amount is None:
            position += 1
            continue
        if amount.dimension == COUNT and (is_of_percent or _is_fraction(amount)) and _stands_alone(texts, amount):
            amount = _as_share(amount, 1.0 if _is_fraction(amount) else 0.01)
        is_of_percent |= amount.unit == "percent"
        if amount.dimension == COUNT and (
            _is_fraction(amount) or _is_counting(texts, amount, grammar) or _is_year(texts, amount)
        ):
            position = amount.end
            continue
        yield amount
        position = amount.end


def _is_of_code(words: Words, position: int) -> bool:
    """Whether a number is a part of a name: "CD8", "Ki-67", "p53"."""
    start = words.starts[position]
    if not words.text[start].isdecimal():
        return False
    before = words.text[max(0, start - 3) : start]
    return bool(re.search(r"[A-Za-z]$|[A-Za-z][-‐]$", before)) and not before.endswith(("x", "X"))


def _is_year(texts: tuple[str, ...], amount: Amount) -> bool:
    """Whether a number that another follows is a year: "between 2014 and 2020 seven houses"."""
    word = texts[amount.end - 1]
    return amount.end - amount.start == 1 and word.isdecimal() and len(word) == len("2020") and word[:2] in ("19", "20")


def _is_counting(texts: tuple[str, ...], amount: Amount, grammar: Grammar) -> bool:
    """Whether a number is none of all things: "one, two diamonds", "one nodule in each lung"."""
    after = texts[amount.end : amount.end + 2]
    if len(after) > 1 and after[0] == "," and after[1] in grammar.numbers and texts[amount.start] in grammar.numbers:
        return amount.end - amount.start == 1 and grammar.numbers[after[1]] == grammar.numbers[texts[amount.start]] + 1
    return bool(_SHARING & set(texts[amount.end : amount.end + _AFTER_COUNT]))


def _is_fraction(amount: Amount) -> bool:
    """Whether a number without a unit can only be a share: 0.45."""
    return not amount.is_vague and all(0 < low <= high < 1 for low, high in amount.bounds)


def _stands_alone(texts: tuple[str, ...], amount: Amount) -> bool:
    """Whether nothing follows a number of which it could be the count: "olives have 35 percent, forest 30"."""
    following = texts[amount.end : amount.end + 1]
    is_number = any(text[0].isdecimal() for text in texts[amount.start : amount.end])
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
        "just_under": (span.low * 0.8, middle), "at_most": (0.0, span.high), "no_more": (0.0, span.high),
    }.get(kind or "", (span.low, span.high))  # fmt: skip
    return Amount(position, found[0], (bounds,), COUNT, COUNT, span.is_vague)


def _measured(words: Words, position: int, grammar: Grammar) -> Amount | None:
    texts = words.words
    start = position
    comparator = grammar.comparators.longest_at(texts, position)
    if comparator is not None:
        position = comparator[0]
    if texts[position : position + 1] == ("×",) and texts[position + 1 : position + 2]:
        position += 1  # "aggregates ×5"
    named = grammar.measures.longest_at(texts, position)
    if named is not None:
        position = named[0] + (texts[named[0] : named[0] + 1] in ((":",), ("=",)))
    if texts[position : position + 1] == ("a",) and texts[position + 1 : position + 2] in _LARGE:
        position += 1
    numbers, end, is_range = _numbers(words, position, grammar)
    if not numbers and texts[position : position + 2] in _HALVES and grammar.units.longest_at(texts, position + 2):
        numbers, end = [("0.5", 0.5)], position + 2  # "half a kilometre"
    if (
        not numbers
        and texts[position : position + 1] in _ONE
        and (one := _one_of(texts, position, comparator, grammar))
    ):
        numbers, end = [("1", 1.0)], one  # "well over a kilometre", "a mile long"
    if not numbers or (start and texts[start - 1] in _LABELS) or _follows_level(words, position):
        return None
    if texts[end : end + 1] in _ORDINALS or texts[end : end + 1] in _TIMES_AS:
        return None
    is_odd = texts[end : end + 1] == ("odd",)  # thirty-odd houses
    margin, end = _margin(words, end + is_odd, grammar)
    unit, end = _unit(texts, end, grammar, named[1][0] if named else None)
    if unit is None and texts[end : end + 1] == ("-",):
        return None
    if margin is None and unit is not None:
        margin, end = _margin(words, end, grammar, unit)
    behind = grammar.behind.longest_at(texts, end) if comparator is None else None
    end = behind[0] if behind else end
    kind = "odd" if is_odd else comparator[1][0] if comparator else behind[1][0] if behind else None
    size = unit.size if unit else 1.0
    dimension = unit.dimension if unit else COUNT
    if margin is None:
        bounds = tuple(_bounds(text, value, size, kind, dimension) for text, value in numbers)
    else:
        bounds = tuple(((value - margin(value)) * size, (value + margin(value)) * size) for _, value in numbers)
    if is_range:
        bounds = ((bounds[0][0], bounds[-1][1]),)
    return Amount(start, end, bounds, dimension, unit.name if unit else COUNT)


def _margin(
    words: Words, position: int, grammar: Grammar, unit: Unit | None = None
) -> tuple[Callable[[float], float] | None, int]:
    """How far a number that ends here may be off, and where that ends: "20 ± 5 mm", "20 mm (+/- 5 mm)", "2 cm ± 5 %".

    Args:
        words: the sentence.
        position: after the number.
        grammar: number words and units.
        unit: of the number, where it has been read: its margin ends with a unit of the same dimension, or is a share.
    """
    texts, start = words.words, position
    is_aside = texts[position : position + 1] == ("(",)
    sign = grammar.margins.longest_at(texts, position + (texts[position : position + 1] in _BEFORE_MARGIN))
    read = _number(words, sign[0], grammar) if sign else None
    if read is None:
        return None, start
    _, margin, end = read
    is_share = False
    if unit is not None:
        again = grammar.units.longest_at(texts, end)
        if again is None or again[1][0].dimension not in (unit.dimension, SHARE):
            return None, start
        end, own = again[0], again[1][0]
        is_share = own.dimension == SHARE != unit.dimension
        margin *= own.size / (1.0 if is_share else unit.size)
    end += is_aside and texts[end : end + 1] == (")",)
    return (lambda value: margin * value if is_share else margin), end


def _one_of(texts: tuple[str, ...], position: int, comparator: object, grammar: Grammar) -> int | None:
    """End of "a" before a unit of length or area, where it counts: "over a kilometre", "a mile long"."""
    unit = grammar.units.longest_at(texts, position + 1)
    if unit is None or unit[1][0].dimension not in ("length", "area"):
        return None
    following = texts[unit[0] : unit[0] + 1]
    counts = comparator is not None or (bool(following) and following[0] in _AFTER_UNIT)
    return position + 1 if counts and texts[position + 1] not in ("m", "l", "are", "pace", "rod", "foot") else None


def _numbers(words: Words, position: int, grammar: Grammar) -> tuple[list[tuple[str, float]], int, bool]:
    """The numbers that begin at a word with how they are written, where they end, and whether they are a range."""
    texts = words.words
    found: list[tuple[str, float]] = []
    is_range = False
    to = "and" if position and texts[position - 1] == "between" else "to"
    while (read := _number(words, position, grammar)) is not None:
        text, value, end = read
        found.append((text, value))
        position = end
        joint = texts[position : position + 1]
        following = texts[position + 1 : position + 2]
        if joint and joint[0] in _TIMES and _is_number(following, grammar):
            position += 1
        elif joint and joint[0] == to and _is_number(following, grammar) and len(found) == 1:
            position, is_range = position + 1, True
        elif _hyphened(words, position) and len(found) == 1:
            is_range = True
        else:
            unit = grammar.units.longest_at(texts, position)
            after = texts[unit[0] : unit[0] + 1] if unit else ()
            again = texts[unit[0] + 1 : unit[0] + 2] if unit else ()
            if unit and after and after[0] in _TIMES and _is_number(again, grammar):
                position = unit[0] + 1
            elif unit and after == (to,) and len(found) == 1 and _is_in(words, unit[0] + 1, unit[1][0], grammar):
                position, is_range = unit[0] + 1, True  # "between 1.5 cm and 2 cm"
            else:
                break
    return found, position, is_range


def _is_in(words: Words, position: int, unit: Unit, grammar: Grammar) -> bool:
    """Whether a number with a unit begins at a word."""
    read = _number(words, position, grammar)
    found = grammar.units.longest_at(words.words, read[2]) if read else None
    return found is not None and found[1][0] == unit


def _is_number(texts: tuple[str, ...], grammar: Grammar) -> bool:
    return bool(texts) and (texts[0][0].isdecimal() or texts[0] in grammar.numbers)


def _hyphened(words: Words, position: int) -> bool:
    """Whether a number follows after a hyphen alone: 3-5 mm."""
    if not 0 < position < len(words.words) or not words.words[position][0].isdecimal():
        return False
    return words.text[words.ends[position - 1] : words.starts[position]] in ("-", "–")


def _number(words: Words, position: int, grammar: Grammar) -> tuple[str, float, int] | None:
    texts = words.words
    if position >= len(texts):
        return None
    text = texts[position]
    if text[0].isdecimal():
        if _is_decimal(words, position):
            text = f"0.{text}"
        value = number_of(text)
        before = words.text[max(0, words.starts[position] - 2) : words.starts[position]]
        is_negative = before.endswith(("-", "−")) and not before[:-1].strip(" (")
        return text, -value if is_negative else value, position + 1
    if text not in grammar.numbers or texts[position + 1 : position + 2] in (("dozen",), ("score",)):
        return None  # "three dozen" is no exact number
    total = 0
    while position < len(texts) and texts[position] in grammar.numbers:
        value = grammar.numbers[texts[position]]
        total = max(total, 1) * value if value >= 100 else total + value
        position += 1
    if texts[position : position + 3] == ("and", "a", "half"):
        return f"{total}.5", total + 0.5, position + 3
    if texts[position : position + 1] == ("point",):  # as dictated: "five point four"
        digits, end = "", position + 1
        while end < len(texts) and 0 <= grammar.numbers.get(texts[end], -1) < _LARGEST_DIGIT:
            digits, end = digits + str(grammar.numbers[texts[end]]), end + 1
        if digits:
            return f"{total}.{digits}", float(f"{total}.{digits}"), end
    if texts[position : position + 1] and texts[position] in _GROUPS and texts[position + 1 : position + 2] == ("of",):
        total, position = total * _GROUPS[texts[position]], position + 2  # "two pairs of courts"
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
    """Whether a number is the second half of "L4-5" or "L4/5"."""
    position -= words.words[position - 1 : position] == ("/",)
    if position < 1:
        return False
    before = words.words[position - 1]
    return len(before) in (2, 3) and before[0] in "ctl" and before[1:].isdecimal()


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
    if kind == "no_more":
        return 0.0, (value + half) * size
    margin = max(half if value < 10 or decimals else 0.5, abs(value) * (_ABOUT if kind == "about" else _TOLERANCE))
    if dimension == SHARE and kind == "about":
        margin = max(margin, _PERCENT_STEP / 2)
    return (value - margin) * size, (value + margin) * size

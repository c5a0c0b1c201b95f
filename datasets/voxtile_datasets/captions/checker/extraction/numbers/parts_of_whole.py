"""Shares told by counting: "one pixel in eight", "of every ten hectares four", "44 out of 100", "every third field"."""

from __future__ import annotations

from voxtile_datasets.captions.checker.extraction.grammar import Grammar

_EACH = frozenset(["every", "each", "any", "the", "all", "about", "roughly", "some"])
_UNITS = frozenset(
    ["pixel", "square", "cell", "part", "point", "hectare", "acre", "patch", "plot", "m", "unit", "field", "percent",
     "kilometer", "metre", "meter", "ha", "km²", "tile", "place", "spot", "dot", "case", "piece", "parcel"]
)  # fmt: skip
_ORDINALS = {"second": 2, "other": 2}
_SIGNS = {"½": 1 / 2, "⅓": 1 / 3, "⅔": 2 / 3, "¼": 1 / 4, "¾": 3 / 4, "⅕": 1 / 5, "⅖": 2 / 5, "⅗": 3 / 5, "⅘": 4 / 5,
          "⅙": 1 / 6, "⅛": 1 / 8, "⅜": 3 / 8, "⅝": 5 / 8, "⅞": 7 / 8}  # fmt: skip
_OR = frozenset(["or", "to"])
_ONLY = (("only",), ("just",), ("merely",), ("barely",))
_LARGEST = 1000.0


def part_of_whole(texts: tuple[str, ...], position: int, grammar: Grammar) -> tuple[int, float, float] | None:
    """End, lowest and highest value of a share that is told by counting; None where none begins at a word.

    Args:
        texts: words of a sentence.
        position: the word at which it begins.
        grammar: number words.
    """
    if texts[position : position + 1] in _ONLY:
        position += 1
    word = texts[position] if position < len(texts) else ""
    if word in _SIGNS:
        return position + 1, _SIGNS[word], _SIGNS[word]
    if word == "of":
        return _fronted(texts, position, grammar)
    if word in ("every", "each"):
        return _every(texts, position, grammar)
    return _counted(texts, position, grammar)


def _counted(texts: tuple[str, ...], position: int, grammar: Grammar) -> tuple[int, float, float] | None:
    """Such as "one in four", "one pixel in eight", "44 out of every 100"."""
    low, high, end = _range(texts, position, grammar)
    if not low:
        return None
    named = end
    end += texts[end : end + 1] != () and texts[end] in _UNITS
    if texts[end : end + 2] == ("out", "of"):
        end += 2
    elif texts[end : end + 1] == ("in",) and (end > named or texts[end + 1 : end + 2] not in (("the",), ("all",))):
        end += 1
    else:
        return None
    end += texts[end : end + 1] != () and texts[end] in _EACH
    whole, last = _number(texts, end, grammar)
    if not low < whole <= _LARGEST or high > whole or _is_year(texts, end):
        return None
    last += texts[last : last + 1] != () and texts[last] in _UNITS  # "out of every 100 pixels"
    return last, low / whole, high / whole


def _fronted(texts: tuple[str, ...], position: int, grammar: Grammar) -> tuple[int, float, float] | None:
    """Such as "of every ten hectares four", "of ten pixels six or seven"."""
    end = position + 1
    is_each = texts[end : end + 1] in (("every",), ("each",))
    end += is_each
    whole, end = _number(texts, end, grammar)
    is_unit = texts[end : end + 1] != () and texts[end] in _UNITS
    if texts[end : end + 1] == ("point",):
        return None  # "of five point four centimetres"
    if not whole or not (is_each or is_unit):
        return None
    end += is_unit
    end += texts[end : end + 1] == (",",)
    end += texts[end : end + 1] != () and texts[end] in _EACH | {"only", "just", "nearly", "almost"}
    low, high, last = _range(texts, end, grammar)
    last += texts[last : last + 1] != () and texts[last] in _UNITS
    return (last, low / whole, high / whole) if low > 0 and high <= whole else None


def _every(texts: tuple[str, ...], position: int, grammar: Grammar) -> tuple[int, float, float] | None:
    """Such as "every third pixel", "every other hectare"."""
    following = texts[position + 1] if position + 1 < len(texts) else ""
    parts = _ORDINALS.get(following) or grammar.fractions.get(following)
    if parts is None or texts[position + 2 : position + 3] == () or texts[position + 2] not in _UNITS:
        return None
    return position + 3, 1 / parts, 1 / parts


def _range(texts: tuple[str, ...], position: int, grammar: Grammar) -> tuple[float, float, int]:
    low, end = _number(texts, position, grammar)
    if low and texts[end : end + 1] != () and texts[end] in _OR:
        high, last = _number(texts, end + 1, grammar)
        if high > low:
            return low, high, last
    return low, low, end


def _number(texts: tuple[str, ...], position: int, grammar: Grammar) -> tuple[float, int]:
    """A whole number in digits or words, and its end; 0 where there is none."""
    word = texts[position] if position < len(texts) else ""
    if word.isdecimal():
        return float(word), position + 1
    if word == "a" and texts[position + 1 : position + 2] == ("hundred",):
        return 100.0, position + 2
    if word not in grammar.numbers:
        return 0.0, position
    value, following = grammar.numbers[word], texts[position + 1 : position + 2]
    if value >= 20 and following and 0 < grammar.numbers.get(following[0], 0) < 10:
        return float(value + grammar.numbers[following[0]]), position + 2
    return float(value), position + 1


def _is_year(texts: tuple[str, ...], position: int) -> bool:
    return len(texts[position]) == 4 and texts[position].isdecimal()

"""How many findings a plural names: "three liver lesions", "2 small stones"."""

from __future__ import annotations

from collections.abc import Sequence

from voxtile_medical.reports.assertion.statements import Statement
from voxtile_medical.reports.quantities.sizes import Size

_PREPOSITIONS = frozenset(["in", "on", "of", "at", "within", "measuring", "near", "along", "throughout", "is", "are"])
_PLURALS = ("s", "i", "ae")
_FURTHEST_NUMBER, _DIGITS = 12, 3  # words before the name; digits of a number that counts nothing
_PARTING = frozenset([",", ";", ":", "(", ")", "and", "or", "/", "no", "not"])
_ORDINALS = frozenset(["th", "st", "nd", "rd", "%", "percent"])
# "Segment 4 lesions", "grade 2 changes", "series 4 nodules", "1 of 3": numbers that count nothing.
_NUMBERED = frozenset(
    ["segment", "grade", "stage", "level", "series", "image", "slice", "type", "lobe", "station", "figure", "class"]
) | {"number", "category", "rads", "zone", "phase", "x", "×", "by", "to", "of", "than", "-", "–", "/", "."}


def count_of(statement: Statement, start: int, end: int, sizes: Sequence[Size]) -> int | None:
    """The number, two or more, in the noun phrase of the plural at words [start, end); None where there is none."""
    words, grammar = statement.words, statement.grammar
    head = words.text[words.starts[end - 1] : words.ends[end - 1]].lower()
    if head == words.words[end - 1] or not head.endswith(_PLURALS):
        return None
    for position in range(start - 1, max(-1, start - _FURTHEST_NUMBER), -1):
        word = words.words[position]
        if any(size.start <= words.starts[position] < size.end for size in sizes):
            continue
        if word in grammar.verbs or word in _PREPOSITIONS or word in _PARTING:
            return None
        number = grammar.numbers.get(word) or (int(word) if word.isdecimal() and len(word) < _DIGITS else 0)
        before = words.words[position - 1] if position else ""
        if number and before not in _NUMBERED and words.words[position + 1] not in _ORDINALS:
            return number if number > 1 else None
    return None

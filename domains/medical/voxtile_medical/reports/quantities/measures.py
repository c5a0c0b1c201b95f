"""Measurements of organs in a sentence: "the volume of the left kidney is 152 ml"."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from voxtile.words.phrases import Match, Phrases
from voxtile.words.tokens import Words

_VALUE = re.compile(r"(?P<value>[-−]?\d+(?:\.\d+)?(?:e[-+]?\d+)?)\s?(?P<unit>[A-Za-zµ°%][\w²³/%]*)")
_UNIT_AFTER = 4  # characters of a unit that are no word
_CONNECTING = frozenset(
    ["of", "the", "a", "an", "is", "was", "has", "have", "with", "measure", ":", "=", ",", "-", "and"]
)


@dataclass(frozen=True)
class Measure:
    """A measurement that reports state; `units` maps what reports write to the unit of the fact."""

    name: str
    units: Mapping[str, str]


@dataclass(frozen=True)
class Measurement:
    """A measured value of an organ.

    Attributes:
        concept: name of the measure.
        region: what was measured, in lower case.
        value, unit: as facts have them.
        laterality: side of the region, or None.
        evidence: the sentence.
    """

    concept: str
    region: str
    value: float
    unit: str
    laterality: str | None = None
    evidence: str = ""


def measurements(words: Words, table: Phrases[Measure], findings: Phrases[str], evidence: str) -> Iterator[Measurement]:
    """Measurements of organs in reading order; the size of a finding is none, see `sizes`."""
    end = words.ends[-1] + _UNIT_AFTER if len(words) else 0
    found = table.find(words.words)
    region: tuple[int, int] | None = None
    for index, match in enumerate(found):
        limit = words.starts[found[index + 1].start] if index + 1 < len(found) else end
        value = _VALUE.search(words.text, words.ends[match.end - 1], limit)
        unit = match.payload.units.get(value["unit"].lower()) if value is not None else None
        if value is None or unit is None:
            continue
        lower = 0 if index == 0 else found[index - 1].end
        region = _region(words, match, value.start(), lower) or region
        if region is None or findings.find(words.words[region[0] : region[1]]):
            continue
        name = " ".join(words.text[words.starts[region[0]] : words.ends[region[1] - 1]].lower().split())
        sides = {"left", "right"} & set(words.words[region[0] : region[1]])
        side = sides.pop() if len(sides) == 1 else None
        number = float(value["value"].replace("−", "-"))
        yield Measurement(match.payload.name, name, number, unit, side, evidence)


def _region(words: Words, match: Match[Measure], value_start: int, lower: int) -> tuple[int, int] | None:
    """The words, half-open, that name what is measured: after "of", else before the measure."""
    end = match.end
    while end < len(words) and words.starts[end] < value_start:
        end += 1
    return _bare(words, match.end, end) or _bare(words, lower, match.start)


def _bare(words: Words, start: int, end: int) -> tuple[int, int] | None:
    """A span without articles, verbs and marks at its ends, if it is of letters only and short."""
    while start < end and words.words[start] in _CONNECTING:
        start += 1
    while end > start and words.words[end - 1] in _CONNECTING:
        end -= 1
    inside = words.words[start:end]
    named = (
        inside
        and len(inside) <= 6
        and all(word.isalpha() for word in inside)
        and not set(inside) & _CONNECTING - {"of"}
    )
    return (start, end) if named else None

"""Which of two sides has more of something: "larger on the right than on the left", "effusions, R > L"."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from voxtile_datasets.captions.checker.extraction.claims import Claim
from voxtile_datasets.captions.checker.fact import Fact
from voxtile_datasets.captions.checker.judging.fact_lookup import Facts
from voxtile_datasets.captions.checker.verdict import Fault

_SIDE = r"(?:left|right)"
_MORE = r"(?P<more>larger|bigger|greater|wider|thicker|worse|more (?:extensive|severe|marked|pronounced|prominent))"
_LESS = r"(?P<less>smaller|thinner|less (?:extensive|severe|marked|pronounced|prominent))"
_THAN = rf"(?:{_MORE}|{_LESS})"
_OTHER = rf"\s+than\s+(?:on\s+|in\s+)?(?:the\s+)?(?P<b>{_SIDE})\b"
_COMPARED = (
    re.compile(rf"\b{_THAN}\s+(?:on|in)\s+(?:the\s+)?(?P<a>{_SIDE})(?:\s+side)?{_OTHER}", re.IGNORECASE),
    re.compile(rf"\b(?P<a>{_SIDE})\s+(?:[a-z-]+\s+){{0,3}}?(?:(?:is|are)\s+)?{_THAN}{_OTHER}", re.IGNORECASE),
    re.compile(r"\b(?P<a>R|L|[Rr]ight|[Ll]eft)\s?(?:(?P<more>>)|(?P<less><))\s?(?P<b>R|L|[Rr]ight|[Ll]eft)\b"),
)


def wrong_sides(text: str, claims: Sequence[Claim], facts: Facts) -> Iterator[Fault]:
    """Comparisons of two sides that the sizes or grades of the facts contradict.

    Args:
        text: a caption.
        claims: of the text.
        facts: what is known.
    """
    for match in (match for pattern in _COMPARED for match in pattern.finditer(text)):
        first, second = (match[name][0].lower() for name in ("a", "b"))
        named = [c for c in claims if c.kind == "concept" and c.polarity == "present" and c.start < match.end()]
        if first == second or not named:
            continue
        rows = [row for concept in named[-1].concepts for row in facts.rows(concept)]
        more, less = (second, first) if match["less"] else (first, second)
        known = _amounts(rows, more), _amounts(rows, less)
        if any(a is not None and b is not None and a < b for a, b in zip(*known, strict=True)):
            why = f"'{match[0]}' is wrong: the facts say it the other way round."
            yield Fault("relation", "contradicted", match[0], match.start(), match.end(), why)


def _amounts(rows: Sequence[Fact], letter: str) -> tuple[float | None, float | None]:
    """The largest length and the highest grade that rows of a side alone have."""
    of_side = [row for row in rows if len(row.sides) == 1 and next(iter(row.sides))[0] == letter]
    lengths = [length for row in of_side for length in row.numbers.get("length", ())]
    grades = [float(grade) for row in of_side for grade in row.grades]
    return max(lengths, default=None), max(grades, default=None)

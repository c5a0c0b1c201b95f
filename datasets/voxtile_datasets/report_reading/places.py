"""Where words that somebody quotes stand in a report."""

from __future__ import annotations

import re

from voxtile_datasets.report_reading.rules import Span

# Models set other quotation marks and dashes than the report has; each is one character, so that places hold.
_ALIKE = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "‑": "-", "\xa0": " ", "×": "x"})
_AROUND = " \t\r\n\"'`*_.,;:…"
_MOST_PLACES = 50
_LONGEST = 1000  # characters; a longer quotation is none of a finding


def find_words(text: str, words: str) -> list[Span]:
    r"""Where words stand in a text, whatever their case, line breaks and quotation marks; whole words alone.

    Args:
        text: a report.
        words: what is quoted of it.

    Example:
        >>> find_words("No  pleural\neffusion. Pleural effusion?", "“pleural effusion”")
        [(4, 20), (22, 38)]
    """
    wanted = words[:_LONGEST].translate(_ALIKE).strip(_AROUND)
    if not re.search(r"\w", wanted) or len(words) > _LONGEST:
        return []
    pattern = r"(?<!\w)" + r"\s+".join(map(re.escape, wanted.split())) + r"(?!\w)"
    found = []
    for match in re.finditer(pattern, text.translate(_ALIKE), re.IGNORECASE):
        found.append(match.span())
        if len(found) == _MOST_PLACES:
            break
    return found


def overlap(one: Span, other: Span) -> bool:
    """Whether two spans share a character."""
    return one[0] < other[1] and other[0] < one[1]


def within(one: Span, other: Span) -> bool:
    """Whether a span lies in another."""
    return other[0] <= one[0] and one[1] <= other[1]

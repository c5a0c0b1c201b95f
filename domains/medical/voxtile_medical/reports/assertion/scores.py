"""Scores of zero that deny what they score: "Necrosis: 0", "grade 0", "0 %", "0/3"; a stage 0 (in situ) does not."""

from __future__ import annotations

from collections.abc import Sequence

_ZEROS = frozenset({"0", "0.0", "0,0", "zero"})
_SCALES = frozenset({"grade", "graded", "score", "scored", "index", "percentage"})
_SCORING = _SCALES | {":", "=", "(", "[", ",", "is", "was", "are", "of", "as", "at", "extent", "-", "–", "—"}
_STOPS = frozenset(";:.()[]-–—,/&+") | {"and", "or", "nor"}
_FURTHEST = 6  # words between a score and what it scores


def is_scored_zero(words: Sequence[str], start: int, end: int) -> bool:
    """Whether a score of zero stands right after the words [start, end), or before them in their clause."""
    position = end
    while position < len(words) and _leads_to_score(words, position):
        position += 1
    links = words[end:position]
    if _zero_ends(words, position, is_scored=bool(links) and not set(links) <= {",", "is", "was", "are", "of"}):
        return True
    for position in range(max(0, start - _FURTHEST), start):
        ends = _zero_ends(words, position, is_scored=position > 0 and words[position - 1] in _SCALES)
        if ends and ends <= start and not set(words[ends:start]) & _STOPS:
            return True
    return False


def _leads_to_score(words: Sequence[str], position: int) -> bool:
    """Whether a word stands between a finding and its score; one of another kind may: "Agatston score"."""
    return words[position] in _SCORING or (position + 1 < len(words) and words[position + 1] in _SCALES)


def _zero_ends(words: Sequence[str], position: int, *, is_scored: bool) -> int:
    """The word after a zero of a score, of a share or of a number out of another; 0 where there is none."""
    if position >= len(words) or words[position] not in _ZEROS:
        return 0
    following = words[position + 1] if position + 1 < len(words) else ""
    if following in ("%", "percent"):
        return position + 2
    if following in ("/", "of") and position + 2 < len(words) and words[position + 2].isdecimal():
        return position + 3
    return position + 1 if is_scored and not following[:1].isdecimal() else 0

"""What a sentence says of changes, and what only looks so: "no increase in", "larger on the left"."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from voxtile.words.phrases import Match
from voxtile_medical.reports.assertion.grammar import Modifier
from voxtile_medical.reports.assertion.statements import Statement

CHANGE = "change"
_COMPARATIVES = frozenset(["larger", "smaller"])
# Before a comparative of two things that are there at one time.
_OF_TWO = frozenset(["a", "the", "or", "another"])
_PLACING = frozenset(["on", "in", "at", "than"])
_NO_TIMES = frozenset(["left", "right", "contralateral", "opposite", "other", "normal", "expected", "usual"])
_SIZES = frozenset(["small", "tiny", "trace", "large", "huge", "giant"])
_DEGREES = frozenset(["very", "particularly", "so", "especially", "too"])
_NOUNS = frozenset(["increase", "decrease", "interval", "resolution", "clearing"])
_NEAR = 3  # words from "larger on" or "larger than" to a side
_OPPOSITE = {"increased": "stable", "decreased": "stable"}


def said_of_what_is_there(
    statement: Statement, modifiers: Sequence[Match[Modifier]], names: Collection[int]
) -> list[Match[Modifier]]:
    """The modifiers of a sentence without changes that it does not tell of what is there, and grades of none of it.

    What has neither grown nor shrunk is stable; of what is not new or has not resolved no change is known. A "markedly
    improved" effusion is none that is marked, and one that is "not large" has no grade.

    Args:
        statement: the sentence.
        modifiers: of it.
        names: words that are part of the name of a finding: "mildly increased markings" are mild ones.
    """
    found = []
    changes = [m for m in modifiers if m.payload[0] == CHANGE and m.start not in names]
    for match in modifiers:
        if match.payload[0] == "severity" and (
            _follows_not(statement, match) or any(_is_degree(statement, match, change) for change in changes)
        ):
            continue
        if match.payload[0] != CHANGE:
            found.append(match)
        elif _is_denied(statement, match):
            if (value := _OPPOSITE.get(match.payload[1])) is not None:
                found.append(Match(match.start, match.end, (CHANGE, value)))
        elif not _is_of_two(statement, match, modifiers):
            found.append(match)
    return found


def _follows_not(statement: Statement, match: Match[Modifier]) -> bool:
    """Whether a grade is denied at once: "not large", "not very large"."""
    before = statement.words.words[max(0, match.start - 2) : match.start]
    return before[-1:] in (("not",), ("longer",)) or (before[:1] == ("not",) and before[-1] in _DEGREES)


def _is_degree(statement: Statement, match: Match[Modifier], change: Match[Modifier]) -> bool:
    """Whether a grade is of the change that follows it: "slightly increased", "small interval decrease"."""
    words, value = statement.words.words, change.payload[1]
    between = words[match.end : change.start]
    if change.start < match.end or between not in ((), ("interval",)) or value in ("stable", "new"):
        return False
    is_noun = between == ("interval",) or words[change.start] in _NOUNS
    return is_noun or words[match.start] not in _SIZES  # "small increased effusion"


def is_gone(statement: Statement, modifiers: Sequence[Match[Modifier]]) -> bool:
    """Whether what is denied was there before: "resolved", "improved, no effusion", and not "no new effusion"."""
    return any(
        match.payload == (CHANGE, "resolved") or statement.polarity(match.start, match.end) != "absent"
        for match in modifiers
        if match.payload[0] == CHANGE
    )


def _is_denied(statement: Statement, match: Match[Modifier]) -> bool:
    """Whether a denial stands before a change: "no significant increase in", "has not resolved"."""
    if match.payload[1] == "stable":
        return False
    if statement.words.words[match.start : match.start + 2] == ("no", "longer"):
        return True  # an effusion that is there and "no longer large" has not gone
    if any(start < match.start < end for start, end in _no_changes(statement)):
        return True
    if match.start and statement.words.words[match.start - 1] in statement.grammar.auxiliaries:
        return statement.is_denied_before(match.start)  # "the nodes are smaller and the ascites has resolved"
    return statement.polarity(match.start, match.end) == "absent" and match.payload[1] != "resolved"


def _no_changes(statement: Statement) -> Iterator[tuple[int, int]]:
    """Phrases that look like a denial of a finding and deny a change of it."""
    return ((cue.start, cue.end) for cue in statement.cues if cue.payload == "pseudo")


def _is_of_two(statement: Statement, match: Match[Modifier], modifiers: Sequence[Match[Modifier]]) -> bool:
    """Whether a comparative compares things of one time: "larger on the left", "right larger than left"."""
    words = statement.words.words
    if words[match.start] not in _COMPARATIVES or match.end - match.start > 1:
        return False
    if match.start and words[match.start - 1] in _OF_TWO:
        return True
    if words[match.end : match.end + 1] not in [(word,) for word in _PLACING]:
        return False
    if words[match.end] == "than":
        return bool(_NO_TIMES & set(words[match.end : match.end + _NEAR]))
    near = range(match.end + 1, match.end + 1 + _NEAR)
    return any(other.payload[0] in ("laterality", "location") and other.start in near for other in modifiers)

"""Sides, places and grades that are denied by themselves: "it is not on the left", "an effusion that is not small"."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from voxtile_datasets.captions.checker.extraction.claims import ELSEWHERE, Claim
from voxtile_datasets.captions.checker.extraction.details import Found
from voxtile_datasets.captions.checker.extraction.naming.mention import Mention
from voxtile_datasets.captions.checker.extraction.statements import Statement

_KINDS = frozenset(["side", "place", "severity"])
# May stand between a denial and the detail that it is of: "not on the left", "not very large".
_BETWEEN = frozenset(
    [
        "on",
        "in",
        "at",
        "within",
        "to",
        "the",
        "a",
        "an",
        "its",
        "very",
        "particularly",
        "so",
        "that",
        "situated",
        "located",
    ]
)


def is_denied_at(statement: Statement, position: int, passed: Collection[int] = ()) -> bool:
    """Whether a denial stands before a detail that begins here.

    Args:
        statement: the sentence.
        position: where it begins.
        passed: words of details that are denied before it: "not in the left upper lobe".
    """
    words = statement.words.words
    return any(
        end <= position and all(words[i] in _BETWEEN or i in passed for i in range(end, position))
        for _, end in statement.denials
    )


def limit_of(statement: Statement, mention: Mention) -> str | None:
    """ELSEWHERE where something is denied of other places than those that were named: "no nodules elsewhere"."""
    rest = statement.words.words[mention.end : statement.item_around(mention.start)[1]]
    return ELSEWHERE if mention.polarity == "absent" and "elsewhere" in rest else None


def denied_details(statement: Statement, details: Sequence[Found]) -> set[tuple[int, int]]:
    """Where the denied ones of a sentence's details stand, half-open in characters."""
    found, passed = set[tuple[int, int]](), set[int]()
    for item in details:
        if item.detail.kind in _KINDS and is_denied_at(statement, item.start, passed):
            found.add((item.detail.start, item.detail.end))
            passed |= set(range(item.start, item.end))
    return found


def parted(claim: Claim, denied: Collection[tuple[int, int]]) -> list[Claim]:
    """What is there, and apart from it that it is not so: "an effusion, not small" denies a small one.

    Args:
        claim: of a sentence.
        denied: of `denied_details`.
    """
    limits = tuple(d for d in claim.details if (d.start, d.end) in denied)
    if not limits or claim.kind != "concept" or claim.polarity == "absent":
        return [claim]
    rest = tuple(d for d in claim.details if d not in limits)
    return [replace(claim, details=rest), replace(claim, details=limits, polarity="absent")]

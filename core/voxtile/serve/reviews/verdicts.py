"""What a reader can say, of what, and which of several verdicts counts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

Kind = Literal["caption", "fact", "region"]
"""What is judged."""
Verdict = Literal["right", "wrong", "cannot tell"]
Drawn = Literal["random", "stratified", "by fact", "objected", "disagreed"]
"""How a target came to its reader: at random; in turn from each origin or from each concept; since the checker objects
to it; or since a model's score speaks against the checker."""

PICKED: frozenset[Drawn] = frozenset({"objected", "disagreed"})
"""Draws that look for errors, so that no share may count what they find."""


def target_of(row: dict[str, Any]) -> tuple[str, str, str]:
    """Kind, sample and name of what a row judges: names of facts and regions are those of their sample."""
    return row["kind"], row["uid"], row["target"]


def latest(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The last verdict of each reader on each target and each claim of it, in the order in which they were given.

    Args:
        rows: of the table `reviews`.
    """
    ordered = sorted(rows, key=lambda row: str(row["created"]))
    return list({(row["reader"], target_of(row), row["claim"]): row for row in ordered}.values())

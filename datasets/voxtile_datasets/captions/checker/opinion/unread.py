"""Captions whose second opinion could not be read: a fault of their own, so that no silence counts as agreement."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from voxtile.errors import RunFailedError
from voxtile_datasets.captions.checker.verdict import Fault, FaultKind

UNREAD: FaultKind = "opinion-unread"
OBJECTION: FaultKind = "second-opinion"
_WHY = "The second opinion could not be read: "
_ANOTHER_MODEL = "name a model that answers in JSON with --model, and run with --again"
_NEXT: Mapping[str, str] = {
    "not-in-cache": "ask once with --second-opinion local or openai",
    "budget": "raise --max-usd or --max-tokens, and run with --again",
    "too-long": "name a model with a longer context with --model, and run with --again",
    "not-json": _ANOTHER_MODEL,
    "off-schema": _ANOTHER_MODEL,
    "unknown-words": "name a model that quotes the caption with --model, and run with --again",
}
_AGAIN = "run with --again when the model answers; replies that came are not asked for twice"


def unread(reason: str) -> Fault:
    """The fault of a caption about which the model said nothing that can be read.

    Args:
        reason: of the `ReplyError`: `not-json`, `off-schema`, `unknown-words`, `timeout`, `budget`, ….
    """
    return Fault(UNREAD, "unknown", "", 0, 0, f"{_WHY}{reason}.")


@dataclass(frozen=True)
class Opinions:
    """What became of the second opinions on some captions.

    Attributes:
        read: replies that were read, whether they object or not.
        unread: replies that were not, by reason.
    """

    read: int
    unread: Counter[str]

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Any]]) -> Opinions:
        """Count them in the verdicts of a second opinion.

        Args:
            rows: `verdict` and `detail`; what the rules refuse nobody was asked about.
        """
        reasons = [unread_reason(row["detail"]) for row in rows]
        passed = [
            row["verdict"] in ("supported", "unknown") or OBJECTION in _kinds(row["detail"])
            for row, reason in zip(rows, reasons, strict=True)
            if reason is None
        ]
        return cls(sum(passed), Counter(reason for reason in reasons if reason is not None))

    def sentence(self) -> str:
        """How many were read, how many not and why, and what to do about those; empty where nothing was asked."""
        if not self.unread:
            return f"second opinion: {self.read:,} replies, all read" if self.read else ""
        return (
            f"second opinion: {self.read:,} replies read, {self._counted()}; those captions are at best unknown and "
            f"count as no agreement: {self._next()}"
        )

    def raise_if_none(self, model: str) -> None:
        """Raise where the model was asked and no reply could be read.

        Raises:
            RunFailedError: so it was; the message says what to do next.
        """
        if self.unread and not self.read:
            raise RunFailedError(f"'{model}' gave no second opinion: {self._counted()}; {self._next()}")

    def _counted(self) -> str:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(self.unread.items()))
        return f"{self.unread.total():,} could not be read ({reasons})"

    def _next(self) -> str:
        [(reason, _)] = self.unread.most_common(1)
        return _NEXT.get(reason, _AGAIN)


def unread_reason(detail: str | None) -> str | None:
    """Why a caption has no second opinion, by the column `detail` of its verdict; None where it has one."""
    for fault in json.loads(detail) if detail else ():
        if fault["kind"] == UNREAD:
            return str(fault["why"]).removeprefix(_WHY).removesuffix(".")
    return None


def _kinds(detail: str | None) -> set[str]:
    return {fault["kind"] for fault in json.loads(detail)} if detail else set()

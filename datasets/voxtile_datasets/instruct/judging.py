"""The caption checker on what dialogues say."""

from __future__ import annotations

from collections.abc import Mapping

from voxtile_datasets.captions.checker.check import Verdict, check
from voxtile_datasets.captions.checker.verdict import ORDER
from voxtile_datasets.instruct.cases import Case
from voxtile_datasets.instruct.dialogue import Claim, Dialogue, Turn

Judged = tuple[str | None, str | None]
"""Verdict and detail of a turn."""


class Judging:
    """Judges turns by the facts of the images that they speak of; each sentence about an image once.

    Args:
        cases: by uid, of all images that are spoken of.
    """

    def __init__(self, cases: Mapping[str, Case]) -> None:
        self._cases = cases
        self._known: dict[Claim, Verdict] = {}

    def of(self, dialogue: Dialogue) -> list[Judged]:
        """Verdict and detail of each turn; none of the user's, nor of a turn without claims."""
        return [self._turn(turn) for turn in dialogue.turns]

    def _turn(self, turn: Turn) -> Judged:
        verdicts = [self._claim(claim) for claim in turn.claims]
        if not verdicts:
            return None, None
        worst = max(verdicts, key=lambda verdict: ORDER.index(verdict.verdict))
        return worst.verdict, worst.faults[0].why if worst.faults else None

    def _claim(self, claim: Claim) -> Verdict:
        found = self._known.get(claim)
        if found is None:
            case = self._cases[claim.uid]
            found = self._known[claim] = check(claim.text, case.known, case.vocabulary)
        return found

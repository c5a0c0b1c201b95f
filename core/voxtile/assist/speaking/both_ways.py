"""Where an answer says otherwise than what was said before of the same image: one of the two is wrong, and it is told.

A report and the answer to a question are written by the same model in other words, and can disagree. Which of them is
right the model cannot say; that they disagree is read by the rules of `voxtile check`, in English.
"""

from __future__ import annotations

from collections.abc import Sequence

from voxtile.domain import Command
from voxtile.types import Turn

READER = Command(
    "voxtile_datasets.captions.checker.conversation:said_both_ways", "finds what a conversation says both ways"
)


def both_ways(before: Sequence[Turn], now: Turn) -> tuple[str, ...]:
    """Sentences on findings that an answer affirms and an earlier one denied, or the other way round.

    Args:
        before: questions and answers so far, about the same image.
        now: the last of them.
    """
    if not before:
        return ()
    found = READER.load()([(turn.question, turn.answer) for turn in before], (now.question, now.answer))
    return tuple(
        f"before it was said of {finding}: “{words}”; the two contradict each other, and one of them is wrong"
        for finding, words in found
    )

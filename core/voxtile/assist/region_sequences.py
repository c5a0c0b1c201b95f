"""The tokens that point and those that stand for regions of questions, between the words of a dialogue."""

from __future__ import annotations

from collections.abc import Sequence

from voxtile.assist.language import Words
from voxtile.assist.sequences import prompt_tokens

POINT = "<seg>"
"""Stands behind a sentence that points; a token of its own in a language model from scratch, a few in any other."""

BEFORE_REGION = "Region: "
AFTER_REGION = "\n"


def pointed(sentence: str) -> str:
    """A sentence that points."""
    return f"{sentence} {POINT}"


def point_tokens(words: Words) -> list[int]:
    """What points, encoded by itself, so that it is the same behind any word."""
    return words.encode(POINT)


def question_tokens(words: Words, question: str, marks: int, *, first: bool) -> tuple[list[int], list[int]]:
    """The tokens of a question, and where the regions stand that it marks: before its words."""
    tokens: list[int] = []
    slots: list[int] = []
    for number in range(marks):
        tokens += words.encode(BEFORE_REGION if first or number else f"\n{BEFORE_REGION}")
        slots.append(len(tokens))
        tokens += [words.end, *words.encode(AFTER_REGION)]  # the vector of the region takes the token's place
    return [*tokens, *prompt_tokens(words, question, first=first or marks > 0)], slots


def split_at(tokens: Sequence[int], mark: Sequence[int]) -> list[list[int]]:
    """Tokens before, between and behind each whole mark; one list more than there are marks."""
    parts: list[list[int]] = [[]]
    place, marks = 0, list(mark)
    while place < len(tokens):
        if list(tokens[place : place + len(marks)]) == marks:
            parts.append([])
            place += len(marks)
        else:
            parts[-1].append(tokens[place])
            place += 1
    return parts

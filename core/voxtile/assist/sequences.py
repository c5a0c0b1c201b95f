"""Questions and answers as the tokens of a language model.

A sequence is: the image (in its own words and tokens), then of each turn its question and its answer, which ends with
the model's token of end. Only answers are learned. The same words are used for any language model, since base models
have no template of their own; a checkpoint says by which version it was trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from voxtile.assist.language import Words
from voxtile.errors import ConfigError
from voxtile.types import Turn
from voxtile.words.question_language import OtherLanguageError

TEMPLATE = "voxtile-1"
"""Version of the words round images, questions and answers."""

BEFORE_IMAGE = "Image: "
AFTER_IMAGE = "\n"
IMAGE = -1
"""The place of a token that an image makes."""

_LEAST_SHARE = 0.5  # of a question's letters that the words must have; names and units may be of another alphabet


def asked(question: str) -> str:
    """A question as the language model reads it."""
    return f"Question: {question.strip()}\nAnswer:"


def answered(answer: str) -> str:
    """An answer as it writes it."""
    return f" {answer.strip()}"


@dataclass(frozen=True)
class DialogueTokens:
    """One dialogue after its image.

    Attributes:
        tokens: of questions and answers.
        told: of each token whether it is to be told from those before it.
        shown: where tokens stand whose states ask for a place.
        marked: where regions stand that a question marks.
        weights: how much each token counts, where not all alike.
    """

    tokens: tuple[int, ...]
    told: tuple[bool, ...]
    shown: tuple[int, ...] = ()
    marked: tuple[int, ...] = ()
    weights: tuple[float, ...] = ()

    def emphasised(self, words: Sequence[tuple[tuple[int, ...], float]]) -> DialogueTokens:
        """The same where words, as so many tokens one after the other, count by a factor in what is told."""
        weights = list(self.weights or (1.0,) * len(self.tokens))
        changed = False
        for word, factor in words:
            for start in range(len(self.tokens) - len(word) + 1):
                if self.tokens[start : start + len(word)] == word and all(self.told[start : start + len(word)]):
                    weights[start : start + len(word)] = [factor * w for w in weights[start : start + len(word)]]
                    changed = True
        return replace(self, weights=tuple(weights)) if changed else self

    def after(self, before: Sequence[int]) -> DialogueTokens:
        """The same with tokens before it that are given."""
        count = len(before)
        return DialogueTokens(
            (*before, *self.tokens),
            (*[False] * count, *self.told),
            tuple(place + count for place in self.shown),
            tuple(place + count for place in self.marked),
            (*[1.0] * count, *self.weights) if self.weights else (),
        )


def sequence_of(words: Words, turns: Sequence[Turn]) -> DialogueTokens:
    """The tokens of a dialogue, of which the answers and their ends are told; an answer in pieces is read by piece."""
    tokens: list[int] = []
    told: list[bool] = []
    weights: list[float] = []
    for turn in turns:
        question = prompt_tokens(words, turn.question, first=not tokens)
        pieces = [(words.encode(answered(text)), weight) for text, weight in turn.pieces or ((turn.answer, 1.0),)]
        answer = [*(token for own, _ in pieces for token in own), words.end]
        tokens += question + answer
        told += [False] * len(question) + [True] * len(answer)
        weights += [1.0] * len(question) + [weight for own, weight in pieces for _ in own] + [1.0]
    return DialogueTokens(tuple(tokens), tuple(told), weights=tuple(weights) if set(weights) != {1.0} else ())


def shown_tokens(words: Words, names: Sequence[str], tokens: int) -> list[int]:
    """Several images as a prompt begins: the name of each, then its tokens, which stand as `IMAGE` places.

    Args:
        words: of the language model.
        names: of the images, in order.
        tokens: of each image.
    """
    found: list[int] = [] if words.start is None else [words.start]
    for name in names:
        found += [*words.encode(f"{name}: "), *[IMAGE] * tokens, *words.encode(AFTER_IMAGE)]
    return found


def prompt_tokens(words: Words, question: str, *, first: bool = True) -> list[int]:
    """The tokens of a question; those after an answer begin a line."""
    return words.encode(asked(question) if first else f"\n{asked(question)}")


def padded(sequences: Sequence[DialogueTokens]) -> tuple[Tensor, Tensor, Tensor]:
    """[R, L] int64 tokens, which of them are told, and which are there."""
    length = max(len(one.tokens) for one in sequences)
    tokens = torch.zeros(len(sequences), length, dtype=torch.int64)
    told, there = torch.zeros_like(tokens, dtype=torch.bool), torch.zeros_like(tokens, dtype=torch.bool)
    for row, one in enumerate(sequences):
        count = len(one.tokens)
        tokens[row, :count] = torch.tensor(one.tokens)
        told[row, :count] = torch.tensor(one.told)
        there[row, :count] = True
    return tokens, told, there


def weights_of(sequences: Sequence[DialogueTokens], length: int) -> Tensor:
    """[R, L] how much each token counts."""
    weights = torch.ones(len(sequences), length)
    for row, one in enumerate(sequences):
        if one.weights:
            weights[row, : len(one.weights)] = torch.tensor(one.weights)
    return weights


def check_question(words: Words, question: str) -> None:
    """Refuse what no answer can follow.

    Raises:
        ConfigError: nothing is asked.
        OtherLanguageError: it is in an alphabet that the words do not have.
    """
    if not question.strip():
        raise ConfigError('the question is empty; ask something, e.g. "Is there a pleural effusion?"')
    if not has_letters(words, question):
        raise OtherLanguageError(
            "the question is in an alphabet that the model's training texts do not have; ask in the language of its "
            "reports"
        )


def has_letters(words: Words, question: str) -> bool:
    """Whether the words have most letters of a question; one that comes apart into bytes was never in a text.

    Args:
        words: of the language model.
        question: any text; one without letters is read.
    """
    letters = [letter for letter in question if letter.isalpha()]
    known = {letter for letter in set(letters) if letter.isascii() or _is_known(words, letter)}
    return not letters or sum(letter in known for letter in letters) >= _LEAST_SHARE * len(letters)


def _is_known(words: Words, letter: str) -> bool:
    return any(letter in words.decode([token]) for token in words.encode(letter))

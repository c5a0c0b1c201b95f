"""Answers written a token at a time: always the likeliest one, so that the same question has the same answer.

Shape letters: B images, K image tokens, W width of the language model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from voxtile.assist.answering import Answering
from voxtile.errors import ConfigError


@dataclass(frozen=True)
class Answer:
    """What was written.

    Attributes:
        text: without its end.
        tokens: how many, its end among them where it has one.
        log_likelihood: Σ log P of them.
        ended: False where it was cut at the longest answer.
        written: the tokens without its end.
    """

    text: str
    tokens: int
    log_likelihood: float
    ended: bool
    written: tuple[int, ...] = ()

    @property
    def confidence(self) -> float:
        """Geometric mean of the tokens' probabilities."""
        return math.exp(self.log_likelihood / max(self.tokens, 1))


@torch.no_grad()
def write(
    answering: Answering, image: Tensor, prompt: Sequence[int], *, longest: int, read: Tensor | None = None
) -> list[Answer]:
    """Answer one prompt about each of B images.

    Args:
        answering: in evaluation mode.
        image: [B, K, W], from `Answering.image`.
        prompt: tokens after the image: a question, or a dialogue that ends with one.
        longest: tokens of an answer at most.
        read: [1, L, W] the prompt as the language model reads it, where it is not of tokens alone.

    Returns:
        B answers.

    Raises:
        ConfigError: the prompt and the longest answer are more than the language model reads, or nothing is asked.
    """
    if longest < 1 or not prompt:
        raise ConfigError(f"an answer needs a question and at least 1 token, not {len(prompt)} and {longest}")
    answering.require_room(image.shape[1] + len(prompt) + longest)
    language, count, end = answering.language, len(image), answering.words.end
    past = answering.begun(image)
    step = torch.tensor([list(prompt)], dtype=torch.int64, device=image.device).expand(count, -1)
    said: list[list[int]] = [[] for _ in range(count)]
    sight = answering.sight(image)
    embedded = sight.added(language.embedded(step), [list(prompt)] * count)
    embedded = embedded if read is None else read.expand(count, -1, -1)
    scores, ended = [0.0] * count, [False] * count
    for _ in range(longest):
        log_p = answering.logits(language.states(embedded, past)[:, -1]).log_softmax(1)
        places = log_p.argmax(1)
        chosen = [answering.token(place) for place in places.tolist()]
        for row, (token, score) in enumerate(zip(chosen, log_p.gather(1, places[:, None])[:, 0].tolist(), strict=True)):
            if not ended[row]:
                said[row].append(token)
                scores[row] += score
                ended[row] = token == end
        if all(ended):
            break
        embedded = language.embedded(torch.tensor(chosen, dtype=torch.int64, device=image.device)[:, None])
        embedded = sight.added_to_last(embedded, [[*prompt, *own] for own in said])
    return [
        Answer(answering.text_of(written), len(tokens), score, done, tuple(written))
        for tokens, score, done in zip(said, scores, ended, strict=True)
        for written in (tokens[:-1] if done else tokens,)
    ]

"""Answers drawn at random, several to a prompt: what an assistant could also have said.

Shape letters: B images, K image tokens, N drafts of each, W width of the language model, V its vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from voxtile.assist.answering import Answering
from voxtile.errors import ConfigError


@torch.no_grad()
def draw(
    answering: Answering, image: Tensor, prompt: Sequence[int], uniform: Tensor, *, temperature: float = 1.0
) -> list[list[str]]:
    """Draw answers to one prompt about each of B images, token by token by the inverse of the distribution function.

    Args:
        answering: in evaluation mode.
        image: [B, K, W], from `Answering.image`.
        prompt: tokens after the image.
        uniform: [B, N, L] float64 in [0, 1): a number for each of at most L tokens of each draft. The same numbers give
            the same drafts.
        temperature: above 1 for more variety, below for less.

    Returns:
        B lists of N texts; one that was cut at L tokens is there as far as it came.

    Raises:
        ConfigError: the prompt and the longest answer are more than the language model reads, nothing is asked, or the
            temperature is not above 0.
    """
    images, each, longest = uniform.shape
    if not prompt or longest < 1 or not temperature > 0:
        raise ConfigError(f"drafts need a question, at least 1 token and a temperature above 0, not {temperature}")
    answering.require_room(image.shape[1] + len(prompt) + longest)
    language, end = answering.language, answering.words.end
    past = answering.begun(image)
    past.take(torch.arange(images, device=image.device).repeat_interleave(each))
    numbers = uniform.flatten(0, 1).to(image.device)
    sight = answering.sight(image).of(torch.arange(images, device=image.device).repeat_interleave(each))
    step = torch.tensor([list(prompt)], dtype=torch.int64, device=image.device).expand(images * each, -1)
    embedded = sight.added(language.embedded(step), [list(prompt)] * len(step))
    said: list[list[int]] = [[] for _ in range(images * each)]
    ended = [False] * len(said)
    for place in range(longest):
        logits = answering.logits(language.states(embedded, past)[:, -1])
        reached = (logits.double() / temperature).softmax(1).cumsum(1)
        drawn = (reached <= numbers[:, place, None]).sum(1).clamp(max=logits.shape[1] - 1)
        chosen = [answering.token(int(one)) for one in drawn.tolist()]
        for row, token in enumerate(chosen):
            ended[row] = ended[row] or token == end
            if not ended[row]:
                said[row].append(token)
        if all(ended):
            break
        embedded = language.embedded(torch.tensor(chosen, dtype=torch.int64, device=image.device)[:, None])
        embedded = sight.added_to_last(embedded, [[*prompt, *own] for own in said])
    texts = [answering.words.decode(tokens).strip() for tokens in said]
    return [texts[start : start + each] for start in range(0, len(texts), each)]

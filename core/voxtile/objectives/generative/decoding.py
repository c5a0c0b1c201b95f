"""How a decoder writes: always the likeliest word, a beam of texts, or words drawn from the likely ones.

Shape letters: B texts that are asked for, R rows that are written at once, K texts of a beam, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

import torch
from torch import Tensor

from voxtile.errors import ConfigError
from voxtile.objectives.keyed_random import uniform

_STREAM = 0x5A1  # of the keyed numbers that draw words; one more a word


@dataclass(frozen=True)
class Decoding:
    """How texts are written.

    Attributes:
        method: `greedy` takes the likeliest word each time; `beam` keeps the likeliest beginnings and gives the
            likeliest text of those that it found, the greedy one among them; `sample` draws from the nucleus (Holtzman
            et al., ICLR 2020).
        beams: beginnings that `beam` keeps.
        top_p: `sample` draws from the fewest words whose probabilities add up to this.
        temperature: `sample` divides logits by it: below 1 likely words become likelier.
        seed: of `sample`; with a text's key it decides all draws, whatever else is written with it.
        longest: tokens of a text at most, start and end among them; never more than the tokenizer's context.

    Raises:
        ConfigError: a number out of range.
    """

    method: Literal["greedy", "beam", "sample"] = "greedy"
    beams: int = 4
    top_p: float = 0.9
    temperature: float = 1.0
    seed: int = 0
    longest: int | None = None

    def __post_init__(self) -> None:
        if self.method not in ("greedy", "beam", "sample"):
            raise ConfigError(f"captions are written by greedy, beam or sample, not '{self.method}'")
        if self.beams < 1 or (self.longest is not None and self.longest < 2):
            raise ConfigError(
                f"writing needs at least 1 beam and 2 tokens, start and end, not {self.beams} and {self.longest}"
            )
        if not 0 < self.top_p <= 1 or not self.temperature > 0:
            raise ConfigError(
                f"sampling needs a top_p above 0 and at most 1 and a positive temperature, not {self.top_p:g} and "
                f"{self.temperature:g}"
            )


@dataclass(frozen=True)
class Written:
    """A text that was written.

    Attributes:
        tokens: its words, without start and end.
        log_likelihood: Σ log P of its words given those before them, and of its end where it has one.
        ended: False where it was cut.
    """

    tokens: tuple[int, ...]
    log_likelihood: float
    ended: bool


class Rows(Protocol):
    """R texts in work, with what was computed for the words so far."""

    def following(self, words: Tensor) -> Tensor:
        """Take the next word of each row, [R]; give [R, V] logits of the ones after them."""

    def take(self, rows: Tensor) -> None:
        """Go on with these rows, [R'] int64, in this order."""


Choice: TypeAlias = Callable[[Tensor, int], Tensor]  # [B, V] log P and the place of the word to [B] words


def write(
    begin: Callable[[int], Rows], count: int, decoding: Decoding, *, start: int, end: int, longest: int, keys: Tensor
) -> list[Written]:
    """Write B texts.

    Args:
        begin: rows at their start, each of the B as often as it is told, one after the other.
        count: B.
        decoding: how.
        start: token that begins every text; neither it nor 0, which is padding, is written.
        end: token that ends a text.
        longest: tokens of a text at most, start and end among them.
        keys: [B] int64 that tell texts apart where words are drawn.
    """
    marks = _Marks(start, end, longest)
    if not count:
        return []
    if decoding.method == "sample":
        return _one_by_one(begin(1), count, marks, _drawn(decoding, keys))
    greedy = _one_by_one(begin(1), count, marks, lambda log_p, _: log_p.argmax(1))
    if decoding.method == "greedy":
        return greedy
    beams = _beam(begin(decoding.beams), count, decoding.beams, marks)
    return [max(pair, key=lambda text: text.log_likelihood) for pair in zip(greedy, beams, strict=True)]


@dataclass(frozen=True)
class _Marks:
    start: int
    end: int
    longest: int

    def log_p(self, rows: Rows, words: Tensor) -> Tensor:
        """[R, V] of the next words, −∞ for what no text holds."""
        log_p = rows.following(words).log_softmax(1)
        log_p[:, [0, self.start]] = -torch.inf
        return log_p

    def written(self, said: Tensor, scores: Tensor) -> list[Written]:
        """From [R, L] words after the start, the end repeated."""
        found = []
        for row, score in zip(said.tolist(), scores.tolist(), strict=True):
            ended = self.end in row
            found.append(Written(tuple(row[: row.index(self.end)] if ended else row), score, ended))
        return found


def _one_by_one(rows: Rows, count: int, marks: _Marks, choose: Choice) -> list[Written]:
    """Each text by itself, the next word being chosen from the probabilities alone."""
    words: Tensor = torch.full((count,), marks.start)
    said: list[Tensor] = []
    scores, ended = torch.zeros(count, dtype=torch.float64), torch.zeros(count, dtype=torch.bool)
    while len(said) + 1 < marks.longest and not ended.all():
        log_p = marks.log_p(rows, words)
        words, scores, ended = (value.to(log_p.device) for value in (words, scores, ended))
        words = choose(log_p, len(said)).masked_fill(ended, marks.end)
        scores = scores + log_p.gather(1, words[:, None])[:, 0].double().masked_fill(ended, 0.0)
        ended = ended | (words == marks.end)
        said.append(words)
    return marks.written(torch.stack(said, 1), scores)


def _drawn(decoding: Decoding, keys: Tensor) -> Choice:
    """Draws from the nucleus, by the text's key and the place of the word."""

    def choose(log_p: Tensor, place: int) -> Tensor:
        shares, order = (log_p.double() / decoding.temperature).softmax(1).sort(1, descending=True)
        reached = shares.cumsum(1)
        shares = shares.masked_fill(reached - shares >= decoding.top_p, 0.0)  # the first one always stays
        reached = shares.cumsum(1)
        numbers = uniform(keys + decoding.seed, 1, _STREAM + place).to(log_p.device)
        aim = torch.searchsorted(reached, numbers * reached[:, -1:], right=True)
        return order.gather(1, aim.clamp(max=int((shares > 0).sum(1).max()) - 1))[:, 0]

    return choose


def _beam(rows: Rows, count: int, beams: int, marks: _Marks) -> list[Written]:
    """The likeliest text of each beam."""
    words: Tensor = torch.full((count * beams,), marks.start)
    said: Tensor = torch.empty(count * beams, 0, dtype=torch.int64)
    scores: Tensor = torch.full((count, beams), -torch.inf, dtype=torch.float64)
    scores[:, 0] = 0.0  # all rows of a beam begin alike
    ended: Tensor = torch.zeros(count, beams, dtype=torch.bool)
    while said.shape[1] + 1 < marks.longest and not _decided(scores, ended):
        log_p = marks.log_p(rows, words).double().view(count, beams, -1)
        scores, ended, said = (value.to(log_p.device) for value in (scores, ended, said))
        over = torch.full_like(log_p, -torch.inf)
        over[..., marks.end] = 0.0  # what has ended stays as it is
        total = scores[:, :, None] + torch.where(ended[:, :, None], over, log_p)
        scores, best = total.flatten(1).topk(beams, 1)
        row = best // log_p.shape[2]
        places = (row + torch.arange(count, device=row.device)[:, None] * beams).flatten()
        words = (best % log_p.shape[2]).flatten()
        rows.take(places)
        said = torch.cat([said[places], words[:, None]], 1)
        ended = ended.gather(1, row) | (words.view(count, beams) == marks.end)
    best = scores.argmax(1)
    return marks.written(said.view(count, beams, -1)[torch.arange(count), best.cpu()], scores.amax(1))


def _decided(scores: Tensor, ended: Tensor) -> bool:
    """Whether no beginning that goes on can still win: log-likelihoods only fall."""
    return bool(ended.gather(1, scores.argmax(1, keepdim=True)).all())

"""Answers to several prompts at a time, which begin and end when they will; each is what it would be alone.

Shape letters: R rows, K image tokens, L tokens that the batch holds of each row, W width of the language model, V its
vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from voxtile.assist.answering import Answering
from voxtile.assist.batching.joined_past import aligned, can_join, joined, shortened
from voxtile.assist.language import Past
from voxtile.errors import ConfigError

_HALF_A_LETTER = "\ufffd"  # what a decoder makes of bytes that begin a letter


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """What is asked, and how it is to be answered.

    Attributes:
        image: [K, W] of `Answering.image`.
        tokens: after the image: a dialogue that ends with a question.
        longest: tokens of the answer at most.
        temperature: logits are divided by it and a token is drawn; 0 takes the likeliest.
        top_p: draw among the likeliest tokens that together have this probability (Holtzman et al., ICLR 2020).
        seed: of what is drawn; the same seed gives the same answer, whatever else is asked meanwhile.
        stop: texts before which the answer ends.

    Raises:
        ConfigError: a number out of its bounds.
    """

    image: Tensor
    tokens: tuple[int, ...]
    longest: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.longest < 1 or not self.tokens:
            raise ConfigError(f"an answer needs a question and at least 1 token, not {self.longest}")
        if not (math.isfinite(self.temperature) and self.temperature >= 0 and 0 < self.top_p <= 1):
            raise ConfigError(f"temperature must be at least 0 and top_p within 0 and 1, not {self.temperature}")


@dataclass
class Writing:
    """An answer that is being written.

    Attributes:
        prompt: what it answers.
        tokens: that were written, its end among them.
        log_likelihood: Σ log P of them under the model, whatever the temperature.
        text: the answer so far, without its end and what was told to stop it.
        certain: how many letters of the text no further token can change.
        finished: why it ended; None while it goes on.
    """

    prompt: Prompt
    tokens: list[int] = field(default_factory=list)
    log_likelihood: float = 0.0
    text: str = ""
    certain: int = 0
    finished: Literal["stop", "length"] | None = None
    _generator: torch.Generator | None = None

    @property
    def confidence(self) -> float:
        """Geometric mean of the tokens' probabilities."""
        return math.exp(self.log_likelihood / max(len(self.tokens), 1))

    def choose(self, log_p: Tensor) -> int:
        """A place among [V] log-probabilities: the likeliest, or one that is drawn."""
        if not self.prompt.temperature:
            return int(log_p.argmax())
        if self._generator is None:
            self._generator = torch.Generator().manual_seed(self.prompt.seed)
        p = (log_p.double().cpu() / self.prompt.temperature).softmax(0)
        order = p.argsort(descending=True, stable=True)
        before = p[order].cumsum(0) - p[order]
        p[order[before >= self.prompt.top_p]] = 0.0
        return int(torch.multinomial(p, 1, generator=self._generator))

    def take(self, token: int, log_p: float, answering: Answering) -> None:
        """Go on with a token."""
        self.tokens.append(token)
        self.log_likelihood += log_p
        ended = token == answering.words.end
        self.text = answering.text_of(self.tokens[:-1] if ended else self.tokens)
        stops = [place for place in map(self.text.find, self.prompt.stop) if place >= 0]
        if stops or ended:
            self.text, self.finished = self.text[: min(stops, default=None)], "stop"
        elif len(self.tokens) >= self.prompt.longest:
            self.finished = "length"
        if self.finished:
            self.text = self.text.rstrip()
        self.certain = len(self.text) if self.finished else self._certain()

    def _certain(self) -> int:
        """Letters that stay: without white space at the end, half a letter, and what may begin a text that stops."""
        held = len(self.text.rstrip(_HALF_A_LETTER).rstrip())
        for stop in self.prompt.stop:
            for length in range(1, len(stop)):
                if self.text.endswith(stop[:length]):
                    held = min(held, len(self.text) - length)
        return max(held, self.certain)


class Batch:
    """Answers that are written together.

    Args:
        answering: in evaluation mode.
        most: answers at a time.
    """

    def __init__(self, answering: Answering, most: int = 16) -> None:
        self._answering = answering
        self._most = most if can_join(answering.language) else 1
        self.rows: list[Writing] = []
        self._past: Past | None = None
        self._known = torch.zeros(0, 0, dtype=torch.int64)  # [R, L], 1 where there is a token

    @property
    def room(self) -> int:
        """How many answers can still begin."""
        return self._most - len(self.rows)

    @torch.inference_mode()
    def begin(self, prompts: Sequence[Prompt]) -> list[Writing]:
        """Read prompts and write the first token of each answer.

        Raises:
            ConfigError: there is no room for them, or one and its answer are longer than the language model reads.
        """
        if len(prompts) > self.room:
            raise ConfigError(f"there is room for {self.room} answers, not for {len(prompts)}")
        for prompt in prompts:
            self._answering.require_room(len(prompt.image) + len(prompt.tokens) + prompt.longest)
        begun = [Writing(prompt) for prompt in prompts]
        embeddings, known = self._read(prompts)
        past = self._answering.language.past()
        self._write(begun, self._states(embeddings, past, known))
        if self._past is None:
            self.rows, self._past, self._known = list(begun), past, known
        else:
            self.rows += begun
            self._past, self._known = joined(self._past, past), aligned(self._known, known)
        self._leave_ended()
        return begun

    @torch.inference_mode()
    def step(self) -> list[Writing]:
        """Write a token more of each answer; those that end leave. The answers that were written on."""
        if self._past is None:
            return []
        written = list(self.rows)
        embedded = self._next(written)
        self._known = torch.nn.functional.pad(self._known, (0, 1), value=1)
        self._write(written, self._states(embedded, self._past, self._known))
        self._leave_ended()
        return written

    def leave(self, gone: Sequence[Writing]) -> None:
        """Go on without these answers, which nobody waits for any more."""
        if self._past is None:
            return
        left = {id(row) for row in gone}
        kept = [place for place, row in enumerate(self.rows) if id(row) not in left]
        if not kept:
            self.rows, self._past = [], None
            return
        if len(kept) < len(self.rows):
            chosen = torch.tensor(kept, device=self._known.device)
            self._past.take(chosen)
            self._known, self.rows = self._known[chosen], [self.rows[place] for place in kept]
            length = int(self._known.sum(1).max())
            self._past, self._known = shortened(self._past, length), self._known[:, -length:]

    def _leave_ended(self) -> None:
        self.leave([row for row in self.rows if row.finished])

    def _read(self, prompts: Sequence[Prompt]) -> tuple[Tensor, Tensor]:
        """[R, L, W] embeddings of images and prompts, aligned at their last tokens, and [R, L] where they are."""
        device = prompts[0].image.device
        rows = []
        for prompt in prompts:
            tokens = torch.tensor([prompt.tokens], dtype=torch.int64, device=device)
            read = self._answering.sight(prompt.image[None]).added(
                self._answering.language.embedded(tokens), [prompt.tokens]
            )
            rows.append(torch.cat([prompt.image, read[0].to(prompt.image.dtype)]))
        length = max(len(row) for row in rows)
        known = torch.zeros(len(rows), length, dtype=torch.int64, device=device)
        for place, row in enumerate(rows):
            known[place, length - len(row) :] = 1
        return torch.stack([torch.nn.functional.pad(row, (0, 0, length - len(row), 0)) for row in rows]), known

    def _next(self, rows: Sequence[Writing]) -> Tensor:
        """[R, 1, W] the tokens that were written last, as the language model reads them."""
        last = torch.tensor([[row.tokens[-1]] for row in rows], device=self._known.device)
        embedded = self._answering.language.embedded(last)
        one = zip(torch.split(embedded, 1), rows, strict=True)
        return torch.cat([
            self._answering.sight(row.prompt.image[None]).added_to_last(own, [[*row.prompt.tokens, *row.tokens]])
            for own, row in one
        ])  # fmt: skip

    def _states(self, embeddings: Tensor, past: Past, known: Tensor) -> Tensor:
        """[R, W] states after the last tokens."""
        if bool(known.all()):
            return self._answering.language.states(embeddings, past)[:, -1]
        places = (known.cumsum(1) - 1).clamp(min=0)[:, -embeddings.shape[1] :]
        return self._answering.language.states(embeddings, past, known, places)[:, -1]

    def _write(self, rows: Sequence[Writing], states: Tensor) -> None:
        for row, log_p in zip(rows, self._answering.logits(states).log_softmax(1), strict=True):
            place = row.choose(log_p)
            row.take(self._answering.token(place), float(log_p[place]), self._answering)

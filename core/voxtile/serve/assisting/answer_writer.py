"""The one thread that has the language model: it reads what waits, and writes a token of all answers at a time."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from voxtile.assist.assistant import Assistant
from voxtile.assist.batching.batch import Batch, Prompt, Writing
from voxtile.console import note
from voxtile.data.sentences import split_sentences
from voxtile.serve.assisting.refusals import RefusedError
from voxtile.serve.assisting.shown_images import Shown

_AT_ONCE = 16  # answers that are written together
_SEEN_AT_ONCE = 8  # images that the tower sees together
_HELD = 64  # images whose tokens are held for the next question about them
_BROKEN = RefusedError("something went wrong in the server; its terminal says what", 500)


class Supported(NamedTuple):
    """A sentence, and the probability that the contrastive model gives image and sentence; None where it gives none."""

    text: str
    support: float | None


@dataclass(frozen=True)
class Written:
    """A whole answer.

    Attributes:
        text: without its end.
        finished: `stop` where it ended, `length` where it was cut.
        tokens: that were written.
        prompt_tokens: that were read, those of the image among them.
        confidence: geometric mean of the tokens' probabilities.
        claims: its sentences, with what they rest on.
    """

    text: str
    finished: Literal["stop", "length"]
    tokens: int
    prompt_tokens: int
    confidence: float
    claims: tuple[Supported, ...]

    def is_withheld(self, least: float) -> bool:
        """Whether nothing was written, or with less confidence than an answer needs."""
        return not self.text or self.confidence < least


@dataclass
class Job:
    """A question that waits or is answered.

    Attributes:
        shown: what it is about.
        prompt: without its image.
        say: called in the thread of the writer with each piece of the text, and with the whole or why there is none.
        is_left: nobody waits for it any more.
    """

    shown: Shown
    prompt: Prompt
    say: Callable[[str | Written | RefusedError], None]
    is_left: bool = False
    said: int = 0
    vector: Tensor = field(default_factory=lambda: torch.zeros(0))


class AnswerWriter:
    """Answers in a batch that grows and shrinks by the token.

    Args:
        assistant: what writes.
        at_once: answers that are written together; further ones wait.
    """

    def __init__(self, assistant: Assistant, at_once: int = _AT_ONCE) -> None:
        self._assistant = assistant
        self._at_once = at_once
        self._batch = Batch(assistant.answering, at_once)
        self._waiting: deque[Job] = deque()
        self._written: dict[int, Job] = {}  # by the id of the `Writing`, which the batch holds
        self._seen: OrderedDict[str, tuple[Tensor, Tensor]] = OrderedDict()
        self._awake = threading.Condition()
        self._is_over = False
        self._thread = threading.Thread(target=self._run, name="assistant", daemon=True)
        self._thread.start()

    def put(self, job: Job) -> None:
        """Have a question answered in its turn."""
        with self._awake:
            self._waiting.append(job)
            self._awake.notify()

    def close(self) -> None:
        """Answer no more."""
        with self._awake:
            self._is_over = True
            self._awake.notify()
        self._thread.join(30)

    def _run(self) -> None:
        while True:
            with self._awake:
                while not (self._waiting or self._batch.rows or self._is_over):
                    self._awake.wait()
                if self._is_over:
                    return
                begun = [self._waiting.popleft() for _ in range(min(self._batch.room, len(self._waiting)))]
            self._begin([job for job in begun if not job.is_left])
            self._leave([row for row in self._batch.rows if self._written[id(row)].is_left])
            try:
                self._tell(self._batch.step())
            except Exception as error:
                self._give_up(error)

    def _leave(self, rows: Sequence[Writing]) -> None:
        """Write no more of answers that nobody waits for."""
        self._batch.leave(rows)
        for row in rows:
            del self._written[id(row)]

    def _begin(self, jobs: Sequence[Job]) -> None:
        """Read questions together; of those that cannot be read together each by itself, so that one fails alone."""
        if not jobs:
            return
        try:
            self._see(jobs)
            prompts = [replace(job.prompt, image=self._seen[job.shown.name][0]) for job in jobs]
            rows = self._batch.begin(prompts)
        except Exception as error:
            if len(jobs) > 1:
                for job in jobs:
                    self._begin([job])
            else:
                _say_in_terminal(error)
                jobs[0].say(_BROKEN)
            return
        for job, row in zip(jobs, rows, strict=True):
            job.vector = self._seen[job.shown.name][1]
            self._written[id(row)] = job
        self._forget_images()
        self._tell(rows)

    def _see(self, jobs: Sequence[Job]) -> None:
        """Have the tower see the images that it has not seen yet."""
        new = {job.shown.name: job.shown for job in jobs if job.shown.name not in self._seen}
        for name, shown in new.items():
            if shown.names:  # several in one prompt
                tokens, vectors = self._assistant.seen_together(shown.image, shown.names)
                self._seen[name] = tokens[0], vectors[0]
        names = [name for name, shown in new.items() if not shown.names]
        for start in range(0, len(names), _SEEN_AT_ONCE):
            part = names[start : start + _SEEN_AT_ONCE]
            tokens, vectors = self._assistant.seen(torch.stack([new[name].image for name in part]))
            for name, token, vector in zip(part, tokens, vectors, strict=True):
                self._seen[name] = token, vector
        for job in jobs:
            self._seen.move_to_end(job.shown.name)

    def _forget_images(self) -> None:
        while len(self._seen) > _HELD:
            self._seen.popitem(last=False)

    def _tell(self, rows: Sequence[Writing]) -> None:
        """Say what is new of answers."""
        for row in rows:
            job = self._written[id(row)]
            if row.certain > job.said:
                job.say(row.text[job.said : row.certain])
                job.said = row.certain
            if row.finished:
                del self._written[id(row)]
                count = len(row.prompt.image) + len(row.prompt.tokens)
                sentences = split_sentences(row.text)
                claims = tuple(map(Supported, sentences, self._assistant.support(job.vector, sentences)))
                job.say(Written(row.text, row.finished, len(row.tokens), count, row.confidence, claims))

    def _give_up(self, error: Exception) -> None:
        """Fail what is being written, and begin anew with what waits."""
        _say_in_terminal(error)
        for job in self._written.values():
            job.say(_BROKEN)
        self._written.clear()
        self._batch = Batch(self._assistant.answering, self._at_once)


def _say_in_terminal(error: Exception) -> None:
    note(f"a question could not be answered: {type(error).__name__}: {error}")

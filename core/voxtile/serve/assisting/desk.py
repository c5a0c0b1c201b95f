"""What a request of a chat goes through: its place, its words, its image, its turn at the language model."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from starlette.concurrency import run_in_threadpool

from voxtile.assist.assistant import LONGEST, Assistant
from voxtile.assist.batching.batch import Prompt
from voxtile.assist.batching.dialogue import dialogue_tokens
from voxtile.assist.sequences import shown_tokens
from voxtile.assist.speaking.both_ways import both_ways
from voxtile.errors import ConfigError
from voxtile.serve.assisting.answer_writer import AnswerWriter, Job, Written
from voxtile.serve.assisting.chat_request import Asked, ChatRequest, asked, read_request
from voxtile.serve.assisting.refusals import RefusedError
from voxtile.serve.assisting.shown_images import Shown, ShownImages
from voxtile.serve.explored import Explored
from voxtile.types import Turn

MODEL = "voxtile-assist"
"""What the model is called; the name of its file is told to nobody."""

_MOST_REQUESTS = 64
_PREPARED_AT_ONCE = 8  # requests; the server has 40 threads, also for its pages
_MOST_HELD = 512 << 20  # bytes of all requests at a time
_LETTERS = 64  # a token has at most, on average: longer texts are not even read
_NO_IMAGE = torch.zeros(0)


@dataclass
class Desk:
    """The assistant of a server.

    Attributes:
        assistant: what writes.
        images: reads images.
        writer: has the language model.
        most_requests: at a time; further ones are told to come again.
        most_held: bytes of all requests at a time.
        began: when the server began, seconds since 1970.
        image_tokens: that the language model reads of a single image.
        each_of_several: that it reads of each of several, without its name; 0 where it reads one at a time.
    """

    assistant: Assistant
    images: ShownImages
    writer: AnswerWriter
    most_requests: int = _MOST_REQUESTS
    most_held: int = _MOST_HELD
    began: int = field(default_factory=lambda: int(time.time()))
    image_tokens: int = 0
    each_of_several: int = 0
    _preparing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_PREPARED_AT_ONCE))
    _requests: int = 0
    _held: int = 0

    def __post_init__(self) -> None:
        preset = self.assistant.preset
        nothing = torch.zeros(2, preset.channels, *preset.grid)
        self.image_tokens = self.assistant.seen(nothing[:1])[0].shape[1]
        if self.assistant.shows_several:
            names = ("Image 1", "Image 2")
            around = len(shown_tokens(self.assistant.answering.words, names, 0))
            self.each_of_several = (self.assistant.seen_together(nothing, names)[0].shape[1] - around) // len(names)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Within this block the request counts among those that are answered; of the event loop alone.

        Raises:
            RefusedError: there are too many.
        """
        if self._requests >= self.most_requests:
            raise RefusedError(
                f"{self._requests} requests are being answered already; ask again in a moment", 429, "busy"
            )
        self._requests += 1
        try:
            yield
        finally:
            self._requests -= 1

    @contextmanager
    def held(self, count: int) -> Iterator[None]:
        """Within this block so many bytes of a request are held; of the event loop alone.

        Raises:
            RefusedError: with the others it would be too many.
        """
        if self._held + count > self.most_held:
            raise RefusedError("too many images are being read; ask again in a moment", 429, "busy")
        self._held += count
        try:
            yield
        finally:
            self._held -= count

    async def read(self, body: bytes) -> ChatRequest:
        """A request from its JSON.

        Raises:
            RefusedError: it is none.
        """
        async with self._preparing:
            return await run_in_threadpool(read_request, body)

    async def ask(self, request: ChatRequest, explored: Explored | None) -> Answering:
        """Put a request before the language model.

        Raises:
            RefusedError: it cannot be answered; the sentence says why.
        """
        if request.model != MODEL:
            raise RefusedError(f"there is no such model; there is {MODEL}", 404, "model_not_found")
        async with self._preparing:
            said, shown, prompt = await run_in_threadpool(self._prepared, request, explored)
        loop, events = asyncio.get_running_loop(), asyncio.Queue[str | Written | RefusedError]()

        def say(event: str | Written | RefusedError) -> None:
            try:
                loop.call_soon_threadsafe(events.put_nowait, event)
            except RuntimeError:  # the loop has ended, and with it all who waited
                job.is_left = True

        job = Job(shown, prompt, say)
        self.writer.put(job)
        return Answering(job, events, said)

    def close(self) -> None:
        """Answer no more."""
        self.writer.close()
        self.images.close()

    def _prepared(self, request: ChatRequest, explored: Explored | None) -> tuple[Asked, Shown, Prompt]:
        said = asked(request)
        if len(said.images) > 1 and not self.assistant.shows_several:
            raise RefusedError(
                f"there are {len(said.images)} images in the first message, and this model was not trained on several "
                "images at a time; send one"
            )
        context = self.assistant.answering.language.context
        letters = len(said.question) + sum(len(turn.question) + len(turn.answer) for turn in said.turns)
        if letters > _LETTERS * context:
            raise RefusedError(_too_long(f"{letters:,} letters", context), 400, "context_length_exceeded")
        try:
            tokens = dialogue_tokens(self.assistant.answering, said.turns, said.question)
        except ConfigError as error:
            raise RefusedError(str(error)) from None
        wanted = request.max_completion_tokens or request.max_tokens
        least = len(said.images) * self.each_of_several if len(said.images) > 1 else self.image_tokens
        self._check_room(least + len(tokens), wanted)  # images that there is no room for are not even read
        shown = self.images.shown(said.images, explored)
        count = len(tokens) + (
            len(shown_tokens(self.assistant.answering.words, shown.names, self.each_of_several))
            if shown.names
            else self.image_tokens
        )
        self._check_room(count, wanted)
        prompt = Prompt(
            image=_NO_IMAGE,
            tokens=tuple(tokens),
            longest=wanted or min(LONGEST, context - count),
            temperature=request.temperature or 0.0,
            top_p=1.0 if request.top_p is None else request.top_p,
            seed=secrets.randbits(63) if request.seed is None else request.seed,
            stop=said.stop,
        )  # fmt: skip
        return said, shown, prompt

    def _check_room(self, count: int, wanted: int | None) -> None:
        """Refuse a prompt of so many tokens that leaves no room for its answer."""
        context, code = self.assistant.answering.language.context, "context_length_exceeded"
        if count >= context:
            raise RefusedError(_too_long(f"{count:,} tokens", context), 400, code)
        if wanted is not None and count + wanted > context:
            raise RefusedError(
                f"images and messages have {count:,} tokens, and the model reads and writes {context:,}; ask for at "
                f"most {context - count:,} in max_tokens",
                400,
                code,
            )


@dataclass
class Answering:
    """An answer on its way.

    Attributes:
        job: of the writer.
        events: what it says.
        asked: what it answers.
    """

    job: Job
    events: asyncio.Queue[str | Written | RefusedError]
    asked: Asked

    def leave(self) -> None:
        """Nobody waits for it any more."""
        self.job.is_left = True

    async def pieces(self) -> AsyncIterator[str | Written]:
        """Pieces of the text, and at last the whole.

        Raises:
            RefusedError: there will be none.
        """
        while True:
            event = await self.events.get()
            if isinstance(event, RefusedError):
                raise event
            yield event
            if isinstance(event, Written):
                return

    async def whole(self) -> Written:
        """All of it.

        Raises:
            RefusedError: there is none.
        """
        async for event in self.pieces():
            if isinstance(event, Written):
                return event
        raise RefusedError("there is no answer", 500)

    async def notes(self, written: Written, least: float) -> list[str]:
        """Sentences on its images, and on what of it contradicts what was said before of the one image."""
        shown, said = self.job.shown, self.asked
        if shown.names or written.is_withheld(least):
            return [*shown.notes]
        now = Turn(said.question, written.text)
        return [*shown.notes, *await run_in_threadpool(both_ways, said.turns, now)]


def open_desk(assistant: Assistant) -> Desk:
    """What answers chats by an assistant."""
    return Desk(assistant, ShownImages(assistant.preset), AnswerWriter(assistant))


def _too_long(size: str, context: int) -> str:
    return f"images and messages have {size}, and the model reads {context:,}; ask in fewer words, or of fewer images"

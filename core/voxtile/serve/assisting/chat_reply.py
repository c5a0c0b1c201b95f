"""Answers in the form of OpenAI's interface: whole, or in chunks as they are written.

What that interface has no place for stands under `voxtile`: the sentences with what they rest on, and the warning.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Sequence
from typing import Literal

from pydantic import BaseModel

from voxtile.assist.speaking.replies import CANNOT_BE_TOLD, WARNING
from voxtile.serve.assisting.answer_writer import Written
from voxtile.serve.assisting.desk import MODEL, Answering
from voxtile.serve.assisting.refusals import RefusedError, body_of

DONE = "data: [DONE]\n\n"


class ClaimSaid(BaseModel):
    """A sentence, and the probability that the contrastive model gives image and sentence; null where it gives none."""

    text: str
    support: float | None


class RestsOn(BaseModel):
    """What an answer rests on."""

    claims: list[ClaimSaid]
    confidence: float
    withheld: bool
    notes: list[str]
    warning: str = WARNING


class Usage(BaseModel):
    """Tokens; those of the image count among the prompt's."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Said(BaseModel):
    """The message of an answer."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class Choice(BaseModel):
    """The one answer."""

    index: int = 0
    message: Said
    logprobs: None = None
    finish_reason: Literal["stop", "length"]


class Completion(BaseModel):
    """A whole answer."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str = MODEL
    choices: list[Choice]
    usage: Usage
    voxtile: RestsOn


class Delta(BaseModel):
    """What is new in a chunk."""

    role: Literal["assistant"] | None = None
    content: str | None = None


class ChunkChoice(BaseModel):
    """Of the one answer."""

    index: int = 0
    delta: Delta
    logprobs: None = None
    finish_reason: Literal["stop", "length"] | None = None


class Chunk(BaseModel):
    """A piece of an answer."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str = MODEL
    choices: list[ChunkChoice]
    usage: Usage | None = None
    voxtile: RestsOn | None = None


def completion(written: Written, least: float, notes: Sequence[str]) -> Completion:
    """A whole answer; one below the least confidence is withheld.

    Args:
        written: the answer.
        least: confidence.
        notes: on its images, and on what was said before.
    """
    rests = _rests_on(written, least, notes)
    said = Said(content=CANNOT_BE_TOLD if rests.withheld else written.text)
    return Completion(
        id=_new_id(), created=int(time.time()), choices=[Choice(message=said, finish_reason=written.finished)],
        usage=_usage(written), voxtile=rests,
    )  # fmt: skip


async def chunks(answering: Answering, least: float, *, include_usage: bool) -> AsyncIterator[str]:
    """Server-sent events of an answer; where it may be withheld, it is sent when that is decided."""
    name, created = _new_id(), int(time.time())

    def event(choices: list[ChunkChoice], usage: Usage | None = None, rests: RestsOn | None = None) -> str:
        chunk = Chunk(id=name, created=created, choices=choices, usage=usage, voxtile=rests)
        left_out = {"usage"} if not include_usage else set()
        left_out |= {"voxtile"} if rests is None else set()
        return f"data: {chunk.model_dump_json(exclude=left_out)}\n\n"

    def said(content: str) -> str:
        return event([ChunkChoice(delta=Delta(content=content))])

    yield event([ChunkChoice(delta=Delta(role="assistant", content=""))])
    try:
        async for piece in answering.pieces():
            if isinstance(piece, Written):
                rests = _rests_on(piece, least, await answering.notes(piece, least))
                if least:
                    yield said(CANNOT_BE_TOLD if rests.withheld else piece.text)
                yield event([ChunkChoice(delta=Delta(), finish_reason=piece.finished)], rests=rests)
                if include_usage:
                    yield event([], _usage(piece))
            elif not least:
                yield said(piece)
    except RefusedError as error:
        import json

        yield f"data: {json.dumps(body_of(error))}\n\n"
        return
    yield DONE


def _rests_on(written: Written, least: float, notes: Sequence[str]) -> RestsOn:
    claims = [ClaimSaid(text=claim.text, support=claim.support) for claim in written.claims]
    return RestsOn(claims=claims, confidence=written.confidence, withheld=written.is_withheld(least), notes=list(notes))


def _usage(written: Written) -> Usage:
    total = written.prompt_tokens + written.tokens
    return Usage(prompt_tokens=written.prompt_tokens, completion_tokens=written.tokens, total_tokens=total)


def _new_id() -> str:
    return f"chatcmpl-{secrets.token_hex(12)}"

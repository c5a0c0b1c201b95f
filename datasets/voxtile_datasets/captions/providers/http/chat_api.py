"""The chat completions and completions of OpenAI's HTTP API: bodies of requests, and what a reply's body says."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from voxtile.bounded_text import load_json
from voxtile_datasets.captions.providers.estimate import guess_tokens_in
from voxtile_datasets.captions.providers.http.refusals import TryError
from voxtile_datasets.captions.providers.request import REFUSAL, Request
from voxtile_datasets.captions.providers.structured import asked_in_words

_MOST_TOKENS = 10_000_000
# In the order in which they are given up: where two exclude each other, the temperature is what was asked for.
_OPTIONAL = ("seed", "top_p", "temperature")
_FIELD = r"(?<![a-z_]){}(?![a-z_])"


@dataclass(frozen=True)
class Dialect:
    """What an endpoint understands; endpoints differ, and say so only when asked.

    Attributes:
        chat: chat completions; False for completions of a text.
        schema: how a JSON schema is passed: `json_schema`, `json_object` with the schema in words, or `words` alone.
        length: name of the field for the longest reply.
        left_out: fields that the model refuses, as reasoning models do those of sampling; its own are taken.
    """

    chat: bool = True
    schema: str = "json_schema"
    length: str = "max_tokens"
    left_out: frozenset[str] = frozenset()

    def simpler(self, complaint: str, request: Request) -> Dialect | None:
        """The dialect to go on with after a refusal, or None where the refusal is about something else.

        Args:
            complaint: what the endpoint said.
            request: what it was asked.
        """
        said = complaint.lower()
        if self.length == "max_tokens" and "max_completion_tokens" in said:
            return replace(self, length="max_completion_tokens")
        about_schema = any(
            word in said for word in ("response_format", "json_schema", "schema", "json_object", "grammar")
        )
        if request.schema is not None and self.schema != "words" and about_schema:
            return replace(self, schema="json_object" if self.schema == "json_schema" else "words")
        for name in _OPTIONAL:
            if name not in self.left_out and re.search(_FIELD.format(name), said):
                return replace(self, left_out=self.left_out | {name})
        return None

    @property
    def path(self) -> str:
        """Of the resource, below the endpoint's address."""
        return "/chat/completions" if self.chat else "/completions"

    def body(self, model: str, request: Request) -> bytes:
        """The JSON of a request."""
        content: dict[str, Any] = {
            "model": model,
            self.length: request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
        }
        if request.stop:
            content["stop"] = list(request.stop)
        content["seed"] = request.draw
        for name in self.left_out:
            content.pop(name, None)
        prompt = request.prompt
        if request.schema is not None:
            if self.schema == "json_schema":
                form = {"name": "reply", "schema": dict(request.schema), "strict": True}
                content["response_format"] = {"type": "json_schema", "json_schema": form}
            else:
                prompt = asked_in_words(prompt, request.schema)
                if self.schema == "json_object":
                    content["response_format"] = {"type": "json_object"}
        if self.chat:
            content["messages"] = messages(replace(request, prompt=prompt))
        else:
            content["prompt"] = completion_prompt(replace(request, prompt=prompt))
        return json.dumps(content, separators=(",", ":")).encode()


def messages(request: Request) -> list[dict[str, Any]]:
    """A request as the messages of a chat."""
    said: list[dict[str, Any]] = [{"role": "system", "content": request.system}] if request.system else []
    if not request.images:
        return [*said, {"role": "user", "content": request.prompt}]
    parts: list[dict[str, Any]] = [{"type": "image_url", "image_url": {"url": _data_url(i)}} for i in request.images]
    return [*said, {"role": "user", "content": [*parts, {"type": "text", "text": request.prompt}]}]


def completion_prompt(request: Request) -> str:
    """A request as a text to continue."""
    return f"{request.system}\n\n{request.prompt}" if request.system else request.prompt


def _data_url(image: bytes) -> str:
    kind = "png" if image.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"


@dataclass(frozen=True)
class Answer:
    """What a reply's body says.

    Attributes:
        text: the reply; empty where the model said nothing.
        tokens_in, tokens_out: as the endpoint counts them, else by the texts' lengths.
        finish: why it ended.
    """

    text: str
    tokens_in: int
    tokens_out: int
    finish: str | None


def read_answer(body: bytes, request: Request) -> Answer:
    """Read the body of a reply with status 200.

    Raises:
        TryError: it is no reply of this API: cut off, of another form, or to another question.
    """
    try:
        content = load_json(body)
    except ValueError as error:
        raise TryError("not-json", "the reply is not the JSON of a completion", lost=True) from error
    return answer_of(content, request)


def answer_of(content: Any, request: Request) -> Answer:  # noqa: ANN401
    """Read a parsed reply.

    Raises:
        TryError: it has no choice 0, or its text is none.
    """
    if not isinstance(content, Mapping):
        raise TryError("malformed", "the reply is no JSON object", lost=True)
    choices = content.get("choices")
    if not isinstance(choices, list) or not choices or not all(isinstance(c, Mapping) for c in choices):
        raise TryError("malformed", "the reply has no choices", lost=True)
    choice = next((c for c in choices if c.get("index", 0) == 0), None)
    if choice is None:
        raise TryError("wrong-index", f"the reply is choice {str(choices[0]['index'])[:20]}, not 0", lost=True)
    message = choice.get("message")
    text = message.get("content") if isinstance(message, Mapping) else choice.get("text")
    if isinstance(text, list):
        text = "".join(str(part.get("text", "")) for part in text if isinstance(part, Mapping))
    refused = message.get("refusal") if isinstance(message, Mapping) else None
    if text is None and isinstance(message, Mapping):
        text = ""  # a refusal, or all tokens went into reasoning
    if not isinstance(text, str):
        raise TryError("malformed", "the reply has no text", lost=True)
    text = text.encode("utf-8", "replace").decode()  # lone surrogates cannot be stored
    usage = content.get("usage")
    counts = usage if isinstance(usage, Mapping) else {}
    finish = choice.get("finish_reason")
    if not text and isinstance(refused, str) and refused:
        finish = REFUSAL + " ".join(refused.encode("utf-8", "replace").decode().split())[:200]
    return Answer(
        text.strip(),
        _count(counts.get("prompt_tokens"), guess_tokens_in(request)),
        _count(counts.get("completion_tokens"), len(text) // 4 + 1),
        finish if isinstance(finish, str) else None,
    )


def _count(value: Any, guess: int) -> int:  # noqa: ANN401
    good = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_TOKENS
    return value if good else guess

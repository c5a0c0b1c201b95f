"""A request of OpenAI's interface of chats, as far as a model of images can answer it; the rest is refused by name.

Source: OpenAI, API reference, "Create chat completion".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voxtile.serve.assisting.refusals import RefusedError
from voxtile.types import Turn

_MOST_MESSAGES = 200
_MOST_IMAGES = 16
_MOST_STOPS = 4
_NOT_OFFERED = {
    "tools": "calls no tools", "functions": "calls no functions", "logit_bias": "has no biases of tokens",
    "response_format": "writes plain text", "logprobs": "gives no probabilities of tokens",
    "top_logprobs": "gives no probabilities of tokens", "presence_penalty": "has no penalties",
    "frequency_penalty": "has no penalties", "n": "gives one answer a request", "modalities": "writes text alone",
    "audio": "writes text alone", "prediction": "takes no predictions", "reasoning_effort": "does not reason",
}  # fmt: skip
_SAYS_NOTHING: tuple[object, ...] = (None, 0, [], {}, "none", False)  # values of the above that change no answer
_LEFT_ALONE = (
    "user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "parallel_tool_calls",
    "tool_choice", "function_call",
)  # fmt: skip


class ImageAddress(BaseModel):
    """Where an image is."""

    model_config = ConfigDict(extra="ignore")  # `detail`: images have the size that the model reads
    url: str = Field(description="data:…;base64,… of a PNG, JPEG, DICOM, NIfTI or TIFF, or voxtile: and a uid")


class TextPart(BaseModel):
    """Words of a message."""

    type: Literal["text"]
    text: str


class ImagePart(BaseModel):
    """An image of a message."""

    type: Literal["image_url"]
    image_url: ImageAddress


class Message(BaseModel):
    """A message of a dialogue."""

    role: Literal["user", "assistant"]
    content: str | list[Annotated[TextPart | ImagePart, Field(discriminator="type")]]
    name: str | None = None


class StreamOptions(BaseModel):
    """Of an answer that is sent as it is written."""

    include_usage: bool = False


class ChatRequest(BaseModel):
    """A dialogue about an image, or several, which stand in its first message."""

    model_config = ConfigDict(extra="forbid")
    model: str
    messages: list[Message] = Field(min_length=1, max_length=_MOST_MESSAGES)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    temperature: float | None = Field(None, ge=0, le=2, description="0, the default, takes the likeliest word")
    top_p: float | None = Field(None, gt=0, le=1)
    seed: int | None = Field(None, ge=-(2**63), lt=2**63)
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    least: float | None = Field(
        None, ge=0, le=1, description="an answer below this confidence is withheld; not a part of OpenAI's interface"
    )


@dataclass(frozen=True)
class Asked:
    """What a request asks.

    Attributes:
        turns: questions and answers before.
        question: the last one.
        images: addresses of the images.
        stop: texts before which the answer ends.
    """

    turns: tuple[Turn, ...]
    question: str
    images: tuple[str, ...]
    stop: tuple[str, ...]


def read_request(body: bytes) -> ChatRequest:
    """A request from its JSON.

    Raises:
        RefusedError: it is none, or asks for what the model does not do.
    """
    import json

    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        raise RefusedError("the request is no JSON") from None
    if not isinstance(given, dict):
        raise RefusedError("the request is no JSON object")
    _refuse_unoffered(given)
    try:
        return ChatRequest.model_validate(given)
    except ValidationError as error:
        raise RefusedError(_sentence(error)) from None


def asked(request: ChatRequest) -> Asked:
    """The dialogue of a request.

    Raises:
        RefusedError: its messages do not take turns, or its images do not stand in the first.
    """
    messages = request.messages
    if [message.role for message in messages] != [("user", "assistant")[place % 2] for place in range(len(messages))]:
        raise RefusedError("messages must take turns, user first and without system messages, which nobody trained for")
    if messages[-1].role != "user":
        raise RefusedError("the last message must be the user's question")
    images = [(place, address) for place, message in enumerate(messages) for address in _images(message)]
    later = sum(place > 0 for place, _ in images)
    if not images or later:
        where = f", {later} of them in later ones" if later else ""
        raise RefusedError(
            f"there are {len(images)} images in the messages{where}; what is talked about stands in the first message"
        )
    if len(images) > _MOST_IMAGES:
        raise RefusedError(f"there are {len(images)} images in the first message; send at most {_MOST_IMAGES}")
    words = [_words(message) for message in messages]
    if not words[-1]:
        raise RefusedError("the last message asks nothing; write a question beside the image")
    stop = (request.stop,) if isinstance(request.stop, str) else tuple(request.stop or ())
    if len(stop) > _MOST_STOPS or not all(0 < len(text) <= 200 for text in stop):
        raise RefusedError(f"stop takes at most {_MOST_STOPS} texts of 1 to 200 letters")
    turns = tuple(Turn(question, answer) for question, answer in zip(words[:-1:2], words[1::2], strict=True))
    return Asked(turns, words[-1], tuple(address for _, address in images), stop)


def _words(message: Message) -> str:
    if isinstance(message.content, str):
        return message.content.strip()
    return " ".join(part.text.strip() for part in message.content if isinstance(part, TextPart)).strip()


def _images(message: Message) -> list[str]:
    if isinstance(message.content, str):
        return []
    return [part.image_url.url for part in message.content if isinstance(part, ImagePart)]


def _refuse_unoffered(given: dict[str, Any]) -> None:
    for name in _LEFT_ALONE:
        given.pop(name, None)
    for name, reason in _NOT_OFFERED.items():
        value = given.pop(name, None)
        plain = (name == "n" and value == 1) or (name == "modalities" and value == ["text"])
        if not plain and not (name == "response_format" and value == {"type": "text"}) and value not in _SAYS_NOTHING:
            raise RefusedError(f"the model {reason}; leave {name} out", code="unsupported_parameter")
    messages = given.get("messages")
    for message in messages if isinstance(messages, list) else []:
        if isinstance(message, dict) and message.get("role") in ("system", "developer"):
            raise RefusedError("the model was trained without system messages; leave them out")


def _sentence(error: ValidationError) -> str:
    """What is wrong first, without the value, which may be long."""
    first = error.errors(include_input=False, include_url=False)[0]
    steps = [step for step in first["loc"] if step not in ("str", "text", "image_url") or step == first["loc"][0]]
    where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).strip(".")
    said = str(first["msg"])
    return f"the request is not as the interface has it: {where[:100]}: {said[:1].lower()}{said[1:200]}"

"""What a reply should hold: the JSON schema to ask with, and a reading that forgives how models wrap their answers.

A model may put JSON into a fence, talk before it, or answer a small question in plain words; all of that is read. Of a
reply that breaks off, what is whole is read; what is empty or cut off is not guessed at: the reason is a sentence that
the model can be told.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from voxtile_datasets.captions.strategies.reply_form import MalformedReplyError, clean, prose

LONGEST_REPLY = 40_000  # characters; what is longer is no caption

_DECODER = json.JSONDecoder()
_OPENING = re.compile(r"[{\[]")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[^"]', re.S)
_DEEPEST = 4  # brackets that a form has open
_MOST_ENDS = 8  # of values, from the end back: a name, its object and the list around it
_MARKED = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+")
_FENCE = re.compile(r"```(?:[a-z]+(?=\n))?")
_THOUGHT = re.compile(r"^\s*<(think|thinking|reasoning)>.*?(?:</\1>|\Z)", re.I | re.S)
_ANNOUNCED = re.compile(
    r"^\s*(?:(?:sure|certainly|of course|okay|ok|absolutely)\b[!.,:]*\s+)?"
    r"(?:here(?:'s|’s| is| are)\b[^:\n]{0,60}\b(?:captions?|descriptions?|text|summary|answer|translation|version)\b"
    r"[^:\n]{0,40}:\s*)?",
    re.I,
)
_LABEL = re.compile(
    r"^\s*(?:the\s+|your\s+)?(?:\w+\s+)?(?:caption|description|summary|answer|translation)\s*:\s*", re.I
)
_QUESTION = re.compile(r"^\W*(?:Q|question)\s*\d*\W*[:.)]\s*", re.I)
_ANSWER = re.compile(r"^\W*(?:A|answer)\s*\d*\W*[:.)]\s*", re.I)


@dataclass(frozen=True)
class Candidate:
    """One text of a reply.

    Attributes:
        slot: which of the wanted texts it is: the name of its field or list.
        text: on one line, without quotation marks and labels.
        question: that it answers; None where it is no answer.
    """

    slot: str
    text: str
    question: str | None = None

    @property
    def whole(self) -> str:
        """The text as it is stored: an answer after its question."""
        return f"{self.question} {self.text}" if self.question else self.text


@dataclass(frozen=True)
class Form:
    """What a reply should hold.

    Attributes:
        schema: JSON schema of the reply; None for plain words.
        read: the texts of a reply; at least one, or a MalformedReplyError.
    """

    schema: Mapping[str, Any] | None
    read: Callable[[str], tuple[Candidate, ...]]


def words_form(name: str) -> Form:
    """A text in plain words, of all paragraphs but one that announces it."""

    def read(reply: str) -> tuple[Candidate, ...]:
        content = _found(reply)
        text = content.get(name) if isinstance(content, dict) else " ".join(_paragraphs(reply))
        if not isinstance(text, str):
            raise MalformedReplyError(f"The reply has no text named '{name}'.")
        return (Candidate(name, _line(prose(text))),)

    return Form(None, read)


def fields_form(*names: str) -> Form:
    """Named texts, such as a short and a dense caption, as far as they are there; a single one also in plain words."""

    def read(reply: str) -> tuple[Candidate, ...]:
        content = _found(reply)
        if isinstance(content, dict):
            texts = [content.get(name) for name in names]
        else:
            texts = [_plain(reply)] if len(names) == 1 and content is None else _labelled(reply, names)
        found = [Candidate(name, _line(prose(t))) for name, t in zip(names, texts, strict=True) if isinstance(t, str)]
        if not found:
            raise MalformedReplyError(f"The reply has no text named {' or '.join(map(repr, names))}.")
        return tuple(found)

    return Form(_object({name: {"type": "string"} for name in names}), read)


def list_form(name: str, most: int) -> Form:
    """A list of at most so many texts; in plain words, a list with numbers or marks."""

    def read(reply: str) -> tuple[Candidate, ...]:
        content = _list_in(_found(reply), name)
        if content is None:
            lines = [line for line in reply.splitlines() if _MARKED.match(line)] if "{" not in reply else []
        else:
            lines = [_text_of(part) for part in content]
        texts = dict.fromkeys(line for line in map(_line, lines) if line)
        if not texts:
            raise MalformedReplyError(f"The reply has no list of texts named '{name}'.")
        return tuple(Candidate(name, text) for text in list(texts)[:most])

    return Form(_object({name: _array({"type": "string"}, most)}), read)


def pairs_form(name: str, most: int) -> Form:
    """A list of at most so many questions with their answers; in plain words, lines that begin with Q: and A:."""

    def read(reply: str) -> tuple[Candidate, ...]:
        content = _list_in(_found(reply), name)
        found = _spoken_pairs(reply) if content is None and "{" not in reply else _pairs(content or [])
        answers: dict[str, str] = {}
        for question, answer in found:
            answers.setdefault(_line(question), _line(answer))
        if not answers:
            raise MalformedReplyError("The reply has no pair of a question and its answer.")
        return tuple(Candidate(name, answer, question) for question, answer in list(answers.items())[:most])

    pair = _object({"question": {"type": "string"}, "answer": {"type": "string"}})
    return Form(_object({name: _array(pair, most)}), read)


def _object(properties: Mapping[str, Any]) -> Mapping[str, Any]:
    required = list(properties)
    return {"type": "object", "properties": dict(properties), "required": required, "additionalProperties": False}


def _array(items: Mapping[str, Any], most: int) -> Mapping[str, Any]:
    return {"type": "array", "items": items, "minItems": 1, "maxItems": most}


def _line(text: str) -> str:
    return clean(_LABEL.sub("", _ANNOUNCED.sub("", clean(text))))


def _found(reply: str) -> dict[str, Any] | list[Any] | None:
    """The first JSON object or list in a reply, wherever it stands; of one that breaks off, what is whole of it."""
    reply = _THOUGHT.sub("", reply)
    if not reply.strip():
        raise MalformedReplyError("The reply is empty.")
    if len(reply) > LONGEST_REPLY:
        raise MalformedReplyError(f"The reply has {len(reply):,} characters; write at most {LONGEST_REPLY:,}.")
    start = 0
    for _ in range(len(reply)):
        match = _OPENING.search(reply, start)
        if match is None:
            return None
        try:
            value, _ = _DECODER.raw_decode(reply, match.start())
        except ValueError:
            value = _closed(reply[match.start() :])
        except RecursionError:
            return None
        if value and (isinstance(value, dict) or isinstance(value[0], str | dict)):
            return value if isinstance(value, dict | list) else None
        start = match.end()
    return None


def _closed(text: str) -> Any:  # noqa: ANN401
    """A JSON value that breaks off, without its last text that is not whole; None where nothing of it is.

    A list of captions keeps those that were written to their end.
    """
    stack: list[str] = []
    ends: list[tuple[int, str]] = []  # where a value within ends, and the brackets that are open there
    place = 0
    while (match := _TOKEN.match(text, place)) is not None:
        token, place = match[0], match.end()
        if token in "{[":
            stack.append("}" if token == "{" else "]")
        elif token in "}]" and stack.pop() != token:
            return None
        if not 0 < len(stack) <= _DEEPEST:
            return None  # it is closed, and no JSON; or it is no reply to any form
        if token[-1] in '"}]':
            ends.append((place, "".join(reversed(stack))))
    for end, brackets in reversed(ends[-_MOST_ENDS:]):
        with suppress(ValueError):  # the last text is a name without its value
            value = _DECODER.decode(text[:end] + brackets)
            return value if any(value.values() if isinstance(value, dict) else value) else None
    return None


def _list_in(content: dict[str, Any] | list[Any] | None, name: str) -> list[Any] | None:
    """The list of a reply, also under another name than the one that was asked for."""
    if isinstance(content, dict):
        named = content.get(name)
        return (
            named
            if isinstance(named, list)
            else next((part for part in content.values() if isinstance(part, list)), None)
        )
    return content


def _plain(reply: str) -> str:
    """A caption in plain words: the first paragraph that does not announce it."""
    return next(iter(_paragraphs(reply)), "")


def _paragraphs(reply: str) -> list[str]:
    text = _FENCE.sub("", _THOUGHT.sub("", reply)).strip()
    if text.startswith(("{", "[")) or '":' in text:
        raise MalformedReplyError("The reply breaks off in the middle of its JSON.")
    blocks = [block.strip() for block in re.split(r"\n\s*\n", prose(text)) if block.strip()]
    return blocks[1:] if len(blocks) > 1 and blocks[0].endswith(":") else blocks


def _labelled(reply: str, names: Sequence[str]) -> list[str | None]:
    """Texts that stand after their names: `Short: … Dense: …`."""
    if "{" in reply:
        raise MalformedReplyError("The reply breaks off in the middle of its JSON.")
    marks = "|".join(map(re.escape, names))
    pieces = re.split(rf"(?:^|\n)\W*({marks})(?:[ ]\w+)?\W*:\W*", reply, flags=re.I)
    found = {name.casefold(): text for name, text in zip(pieces[1::2], pieces[2::2], strict=True)}
    return [found.get(name.casefold()) for name in names]


def _pairs(content: Sequence[Any]) -> list[tuple[str, str]]:
    rows = [(row.get("question"), row.get("answer")) for row in content if isinstance(row, dict)]
    return [(question, answer) for question, answer in rows if isinstance(question, str) and isinstance(answer, str)]


def _spoken_pairs(reply: str) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    question: str | None = None
    for line in reply.splitlines():
        if _QUESTION.match(line):
            question = _QUESTION.sub("", line)
        elif question and _ANSWER.match(line):
            pairs.append((question, _ANSWER.sub("", line)))
            question = None
    return pairs


def _text_of(part: Any) -> str:  # noqa: ANN401
    """A text of a list, which some models wrap into an object of one text."""
    if isinstance(part, dict) and len(part) == 1:
        part = next(iter(part.values()))
    return part if isinstance(part, str) else ""

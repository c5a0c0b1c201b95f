"""Replies by JSON schema: how it is asked for, and whether a reply keeps to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from voxtile.bounded_text import load_json
from voxtile.errors import required
from voxtile_datasets.captions.providers.provider import OffSchemaError
from voxtile_datasets.captions.providers.request import Reply

_FENCE = "```"
_LONGEST_JSON = 1 << 20  # characters


def asked_in_words(prompt: str, schema: Mapping[str, Any]) -> str:
    """A prompt that asks for the schema itself, for endpoints that cannot enforce one."""
    text = json.dumps(schema, ensure_ascii=False)
    return f"{prompt}\n\nAnswer with one JSON value and nothing else. It must satisfy this JSON schema:\n{text}"


def checked_against(schema: Mapping[str, Any] | None, reply: Reply) -> Reply:
    """The reply with its text reduced to the JSON that was asked for; unchanged where none was.

    Args:
        schema: JSON schema of the reply, or None.
        reply: as the model gave it.

    Raises:
        OffSchemaError: the text holds no JSON (`not-json`), or JSON that breaks the schema (`off-schema`).
    """
    if schema is None:
        return reply
    with required("jsonschema", "llm"):
        import jsonschema
    text = unfenced(reply.text)
    try:
        value = load_json(text) if len(text) <= _LONGEST_JSON else None
    except ValueError as error:
        raise OffSchemaError("not-json", f"the model answered with no JSON: '{_start(reply.text)}'", reply) from error
    fault = next(jsonschema.Draft202012Validator(dict(schema)).iter_errors(value), None)
    if fault is not None:
        raise OffSchemaError("off-schema", f"the model's JSON breaks the schema: {_start(fault.message)}", reply)
    return replace(reply, text=json.dumps(value, ensure_ascii=False))


def unfenced(text: str) -> str:
    """The JSON of a reply without the fence and the words round it that chat models write."""
    parts = text.split(_FENCE, 2)
    return (parts[1].removeprefix("json") if len(parts) == 3 else text).strip()


def _start(text: str) -> str:
    """The first words of a text, in one line."""
    words = " ".join(text.split())
    return words if len(words) <= 100 else words[:99] + "…"

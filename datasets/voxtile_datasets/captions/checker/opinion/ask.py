"""A second opinion: a language model reads what the rules let pass, and may object by quoting words of the text.

Rules know only their vocabulary. A model reads any word, but is wrong more often, so that it may make a verdict worse
and never better, and an objection counts only where the words that it quotes are in the text. A reply that cannot be
read is no agreement: its caption is at best `unknown`, and says so.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from voxtile.bounded_text import load_json
from voxtile_datasets.captions.checker.check import Known
from voxtile_datasets.captions.checker.opinion.unread import OBJECTION, unread
from voxtile_datasets.captions.checker.verdict import ORDER, Fault, Judgement, Verdict, worst
from voxtile_datasets.captions.context.contexts import described
from voxtile_datasets.captions.providers.provider import OffSchemaError, ReplyError
from voxtile_datasets.captions.providers.request import Reply, Request
from voxtile_datasets.captions.providers.structured import unfenced

Ask: TypeAlias = Callable[[Request], Awaitable[Reply]]
ASKED: tuple[Judgement, ...] = ("supported", "unknown")  # the others are refused already
_OBJECTIONS: tuple[Judgement, ...] = ("contradicted", "unsupported")
_MOST_FACTS, _LONGEST_WHY = 60, 200
_MOST_TOKENS = 512  # of a reply; the schema's own limits end one before that
_QUOTES = " \t\n\"'`“”‘’"
_SYSTEM = (
    "You compare a caption with facts about a picture. Object only to words of the caption that a fact contradicts, or "
    "that state something which the facts do not give. Quote the words exactly. If all is right, object to nothing."
)
# Bounded, so that a model which is held to it (a grammar does that to the local one) ends its JSON.
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "objections": {
            "type": "array",
            "maxItems": 3,
            "items": {
                "type": "object",
                "properties": {
                    "words": {"type": "string", "minLength": 1, "maxLength": 120},
                    "judgement": {"enum": list(_OBJECTIONS)},
                    "why": {"type": "string", "maxLength": 160},
                },
                "required": ["words", "judgement", "why"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["objections"],
    "additionalProperties": False,
}


async def second_opinion(text: str, verdict: Verdict, known: Known, ask: Ask) -> Verdict:
    """The verdict of the rules with a model's objections; at best `unknown` where the model gives no usable reply.

    Args:
        text: the caption.
        verdict: of the rules; only what they let pass is asked about.
        known: of the sample.
        ask: sends a request.
    """
    if verdict.verdict not in ASKED:
        return verdict
    try:
        faults = objections(text, await _answer(question(text, known), ask))
    except ReplyError as error:
        faults = (unread(error.reason),)
    if not faults:
        return verdict
    found = sorted((*faults, *verdict.faults), key=lambda fault: -ORDER.index(fault.judgement))
    return replace(verdict, verdict=worst([fault.judgement for fault in found]), faults=tuple(found))


def question(text: str, known: Known) -> Request:
    """What the model is asked: the facts without what could name somebody, what was looked for, and the caption."""
    facts = list(dict.fromkeys(_line(fact) for fact in known.facts))[:_MOST_FACTS]
    looked_for = sorted({c for scope in known.scopes if scope["closed"] for c in scope.get("concepts") or ()})
    lines = ["Facts:", *(facts or ["none"])]
    if looked_for:
        lines.append(f"Looked for, and absent unless a fact states it: {', '.join(looked_for)}")
    lines += [f"Caption: {text}", "Objections as JSON:"]
    return Request("\n".join(lines), system=_SYSTEM, max_tokens=_MOST_TOKENS, temperature=0.0, schema=SCHEMA)


def objections(text: str, reply: str) -> tuple[Fault, ...]:
    """The objections of a reply whose words are in the text; none where the reply is that there are none.

    Raises:
        ReplyError: the reply is no JSON (`not-json`), JSON of another shape (`off-schema`), or objects only to words
            that the text does not have (`unknown-words`).
    """
    try:
        content = load_json(unfenced(reply))
    except ValueError as error:
        raise ReplyError("not-json", "the second opinion is no JSON") from error
    items = content.get("objections") if isinstance(content, dict) else None
    if not isinstance(items, list):
        raise ReplyError("off-schema", "the second opinion holds no list of objections")
    right = [item for item in items if isinstance(item, dict) and item.get("judgement") in _OBJECTIONS]
    faults = tuple(fault for item in right if (fault := _objection(text, item)))
    if items and not faults:
        reason = "unknown-words" if len(right) == len(items) else "off-schema"
        raise ReplyError(reason, "the second opinion objects to nothing that the caption says")
    return faults


async def _answer(request: Request, ask: Ask) -> str:
    """The text of the reply, also where it breaks the schema: a reason that is too long is one all the same."""
    try:
        return (await ask(request)).text
    except OffSchemaError as error:
        return error.reply.text


def _objection(text: str, item: Mapping[str, Any]) -> Fault | None:
    words, why = str(item.get("words", "")).strip(_QUOTES), " ".join(str(item.get("why", "")).split())[:_LONGEST_WHY]
    found = re.search(r"\s+".join(map(re.escape, words.split())), text, re.IGNORECASE) if words else None
    if found is None:
        return None
    return Fault(OBJECTION, item["judgement"], found.group(), *found.span(), why or "A second reader objects.")


def _line(fact: Mapping[str, Any]) -> str:
    told = described(dict.fromkeys(("value", "unit", "attributes", "region_id")) | dict(fact), {})
    number = f" {told['value']:g} {told['unit'] or ''}".rstrip() if told["value"] is not None else ""
    details: Sequence[str] = [f"{name} {value}" for name, value in sorted(told["attributes"].items())]
    return f"- {told['concept']}: {told['polarity']}{number}{''.join(f', {detail}' for detail in details)}"

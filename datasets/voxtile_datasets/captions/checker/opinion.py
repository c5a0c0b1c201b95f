"""A second opinion: a language model reads what the rules let pass, and may object by quoting words of the text.

Rules know only their vocabulary. A model reads any word, but is wrong more often, so that it may make a verdict worse
and never better, and an objection counts only where the words that it quotes are in the text.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from voxtile.bounded_text import load_json
from voxtile_datasets.captions.checker.check import Known
from voxtile_datasets.captions.checker.verdict import ORDER, Fault, Judgement, Verdict, worst
from voxtile_datasets.captions.providers.provider import ReplyError
from voxtile_datasets.captions.providers.request import Reply, Request
from voxtile_datasets.captions.strategies.contexts import described

Ask: TypeAlias = Callable[[Request], Awaitable[Reply]]
ASKED: tuple[Judgement, ...] = ("supported", "unknown")  # the others are refused already
_OBJECTIONS: tuple[Judgement, ...] = ("contradicted", "unsupported")
_MOST_FACTS, _LONGEST_WHY = 60, 200
_SYSTEM = (
    "You compare a caption with facts about a picture. Object only to words of the caption that a fact contradicts, or "
    "that state something which the facts do not give. Quote the words exactly. If all is right, object to nothing."
)
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "objections": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "words": {"type": "string"},
                    "judgement": {"enum": list(_OBJECTIONS)},
                    "why": {"type": "string"},
                },
                "required": ["words", "judgement", "why"],
            },
        }
    },
    "required": ["objections"],
}


async def second_opinion(text: str, verdict: Verdict, known: Known, ask: Ask) -> Verdict:
    """The verdict of the rules with a model's objections; unchanged where the model gives no usable reply.

    Args:
        text: the caption.
        verdict: of the rules; only what they let pass is asked about.
        known: of the sample.
        ask: sends a request.
    """
    if verdict.verdict not in ASKED:
        return verdict
    try:
        reply = await ask(question(text, known))
    except ReplyError:
        return verdict
    faults = objections(text, reply.text)
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
    return Request("\n".join(lines), system=_SYSTEM, max_tokens=256, temperature=0.0, schema=SCHEMA)


def objections(text: str, reply: str) -> tuple[Fault, ...]:
    """The objections of a reply whose words are in the text; none where it is no such JSON."""
    try:
        found = load_json(reply)["objections"]
    except (ValueError, KeyError, TypeError):
        return ()
    return tuple(fault for item in found if (fault := _objection(text, item))) if isinstance(found, list) else ()


def _objection(text: str, item: Any) -> Fault | None:  # noqa: ANN401
    if not isinstance(item, dict) or item.get("judgement") not in _OBJECTIONS:
        return None
    words, why = str(item.get("words", "")).strip(), " ".join(str(item.get("why", "")).split())[:_LONGEST_WHY]
    start = text.casefold().find(words.casefold())
    if not words or start < 0:
        return None
    end = start + len(words)
    return Fault("second-opinion", item["judgement"], text[start:end], start, end, why or "A second reader objects.")


def _line(fact: Mapping[str, Any]) -> str:
    told = described(dict.fromkeys(("value", "unit", "attributes", "region_id")) | dict(fact), {})
    number = f" {told['value']:g} {told['unit'] or ''}".rstrip() if told["value"] is not None else ""
    details: Sequence[str] = [f"{name} {value}" for name, value in sorted(told["attributes"].items())]
    return f"- {told['concept']}: {told['polarity']}{number}{''.join(f', {detail}' for detail in details)}"

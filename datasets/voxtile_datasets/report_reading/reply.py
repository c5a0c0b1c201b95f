"""What a model says of a report: the JSON that it is asked for, also within prose, in a fence, or broken off."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from voxtile.bounded_text import load_json
from voxtile_datasets.captions.providers.structured import unfenced
from voxtile_datasets.report_reading.rules import Polarity

MOST_CLAIMS = 80  # of one reply; more is a reply that repeats itself

SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "findings": {
            "type": "array",
            "maxItems": MOST_CLAIMS,
            "items": {
                "type": "object",
                "properties": {
                    "finding": {"type": "string"},
                    "words": {"type": "string"},
                    "polarity": {"enum": ["present", "absent", "uncertain"]},
                    "side": {"enum": ["left", "right", "bilateral"]},
                    "place": {"type": "string"},
                    "size_mm": {"type": "array", "items": {"type": "number"}, "maxItems": 3},
                },
                "required": ["finding", "words", "polarity"],
            },
        }
    },
    "required": ["findings"],
}
"""Of a reply."""

# What models say in place of the three words that they are asked for.
_POLARITIES: Mapping[str, Polarity] = {
    "present": "present", "positive": "present", "yes": "present", "affirmed": "present", "true": "present",
    "absent": "absent", "negative": "absent", "no": "absent", "denied": "absent", "negated": "absent",
    "uncertain": "uncertain", "possible": "uncertain", "equivocal": "uncertain", "indeterminate": "uncertain",
    "unclear": "uncertain", "suspected": "uncertain", "probable": "uncertain",
}  # fmt: skip
_SIDES: Mapping[str, str] = {"left": "left", "right": "right", "bilateral": "bilateral", "both": "bilateral"}
_OBJECT = re.compile(r"\{[^{}]{1,4000}\}")  # a finding of a reply that breaks off, or that prose stands around
_LONGEST = 1 << 20  # characters


@dataclass(frozen=True)
class Claim:
    """What a model says of one finding, not yet checked.

    Attributes:
        finding: what the model calls it.
        words: those of the report, as the model quotes them.
        polarity: as the model judges.
        side, place, size_mm: as far as the model gives them.
    """

    finding: str
    words: str
    polarity: Polarity
    side: str | None = None
    place: str | None = None
    size_mm: tuple[float, ...] = ()


@dataclass(frozen=True)
class ParsedReply:
    """What is in a reply.

    Attributes:
        claims: each once, and none that the reply contradicts itself about.
        faults: reason → how many entries are not taken: `malformed`, `repeated`, `contradicts-itself`; and
            `cut-short` once, where the reply breaks off.
        is_readable: there was a list of findings, be it an empty one.
    """

    claims: tuple[Claim, ...]
    faults: Mapping[str, int]
    is_readable: bool


def read_reply(text: str) -> ParsedReply:
    r"""Read a reply, whatever stands around its JSON.

    Args:
        text: as the model gave it.

    Example:
        >>> reply = 'Sure:\n```json\n[{"finding": "cyst", "words": "a cyst", "polarity": "Positive"}, {"finding": "a'
        >>> [(claim.finding, claim.polarity) for claim in read_reply(reply).claims]
        [('cyst', 'present')]
    """
    faults: Counter[str] = Counter()
    entries, is_whole = entries_of(text, ("findings", "facts", "results"))
    is_readable = is_whole or bool(entries)
    faults["cut-short"] += is_readable and not is_whole
    claims: dict[tuple[str, str], Claim] = {}
    contradicted: set[tuple[str, str]] = set()
    for entry in entries:
        claim = _claim(entry)
        if claim is None:
            faults["malformed"] += 1
            continue
        key = (_folded(claim.finding), _folded(claim.words))
        if key in claims or len(claims) >= MOST_CLAIMS:
            faults["repeated"] += 1
            if key in claims and claims[key].polarity != claim.polarity:
                contradicted.add(key)
        else:
            claims[key] = claim
    if contradicted:
        faults["contradicts-itself"] = len(contradicted)
    kept = tuple(claim for key, claim in claims.items() if key not in contradicted)
    return ParsedReply(kept, {reason: count for reason, count in faults.items() if count}, is_readable)


def entries_of(text: str, names: Sequence[str]) -> tuple[list[Any], bool]:
    """The mappings with `words` that a reply lists, and whether its JSON is whole.

    Args:
        text: of the reply, whatever stands around its JSON.
        names: keys under which the list may stand.
    """
    text = text[:_LONGEST]
    whole = _whole(text, names)
    return (list(_pieces(text)), False) if whole is None else (whole, True)


def _whole(text: str, names: Sequence[str]) -> list[Any] | None:
    """The entries of a reply whose JSON is whole; None where there is none."""
    for candidate in _candidates(text):
        try:
            value = load_json(candidate)
        except ValueError:
            continue
        if isinstance(value, dict):
            lists = [value[name] for name in names if isinstance(value.get(name), list)]
            value = lists[0] if lists else [value] if "words" in value else None
        if isinstance(value, list) and all(isinstance(entry, dict) for entry in value):
            return value
    return None


def _candidates(text: str) -> Iterator[str]:
    """Parts of a reply that may be its JSON: what is fenced, all of it, from the first bracket to the last."""
    yield unfenced(text)
    for opening, closing in ("{}", "[]"):
        start, end = text.find(opening), text.rfind(closing)
        if 0 <= start < end:
            yield text[start : end + 1]


def _pieces(text: str) -> Iterator[Any]:
    """The whole findings of a reply that is no whole JSON."""
    for match in _OBJECT.finditer(text):
        try:
            value = json.loads(match.group())
        except ValueError:
            continue
        if isinstance(value, dict) and "words" in value:
            yield value


def _claim(entry: Mapping[str, Any]) -> Claim | None:
    finding, words = (entry.get(name) for name in ("finding", "words"))
    polarity = _POLARITIES.get(str(entry.get("polarity", "")).strip().casefold())
    if not isinstance(finding, str) or not isinstance(words, str) or polarity is None or not words.strip():
        return None
    place = entry.get("place")
    return Claim(
        " ".join(finding.split()), words.strip(), polarity,
        _SIDES.get(str(entry.get("side", "")).strip().casefold()),
        " ".join(place.split()) if isinstance(place, str) and place.strip() else None,
        _lengths(entry.get("size_mm")),
    )  # fmt: skip


def _lengths(value: Any) -> tuple[float, ...]:  # noqa: ANN401 - whatever a model gives
    values = value if isinstance(value, list) else [value]
    plain = [each for each in values if isinstance(each, int | float) and not isinstance(each, bool)]
    return tuple(map(float, plain)) if 0 < len(plain) == len(values) <= 3 else ()


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())

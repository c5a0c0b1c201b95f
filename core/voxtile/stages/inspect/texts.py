"""Texts of one sample, sentence by sentence, each with what facts take from it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PLACES = ("evidence", "ends", "spans")
"""Attributes of facts that are places in a text, which its marks show."""

_STRONGEST_FIRST = ("present", "uncertain", "absent")
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True)
class Piece:
    """Part of a text.

    Attributes:
        text: as it stands.
        polarity: the strongest of the facts whose evidence it is, or None.
        concepts: of these facts, with their polarity, for people.
    """

    text: str
    polarity: str | None = None
    concepts: str = ""


@dataclass(frozen=True)
class ShownText:
    """One caption, in pieces, with where it comes from and its verdicts."""

    kind: str
    origin: str
    pieces: tuple[Piece, ...]
    verdicts: tuple[str, ...]


def shown_text(
    caption: Mapping[str, Any], verdicts: Sequence[Mapping[str, Any]], facts: Sequence[Mapping[str, Any]]
) -> ShownText:
    """A caption with its evidence marked.

    Args:
        caption: a row of the table `captions`.
        verdicts: its rows of the table `verdicts`.
        facts: of the sample; `evidence` in their attributes is a sentence or a list of them.
    """
    origin = " ".join(part for part in (caption["provider"], caption["model"]) if part)
    judged = tuple(_verdict(v) for v in verdicts)
    return ShownText(str(caption["kind"]), origin, marked(str(caption["text"]), facts), judged)


def _verdict(row: Mapping[str, Any]) -> str:
    checker = " ".join(part for part in (row["checker"], row["checker_version"]) if part)
    detail = f": {row['detail']}" if row["detail"] else ""
    return f"{row['verdict']}{detail}" + (f" ({checker})" if checker else "")


def marked(text: str, facts: Sequence[Mapping[str, Any]]) -> tuple[Piece, ...]:
    """Cut a text at the sentences that facts name as their evidence; white space may differ."""
    stated: dict[str, list[tuple[str, str]]] = {}
    for fact in facts:
        evidence = json.loads(fact["attributes"] or "{}").get("evidence")
        sentences = [evidence] if isinstance(evidence, str) else evidence if isinstance(evidence, list) else []
        for sentence in sentences:
            if isinstance(sentence, str) and sentence.strip():
                stated.setdefault(_SPACE.sub(" ", sentence.strip()), []).append((fact["polarity"], fact["concept"]))
    spots = sorted(_spots(text, stated))
    pieces: list[Piece] = []
    end = 0
    for start, stop, sentence in spots:
        if start < end:  # inside a longer sentence that is marked already
            continue
        if start > end:
            pieces.append(Piece(text[end:start]))
        polarity = min((p for p, _ in stated[sentence]), key=_STRONGEST_FIRST.index)
        concepts = ", ".join(f"{c.replace('_', ' ')} {p}" for p, c in sorted(set(stated[sentence])))
        pieces.append(Piece(text[start:stop], polarity, concepts))
        end = stop
    if end < len(text):
        pieces.append(Piece(text[end:]))
    return tuple(pieces)


def _spots(text: str, stated: Mapping[str, Any]) -> list[tuple[int, int, str]]:
    found = []
    for sentence in sorted(stated, key=len, reverse=True):
        pattern = r"\s+".join(map(re.escape, sentence.split(" ")))
        found += [(m.start(), m.end(), sentence) for m in re.finditer(pattern, text)]
    return sorted(found, key=lambda spot: (spot[0], -spot[1]))

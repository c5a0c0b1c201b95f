"""Texts of one sample, sentence by sentence, each with what facts take from it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
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
    """Cut a text at the sentences that facts name as their evidence; white space may differ.

    A sentence of a line or a table has its label in front (`lungs: No effusion.`), which need not stand beside it in
    the text: of `LUNGS: Clear. No effusion.` the second sentence is marked.
    """
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
        spots = [m.span() for m in _found(sentence, text)] or _under_label(sentence, text)
        found += [(start, stop, sentence) for start, stop in spots]
    return sorted(found, key=lambda spot: (spot[0], -spot[1]))


def _under_label(sentence: str, text: str) -> list[tuple[int, int]]:
    """Where what follows a sentence's label stands: behind the label in any case, and there the nearest to it."""
    label, _, rest = sentence.partition(": ")
    if not rest:
        return []
    labels = [m.end() for m in _found(label, text, re.IGNORECASE)]
    behind = []
    for found in _found(rest, text):
        ends = [end for end in labels if end <= found.start()]
        if ends:
            behind.append((found.start() - max(ends), found.span()))
    return [min(behind)[1]] if behind else []


def _found(words: str, text: str, how: re.RegexFlag = re.NOFLAG) -> Iterator[re.Match[str]]:
    return re.finditer(r"\s+".join(map(re.escape, words.split(" "))), text, how)

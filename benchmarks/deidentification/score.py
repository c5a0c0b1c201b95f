"""Counts of what is found, leaked and falsely masked in labelled sentences."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
Spans = Iterable[tuple[int, int]]
_WORD = re.compile(r"[^\W_]+(?:[.,:/'’-][^\W_]+)*")
# May be masked or not: what stands around names and numbers and says nothing of anybody.
_NEUTRAL = re.compile(
    r"(?:drs?|mrs?|ms|miss|prof|professor|pr|med|md|m\.d|do|d\.o|np|n\.p|rn|pa|phd|frcr|dds|sho|fy2|pgy-3|fmh|dnb|von|de|la|y|bin|of|the|at|und|herr|frau|madame|monsieur|m|don|señora|dra|rev|sheikh|sister|oa|oä|pd"
    r"|\d{1,2}[:.]\d{2}(?::\d{2})?|\d{4}|h|hours|tel|fax|house|st|street)",
    re.IGNORECASE,
)


@dataclass
class Counts:
    """Of one engine on one half."""

    planted: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    sentences: int = 0
    leaking: int = 0
    clean: int = 0
    clean_masked: int = 0
    words: int = 0
    words_masked: int = 0
    findings: int = 0
    findings_masked: int = 0
    leaks: list[tuple[str, str, str]] = field(default_factory=list)
    false: list[tuple[str, str]] = field(default_factory=list)


def entries(half: str) -> list[dict[str, Any]]:
    """Labelled sentences of a half."""
    return [json.loads(line) for line in (HERE / f"{half}.jsonl").read_text(encoding="utf-8").splitlines()]


def counted(
    rows: Sequence[dict[str, Any]], find: Callable[[str], Spans], vocabulary: frozenset[str] = frozenset()
) -> Counts:
    """An identifier is found where every letter and figure of it is masked; a sentence leaks where one is not.

    Args:
        rows: labelled sentences.
        find: where an engine finds identifiers.
        vocabulary: words of findings, in small letters.
    """
    counts = Counts()
    for row in rows:
        text = row["text"]
        masked = {at for start, end in find(text) for at in range(start, end)}
        planted = [(start, end, kind) for start, end, kind in row["spans"] if kind != "neutral"]
        lost = []
        for start, end, kind in planted:
            counts.planted[kind] += 1
            if all(at in masked for at in range(start, end) if text[at].isalnum()):
                counts.found[kind] += 1
            else:
                lost.append((kind, text[start:end], text))
        counts.leaks += lost
        counts.sentences += bool(planted)
        counts.leaking += bool(lost)
        held = {at for start, end, _ in row["spans"] for at in range(start, end)}
        wrong = []
        for match in _WORD.finditer(text):
            span = range(*match.span())
            if held & set(span) or _NEUTRAL.fullmatch(match.group()):
                continue
            counts.words += 1
            counts.findings += match.group().lower() in vocabulary
            if masked & set(span):
                counts.words_masked += 1
                counts.findings_masked += match.group().lower() in vocabulary
                wrong.append(match.group())
        counts.clean += not planted
        counts.clean_masked += bool(not planted and wrong)
        counts.false += [(word, text) for word in wrong]
    return counts


def wilson(hits: int, of: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    if not of:
        return 0.0, 1.0
    z, share = 1.959964, hits / of
    centre, half = share + z * z / (2 * of), z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return (centre - half) / (1 + z * z / of), (centre + half) / (1 + z * z / of)

"""Two things of which a text says that it is one or the other: as a whole that is wrong only where both are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from voxtile_datasets.captions.checker.extraction.claims import Claim
from voxtile_datasets.captions.checker.verdict import Fault

# All that stands between them; a number beside the "or" is one of two amounts, and "or so", "or other" say nothing new.
_OR = re.compile(r"[^.,;:()\d]*\s(?:or|or else)\s(?!so\b|other|more\b|less\b|not\b)[^.,;:()\d]*", re.IGNORECASE)


def left_open(faults: Sequence[Fault], claims: Sequence[Claim], text: str) -> list[Fault]:
    """The faults, those of an alternative to something that nothing contradicts as not known.

    Args:
        faults: of all claims.
        claims: of the text.
        text: "Normal breast tissue or a benign lesion".
    """
    found = list(faults)
    for first, second in _alternatives(claims, text):
        wrong = [_contradicted(found, sides) for sides in (first, second)]
        for own, other in (wrong, wrong[::-1]):
            if own and not other:
                found = [_as_open(fault) if fault in own else fault for fault in found]
    return found


def _alternatives(claims: Sequence[Claim], text: str) -> Iterator[tuple[list[Claim], list[Claim]]]:
    """Claims on either side of an "or" that both say that something is there, or is as it should be."""
    said = [c for c in claims if c.kind in ("concept", "normal")]
    for match in re.finditer(r"\bor\b", text, re.IGNORECASE):
        before = [c for c in said if c.end <= match.start()]
        after = [c for c in said if c.start >= match.end()]
        if not before or not after:
            continue
        end, start = max(c.end for c in before), min(c.start for c in after)
        first, second = [c for c in before if c.end == end], [c for c in after if c.start == start]
        if all(c.polarity == "present" for c in (*first, *second)) and _OR.fullmatch(text[end:start]):
            yield first, second


def _contradicted(faults: Sequence[Fault], claims: Sequence[Claim]) -> list[Fault]:
    return [
        fault
        for fault in faults
        if fault.judgement == "contradicted" and any(c.start <= fault.start and fault.end <= c.end for c in claims)
    ]


def _as_open(fault: Fault) -> Fault:
    why = f"'{fault.words}' is one of two things that the text leaves open, and nothing is known against the other."
    return replace(fault, judgement="unknown", why=why)

"""Details that no fact of their own concept judges, judged by what else the sentence names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from voxtile_datasets.captions.checker.extraction.claims import Claim, Detail
from voxtile_datasets.captions.checker.judging.agreement import agrees_with_any
from voxtile_datasets.captions.checker.judging.fact_lookup import Facts
from voxtile_datasets.captions.checker.verdict import Fault

_SENTENCE_END = re.compile(r"[.!?;\n](?!\d)")


def of_neighbours(fault: Fault, text: str, claims: Sequence[Claim], facts: Facts) -> Fault:
    """A place that the facts lack of what it is said of, as that of what else its sentence names.

    "A dam closes the reservoir at the southern edge" may place either: it is right where one of them lies there, wrong
    where the facts place one of them elsewhere, and else not known.
    """
    if fault.kind not in ("position", "relation") or fault.judgement != "unknown":
        return fault
    detail = _detail(fault, claims)
    if detail is None:
        return fault
    begin = max((m.end() for m in _SENTENCE_END.finditer(text, 0, fault.start)), default=0)
    ending = _SENTENCE_END.search(text, fault.end)
    end = ending.start() if ending else len(text)
    named = [c for c in claims if c.kind == "concept" and c.polarity == "present" and begin <= c.start < end]
    rows = [row for claim in named for concept in claim.concepts for row in facts.rows(concept) if row.positions]
    if not rows or agrees_with_any(detail, rows, facts.vocabulary):
        return fault
    known = sorted(set().union(*(row.positions for row in rows)))
    why = f"'{fault.words}' is wrong: what the text names lies in the {' and '.join(known)} by the facts."
    return replace(fault, judgement="contradicted", why=why)


def _detail(fault: Fault, claims: Sequence[Claim]) -> Detail | None:
    return next(
        (
            d
            for claim in claims
            for d in claim.details
            if d.kind == "position" and (d.start, d.end) == (fault.start, fault.end) and not d.is_vague
        ),
        None,
    )

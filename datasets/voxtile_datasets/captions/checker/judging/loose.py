"""Sizes and sides that a text gives to nothing that it names."""

from __future__ import annotations

from collections.abc import Sequence

from voxtile_datasets.captions.checker.extraction.claims import Claim
from voxtile_datasets.captions.checker.fact import Fact
from voxtile_datasets.captions.checker.judging.agreement import agrees_with_any
from voxtile_datasets.captions.checker.judging.fact_lookup import Facts
from voxtile_datasets.captions.checker.verdict import Fault


def judge_loose(claim: Claim, facts: Facts) -> list[Fault]:
    """What is wrong with details of which a text does not say what they belong to."""
    rows = facts.all_rows()
    if claim.text == "stray":
        return _stray(claim, rows, facts)
    missing: Sequence[str] = [
        d.words for d in claim.details if not agrees_with_any(d, rows, facts.vocabulary) and not facts.is_sum(d)
    ]
    if not missing:
        return []
    why = f"'{missing[0]}' is not in the facts."
    return [Fault("number", "unsupported", claim.words, claim.start, claim.end, why)]


def _stray(claim: Claim, rows: Sequence[Fact], facts: Facts) -> list[Fault]:
    """What is wrong with sizes and sides of nothing known: no fact, and no column of the row, has them."""
    faults: list[Fault] = []
    if any(not facts.rows(concept) for concept in claim.others if concept in facts.vocabulary.concepts):
        return faults  # of what is not known itself
    for detail in claim.details:
        if agrees_with_any(detail, rows, facts.vocabulary) or facts.metadata.has(detail):
            continue
        sided = detail.kind == "side" and any(row.sides for row in rows)
        sided = sided or (detail.kind == "position" and any(row.positions for row in rows))
        sided = sided or (detail.kind == "place" and any(row.places for row in rows))
        if sided or detail.kind == "number":
            why = f"'{detail.words}' is not in the facts: nothing of them has it."
            faults.append(Fault(detail.kind, "unsupported", detail.words, detail.start, detail.end, why))
    return faults

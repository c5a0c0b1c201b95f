"""What a text says changed between two dates, against facts of change."""

from __future__ import annotations

from collections.abc import Iterable

from voxtile_datasets.captions.checker.extraction.claims import Claim
from voxtile_datasets.captions.checker.extraction.scenes.changes import ALIKE
from voxtile_datasets.captions.checker.judging.fact_lookup import Facts
from voxtile_datasets.captions.checker.verdict import Fault


def judge_change(claim: Claim, facts: Facts) -> list[Fault]:
    """What is wrong with a claim of the kind `change`; nothing where the sample is of one date alone."""
    kind = claim.relation or ""
    if not facts.is_pair:
        return []
    known = changes_of(claim.concepts, facts)
    if not known or any(ALIKE[kind] & ALIKE[change] for change in known):
        return []
    name = claim.concepts[0].replace("_", " ")
    why = f"'{claim.words}' is wrong: by the facts the change of {name} is '{' and '.join(sorted(known))}'."
    return [Fault("change", "contradicted", claim.words, claim.start, claim.end, why)]


def changes_of(concepts: Iterable[str], facts: Facts) -> frozenset[str]:
    """The kinds of change that facts state of concepts."""
    rows = [row for concept in concepts for row in facts.rows(concept)]
    return frozenset(change for row in rows for change in row.changes if change in ALIKE)


def is_of_change(claim: Claim, concept: str, facts: Facts) -> bool:
    """Whether a denial is of a change ("no new houses") or true of one date: a lake that is new was not there."""
    if claim.text == "change":
        return facts.is_pair
    known = changes_of((concept,), facts)
    return claim.text == "past" and facts.is_pair and bool(known & {"new", "removed", "decreased"})

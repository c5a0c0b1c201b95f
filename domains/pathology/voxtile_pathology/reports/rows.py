"""What reports of slides say, as rows of the facts table and of the ledger."""

from __future__ import annotations

from typing import Any

from voxtile.corpus.records import Row
from voxtile.engine.task import Part
from voxtile_datasets.report_reading.rules import finding_row
from voxtile_pathology.reports.fact import SlideFact
from voxtile_pathology.reports.lexicon import Lexicon
from voxtile_pathology.reports.read import Reading

_CLASSES = ("_category", "_sample", "_stage")  # what a concept's name ends with that sorts a case and is not seen


def problems(uid: str, reading: Reading) -> list[Part]:
    """What a report says that is not taken, as rows of the ledger."""
    return [Part(uid, "dropped", problem.reason, problem.detail) for problem in reading.problems]


def fact_row(uid: str, fact: SlideFact, lexicon: Lexicon) -> Row:
    """A fact as a row of the facts table; `value` is the finding's own number, else its largest dimension in mm."""
    attributes: dict[str, Any] = {"evidence": list(fact.evidence), "words": fact.words} | fact.attributes.as_json()
    attributes |= {"implied_by": fact.implied_by} if fact.implied_by else {}
    attributes |= {"addendum": fact.addendum} if fact.addendum else {}
    concept = lexicon.concepts.get(fact.concept)
    # A stage, a margin, a category is of the case: templates do not word it as something to be seen.
    is_of_case = concept is not None and (concept.read != "words" or fact.concept.endswith(_CLASSES))
    attributes |= {"of_case": True} if is_of_case else {}
    row = finding_row(uid, fact.concept, fact.polarity, attributes, concept.code if concept else None, lexicon.version)
    if fact.value is not None:
        row |= {"value": fact.value, "unit": fact.unit}
    elif fact.attributes.size_mm:
        row |= {"value": max(fact.attributes.size_mm), "unit": "mm"}
    return row

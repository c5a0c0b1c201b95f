"""What radiology reports say, as rows of the facts and scopes tables and of the ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from voxtile.corpus.records import Row
from voxtile.corpus.schema import MEASURED
from voxtile.engine.task import Part
from voxtile_datasets.report_reading.rules import RULES_SOURCE, finding_row
from voxtile_medical.reports.attributes import Attributes
from voxtile_medical.reports.extract import Reading, ReportFact
from voxtile_medical.reports.lexicon import Lexicon
from voxtile_medical.reports.quantities.measures import Measurement
from voxtile_medical.reports.vocabulary import Vocabulary


def fact_rows(uid: str, reading: Reading, words: Lexicon, vocabulary: Vocabulary) -> Iterator[Row]:
    """What a report says in the names of a vocabulary; measurements of organs where it has all concepts."""
    apart = vocabulary.elsewhere(reading)
    yield from (fact_row(uid, fact, words, apart.get(fact.concept, ())) for fact in vocabulary.facts(reading))
    if vocabulary.version is None:
        yield from (measurement_row(uid, measured, words) for measured in reading.measurements)


def problems(uid: str, reading: Reading) -> list[Part]:
    """What a report says that is not taken, as rows of the ledger."""
    return [Part(uid, "dropped", problem.reason, problem.detail) for problem in reading.problems]


def fact_row(uid: str, fact: ReportFact, words: Lexicon, apart: Sequence[ReportFact] = ()) -> Row:
    """A fact as a row of the facts table; `value` is the largest dimension in mm.

    Args:
        uid: of the sample.
        fact: what is said of a concept.
        words: the lexicon that knows it.
        apart: what is denied or doubted of the same concept at other sides or places.
    """
    attributes: dict[str, Any] = {"evidence": list(fact.evidence)} if fact.evidence else {}
    attributes |= {"spans": [list(span) for span in fact.spans]} if fact.spans else {}
    attributes |= attribute_values(fact.attributes)
    for name, polarity in (("absent_at", "absent"), ("uncertain_at", "uncertain")):
        places = [attribute_values(other.attributes) for other in apart if other.polarity == polarity]
        attributes |= {name: places} if places else {}
    concept = words.concepts.get(fact.concept)
    row = finding_row(uid, fact.concept, fact.polarity, attributes, concept.code if concept else None, words.version)
    if fact.attributes.size_mm:
        row |= {"value": max(fact.attributes.size_mm), "unit": "mm"}
    return row


def measurement_row(uid: str, measured: Measurement, words: Lexicon) -> Row:
    """A measurement of an organ as a row of the facts table, as masks give it."""
    attributes = {"evidence": [measured.evidence], "region": measured.region}
    attributes |= {"laterality": measured.laterality} if measured.laterality else {}
    return {
        "uid": uid,
        "concept": measured.concept,
        "polarity": "present",
        "value": measured.value,
        "unit": measured.unit,
        "attributes": json.dumps(attributes, sort_keys=True),
        # As those of masks, measurements are never targets of training.
        "source": f"{MEASURED}{RULES_SOURCE}{words.version}",
    }


def attribute_values(attributes: Attributes) -> dict[str, Any]:
    """The attributes that are known, as JSON has them."""
    names = ("laterality", "location", "severity", "size_mm", "change", "number", "count")
    found = {name: value for name, value in zip(names, attributes.values(), strict=True) if value}
    return found | ({"size_mm": list(attributes.size_mm)} if attributes.size_mm else {})


def scope_rows(uid: str, vocabulary: Vocabulary, closed: list[str]) -> Iterator[Row]:
    """What the report closes and what it leaves open; silence closes nothing."""
    known = frozenset(closed)
    rest = [name for name in vocabulary.labels if name not in known]
    for is_closed, concepts in ((True, closed), (False, rest)):
        if concepts:
            yield {"uid": uid, "vocabulary": vocabulary.name, "closed": is_closed, "concepts": concepts}

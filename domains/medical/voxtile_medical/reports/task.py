"""Reports of a corpus as the engine reads them: one item a part of the captions table."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from voxtile.corpus.records import Row
from voxtile.corpus.schema import MEASURED
from voxtile.engine.task import Item, Outcome, Part
from voxtile_datasets.intake.report_parts import report_items
from voxtile_datasets.report_reading.listing import NOT_READ
from voxtile_datasets.report_reading.stored import BESIDE_MODEL, StoredRows
from voxtile_medical.reports.assertion.grammar import ENGLISH
from voxtile_medical.reports.attributes import Attributes
from voxtile_medical.reports.extract import Reading, ReportFact, read_report
from voxtile_medical.reports.lexicon import Lexicon, lexicon_files, load_lexicon
from voxtile_medical.reports.quantities.measures import Measurement
from voxtile_medical.reports.text.abbreviations import TABLE as ABBREVIATIONS
from voxtile_medical.reports.text.language import other_language
from voxtile_medical.reports.text.spelling import TABLE as SPELLING
from voxtile_medical.reports.vocabulary import Vocabulary, load_vocabulary

# No report of an examination is longer; a text that is has been joined wrongly, and would take minutes to read.
LONGEST_REPORT = 200_000
TABLES = (ENGLISH, ABBREVIATIONS, SPELLING)  # a change of these changes what is read


@dataclass(frozen=True)
class ReportTask:
    """The engine task: an item is a part of the captions table, so that reports that arrive later are read alone.

    Attributes:
        corpus: the corpus.
        lexicon: YAML of concepts.
        vocabulary: name or file of the vocabulary.
    """

    corpus: Path
    lexicon: Path
    vocabulary: str

    @property
    def name(self) -> str:
        """Short name, used in file names and manifests."""
        return "reports"

    @property
    def version(self) -> str:
        """Bumped whenever the output for the same input changes."""
        return "6"

    def config(self) -> Mapping[str, Any]:
        """Settings that change the output."""
        digest = hashlib.sha256(b"".join(file.read_bytes() for file in (*lexicon_files(self.lexicon), *TABLES)))
        vocabulary = load_vocabulary(self.vocabulary, load_lexicon(self.lexicon))
        return {
            "lexicon_sha256": digest.hexdigest(),
            "vocabulary": vocabulary.name,
            "vocabulary_sha256": vocabulary.sha256,
        }

    def items(self) -> Iterator[Item]:
        """One item a part of the captions table that holds reports.

        Raises:
            InputError: there is none.
        """
        yield from report_items(self.corpus)

    def process(self, item: Item) -> Outcome:
        """Facts and scopes of the samples of one part; what is not read is a row of the ledger."""
        words = load_lexicon(self.lexicon)
        vocabulary = load_vocabulary(self.vocabulary, words)
        path = self.corpus / "tables" / "captions" / f"{item.inputs['part']}.parquet"
        facts: list[Row] = []
        scopes: list[Row] = []
        parts: list[Part] = []
        for row in pq.read_table(path, columns=["uid", "text", "kind"]).to_pylist():
            if row["kind"] != "raw":
                continue
            refused = refusal(row["uid"], row["text"], words)
            if refused is not None:
                parts.append(refused)
                continue
            reading = read_report(row["text"], words)
            facts += fact_rows(row["uid"], reading, words, vocabulary)
            scopes += scope_rows(row["uid"], vocabulary, vocabulary.closed(reading))
            parts += problems(row["uid"], reading)
            parts += [
                Part(row["uid"], "dropped", NOT_READ, f"'{row['text'][start:end][:120]}' says nothing that is known")
                for start, end in reading.unread
            ]
        stored = StoredRows(self.corpus, f"{self.name}{BESIDE_MODEL}", {row["uid"] for row in facts + scopes})
        return Outcome("used", tables=stored.without({"facts": facts, "scopes": scopes}), parts=tuple(parts))


def refusal(uid: str, text: str, words: Lexicon) -> Part | None:
    """Why a report is not read at all, or None."""
    if len(text) > LONGEST_REPORT:
        detail = f"{len(text):,} characters are no report of one examination (limit {LONGEST_REPORT:,})"
        return Part(uid, "dropped", "report-too-long", detail)
    language = other_language(text, words.words())
    if language is not None:
        return Part(uid, "dropped", "report-not-english", f"the text is in {language}; only English reports are read")
    return None


def fact_rows(uid: str, reading: Reading, words: Lexicon, vocabulary: Vocabulary) -> Iterator[Row]:
    """What a report says in the names of a vocabulary; measurements of organs where it has all concepts."""
    apart = vocabulary.elsewhere(reading)
    yield from (fact_row(uid, fact, words, apart.get(fact.concept, ())) for fact in vocabulary.facts(reading))
    if vocabulary.version is None:
        yield from (measurement_row(uid, measured, words) for measured in reading.measurements)


def unread_sentences(report: str, words: Lexicon) -> list[str]:
    """The sentences of a report that tell findings and say nothing known; none of a report that is not read at all."""
    if refusal("", report, words) is not None:
        return []
    return [report[start:end] for start, end in read_report(report, words).unread]


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
    row: Row = {
        "uid": uid,
        "concept": fact.concept,
        "polarity": fact.polarity,
        "attributes": json.dumps(attributes, sort_keys=True),
        "code": concept.code if concept else None,
        "source": source_of(words),
    }
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
        "source": f"{MEASURED}reports@{words.version}",
    }


def source_of(words: Lexicon) -> str:
    """What the facts of the rules say they come from."""
    return f"reports@{words.version}"


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

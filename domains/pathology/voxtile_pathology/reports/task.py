"""Reports of slides as the engine reads them: one item a part of the captions table."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from voxtile.corpus.records import Row
from voxtile.engine.task import Item, Outcome, Part
from voxtile_datasets.intake.report_parts import report_items
from voxtile_datasets.report_reading.listing import NOT_READ
from voxtile_datasets.report_reading.stored import BESIDE_MODEL, StoredRows
from voxtile_pathology.reports.fact import SlideFact
from voxtile_pathology.reports.labels import load_labels
from voxtile_pathology.reports.lexicon import Lexicon, lexicon_files, load_lexicon
from voxtile_pathology.reports.read import Reading, read_slide_report
from voxtile_pathology.reports.text.language import CUES, language

# No report of a case is longer; a text that is has been joined wrongly, and would take minutes to read.
LONGEST_REPORT = 200_000


@dataclass(frozen=True)
class SlideReportTask:
    """The engine task: an item is a part of the captions table, so that reports that arrive later are read alone.

    Attributes:
        corpus: the corpus.
        lexicon: YAML of concepts.
        vocabulary: name of the scope, or file of labels.
    """

    corpus: Path
    lexicon: Path
    vocabulary: str

    @property
    def name(self) -> str:
        """Short name, used in file names and manifests."""
        return "slide-reports"

    @property
    def version(self) -> str:
        """Bumped whenever the output for the same input changes."""
        return "2"

    def config(self) -> Mapping[str, Any]:
        """Settings that change the output."""
        digest = hashlib.sha256(b"".join(file.read_bytes() for file in (*lexicon_files(self.lexicon), CUES)))
        labels = load_labels(self.vocabulary, load_lexicon(self.lexicon))
        return {"lexicon_sha256": digest.hexdigest(), "vocabulary": labels.name, "vocabulary_sha256": labels.sha256}

    def items(self) -> Iterator[Item]:
        """One item a part of the captions table that holds reports.

        Raises:
            InputError: there is none.
        """
        yield from report_items(self.corpus)

    def process(self, item: Item) -> Outcome:
        """Facts and scopes of the samples of one part; what is not read is a row of the ledger."""
        lexicon = load_lexicon(self.lexicon)
        labels = load_labels(self.vocabulary, lexicon)
        names = labels.names(lexicon)
        path = self.corpus / "tables" / "captions" / f"{item.inputs['part']}.parquet"
        facts: list[Row] = []
        scopes: list[Row] = []
        parts: list[Part] = []
        for row in pq.read_table(path, columns=["uid", "text", "kind"]).to_pylist():
            if row["kind"] != "raw":
                continue
            refused = refusal(row["uid"], row["text"], lexicon)
            if refused is not None:
                parts.append(refused)
                continue
            reading = read_slide_report(row["text"], lexicon)
            facts += [fact_row(row["uid"], fact, lexicon) for fact in labels.facts(reading.facts)]
            # What a report does not mention stays unknown: no report of pathology says that it names everything.
            scopes.append({"uid": row["uid"], "vocabulary": labels.name, "closed": False, "concepts": names})
            parts += problems(row["uid"], reading)
            parts += [
                Part(row["uid"], "dropped", NOT_READ, f"'{sentence[:120]}' says nothing that is known")
                for sentence in reading.unread
            ]
        stored = StoredRows(self.corpus, f"{self.name}{BESIDE_MODEL}", {row["uid"] for row in facts + scopes})
        return Outcome("used", tables=stored.without({"facts": facts, "scopes": scopes}), parts=tuple(parts))


def refusal(uid: str, text: str, lexicon: Lexicon) -> Part | None:
    """Why a report is not read at all, or None."""
    if len(text) > LONGEST_REPORT:
        detail = f"{len(text):,} characters are no report of one case (limit {LONGEST_REPORT:,})"
        return Part(uid, "dropped", "report-too-long", detail)
    other = language().other_language(text, lexicon.words())
    if other is not None:
        return Part(uid, "dropped", "report-not-english", f"the text is in {other}; only English reports are read")
    return None


def problems(uid: str, reading: Reading) -> list[Part]:
    """What a report says that is not taken, as rows of the ledger."""
    return [Part(uid, "dropped", problem.reason, problem.detail) for problem in reading.problems]


def unread_sentences(report: str, lexicon: Lexicon) -> tuple[str, ...]:
    """The sentences of a report that tell findings and say nothing known; none of one that is not read at all."""
    return read_slide_report(report, lexicon).unread if refusal("", report, lexicon) is None else ()


def source_of(lexicon: Lexicon) -> str:
    """What the facts of the rules say they come from."""
    return f"reports@{lexicon.version}"


def fact_row(uid: str, fact: SlideFact, lexicon: Lexicon) -> Row:
    """A fact as a row of the facts table; `value` is the finding's own number, else its largest dimension in mm."""
    attributes: dict[str, Any] = {"evidence": list(fact.evidence), "words": fact.words} | fact.attributes.as_json()
    attributes |= {"implied_by": fact.implied_by} if fact.implied_by else {}
    attributes |= {"addendum": fact.addendum} if fact.addendum else {}
    concept = lexicon.concepts.get(fact.concept)
    # A stage, a margin, a receptor is of the case: templates do not word it as something to be seen.
    attributes |= {"of_case": True} if concept is not None and concept.read != "words" else {}
    row: Row = {
        "uid": uid,
        "concept": fact.concept,
        "polarity": fact.polarity,
        "attributes": json.dumps(attributes, sort_keys=True),
        "code": concept.code if concept else None,
        "source": source_of(lexicon),
    }
    if fact.value is not None:
        row |= {"value": fact.value, "unit": fact.unit}
    elif fact.attributes.size_mm:
        row |= {"value": max(fact.attributes.size_mm), "unit": "mm"}
    return row

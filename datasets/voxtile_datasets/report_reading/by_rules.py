"""Reports of a corpus read by the rules of a domain, as an engine task: an input is a part of the captions table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxtile.corpus.records import Row
from voxtile.engine.task import Item, Outcome, Part
from voxtile_datasets.intake.report_parts import report_items, reports_of
from voxtile_datasets.report_reading.listing import NOT_READ
from voxtile_datasets.report_reading.rules import RuleReader
from voxtile_datasets.report_reading.stored import BESIDE_MODEL, StoredRows

# No report of an examination is longer; a text that is has been joined wrongly, and would take minutes to read.
LONGEST_REPORT = 200_000
NOT_ENGLISH = "report-not-english"


@dataclass(frozen=True)
class RuleReportTask:
    """The engine task; reports that arrive later are read alone.

    Attributes:
        corpus: the corpus.
        rules: of the domain.
    """

    corpus: Path
    rules: RuleReader

    @property
    def name(self) -> str:
        """Short name, used in file names and manifests."""
        return self.rules.task

    @property
    def version(self) -> str:
        """Bumped whenever the output for the same input changes."""
        return self.rules.version

    def config(self) -> Mapping[str, Any]:
        """Settings that change the output."""
        return self.rules.config()

    def items(self) -> Iterator[Item]:
        """One item a part of the captions table that holds reports.

        Raises:
            InputError: there is none.
        """
        yield from report_items(self.corpus)

    def process(self, item: Item) -> Outcome:
        """Facts and scopes of the samples of one part; what is not read is a row of the ledger."""
        tables: dict[str, list[Row]] = {"facts": [], "scopes": []}
        parts: list[Part] = []
        for report in reports_of(self.corpus / "tables" / "captions" / f"{item.inputs['part']}.parquet"):
            rows = self.rules.rows(report["uid"], report["text"])
            tables["facts"] += rows.facts
            tables["scopes"] += rows.scopes
            parts += rows.parts
            parts += [
                Part(report["uid"], "dropped", NOT_READ, f"'{sentence[:120]}' says nothing that is known")
                for sentence in rows.unread
            ]
        uids = {row["uid"] for rows in tables.values() for row in rows}
        stored = StoredRows(self.corpus, f"{self.name}{BESIDE_MODEL}", uids)
        return Outcome("used", tables=stored.without(tables), parts=tuple(parts))


def refusal(uid: str, text: str, of: str, language: Callable[[str], str | None]) -> Part | None:
    """Why a report is not read at all, or None.

    Args:
        uid: of its sample.
        text: the report.
        of: what one report is about, e.g. "one examination".
        language: what another language than English a text is in, or None.
    """
    if len(text) > LONGEST_REPORT:
        detail = f"{len(text):,} characters are no report of {of} (limit {LONGEST_REPORT:,})"
        return Part(uid, "dropped", "report-too-long", detail)
    other = language(text)
    if other is not None:
        return Part(uid, "dropped", NOT_ENGLISH, f"the text is in {other}; only English reports are read")
    return None

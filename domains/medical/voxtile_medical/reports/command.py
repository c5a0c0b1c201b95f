"""`voxtile facts CORPUS --from reports`: what the reports of a corpus say, as facts with their sentences."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from voxtile.corpus.reader import Corpus
from voxtile.corpus.writer import append_rows

from voxtile.errors import InputError
from voxtile_medical.reports.extract import ReportFact, facts_of_report
from voxtile_medical.reports.lexicon import LEXICON, Lexicon, load_lexicon


def facts_from_reports(corpus: Path, *, lexicon: Path = LEXICON, vocabulary: str = "ct-findings") -> None:
    """Read findings from the free-text reports of a corpus.

    Every mention in the findings and impression sections becomes a fact (present, absent, uncertain) with the
    sentences that say it. The scope is open: what a report does not mention stays unknown.

    Args:
        corpus: a corpus whose captions table holds reports (kind `raw`).
        lexicon: YAML of concepts; the default covers CT of the chest and abdomen.
        vocabulary: name of the scope that is written.

    Raises:
        InputError: the corpus has no reports.
    """
    words = load_lexicon(lexicon)
    captions = Corpus(corpus).table("captions", columns=["uid", "text", "kind"]).to_pylist()
    reports = [(row["uid"], row["text"]) for row in captions if row["kind"] == "raw"]
    if not reports:
        raise InputError(
            f"{corpus} has no reports (captions of kind raw); attach them with: voxtile convert … --reports FILE"
        )
    rows = list(_fact_rows(reports, words))
    source = f"reports-{words.version}"
    concepts = [c.name for c in words.concepts]
    scopes = [{"uid": u, "vocabulary": vocabulary, "closed": False, "concepts": concepts} for u, _ in reports]
    append_rows(corpus, "facts", source, rows)
    append_rows(corpus, "scopes", source, scopes)
    _print_summary(rows, len(reports))


def _fact_rows(reports: list[tuple[str, str]], lexicon: Lexicon) -> Iterator[dict[str, Any]]:
    read: dict[str, list[ReportFact]] = {}
    for uid, text in reports:
        if text not in read:
            read[text] = facts_of_report(text, lexicon)
        for fact in read[text]:
            attributes = {"evidence": list(fact.evidence)} | (
                {"laterality": fact.laterality} if fact.laterality else {}
            )
            yield {
                "uid": uid,
                "concept": fact.concept,
                "polarity": fact.polarity,
                "attributes": json.dumps(attributes, sort_keys=True),
                "source": f"reports@{lexicon.version}",
            }


def _print_summary(rows: list[dict[str, Any]], reports: int) -> None:
    table = Table(title=f"facts from {reports} reports", title_justify="left")
    table.add_column("concept")
    polarities = ("present", "absent", "uncertain")
    for polarity in polarities:
        table.add_column(polarity, justify="right")
    counts: dict[str, dict[str, int]] = {}
    for row in rows:
        held = counts.setdefault(row["concept"], dict.fromkeys(polarities, 0))
        held[row["polarity"]] += 1
    for concept, held in sorted(counts.items()):
        table.add_row(concept, *(str(held[p]) for p in polarities))
    Console().print(table)

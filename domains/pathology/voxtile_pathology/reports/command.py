"""`voxtile facts CORPUS --from slide-reports`: what the reports of slides state, as facts with their words."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from voxtile.console import output
from voxtile.corpus.reader import Corpus
from voxtile.engine.run import RunOptions, run_task
from voxtile_pathology.reports.fact import FIRMEST_FIRST
from voxtile_pathology.reports.labels import load_labels
from voxtile_pathology.reports.lexicon import LEXICON, load_lexicon
from voxtile_pathology.reports.task import SlideReportTask
from voxtile_pathology.reports.text.language import language

_MOST_ROWS = 40  # of the table; the rest is said in one line


def facts_from_slide_reports(
    corpus: Path,
    *,
    lexicon: Path = LEXICON,
    vocabulary: str = "slide-findings",
    **run: Any,  # noqa: ANN401
) -> None:
    """Read findings from the reports of slides: free text and synoptic lists.

    Histology, grade, stage, margins, nodes, receptors and other stains, treatment effect and gross findings become
    facts (present, absent, uncertain), each with the words that say it; docs/pathology.md lists their names. Clinical
    history is no finding, and an addendum replaces what it amends. The scope is open, because what a report does not
    mention stays unknown. A report that is not in English, or is no report by its length, gives no facts and a row in
    the ledger; so do a result that is still to come and an answer that is not understood.

    Args:
        corpus: a corpus whose captions table holds reports (kind raw).
        lexicon: YAML of concepts; the default covers surgical pathology.
        vocabulary: name of the scope that is written, for all concepts of the lexicon; or a YAML file of labels.
        run: options of the run.

    Raises:
        ConfigError: the domain that reads English reports is not installed.
        InputError: the corpus has no reports, or the lexicon or vocabulary cannot be read.
    """
    language()
    labels = load_labels(vocabulary, load_lexicon(lexicon))
    names = set(labels.names(load_lexicon(lexicon)))
    summary = run_task(SlideReportTask(corpus, lexicon, vocabulary), corpus, RunOptions(**run))
    output().print(_table(corpus, names))
    summary.raise_if_failed()


def _table(corpus: Path, labels: set[str]) -> Table:
    """How many samples' reports affirm, doubt or deny each label, the most frequent first."""
    facts = Corpus(corpus).table("facts", columns=["uid", "concept", "polarity", "source"]).to_pylist()
    said = {(f["uid"], f["concept"], f["polarity"]) for f in facts if (f["source"] or "").startswith("reports@")}
    counts = Counter((concept, polarity) for _, concept, polarity in said if concept in labels)
    totals = Counter(concept for _, concept, _ in said if concept in labels)
    table = Table(title="findings in the reports: samples a concept")
    table.add_column("concept")
    for polarity in FIRMEST_FIRST:
        table.add_column(polarity, justify="right")
    for concept, _ in sorted(totals.items(), key=lambda pair: (-pair[1], pair[0]))[:_MOST_ROWS]:
        table.add_row(escape(concept), *(str(counts[concept, polarity]) for polarity in FIRMEST_FIRST))
    if len(totals) > _MOST_ROWS:
        table.caption = f"and {len(totals) - _MOST_ROWS} more concepts, in the facts table"
    return table

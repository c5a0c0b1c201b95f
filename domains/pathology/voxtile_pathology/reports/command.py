"""`voxtile facts CORPUS --from slide-reports`: what the reports of slides state, as facts with their words."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

from rich.table import Table

from voxtile.errors import ConfigError
from voxtile_datasets.report_reading.options import ReadingOptions
from voxtile_datasets.report_reading.read import counts_by_polarity, findings_table, read_reports
from voxtile_pathology.reports.fact import FIRMEST_FIRST
from voxtile_pathology.reports.labels import load_labels
from voxtile_pathology.reports.lexicon import LEXICON, load_lexicon
from voxtile_pathology.reports.rules import PathologyRules
from voxtile_pathology.reports.text.language import language

FINDINGS = "slide-findings"
"""Vocabulary of all concepts of the lexicon."""

_MOST_ROWS = 40  # of the table; the rest is said in one line


def facts_from_slide_reports(
    corpus: Path,
    *,
    lexicon: Path = LEXICON,
    vocabulary: str = FINDINGS,
    **options: Annotated[Any, ReadingOptions],  # noqa: ANN401
) -> None:
    """Read findings from the reports of slides: free text and synoptic lists.

    Histology, grade, stage, margins, nodes, receptors and other stains, treatment effect and gross findings become
    facts (present, absent, uncertain), each with the words that say it; docs/pathology.md lists their names. Clinical
    history is no finding, and an addendum replaces what it amends. The scope is open, because what a report does not
    mention stays unknown. A report that is not in English, or is no report by its length, gives no facts and a row in
    the ledger; so do a result that is still to come, an answer that is not understood, and each sentence that names
    nothing known: the commonest of these are shown, and --listing has all.

    With --reader model a language model reads each report as well. What it says has to point to words of the report and
    to be known to the lexicon; where the rules read the same their fact is written, where they did not read the words
    it is written with the source model-reports/MODEL, and where they speak against it it is disputed and not written.

    Args:
        corpus: a corpus whose captions table holds reports (kind raw).
        lexicon: YAML of concepts; the default covers surgical pathology.
        vocabulary: name of the scope that is written, for all concepts of the lexicon; or a YAML file of labels.
        options: how to read and to run, see `ReadingOptions`.

    Raises:
        ConfigError: the domain that reads English reports is not installed, or an option cannot be used.
        InputError: the corpus has no reports, or the lexicon or vocabulary cannot be read.
        LicenceError: the licence of a report does not let it leave this machine.
        ProviderError: the model or its endpoint cannot be used.
        RunFailedError: some reports got no reply that can be read; what the rules read of them is stored.
    """
    reading = ReadingOptions(**options)
    language()
    labels = set(load_labels(vocabulary, load_lexicon(lexicon)).names(load_lexicon(lexicon)))
    read_reports(corpus, PathologyRules(lexicon, vocabulary), reading, lambda: _table(corpus, labels))


def rules_of_vocabulary(vocabulary: str) -> PathologyRules:
    """The rules that read the labels of a vocabulary in reports of slides.

    Args:
        vocabulary: slide-findings, all concepts of the lexicon; or a YAML file of labels.

    Raises:
        ConfigError: there is no such vocabulary.
        InputError: the file cannot be read.
    """
    if vocabulary != FINDINGS and not vocabulary.endswith((".yaml", ".yml")):
        raise ConfigError(f"there is no vocabulary '{vocabulary}'; there is {FINDINGS}, or give a YAML file of labels")
    load_labels(vocabulary, load_lexicon(LEXICON))
    return PathologyRules(LEXICON, vocabulary)


def _table(corpus: Path, labels: set[str]) -> Table:
    """How many samples' reports affirm, doubt or deny each label, the most frequent first."""
    counts = counts_by_polarity(corpus, labels)
    totals: Counter[str] = Counter()
    for (concept, _), count in counts.items():
        totals[concept] += count
    frequent = sorted(totals, key=lambda concept: (-totals[concept], concept))
    table = findings_table(counts, frequent[:_MOST_ROWS], FIRMEST_FIRST)
    if len(totals) > _MOST_ROWS:
        table.caption = f"and {len(totals) - _MOST_ROWS} more concepts, in the facts table"
    return table

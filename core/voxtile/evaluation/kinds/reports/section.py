"""What the page and the terminal show of report factuality: figures beside the trivial report and other controls."""

from __future__ import annotations

from rich.table import Table

from voxtile.evaluation.figures.rows import Row
from voxtile.evaluation.kinds.reports.judge import PREFIX
from voxtile.evaluation.kinds.reports.reading import ERRORS
from voxtile.evaluation.kinds.reports.rows import BLIND, DRAFTS, HEADLINE, OWN, TRIVIAL
from voxtile.evaluation.kinds.reports.run import ReportResult
from voxtile.evaluation.report.beside_controls import BesideControls, Figure, NamedWriter, Writer, tables_of
from voxtile.evaluation.report.lines import LinesSection, strip_of_lines
from voxtile.evaluation.terminal import selection

_WRITERS: dict[Writer, NamedWriter] = {
    (DRAFTS, "model"): NamedWriter("model", "Drafts", "the drafted reports, judged by the facts of their own case"),
    (TRIVIAL, "trivial"): NamedWriter(
        "trivial", "Trivial report", "the commonest sentences of the training split, for every case"
    ),
    (BLIND, "trivial"): NamedWriter("blind", "Blind drafts", "drafts of the model without an image"),
    (OWN, "trivial"): NamedWriter("own", "Own reports", "the cases' own reports, read likewise: the reader's limit"),
    (DRAFTS, "shuffled"): NamedWriter("shuffled", "Another image", "drafts for the images of other subjects"),
}
_TITLES = {
    "finding_f1": "F1 of findings",
    "finding_precision": "Precision of findings",
    "finding_recall": "Recall of findings",
    "polarity_accuracy": "Affirmed and denied rightly",
    "hallucination_rate": "Invented, of what is said to be there",
    "contradicted_sentences": "Sentences that the facts contradict",
    "bleu": "BLEU-4",
    "rouge_l": "ROUGE-L",
    "cider": "CIDEr, of 10",
}


def title_of(row: Row) -> str:
    """What a figure is called for people."""
    words = row.metric.removeprefix("label:").removeprefix(PREFIX).replace("_", " ")
    title = _TITLES.get(row.metric, words[0].upper() + words[1:])
    return title if row.class_name is None else f"{title}, {row.class_name.replace('_', ' ')}"


def _beside_controls(result: ReportResult) -> tuple[BesideControls, list[Figure]]:
    """Of the drafts the figures that have a value, and the headline without one, too."""
    beside = BesideControls(_WRITERS, result.told, result.rows)
    return beside, [f for f in beside.figures() if f.row.value is not None or f.row.metric == HEADLINE]


def _is_error(row: Row) -> bool:
    return row.metric in ERRORS or row.metric.startswith(PREFIX)


def report_section(result: ReportResult) -> LinesSection:
    """Gather what the page shows of report factuality."""
    beside, found = _beside_controls(result)
    judge = result.judged_by[0] if result.judged_by else "nobody"
    tables = tables_of(
        {
            "Findings": [f for f in found if f.row.class_name is None and not _is_error(f.row)],
            "Reports with such an error": [f for f in found if f.row.metric in ERRORS],
            f"Reports with such an error, as {judge} judges": [f for f in found if f.row.metric.startswith(PREFIX)],
            "Single findings": [f for f in found if f.row.class_name is not None],
        },
        title_of,
    )
    undecided = "" if result.undecided is None else (
        f" Of what the drafts say to be there, {result.undecided:.0%} is nothing that facts or closed scopes decide, "
        "and counts neither way."
    )  # fmt: skip
    return LinesSection(
        result=result,
        sources=beside.sources(),
        headline_title="F1 of findings, pooled",
        tables=tables,
        reading=(
            f"{len(result.units)} reports were read by the rules of voxtile check, and what they say was held against "
            f"the facts of their cases.{undecided} Words are a table of their own: a report can share most words with "
            "the right one and say the opposite."
        ),
        strip=strip_of_lines(tables),
        difference=next(iter(result.differences), None),
        ranks=False,
    )


def report_tables(result: ReportResult) -> list[Table]:
    """A line a figure, the drafts beside their controls."""
    beside, found = _beside_controls(result)
    caption = f"{selection(result)}, {len(result.units)} reports"
    return [beside.table(caption, "counted", found, _title_in_terminal)]


def _title_in_terminal(row: Row) -> str:
    return f"{title_of(row)}, as judged" if row.metric.startswith(PREFIX) else title_of(row)

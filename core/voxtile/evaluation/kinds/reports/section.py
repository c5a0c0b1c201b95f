"""What the page and the terminal show of report factuality: figures beside the trivial report and other controls."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from voxtile.evaluation.figures.rows import Row, ScoreKind
from voxtile.evaluation.kinds.reports.judge import PREFIX
from voxtile.evaluation.kinds.reports.reading import ERRORS
from voxtile.evaluation.kinds.reports.rows import BLIND, DRAFTS, HEADLINE, OWN, TRIVIAL
from voxtile.evaluation.kinds.reports.run import ReportResult
from voxtile.evaluation.report.lines import Line, LinesSection, strip_of_lines
from voxtile.evaluation.report.section import Source
from voxtile.evaluation.terminal import bare, new_table, selection, shown

_SOURCES: dict[tuple[str, ScoreKind], tuple[str, str, str]] = {
    (DRAFTS, "model"): ("model", "Drafts", "the drafted reports, judged by the facts of their own case"),
    (TRIVIAL, "trivial"): (
        "trivial",
        "Trivial report",
        "the commonest sentences of the training split, for every case",
    ),
    (BLIND, "trivial"): ("blind", "Blind drafts", "drafts of the model without an image"),
    (OWN, "trivial"): ("own", "Own reports", "the cases' own reports, read likewise: the reader's limit"),
    (DRAFTS, "shuffled"): ("shuffled", "Another image", "drafts for the images of other subjects"),
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


def _lines(result: ReportResult) -> list[tuple[Row, dict[str, Row | None]]]:
    """The figures of the drafts that have a value, each with those of the controls by role."""
    found = {(r.model, r.kind, r.metric, r.class_name): r for r in result.rows}
    lines = []
    for row in result.rows:
        if (row.model, row.kind) == (DRAFTS, "model") and (row.value is not None or row.metric == HEADLINE):
            beside = {_SOURCES[who][0]: found.get((*who, row.metric, row.class_name)) for who in result.told}
            lines.append((row, beside))
    return lines


def _is_error(row: Row) -> bool:
    return row.metric in ERRORS or row.metric.startswith(PREFIX)


def report_section(result: ReportResult) -> LinesSection:
    """Gather what the page shows of report factuality."""
    lines = _lines(result)
    judge = result.judged_by[0] if result.judged_by else "nobody"
    parts = {
        "Findings": [line for line in lines if line[0].class_name is None and not _is_error(line[0])],
        "Reports with such an error": [line for line in lines if line[0].metric in ERRORS],
        f"Reports with such an error, as {judge} judges": [line for line in lines if line[0].metric.startswith(PREFIX)],
        "Single findings": [line for line in lines if line[0].class_name is not None],
    }
    tables = [(title, [Line(title_of(row), beside) for row, beside in own]) for title, own in parts.items() if own]
    undecided = "" if result.undecided is None else (
        f" Of what the drafts say to be there, {result.undecided:.0%} is nothing that facts or closed scopes decide, "
        "and counts neither way."
    )  # fmt: skip
    return LinesSection(
        result=result,
        sources=[Source(_SOURCES[who][0], *who, *_SOURCES[who][1:]) for who in result.told],
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
    table = new_table(f"{selection(result)}, {len(result.units)} reports", "figure")
    for heading in ("counted", *(_SOURCES[who][1].lower() for who in result.told)):
        table.add_column(heading, justify="right", no_wrap=True)
    for row, beside in _lines(result):
        others = [bare(beside[_SOURCES[who][0]]) for who in result.told[1:]]
        told = f"{title_of(row)}, as judged" if row.metric.startswith(PREFIX) else title_of(row)
        table.add_row(escape(told), f"{row.n}", shown(row), *others)
    return [table]

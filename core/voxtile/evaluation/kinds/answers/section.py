"""What the page and the terminal show of question answering: accuracies beside those of the controls."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from voxtile.evaluation.figures.rows import Row, ScoreKind
from voxtile.evaluation.kinds.answers.run import ANSWERS, BLIND, COMMONEST, AnswerResult
from voxtile.evaluation.report.lines import Line, LinesSection, strip_of_lines
from voxtile.evaluation.report.section import Source
from voxtile.evaluation.terminal import bare, new_table, selection, shown

_SOURCES: dict[tuple[str, ScoreKind], tuple[str, str, str]] = {
    (ANSWERS, "model"): ("model", "Answers", "the answers to questions about their own image"),
    (COMMONEST, "trivial"): ("trivial", "Commonest answer", "the commonest answer of the kind in the training split"),
    (BLIND, "trivial"): ("blind", "Blind answers", "answers of the model without an image"),
    (ANSWERS, "shuffled"): ("shuffled", "Another image", "answers about images of other subjects"),
}
_TITLES = {
    "accuracy": "Right answers",
    "closed_accuracy": "Right answers, closed questions",
    "choice_accuracy": "Right answers, several choices",
    "open_exact": "The same words, open questions",
    "open_f1": "F1 of words, open questions",
    "refusal_recall": "Refused, of what no image tells",
    "false_refusal": "Refused, of what the image tells",
    "refusal_precision": "What no image tells, of the refused",
    "aurc": "Risk by coverage, area under it",
    "risk@0.5": "Wrong, of the surest half",
    "ece": "Confidence, off from being right",
    "grounded_iou": "Overlap of what answers point at (IoU)",
    "grounded_dice": "Overlap of what answers point at (Dice)",
    "grounded_acc@0.5": "Places with an IoU of 0.5 or more",
    "grounded_shown": "Shown at all, of what is there",
    "false_place": "Shown all the same, of what is not there",
}


def _lines(result: AnswerResult) -> list[tuple[Row, dict[str, Row | None]]]:
    found = {(r.model, r.kind, r.metric, r.class_name): r for r in result.rows}
    return [
        (row, {_SOURCES[who][0]: found.get((*who, row.metric, row.class_name)) for who in result.told})
        for row in result.rows
        if (row.model, row.kind) == (ANSWERS, "model")
    ]


def _title(row: Row) -> str:
    title = _TITLES[row.metric]
    return title if row.class_name is None else f"{title}, {row.class_name}"


def _is_of_places(row: Row) -> bool:
    return row.metric.startswith("grounded_") or row.metric == "false_place"


def answer_section(result: AnswerResult) -> LinesSection:
    """Gather what the page shows of question answering."""
    found = _lines(result)
    parts = {
        "Answers": [line for line in found if not _is_of_places(line[0])],
        "Places": [line for line in found if _is_of_places(line[0])],
    }
    tables = [(title, [Line(_title(row), beside) for row, beside in own]) for title, own in parts.items() if own]
    return LinesSection(
        result=result,
        sources=[Source(_SOURCES[who][0], *who, *_SOURCES[who][1:]) for who in result.told],
        headline_title="Right answers",
        tables=tables,
        reading=(
            f"{sum(result.counts.values())} questions. A closed one is right where the answer names the right choice, "
            "an open one where its words are the same; questions that no image answers count among refusals only."
        ),
        strip=strip_of_lines(tables),
        difference=next(iter(result.differences), None),
        ranks=False,
    )


def answer_tables(result: AnswerResult) -> list[Table]:
    """A line a figure, the answers beside their controls."""
    table = new_table(f"{selection(result)}, {sum(result.counts.values())} questions", "figure")
    for heading in ("questions", *(_SOURCES[who][1].lower() for who in result.told)):
        table.add_column(heading, justify="right", no_wrap=True)
    for row, beside in _lines(result):
        table.add_row(
            escape(_title(row)), f"{row.n}", shown(row), *(bare(beside[_SOURCES[w][0]]) for w in result.told[1:])
        )
    return [table]

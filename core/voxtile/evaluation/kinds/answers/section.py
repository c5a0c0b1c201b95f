"""What the page and the terminal show of question answering: accuracies beside those of the controls."""

from __future__ import annotations

from rich.table import Table

from voxtile.evaluation.figures.rows import Row
from voxtile.evaluation.kinds.answers.run import ANSWERS, BLIND, COMMONEST, AnswerResult
from voxtile.evaluation.report.beside_controls import BesideControls, NamedWriter, Writer, tables_of
from voxtile.evaluation.report.lines import LinesSection, strip_of_lines
from voxtile.evaluation.terminal import selection

_WRITERS: dict[Writer, NamedWriter] = {
    (ANSWERS, "model"): NamedWriter("model", "Answers", "the answers to questions about their own image"),
    (COMMONEST, "trivial"): NamedWriter(
        "trivial", "Commonest answer", "the commonest answer of the kind in the training split"
    ),
    (BLIND, "trivial"): NamedWriter("blind", "Blind answers", "answers of the model without an image"),
    (ANSWERS, "shuffled"): NamedWriter("shuffled", "Another image", "answers about images of other subjects"),
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


def _beside_controls(result: AnswerResult) -> BesideControls:
    return BesideControls(_WRITERS, result.told, result.rows)


def _title(row: Row) -> str:
    title = _TITLES[row.metric]
    return title if row.class_name is None else f"{title}, {row.class_name}"


def _is_of_places(row: Row) -> bool:
    return row.metric.startswith("grounded_") or row.metric == "false_place"


def answer_section(result: AnswerResult) -> LinesSection:
    """Gather what the page shows of question answering."""
    beside = _beside_controls(result)
    found = beside.figures()
    tables = tables_of(
        {
            "Answers": [figure for figure in found if not _is_of_places(figure.row)],
            "Places": [figure for figure in found if _is_of_places(figure.row)],
        },
        _title,
    )
    return LinesSection(
        result=result,
        sources=beside.sources(),
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
    beside = _beside_controls(result)
    caption = f"{selection(result)}, {sum(result.counts.values())} questions"
    return [beside.table(caption, "questions", beside.figures(), _title)]

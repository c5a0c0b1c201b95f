"""What the page shows of one task, as plain values for the template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voxtile.evaluation.figures.baselines import NAME as TRIVIAL
from voxtile.evaluation.figures.calibration import Calibration, CalibrationFigures, calibration
from voxtile.evaluation.figures.figures import DECISION, RANKING
from voxtile.evaluation.figures.rows import Row, find_row
from voxtile.evaluation.figures.sensitivity import PromptSensitivity
from voxtile.evaluation.figures.subgroups import Subgroup
from voxtile.evaluation.kinds.zero_shot.cases import ClassCases, class_cases
from voxtile.evaluation.kinds.zero_shot.examples import ClassExamples, class_examples
from voxtile.evaluation.kinds.zero_shot.model_scores import ENSEMBLE, FACT_HEAD
from voxtile.evaluation.kinds.zero_shot.parts import (
    Confusion,
    RobustnessLine,
    confusion_matrix,
    confusions,
    grouped,
    robustness_lines,
)
from voxtile.evaluation.kinds.zero_shot.run import TaskResult
from voxtile.evaluation.report.plots import Curve, Plot, precision_recall_plot, reliability_plot, roc_plot
from voxtile.evaluation.report.section import Section, Source, Strip, strip_of
from voxtile.evaluation.results import Evaluation
from voxtile.evaluation.tasks.choices import LATE_INTERACTION, MATCHING, SCORERS

_PICTURES, _PICTURES_OF_A_CLASS = 12, 6  # of each kind over all classes (at least one a class), and of one class
_LABELS = {
    "model": ("Zero-shot prompts", "purely contrastive: image against text, no label of the task was used in scoring"),
    "head": ("Auxiliary fact head", "a classifier trained on facts beside the contrastive loss; not zero-shot"),
    "ensemble": ("Mean of both", "average of the prompt score and the fact head's"),
    LATE_INTERACTION: ("Late interaction", "patches and the words of the prompts, each with its best (TokenWise)"),
    MATCHING: ("Matching", "the head that tells pairs that belong together reads image and prompt (ImageTextMatching)"),
    "trivial": ("Trivial baseline", "logistic regression on intensity histogram and block means, same labels"),
    "shuffled": ("Shuffled images", "the prompts on images of other subjects; must be near chance"),
}
_HEAD = (
    "The fact head is not zero-shot.",
    "It was trained on facts about the same findings. Compare models by the prompts' figure.",
)


@dataclass(frozen=True)
class ClassLine:
    """One class in the tables: rows by metric and by the role of the source."""

    title: str
    positives: int
    n: int
    rows: dict[str, dict[str, Row | None]]
    calibration: Calibration | None
    roc: Plot | None
    precision_recall: Plot | None

    @property
    def value(self) -> float | None:
        """AUROC of the prompts; None where it is refused."""
        row = self.rows["auroc"]["model"]
        return None if row is None else row.value


@dataclass(frozen=True, kw_only=True)
class TaskSection(Section):
    """Everything that the template needs of one task with classes."""

    result: TaskResult
    macro: dict[str, dict[str, Row | None]]
    decided: bool
    lines: list[ClassLine]
    refused: list[ClassLine]
    reliability: Plot
    calibrations: list[tuple[str, str, CalibrationFigures]]
    confusions: list[Confusion]
    matrix: list[list[int]]
    robustness: list[RobustnessLine]
    subgroups: list[tuple[str, list[Subgroup]]]
    sensitivity: tuple[PromptSensitivity, ...]
    sensitivity_strip: Strip
    examples: list[ClassExamples]
    cases: list[ClassCases]
    volumes: bool
    template: str = "task.html.j2"
    labelled: bool = True

    @property
    def titles(self) -> dict[str | None, str]:
        """What people read of each class name; None is the mean of all."""
        return {None: "Mean of all", **{item.name: item.title for item in self.result.task.reported}}

    @property
    def decision_lines(self) -> list[tuple[str, dict[str, dict[str, Row | None]]]]:
        """(title, rows by metric and role) of each class with figures, then of their mean."""
        lines = [(line.title, line.rows) for line in self.lines]
        return lines if len(self.result.task.reported) == 1 else [*lines, (f"Mean of {len(lines)}", self.macro)]

    @property
    def limits(self) -> Sequence[tuple[str, str]]:
        """What a fact head's figures do not prove, where the model has one."""
        return [_HEAD] if any(source.role == "head" for source in self.sources) else []

    @property
    def headline(self) -> Row | None:
        """Macro AUROC of the prompts."""
        return self.macro["auroc"]["model"]


def task_section(evaluation: Evaluation, result: TaskResult) -> TaskSection:
    """Gather what the page shows of one task."""
    sources = _sources(evaluation.model, result)
    macro = _rows(result, sources, None)
    lines = [_line(result, sources, column) for column in range(len(result.task.reported))]
    shown = sorted((line for line in lines if line.value is not None), key=lambda line: -(line.value or 0))
    roles = {source.model: source for source in sources if source.kind == "model"}
    calibrated = [(roles[part.model], part) for part in result.calibrations]
    values = [r.low for line in shown for r in line.rows["auroc"].values() if r and r.low is not None]
    every = max(1, min(_PICTURES_OF_A_CLASS, _PICTURES // len(result.task.reported)))
    return TaskSection(
        result=result,
        sources=sources,
        macro=macro,
        decided=any(macro["balanced_accuracy"].values()),
        lines=shown,
        refused=[line for line in lines if line not in shown],
        strip=strip_of(values),
        difference=next((d for d in result.differences if d.model == evaluation.model), None),
        reliability=reliability_plot([(p.curve, s.role) for s, p in calibrated if p.temperature is None]),
        calibrations=[(s.role, s.label, part) for s, part in calibrated],
        confusions=confusions(result, evaluation.model),
        matrix=confusion_matrix(result, evaluation.model),
        robustness=robustness_lines(result, evaluation.model),
        subgroups=grouped(result.subgroups),
        sensitivity=result.sensitivity,
        sensitivity_strip=strip_of([value for part in result.sensitivity for value in part.values]),
        volumes=any(row["kind"] == "volume" for row in result.images.rows.values()),
        examples=[
            class_examples(result, evaluation.model, column, every) for column in range(len(result.task.reported))
        ],
        cases=[class_cases(result, evaluation.model, column) for column in range(len(result.task.reported))],
    )


def _sources(model: str, result: TaskResult) -> list[Source]:
    roles = {model: "model", model + FACT_HEAD: "head", model + ENSEMBLE: "ensemble"}
    roles |= {f"{model}+{name}": name for name in SCORERS}
    sources = [Source(role, name, "model", *_LABELS[role]) for name, role in roles.items() if name in result.scores]
    if TRIVIAL in result.scores:
        sources.append(Source("trivial", TRIVIAL, "trivial", *_LABELS["trivial"]))
    return [*sources, Source("shuffled", model, "shuffled", *_LABELS["shuffled"])]


def _rows(result: TaskResult, sources: Sequence[Source], name: str | None) -> dict[str, dict[str, Row | None]]:
    """Rows by metric and role, of one class or (None) of the macro average."""
    return {
        metric: {
            s.role: find_row(result.rows, model=s.model, kind=s.kind, metric=metric, class_name=name) for s in sources
        }
        for metric in (*RANKING, *DECISION)
    }


def _line(result: TaskResult, sources: Sequence[Source], column: int) -> ClassLine:
    item, model = result.task.reported[column], sources[0]
    known = result.labels[:, column] >= 0
    truth = result.labels[known, column] == 1
    drawable = bool(truth.any() and not truth.all())
    curves = [Curve(result.scores[s.model][known, column], s.role) for s in sources if s.kind != "shuffled"]
    return ClassLine(
        title=item.title,
        positives=int(truth.sum()),
        n=int(known.sum()),
        rows=_rows(result, sources, item.name),
        calibration=calibration(truth, result.scores[model.model][known, column]) if len(truth) else None,
        roc=roc_plot(truth, curves) if drawable else None,
        precision_recall=precision_recall_plot(truth, curves) if drawable else None,
    )

"""What is added to a task's result once its scores are there: calibration, subgroups, robustness, published rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import singledispatch

from voxtile.corpus.reader import Corpus
from voxtile.evaluation.compat.apply import compat_figures
from voxtile.evaluation.figures.baselines import TRIVIALS
from voxtile.evaluation.figures.calibration import CalibrationFigures, calibration_figures
from voxtile.evaluation.figures.decisions import decide, model_scores
from voxtile.evaluation.figures.figures import Difference, Scores
from voxtile.evaluation.figures.robustness import changed_images, changes
from voxtile.evaluation.figures.rows import Row
from voxtile.evaluation.figures.subgroups import Subgroup, group_names, subgroup_figures
from voxtile.evaluation.inputs.encode import encode_split
from voxtile.evaluation.kinds.retrieval.run import RetrievalResult
from voxtile.evaluation.kinds.zero_shot.run import Options, TaskResult, figure_table
from voxtile.evaluation.result import Result
from voxtile.models.protocol import EvaluationModel

MARK = "@"
"""Between a model's name and the change of the images that its rows are under."""


def completed(result: Result, model: EvaluationModel, corpus: Corpus, options: Options) -> Result:
    """The result with all that the task and the options ask for beyond its figures.

    Raises:
        ConfigError: no such robustness check or band.
        EvaluationError: no such property, or a protocol that cannot be applied.
    """
    result = _with_extras(result, model, corpus, options)
    if not options.compat:
        return result
    figures, notes = compat_figures(options.compat, result, model)
    return replace(result, compat=tuple(figures), notes=(*result.notes, *notes))


@singledispatch
def _with_extras(result: Result, model: EvaluationModel, corpus: Corpus, options: Options) -> Result:
    names = ("robustness", "subgroups")
    asked = [name for name in names if getattr(options, name) or getattr(result.task, name, ())]
    notes = [f"no {name}: only tasks with classes have it" for name in asked]
    if options.scorers and not isinstance(result, RetrievalResult):
        notes.append(f"no {', '.join(options.scorers)}: only zero-shot and retrieval tasks compare tokens")
    return replace(result, notes=(*result.notes, *notes))


@_with_extras.register
def _(result: TaskResult, model: EvaluationModel, corpus: Corpus, options: Options) -> Result:
    rows, differences = _robustness(result, model, options)
    return replace(
        result,
        calibrations=tuple(_calibrations(result, options)),
        subgroups=tuple(_subgroups(result, corpus, options)),
        rows=(*result.rows, *rows),
        differences=(*result.differences, *differences),
    )


def _calibrations(result: TaskResult, options: Options) -> list[CalibrationFigures]:
    drawn = figure_table(result.task, result.units, result.labels, options).drawn
    found: list[CalibrationFigures] = []
    for model, scores in result.scores.items():
        if model in TRIVIALS:
            continue
        validation = (result.data.labels["val"], result.validation[model]) if model in result.validation else None
        found += calibration_figures(model, result.labels, scores, validation, drawn, exclusive=result.task.exclusive)
    return found


def _subgroups(result: TaskResult, corpus: Corpus, options: Options) -> list[Subgroup]:
    found: list[Subgroup] = []
    models = {name: scores for name, scores in result.scores.items() if name not in TRIVIALS}
    for attribute in dict.fromkeys((*result.task.subgroups, *options.subgroups)):
        found += subgroup_figures(
            attribute,
            group_names(corpus, result.units, attribute),
            result.units,
            result.labels,
            models,
            tuple(item.name for item in result.task.reported),
            replicates=options.replicates,
            seed=options.seed,
        )
    return found


def _robustness(result: TaskResult, model: EvaluationModel, options: Options) -> tuple[list[Row], list[Difference]]:
    """Rows under each change, with the thresholds of the clean images, and their differences from the clean rows."""
    wanted: Sequence[str] = tuple(dict.fromkeys((*result.task.robustness, *options.robustness)))
    found: list[Row] = []
    differences: list[Difference] = []
    table = figure_table(result.task, result.units, result.labels, options)
    names = tuple(table.counts)
    for change_name, change in changes(wanted, model.preset).items():
        encoded = encode_split(
            model,
            result.data.units["reported"],
            changed_images(result.images, change, model.preset),
            result.data.features,
            studies=result.task.unit == "study",
            dates=result.images.dates,
            pairs=result.pairs,
        )
        for name, values in model_scores(model, result.task, result.prompts, encoded).items():
            known = result.validation.get(name)
            validation = None if known is None else (known, result.data.labels["val"])
            for shown, part in ((name, result.scores[name]), (f"{name}{MARK}{change_name}", values)):
                decisions = decide(part, validation, names, exclusive=table.exclusive)
                rows = table.rows(Scores(shown, "model", part[None], decisions.called[None], decisions.undecided))
                found += rows if shown != name else []
            difference = table.difference(f"{name}{MARK}{change_name}", name, "model")
            differences += [difference] if difference is not None else []
    return found, differences

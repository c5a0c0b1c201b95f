"""What is added to a result once its scores are there: calibration, subgroups, figures on changed images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from voxtile.corpus.reader import Corpus
from voxtile.evaluation.figures.baselines import TRIVIALS
from voxtile.evaluation.figures.calibration import CalibrationFigures, calibration_figures
from voxtile.evaluation.figures.decisions import decide
from voxtile.evaluation.figures.figures import Difference, Scores
from voxtile.evaluation.figures.rows import Row
from voxtile.evaluation.figures.subgroups import Subgroup, subgroup_figures
from voxtile.evaluation.inputs.encode import encode_split
from voxtile.evaluation.inputs.groups import group_names
from voxtile.evaluation.inputs.robustness import changed_images, changes
from voxtile.evaluation.kinds.zero_shot.model_scores import model_scores
from voxtile.evaluation.kinds.zero_shot.run import TaskResult, figure_table
from voxtile.evaluation.options import Options
from voxtile.models.protocol import EvaluationModel

MARK = "@"
"""Between a model's name and the change of the images that its rows are under."""


def with_extras(result: TaskResult, model: EvaluationModel, corpus: Corpus, options: Options) -> TaskResult:
    """The result with all that the task and the options ask for beyond its figures.

    Raises:
        ConfigError: no such robustness check or band.
        EvaluationError: no such property.
    """
    rows, differences = _robustness(result, model, options)
    subgroups, notes = _subgroups(result, corpus, options)
    return replace(
        result,
        calibrations=tuple(_calibrations(result, options)),
        subgroups=tuple(subgroups),
        notes=(*result.notes, *notes),
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


def _subgroups(result: TaskResult, corpus: Corpus, options: Options) -> tuple[list[Subgroup], list[str]]:
    """Figures of parts, and how many units are in none."""
    found: list[Subgroup] = []
    notes: list[str] = []
    models = {name: scores for name, scores in result.scores.items() if name not in TRIVIALS}
    for attribute in dict.fromkeys((*result.task.subgroups, *options.subgroups)):
        names = group_names(corpus, result.units, attribute)
        if without := names.count(None):
            notes.append(f"{attribute}: not known of {without} of {len(names)} units, which are in no subgroup")
        found += subgroup_figures(
            attribute,
            names,
            result.units.subjects,
            result.labels,
            models,
            tuple(item.name for item in result.task.reported),
            replicates=options.replicates,
            seed=options.seed,
        )
    return found, notes


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

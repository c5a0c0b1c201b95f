"""What a report must say in words: which figures were refused, and what could not be computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from voxtile.errors import EvaluationError
from voxtile.evaluation.figures.bootstrap import MINIMUM
from voxtile.evaluation.figures.figures import Counts, FigureTable
from voxtile.evaluation.inputs.encode import StudyModel
from voxtile.evaluation.inputs.units import Units
from voxtile.evaluation.tasks.task import EvaluationTask
from voxtile.models.protocol import EvaluationModel
from voxtile.words.names import name_key

_PLURAL = {"sample": "samples", "study": "studies"}


def evidence_notes(task: EvaluationTask, table: FigureTable, split: str) -> list[str]:
    """Sentences about classes without enough evidence, which no average is of, and about units without a label."""
    notes = []
    for name, counts in table.counts.items():
        if counts.enough:
            continue
        side = "negative" if counts.negative_subjects < counts.positive_subjects else "positive"
        if counts.effective == 0:
            notes.append(f"{name}: refused, no {side} among {counts.n} labelled {_PLURAL[task.unit]} of '{split}'")
        else:
            notes.append(f"{name}: refused, {_few(counts, side)}; a figure needs {MINIMUM} subjects")
    if notes and table.reported:
        notes.append(f"averages are over the other {len(table.reported)} of {len(table.counts)} classes")
    if table.unlabelled and table.reported:
        total = table.unlabelled + table.size["units"]
        notes.append(
            f"{table.unlabelled:,} of {total:,} {_PLURAL[task.unit]} of '{split}' have no label of these classes, and "
            "count in no figure"
        )
    return notes


def nothing_to_report(task: EvaluationTask, split: str, notes: Sequence[str]) -> EvaluationError:
    """The error of a task of which no class has enough evidence, such as a test set of one class alone."""
    return EvaluationError(
        f"task '{task.name}' has no class that can be evaluated on '{split}' ({'; '.join(notes)}); report a larger "
        "split with --split, or a corpus that has both positives and negatives"
    )


def missing_notes(model: EvaluationModel, task: EvaluationTask, units: Mapping[str, Units], split: str) -> list[str]:
    """Sentences about what could not be computed: thresholds, the trivial baseline, the fact head."""
    notes = []
    if not len(units["val"]) and not task.exclusive:
        why = "validation itself is reported" if split == "val" else "the corpus has no validation split for it"
        notes.append(f"no balanced accuracy: its threshold may come from validation only, and {why}")
    if not len(units["train"]):
        notes.append("no trivial baseline: there is no training split to fit it on")
    together = task.unit == "study" and isinstance(model, StudyModel) and model.pools_studies
    known = model.study_fact_names if together and isinstance(model, StudyModel) else model.fact_names
    keys = {name_key(name) for name in known}
    absent = [item.name for item in task.reported if name_key(item.concept) not in keys]
    if known and absent:
        notes.append(f"no figure of the fact head: it does not predict {', '.join(absent)}")
    return notes


def _few(counts: Counts, side: str) -> str:
    subjects = counts.negative_subjects if side == "negative" else counts.positive_subjects
    units = counts.n - counts.positives if side == "negative" else counts.positives
    return f"only {units} {side}{f' from {subjects} subjects' if units != subjects else ''}"

"""What is known after a task of any kind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from voxtile.data.images import CorpusImages
from voxtile.evaluation.compat.flattery import Flattery
from voxtile.evaluation.figures.calibration import CalibrationFigures
from voxtile.evaluation.figures.figures import Difference, LabelMatrix
from voxtile.evaluation.figures.metrics import Floats
from voxtile.evaluation.figures.rows import Row
from voxtile.evaluation.figures.sensitivity import PromptSensitivity
from voxtile.evaluation.figures.subgroups import Subgroup
from voxtile.evaluation.inputs.units import Units
from voxtile.evaluation.tasks.task import Task


@dataclass(frozen=True)
class ClassScores:
    """What `scores.parquet` holds of a task with classes.

    Attributes:
        classes: the K names.
        labels: [N, K], 1, 0 or -1 (unknown).
        by_model: [N, K] scores by model name, the trivial baseline's among them.
    """

    classes: tuple[str, ...]
    labels: LabelMatrix
    by_model: Mapping[str, Floats]


@dataclass(frozen=True, kw_only=True)
class Result(ABC):
    """The figures of one task, and what the report needs beside them.

    Attributes:
        task: the task.
        split: the reported split.
        rows: the figures.
        notes: sentences about what was refused or could not be done.
        units: the N reported units.
        sizes: of each split that was used, as `Units.size`.
        penalty: of the trivial baseline's regression, or None.
        differences: of each model from the trivial baseline.
        images: reads the images of single units, for pictures.
        sensitivity: how much the wording of prompts matters.
        compat: figures by published rules beside ours.
        subgroups: figures of parts of the units.
        calibrations: how far scores can be read as probabilities.
    """

    task: Task
    split: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    units: Units
    sizes: Mapping[str, Mapping[str, int]]
    penalty: float | None = None
    differences: tuple[Difference, ...] = ()
    images: CorpusImages
    sensitivity: tuple[PromptSensitivity, ...] = ()
    compat: tuple[Flattery, ...] = ()
    subgroups: tuple[Subgroup, ...] = ()
    calibrations: tuple[CalibrationFigures, ...] = ()

    @abstractmethod
    def details(self) -> dict[str, Any]:
        """What the provenance says of it beyond its splits; JSON-able."""

    @abstractmethod
    def headlines(self, model: str) -> dict[str, Row]:
        """The figures that a training log keeps, by name; the first stands for the task."""

    def class_scores(self) -> ClassScores | None:
        """The scores of each unit, where the task has classes."""
        return None

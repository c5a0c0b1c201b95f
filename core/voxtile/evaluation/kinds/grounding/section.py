"""What the page shows of a grounding task, as plain values for the template."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voxtile.evaluation.figures.rows import Row, ScoreKind, find_row
from voxtile.evaluation.kinds.grounding.figures import HEADLINE, METRICS
from voxtile.evaluation.kinds.grounding.run import POINTS, GroundingResult, Shown
from voxtile.evaluation.report.pictures import copied
from voxtile.evaluation.report.section import Section, Source
from voxtile.grounding.outlines import outlined

_TITLES = {
    "dice": "Dice",
    "iou": "IoU",
    "giou": "gIoU, with phrases that have no target",
    "ciou": "cIoU, voxels pooled",
    "lesion_f1": "F1 of lesions",
    "n_acc": "rightly empty",
    "pointing": "pointing game",
}
_LABELS: dict[ScoreKind, tuple[str, str]] = {
    "model": ("The model", "what it shows for the phrase"),
    "trivial": ("Text-blind", "the mean of what it shows for all phrases: the best without hearing one"),
    "shuffled": ("Another phrase", "what it shows for another phrase of the task"),
}
_OF_PROBES: dict[ScoreKind, tuple[str, str]] = {
    "model": ("The model's patches", "a linear classifier of each phrase on frozen features"),
    "trivial": ("Values of patches", "the same classifier on mean, spread, extremes and place of a patch"),
}


@dataclass(frozen=True)
class PhraseLine:
    """One phrase or the mean of all: rows by metric, then by role."""

    title: str
    rows: dict[str, dict[str, Row | None]]


@dataclass(frozen=True)
class Overlay:
    """A picture with outlines, as a data URI."""

    uid: str
    phrase: str
    dice: float
    uri: str


@dataclass(frozen=True, kw_only=True)
class GroundingSection(Section):
    """Everything that the template needs of one grounding task."""

    result: GroundingResult
    metrics: list[tuple[str, str]]
    mean: PhraseLine
    lines: list[PhraseLine]
    overlays: list[Overlay]
    points: list[tuple[str, Row | None]]
    template: str = "grounding.html.j2"
    labelled: bool = True

    @property
    def headline(self) -> Row | None:
        """Mean Dice of the model."""
        return self.mean.rows[HEADLINE]["model"]


def grounding_section(result: GroundingResult) -> GroundingSection:
    """Gather what the page shows of a grounding task."""
    kinds: tuple[tuple[ScoreKind, str], ...] = (
        ("model", result.models[0]),
        ("trivial", result.models[1]),
        ("shuffled", result.models[0]),
    )
    labels = _LABELS | (_OF_PROBES if result.task.probes else {})
    sources = [Source(kind, model, kind, *labels[kind]) for kind, model in kinds]
    return GroundingSection(
        result=result,
        sources=sources,
        metrics=[(metric, _TITLES[metric]) for metric in METRICS],
        mean=PhraseLine("Mean of all", _rows(result, sources, None)),
        lines=[PhraseLine(item.title, _rows(result, sources, item.name)) for item in result.task.classes],
        difference=next(iter(result.differences), None),
        overlays=[_overlay(result, item) for item in result.shown],
        points=[
            (name, find_row(result.rows, model=name, kind="trivial", metric="pointing", class_name=None))
            for name in POINTS
        ],
    )


def _rows(result: GroundingResult, sources: list[Source], name: str | None) -> dict[str, dict[str, Row | None]]:
    return {
        metric: {
            s.role: find_row(result.rows, model=s.model, kind=s.kind, metric=metric, class_name=name) for s in sources
        }
        for metric in METRICS
    }


def _overlay(result: GroundingResult, item: Shown) -> Overlay:
    def pixels() -> npt.NDArray[np.uint8]:
        return outlined(result.images.image(item.uid).numpy(), item.predicted, item.target)

    return Overlay(item.uid, item.phrase, item.dice, copied(pixels))

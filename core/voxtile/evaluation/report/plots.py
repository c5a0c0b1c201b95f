"""Curves for the page: ROC, precision–recall and reliability, as points in the unit square.

The template draws them as SVG within the page, so that their colours follow its light or dark scheme and their text is
text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import precision_recall_curve, roc_curve

from voxtile.evaluation.figures.calibration import Calibration
from voxtile.evaluation.figures.metrics import Floats, Labels

_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 292, 8, 244  # of the square, in units of the drawing (300 × 292)


@dataclass(frozen=True)
class Curve:
    """Scores to draw, and where they come from, which decides how the line looks."""

    scores: Floats
    role: str


@dataclass(frozen=True)
class PlotLine:
    """One line, 0 to 1 on both axes.

    Attributes:
        role: decides colour and dashes.
        across, up: its points.
        dots: marks on it (across, up, size, 1 for the usual one).
    """

    role: str
    across: Floats
    up: Floats
    dots: tuple[tuple[float, float, float], ...] = ()


@dataclass(frozen=True)
class Plot:
    """A square with named axes from 0 to 1.

    Attributes:
        lines: the first is drawn last, above the others.
        chance: height of the line of chance at the left and at the right end.
    """

    across: str
    up: str
    lines: tuple[PlotLine, ...]
    chance: tuple[float, float]

    def x(self, value: float) -> float:
        """Place of a value from the left of the drawing."""
        return round(_LEFT + (_RIGHT - _LEFT) * float(value), 1)

    def y(self, value: float) -> float:
        """Place of a value from the top of the drawing."""
        return round(_BOTTOM - (_BOTTOM - _TOP) * float(value), 1)

    def points(self, line: PlotLine) -> str:
        """A line's points as SVG has them; those that fall on the one before are left out."""
        places = [f"{self.x(a)},{self.y(b)}" for a, b in zip(line.across, line.up, strict=True)]
        return " ".join(place for place, before in zip(places, ["", *places], strict=False) if place != before)


def roc_plot(labels: Labels, curves: Sequence[Curve]) -> Plot:
    """ROC curves of one class."""
    found = [(curve.role, *roc_curve(labels, curve.scores)[:2]) for curve in curves]
    return Plot("1 − specificity", "sensitivity", tuple(PlotLine(*parts) for parts in found), (0, 1))


def precision_recall_plot(labels: Labels, curves: Sequence[Curve]) -> Plot:
    """Precision–recall curves of one class as steps, with its share of positives as the line of chance."""
    lines = []
    for curve in curves:
        precision, recall, _ = precision_recall_curve(labels, curve.scores)
        lines.append(PlotLine(curve.role, np.repeat(recall, 2)[1:], np.repeat(precision, 2)[:-1]))
    share = float(np.mean(labels))
    return Plot("sensitivity (recall)", "precision", tuple(lines), (share, share))


def reliability_plot(parts: Sequence[tuple[Calibration, str]]) -> Plot:
    """Observed share against mean score; the area of a mark is the number of scores.

    Args:
        parts: (calibration, role) of each model.
    """
    lines = [
        PlotLine(
            role,
            part.predicted,
            part.observed,
            tuple(
                (float(a), float(b), 0.5 + float(np.sqrt(size / part.sizes.max())))
                for a, b, size in zip(part.predicted, part.observed, part.sizes, strict=True)
            ),
        )
        for part, role in parts
    ]
    return Plot("mean score in the bin", "share that has it", tuple(lines), (0, 1))

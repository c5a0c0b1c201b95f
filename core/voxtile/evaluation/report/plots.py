"""Curves as SVG data URIs: ROC, precision–recall and reliability, with text that stays text."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import precision_recall_curve, roc_curve

from voxtile.evaluation.figures.calibration import Calibration
from voxtile.evaluation.figures.metrics import Floats, Labels

INK, FAINT, GRID = "#17212b", "#5b6875", "#dde3e9"
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "voxtile",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": "#aab4be",
    "axes.labelcolor": FAINT,
    "axes.linewidth": 0.8,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
}


@dataclass(frozen=True)
class Curve:
    """Scores to draw: their colour, and whether the line is thin (the baseline)."""

    scores: Floats
    colour: str
    thin: bool = False


def roc_plot(labels: Labels, curves: Sequence[Curve]) -> str:
    """ROC curves of one class; the first is on top."""
    with mpl.rc_context(_STYLE):
        figure, axes = _square()
        axes.plot([0, 1], [0, 1], color="#b6c0ca", linewidth=0.9, linestyle=(0, (3, 3)))
        for order, curve in enumerate(curves):
            false, true, _ = roc_curve(labels, curve.scores)
            axes.plot(false, true, **_line(curve, order))
        axes.set_xlabel("1 − specificity")
        axes.set_ylabel("sensitivity")
        return _uri(figure)


def precision_recall_plot(labels: Labels, curves: Sequence[Curve]) -> str:
    """Precision–recall curves of one class, with its share of positives as the line of chance."""
    with mpl.rc_context(_STYLE):
        figure, axes = _square()
        axes.axhline(float(np.mean(labels)), color="#b6c0ca", linewidth=0.9, linestyle=(0, (3, 3)))
        for order, curve in enumerate(curves):
            precision, recall, _ = precision_recall_curve(labels, curve.scores)
            axes.step(recall, precision, where="post", **_line(curve, order))
        axes.set_xlabel("sensitivity (recall)")
        axes.set_ylabel("precision")
        return _uri(figure)


def reliability_plot(curves: Sequence[tuple[Calibration, str, str]]) -> str:
    """Observed share against mean score; the area of a point is the number of scores.

    Args:
        curves: (calibration, colour, marker) of each model.
    """
    with mpl.rc_context(_STYLE):
        figure, axes = _square(3.4)
        axes.plot([0, 1], [0, 1], color="#b6c0ca", linewidth=0.9, linestyle=(0, (3, 3)))
        for part, colour, marker in curves:
            axes.plot(part.predicted, part.observed, color=colour, linewidth=1.4)
            area = 18 + 160 * part.sizes / part.sizes.max()
            axes.scatter(
                part.predicted,
                part.observed,
                s=area,
                color=colour,
                alpha=0.75,
                marker=marker,
                linewidths=0,
                clip_on=False,
            )
        axes.set_xlabel("mean score in the bin")
        axes.set_ylabel("share that has the finding")
        return _uri(figure)


def _square(inches: float = 2.3) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(inches, inches))
    axes = figure.add_axes((0.2, 0.18, 0.76, 0.76))
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _line(curve: Curve, order: int) -> dict[str, Any]:
    width = 1.1 if curve.thin else 1.9
    return {"color": curve.colour, "linewidth": width, "zorder": 5 - order, "solid_joinstyle": "round"}


def _uri(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()

"""Curves on the page: their points against closed forms, and what tells them apart without colour."""

import re
from itertools import combinations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from voxtile.evaluation.figures.calibration import calibration
from voxtile.evaluation.figures.rows import Row
from voxtile.evaluation.report.page import is_best
from voxtile.evaluation.report.plots import Curve, precision_recall_plot, reliability_plot, roc_plot
from voxtile.pages import page_environment

ROLES = ("model", "head", "ensemble", "late-interaction", "matching", "trivial")


@pytest.fixture
def drawn():
    generator = np.random.default_rng(3)
    labels = generator.random(60) < 0.4
    return labels, labels + generator.normal(0, 1, 60)


def places(plot, line):
    """Points of a line as a reader sees them, from the drawing back to values."""
    found = np.array([[float(v) for v in pair.split(",")] for pair in plot.points(line).split()])
    across = (found[:, 0] - plot.x(0)) / (plot.x(1) - plot.x(0))
    return across, (found[:, 1] - plot.y(0)) / (plot.y(1) - plot.y(0))


def test_the_area_under_the_drawn_roc_curve_is_the_auroc(drawn):
    labels, scores = drawn
    plot = roc_plot(labels, [Curve(scores, "model")])
    across, up = places(plot, plot.lines[0])
    assert np.trapezoid(up, across) == pytest.approx(roc_auc_score(labels, scores), abs=2e-3)
    assert plot.chance == (0, 1)


def test_the_area_under_the_drawn_steps_is_the_average_precision(drawn):
    labels, scores = drawn
    plot = precision_recall_plot(labels, [Curve(scores, "model")])
    across, up = places(plot, plot.lines[0])
    assert -np.trapezoid(up, across) == pytest.approx(average_precision_score(labels, scores), abs=3e-3)
    assert plot.chance == (labels.mean(), labels.mean())


def test_marks_of_the_reliability_diagram_grow_with_the_scores_in_a_bin():
    scores = np.array([0.05] * 9 + [0.95])
    plot = reliability_plot([(calibration(np.array([False] * 9 + [True]), scores), "model")])
    (few, many) = sorted(size for _, _, size in plot.lines[0].dots)
    assert (many - 0.5) ** 2 / (few - 0.5) ** 2 == pytest.approx(9)


def test_lines_differ_in_dashes_and_marks_in_shape():
    environment = page_environment("voxtile.evaluation.report")
    sheet = environment.get_template("report.css").render()
    dashes = {role: re.findall(rf"\.curve\.{role} {{[^}}]*dasharray: ([\d ]+)", sheet) for role in ROLES}
    assert not [pair for pair in combinations(ROLES, 2) if dashes[pair[0]] == dashes[pair[1]]]
    macros = environment.get_template("macros.html.j2").module
    assert len({str(macros.shape(role)) for role in (*ROLES, "shuffled")}) == 7


def test_a_plot_names_its_axes_and_their_ticks(drawn):
    macros = page_environment("voxtile.evaluation.report").get_template("macros.html.j2").module
    text = str(macros.plot(roc_plot(drawn[0], [Curve(drawn[1], "head")]), "ROC & more"))
    assert re.findall(r"<text[^>]*>([^<]*)</text>", text) == [
        "0", "0", "0.25", "0.25", "0.5", "0.5", "0.75", "0.75", "1", "1", "1 − specificity", "sensitivity"
    ]  # fmt: skip
    assert 'aria-label="ROC &amp; more"' in text


def test_the_best_is_the_largest_as_written_and_none_alone():
    def row(value):
        return Row("t", "m", "model", "auroc", None, None, value, None, None, 10, 5)

    rows = {"model": row(0.8001), "trivial": row(0.8004), "shuffled": row(0.5), "head": None, "refused": row(None)}
    assert [role for role in rows if is_best(rows[role], rows)] == ["model", "trivial"]  # both are written 0.800
    assert not is_best(rows["model"], {"model": rows["model"], "head": None})

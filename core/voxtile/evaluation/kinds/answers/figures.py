"""Figures of answers with their intervals, on the same draws of subjects."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from voxtile.evaluation.figures.bootstrap import MINIMUM, Interval, SubjectBootstrap, logit_interval
from voxtile.evaluation.figures.calibration import calibration_gaps, error_interval
from voxtile.evaluation.figures.metrics import Floats, Weights
from voxtile.evaluation.figures.rows import Average, Row, ScoreKind
from voxtile.evaluation.kinds.answers.places import PlaceScores
from voxtile.evaluation.kinds.answers.questions import Asked, Question
from voxtile.evaluation.kinds.answers.scoring import (
    CANNOT_BE_TOLD,
    choice_of,
    is_exact,
    is_option,
    is_refusal,
    is_told,
    token_f1,
)
from voxtile.evaluation.kinds.answers.selective import BINS, risk_coverage
from voxtile.evaluation.kinds.answers.task import AnswerTask
from voxtile.evaluation.options import Options

HEADLINE = "accuracy"
HALF = 0.5
"""Share of the answers, the surest ones, whose risk is told."""


class Figures:
    """Rows with intervals, on the same draws of subjects."""

    def __init__(self, task: AnswerTask, asked: Asked, options: Options) -> None:
        self._task, self._own, self._units, self._unit = task, asked.own, asked.units, asked.unit
        self._drawn = SubjectBootstrap(asked.units.subjects, replicates=options.replicates, seed=options.seed)
        choices: dict[tuple[str, bool], set[str]] = defaultdict(set)
        for question in asked.own:
            choices[question.kind, question.is_closed].add(question.answer)
        self._choices = choices
        self.subjects = len(np.unique(asked.units.subjects))

    def rows(self, model: str, kind: ScoreKind, texts: Sequence[str]) -> list[Row]:
        """Accuracy of all, of closed, chosen and open ones, and of each kind; F1 of open ones; refusals."""
        right, answered = self._right(texts), self._answerable()
        closed = np.array([question.is_closed for question in self._own])
        choice = np.array([question.is_choice for question in self._own])
        is_open = answered & ~closed & ~choice
        refused = np.array([is_refusal(text) for text in texts], float)
        kinds = sorted({question.kind for question in self._own})
        of_kind = {name: np.array([question.kind == name for question in self._own]) for name in kinds}
        f1 = np.array([token_f1(text, question.answer) for text, question in zip(texts, self._own, strict=True)])
        exact = np.array([is_exact(text, question.answer) for text, question in zip(texts, self._own, strict=True)])
        figures: list[tuple[str, Average, str | None, Floats, Any]] = [
            (HEADLINE, "micro", None, right, answered),
            ("closed_accuracy", "micro", None, right, answered & closed),
            ("choice_accuracy", "micro", None, right, answered & choice),
            ("open_exact", "micro", None, exact.astype(float), is_open),
            ("open_f1", "micro", None, f1, is_open),
            ("refusal_recall", "micro", None, refused, ~answered),
            ("false_refusal", "micro", None, refused, answered),
            ("refusal_precision", "micro", None, (~answered).astype(float), refused > 0),
        ]
        figures += [(HEADLINE, "none", name, right, of_kind[name] & answered) for name in kinds]
        return [self._row(model, kind, *figure) for figure in figures if figure[-1].any()]

    def sure(self, model: str, texts: Sequence[str], confidence: Floats) -> list[Row]:
        """What is risked where only sure answers are given, and how far confidence is from being right.

        Args:
            model: whose answers.
            texts: of them.
            confidence: [Q] of each.
        """
        good = self.good(texts)
        curves: list[list[Floats]] = [[], []]
        gaps: list[Floats] = []
        once: tuple[Weights, ...] = (np.ones((len(self._units), 1)),)
        for weights in itertools.chain(once, self._drawn.weights()):
            curve = risk_coverage(confidence, good, np.asarray(weights, np.float64)[self._unit])
            for found, value in zip(curves, (curve.area(), curve.at(HALF)), strict=True):
                found.append(value)
            gaps.append(calibration_gaps(self._unit, good, confidence, weights, bins=BINS))
        every = np.ones(len(good), bool)
        rows = [
            self._row_of(model, "model", name, "micro", None, np.concatenate(found), every, 1 - good)
            for name, found in zip(("aurc", f"risk@{HALF:g}"), curves, strict=True)
        ]
        by_bin = np.concatenate(gaps, axis=1)
        ece = self._row_of(model, "model", "ece", "micro", None, np.abs(by_bin).sum(axis=0), every, 1 - good)
        if ece.value is not None:
            subjects = len(np.unique(self._units.subjects[self._unit]))
            interval = error_interval(by_bin[:, 0], by_bin[:, 1:], effective=subjects)
            ece = replace(ece, low=interval.low, high=interval.high)
        return [*rows, ece]

    def places(self, model: str, kind: ScoreKind, scores: Sequence[PlaceScores]) -> list[Row]:
        """How well answers point; no row of what nothing counts for."""
        return [
            self._row(model, kind, one.metric, "micro", None, one.scores, one.counted)
            for one in scores if one.counted.any()
        ]  # fmt: skip

    def good(self, texts: Sequence[str]) -> Floats:
        """[Q] 1 for right answers, and for refusals of what no image tells."""
        refused = np.array([is_refusal(text) for text in texts], float)
        return np.where(self._answerable(), self._right(texts), refused)

    def gained(self, texts: Sequence[str], others: Sequence[str]) -> Floats | None:
        """[1 + R] accuracy of some answers less that of others; None where no question has an answer."""
        counted = self._answerable()
        if not counted.any():
            return None
        own, theirs = (self._values(self._right(one), counted) for one in (texts, others))
        return own - theirs

    def _answerable(self) -> Any:  # noqa: ANN401 - [Q] bool
        return np.array([question.answer != CANNOT_BE_TOLD for question in self._own])

    def _right(self, texts: Sequence[str]) -> Floats:
        """[Q] closed: the choice that is named; of several choices its letter or words; open: what it says."""
        return np.array([self._is_right(*pair) for pair in zip(texts, self._own, strict=True)], float)

    def _is_right(self, text: str, question: Question) -> bool:
        answers = self._choices[question.kind, question.is_closed]
        if question.is_closed:
            return choice_of(text, answers) == question.answer
        if question.is_choice:
            return is_option(text, question.answer)
        return is_told(text, question.answer, question.kind, answers)

    def _values(self, scores: Floats, counted: Any) -> Floats:  # noqa: ANN401
        """[1 + R] mean of the counted scores, and its replicates."""
        above = np.bincount(self._unit, weights=scores * counted, minlength=len(self._units))
        below = np.bincount(self._unit, weights=counted, minlength=len(self._units))
        parts = [np.array([above.sum() / below.sum()])]
        for weights in self._drawn.weights():
            total = below @ weights
            parts.append(np.divide(above @ weights, total, out=np.full(total.shape, np.nan), where=total > 0))
        return np.concatenate(parts)

    def _row(
        self,
        model: str,
        kind: ScoreKind,
        metric: str,
        average: Average,
        name: str | None,
        scores: Floats,
        counted: Any,  # noqa: ANN401
    ) -> Row:
        return self._row_of(model, kind, metric, average, name, self._values(scores, counted), counted, scores)

    def _row_of(
        self,
        model: str,
        kind: ScoreKind,
        metric: str,
        average: Average,
        name: str | None,
        values: Floats,
        counted: Any,  # noqa: ANN401
        scores: Floats,
    ) -> Row:
        subjects = len(np.unique(self._units.subjects[self._unit[counted]]))
        enough = subjects >= MINIMUM
        value = float(values[0]) if enough else None
        interval = logit_interval(float(values[0]), values[1:], effective=subjects) if enough else Interval(None, None)
        return Row(self._task.name, model, kind, metric, average, name, value, interval.low, interval.high,
                   int(counted.sum()), round(float((scores * counted).sum())))  # fmt: skip

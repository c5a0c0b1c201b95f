"""Calibration of scores that look like probabilities: reliability, Brier score, expected calibration error.

A temperature T is fitted on validation (never on the reported split) and the reported scores are read again with their
logits divided by it (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, section 4).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, logit, softmax
from scipy.stats import norm
from scipy.stats import t as student

from voxtile.evaluation.figures.bootstrap import LEVEL, MINIMUM, Interval, SubjectBootstrap, logit_interval
from voxtile.evaluation.figures.metrics import Floats, Labels, Weights

BINS = 10
_EDGE = 1e-7  # scores of exactly 0 or 1 have no logit
_RANGE = (-5.0, 5.0)  # of log T
_HALVINGS = 40


@dataclass(frozen=True)
class Calibration:
    """How scores compare with what happened.

    Attributes:
        predicted: mean score in each filled bin of ten equal widths.
        observed: share of positives in it.
        sizes: number of scores in it.
        brier: mean squared difference of score and label (Brier 1950).
        error: expected calibration error, the size-weighted mean of |observed − predicted| (Naeini et al. 2015).
    """

    predicted: Floats
    observed: Floats
    sizes: Floats
    brier: float
    error: float


@dataclass(frozen=True)
class CalibrationFigures:
    """Calibration of one model on one task.

    Over all cells of unit and class; where three or more classes exclude each other, of the class that each unit is
    given (Guo et al. 2017, eq. 3): over all cells the error of a model that is always sure and half of the time wrong
    would be one by the number of classes.

    Attributes:
        model: whose scores.
        temperature: fitted on validation; None for the scores as they are.
        brier, error: as in `Calibration`; where classes exclude each other `brier` is the sum over classes (Brier
            1950), from 0 to 2.
        low, high: 95 % interval of the error, by bootstrap over subjects.
        n: cells, or units where classes exclude each other.
        curve: for the diagram.
    """

    model: str
    temperature: float | None
    brier: float
    error: float
    low: float | None
    high: float | None
    n: int
    curve: Calibration

    def to_json(self, task: str) -> dict[str, Any]:
        """For `results.json`."""
        values = {key: value for key, value in asdict(self).items() if key != "curve"}
        bins = {key: getattr(self.curve, key).tolist() for key in ("predicted", "observed", "sizes")}
        return {"task": task, **values, "bins": bins}


def calibration(labels: Labels, scores: Floats) -> Calibration:
    """Reliability over ten bins of equal width.

    Args:
        labels: [N] bool, N > 0.
        scores: [N] in 0 to 1.
    """
    bins = _bins(scores)
    sizes = np.bincount(bins, minlength=BINS).astype(np.float64)
    filled = sizes > 0
    predicted = np.bincount(bins, weights=scores, minlength=BINS)[filled] / sizes[filled]
    observed = np.bincount(bins, weights=labels, minlength=BINS)[filled] / sizes[filled]
    return Calibration(
        predicted=predicted,
        observed=observed,
        sizes=sizes[filled],
        brier=float(np.mean((scores - labels) ** 2)),
        error=float(np.sum(sizes[filled] * np.abs(observed - predicted)) / sizes.sum()),
    )


def calibration_gaps(
    units: npt.NDArray[np.int64], right: npt.NDArray[Any], scores: Floats, weights: Weights, *, bins: int = BINS
) -> Floats:
    """[B, R] mean of label less score over N cells, by bin of equal width, under weights [U, R] of their units.

    The expected calibration error is the sum of their absolute values.

    Args:
        units: [N] unit of each cell.
        right: [N] 1 or 0.
        scores: [N] in 0 to 1.
        weights: [U, R].
        bins: B.
    """
    sums = np.zeros((len(weights), bins))
    np.add.at(sums, (units, _bins(scores, bins)), right - scores)
    counts = np.bincount(units, minlength=len(weights)).astype(np.float64)
    result: Floats = (sums.T @ weights) / np.maximum(counts @ weights, 1e-12)
    return result


def error_interval(gaps: Floats, replicates: Floats, *, effective: int) -> Interval:
    """A 95 % interval of an expected calibration error.

    An error is above 0 by luck alone, and its replicates are above it again, so that their spread about it says little.
    Here c · gaps may be the truth if the error that was found is neither among the 2.5 % largest nor among the 2.5 %
    smallest that the replicates' deviations would make of it; the bounds are those of the errors for all such c.

    Args:
        gaps: [B] of `calibration_gaps`.
        replicates: [B, R] likewise, of draws of subjects.
        effective: number of subjects; it widens the deviations as Student's t does a standard error.
    """
    value = float(np.abs(gaps).sum())
    tail = (1 - LEVEL) / 2
    if not 0 < value < 1:
        return logit_interval(value, np.abs(replicates).sum(axis=0), effective=effective)
    widened = student.ppf(1 - tail, max(1, effective - 1)) / norm.ppf(1 - tail)
    noise = widened * (replicates - gaps[:, None])

    def beyond(share: float) -> float:
        """The smallest factor, up to that of an error of 1, of which this share of errors is above the one found."""
        low, high = 0.0, 1 / value
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            above = np.mean(np.abs(middle * gaps[:, None] + noise).sum(axis=0) >= value) > share
            low, high = (low, middle) if above else (middle, high)
        return high

    least = np.mean(np.abs(noise).sum(axis=0) >= value) > tail
    return Interval(0.0 if least else value * beyond(tail), max(value, min(1.0, value * beyond(1 - tail))))


def fit_temperature(labels: npt.NDArray[np.int8], scores: Floats, *, exclusive: bool) -> float | None:
    """The temperature with the least negative log-likelihood.

    Args:
        labels: [N, K] of the validation split and never of the reported one: 1, 0 or -1.
        scores: [N, K] probabilities.
        exclusive: the classes exclude each other, so that a unit's scores sum to 1.

    Returns:
        None where validation has fewer than ten positives or ten negatives.
    """
    known = labels >= 0
    if min((labels == 1).sum(), (labels == 0).sum()) < MINIMUM:
        return None
    bounded = np.clip(scores, _EDGE, 1 - _EDGE)
    rows = known.all(axis=1)
    truth = labels[known] == 1
    signs, logits = np.where(truth, 1.0, -1.0), logit(bounded[known])

    def loss(log_temperature: float) -> float:
        scale = np.exp(-log_temperature)
        if exclusive:
            shares = log_softmax(scale * np.log(bounded[rows]), axis=1)
            return float(-shares[labels[rows] == 1].mean())
        return float(np.logaddexp(0, -signs * scale * logits).mean())

    return float(np.exp(minimize_scalar(loss, bounds=_RANGE, method="bounded").x))


def with_temperature(scores: Floats, temperature: float, *, exclusive: bool) -> Floats:
    """[N, K] probabilities whose logits are divided by a temperature."""
    bounded = np.clip(scores, _EDGE, 1 - _EDGE)
    if exclusive:
        shares: Floats = softmax(np.log(bounded) / temperature, axis=1)
        return shares
    result: Floats = expit(logit(bounded) / temperature)
    return result


def calibration_figures(
    model: str,
    labels: npt.NDArray[np.int8],
    scores: Floats,
    validation: tuple[npt.NDArray[np.int8], Floats] | None,
    drawn: SubjectBootstrap,
    *,
    exclusive: bool,
) -> Iterator[CalibrationFigures]:
    """Of the scores as they are and, where there is validation, with its temperature.

    Args:
        model: whose scores.
        labels: [N, K] of the reported units.
        scores: [N, K] of them.
        validation: labels and scores of the validation units; None without any.
        drawn: the bootstrap over the reported units' subjects.
        exclusive: the classes exclude each other.
    """
    temperature = None if validation is None else fit_temperature(*validation, exclusive=exclusive)
    variants: list[tuple[float | None, Floats]] = [(None, scores)]
    if temperature is not None:
        variants.append((temperature, with_temperature(scores, temperature, exclusive=exclusive)))
    for fitted, values in variants:
        if exclusive:
            units = np.flatnonzero((labels >= 0).all(axis=1))
            classes = values[units].argmax(axis=1)
        else:
            units, classes = np.nonzero(labels >= 0)
        truth, cells = labels[units, classes] == 1, values[units, classes]
        curve = calibration(truth, cells)
        brier = float(np.square(values[units] - labels[units]).sum(axis=1).mean()) if exclusive else curve.brier
        every: tuple[Weights, ...] = (np.ones((len(labels), 1)), *drawn.weights())
        gaps = [calibration_gaps(units, truth, cells, weights) for weights in every]
        interval = error_interval(gaps[0][:, 0], np.concatenate(gaps[1:], axis=1), effective=drawn.subjects_of(units))
        yield CalibrationFigures(model, fitted, brier, curve.error, interval.low, interval.high, len(cells), curve)


def _bins(scores: Floats, count: int = BINS) -> npt.NDArray[np.int64]:
    return np.minimum((scores * count).astype(np.int64), count - 1)

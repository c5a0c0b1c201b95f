"""Answers that are only given where the model is sure: what is risked for how much is said, and how sure is right.

An answer is given where its confidence is at least a threshold. Coverage is the share of questions that are answered,
risk the share of wrong ones among these (El-Yaniv and Wiener, JMLR 2010). Answers of one confidence are given together
or not at all.

Shape letters: Q answers, R sets of weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voxtile.evaluation.figures.metrics import Floats

BINS = 15
"""Of the calibration error, as in Guo et al. (ICML 2017)."""


@dataclass(frozen=True)
class RiskCoverage:
    """What giving answers from each confidence on means.

    Attributes:
        least: [T] confidences that occur, falling.
        coverage: [T, R] share of the answers that have at least this.
        risk: [T, R] share of wrong ones among them; NaN where these weigh nothing.
        share: [T, R] share of the answers that have just this.
    """

    least: Floats
    coverage: Floats
    risk: Floats
    share: Floats

    def area(self) -> Floats:
        """[R] area under risk by coverage (Geifman et al., ICLR 2019): the mean risk over answers, the surest first."""
        return np.asarray(np.nansum(self.risk * self.share, axis=0))

    def at(self, coverage: float) -> Floats:
        """[R] risk of the fewest sure answers that are at least this share of all."""
        first = np.argmax(self.coverage >= coverage - 1e-12, axis=0)
        return np.asarray(np.take_along_axis(self.risk, first[None], 0)[0])


def risk_coverage(confidence: Floats, right: Floats, weights: Floats) -> RiskCoverage:
    """Risk by coverage under each set of weights.

    Args:
        confidence: [Q].
        right: [Q] 1 for a right answer, 0 for a wrong one.
        weights: [Q, R] of the answers, none below 0.
    """
    order = np.argsort(-confidence, kind="stable")
    least, starts = np.unique(-confidence[order], return_index=True)
    told, wrong = weights[order], weights[order] * (1 - right[order])[:, None]
    each = np.add.reduceat(told, starts, axis=0)
    so_far, wrong_so_far = each.cumsum(0), np.add.reduceat(wrong, starts, axis=0).cumsum(0)
    total = so_far[-1]
    risk = np.divide(wrong_so_far, so_far, out=np.full(so_far.shape, np.nan), where=so_far > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return RiskCoverage(-least, so_far / total, risk, each / total)


def least_confidence(confidence: Floats, right: npt.ArrayLike, risk: float) -> float | None:
    """The lowest confidence from which answers are wrong at most so often; None where the surest are wrong more often.

    Args:
        confidence: [Q], of the validation split.
        right: [Q].
        risk: share of wrong answers among those that are given.
    """
    curve = risk_coverage(confidence, np.asarray(right, np.float64), np.ones((len(confidence), 1)))
    fits = np.flatnonzero(curve.risk[:, 0] <= risk)
    return float(curve.least[fits[-1]]) if len(fits) else None

"""L2-regularised logistic regression on frozen embeddings, the penalty chosen on validation and nowhere else."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from voxtile.evaluation.figures.baselines import macro_auroc
from voxtile.evaluation.figures.figures import LabelMatrix
from voxtile.evaluation.figures.metrics import Floats
from voxtile.evaluation.kinds.probe.subsets import Integers
from voxtile.processors import algebra_of

PENALTIES = tuple(10.0**power for power in range(-5, 4))
"""C of scikit-learn, strong to weak, for embeddings of mean square 1 (compare Radford et al. 2021, appendix A.3)."""

WITHOUT_VALIDATION = 1e-1
"""C where there is nothing to choose it on."""

_ITERATIONS = 300
_SETTLED = 1e-3  # the sweep ends where the macro AUROC has fallen by more than a little for two penalties
_PATIENCE = 2


@dataclass(frozen=True)
class Fitted:
    """Scores [N, K] of the reported and the validation units, and the C that validation chose."""

    reported: Floats
    validation: Floats
    penalty: float


@dataclass(frozen=True)
class Split:
    """Features [N, D] and labels [N, K] of the units of one split."""

    features: npt.NDArray[np.float32]
    labels: LabelMatrix


def fit_probe(
    train: Split, chosen: Sequence[Integers], validation: Split, reported: Split, *, exclusive: bool
) -> Fitted:
    """Fit each class on its units, for each C, and keep the C with the best macro AUROC on validation.

    Classes that exclude each other share one multinomial regression; others have one each. A class of which the units
    show only one side gets the same score everywhere.

    Args:
        train: all training units.
        chosen: for each class, numbers of the units whose label is used.
        validation: may be empty: then C is `WITHOUT_VALIDATION`.
        reported: only its features are read.
        exclusive: exactly one class is right.
    """
    best: tuple[float, Fitted] | None = None
    worse = 0
    fit = _multinomial if exclusive else _one_by_one
    for penalty in PENALTIES if len(validation.features) else (WITHOUT_VALIDATION,):
        with warnings.catch_warnings(), algebra_of(train.features.size):
            # A few separable units under a weak penalty need not converge; validation says whether that is any good.
            warnings.simplefilter("ignore", ConvergenceWarning)
            scores = fit(train, chosen, penalty, (reported.features, validation.features))
        quality = macro_auroc(validation.labels, scores[1])
        if best is None or quality > best[0]:
            best, worse = (quality, Fitted(scores[0], scores[1], penalty)), 0
        elif quality < best[0] - _SETTLED:
            worse += 1
            if worse == _PATIENCE:
                break
    assert best is not None
    return best[1]


def _one_by_one(
    train: Split, chosen: Sequence[Integers], penalty: float, wanted: Sequence[npt.NDArray[np.float32]]
) -> list[Floats]:
    scores = [np.full((len(part), train.labels.shape[1]), 0.5) for part in wanted]
    for column, units in enumerate(chosen):
        known = units[train.labels[units, column] >= 0]
        truth = train.labels[known, column]
        if len(np.unique(truth)) < 2:
            continue
        model = _model(penalty).fit(train.features[known], truth)
        for part, values in zip(scores, wanted, strict=True):
            if len(values):
                part[:, column] = model.predict_proba(values)[:, 1]
    return scores


def _multinomial(
    train: Split, chosen: Sequence[Integers], penalty: float, wanted: Sequence[npt.NDArray[np.float32]]
) -> list[Floats]:
    units = chosen[0][train.labels[chosen[0], 0] >= 0]
    truth = train.labels[units].argmax(axis=1)
    classes = np.unique(truth)
    scores = [np.zeros((len(part), train.labels.shape[1])) for part in wanted]
    if len(classes) < 2:
        return [part + 1 / train.labels.shape[1] for part in scores]
    model = _model(penalty).fit(train.features[units], truth)
    for part, values in zip(scores, wanted, strict=True):
        if len(values):
            part[:, classes] = model.predict_proba(values)
    return scores


def _model(penalty: float) -> LogisticRegression:
    return LogisticRegression(C=penalty, max_iter=_ITERATIONS)

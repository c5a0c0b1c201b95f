"""Ridge regression on frozen embeddings, the penalty chosen on validation and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import Ridge

from voxtile.evaluation.figures.metrics import Floats

PENALTIES = tuple(10.0**power for power in range(-3, 7))
"""alpha of scikit-learn, weak to strong, for features of mean square 1."""

WITHOUT_VALIDATION = 10.0
"""alpha where there is nothing to choose it on."""

LEAST_VALIDATION = 10
"""Validation units that a choice needs."""


@dataclass(frozen=True)
class FittedRidge:
    """Predictions [N] of the reported units, and the alpha."""

    reported: Floats
    penalty: float


def fit_ridge(train: tuple[Floats, Floats], validation: tuple[Floats, Floats], reported: Floats) -> FittedRidge:
    """Fit a number on features; alpha has the least squared error on validation.

    The number is standardised by the training units; units whose number is NaN do not count.

    Args:
        train: features [N, D] and numbers [N], of which at least two are known.
        validation: the same; with fewer than `LEAST_VALIDATION` known numbers alpha is `WITHOUT_VALIDATION`.
        reported: features alone.
    """
    features, numbers = _known(*train)
    centre, spread = float(numbers.mean()), float(numbers.std()) or 1.0
    seen, wanted = _known(*validation)
    best: tuple[float, float, Ridge] | None = None
    for penalty in PENALTIES if len(wanted) >= LEAST_VALIDATION else (WITHOUT_VALIDATION,):
        model = Ridge(alpha=penalty).fit(features, (numbers - centre) / spread)
        error = float(np.square(model.predict(seen) * spread + centre - wanted).mean()) if len(wanted) else 0.0
        if best is None or error < best[0]:
            best = error, penalty, model
    assert best is not None
    told = best[2].predict(reported) * spread + centre if len(reported) else np.zeros(0)
    return FittedRidge(told, best[1])


def _known(features: Floats, numbers: Floats) -> tuple[Floats, Floats]:
    kept = np.isfinite(numbers)
    return features[kept], numbers[kept]

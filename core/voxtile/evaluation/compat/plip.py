"""PLIP's rule for linear probes (Huang et al., Nature Medicine 2023; github.com/PathologyFoundation/plip at f010f3d).

`reproducibility/Reproduce Linear Probing.ipynb` trains a logistic regression by stochastic gradient descent with the
penalty alpha = 1, 0.1, 0.01 and 0.001 and draws the largest test figure of the four (`estimator="max"`).
"""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import f1_score

from voxtile.evaluation.compat.flattery import Flattery
from voxtile.evaluation.figures.metrics import Floats

NAME = "plip"
ALPHAS = (1.0, 0.1, 0.01, 0.001)

Probed = tuple[Floats, npt.NDArray[np.int64]]
"""Embeddings [N, D] and the number of the right class [N]."""


def probe_flattery(train: Probed, validation: Probed, reported: Probed, *, seed: int = 1) -> Flattery:
    """Macro F1 of the penalty that is best on the reported split beside that of the one best on validation.

    Args:
        train: what the probes learn from.
        validation: what the honest choice is made on.
        reported: what the figure is of.
        seed: of the gradient descent; the notebook's is 1.
    """
    figures: dict[float, tuple[float, float]] = {}
    for alpha in ALPHAS:
        probe = SGDClassifier(
            random_state=seed, loss="log_loss", alpha=alpha, penalty="l2", max_iter=10_000, class_weight="balanced"
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            probe.fit(*train)
        figures[alpha] = (_f1(probe, reported), _f1(probe, validation))
    best = max(ALPHAS, key=lambda alpha: figures[alpha][0])
    chosen = max(ALPHAS, key=lambda alpha: figures[alpha][1])
    return Flattery(
        NAME,
        "penalty of the linear probe chosen on the reported split",
        "macro_f1",
        figures[best][0],
        figures[chosen][0],
        f"alpha = {best:g}, by validation {chosen:g}",
    )


def _f1(probe: SGDClassifier, part: Probed) -> float:
    return float(f1_score(part[1], probe.predict(part[0]), average="macro", zero_division=0))

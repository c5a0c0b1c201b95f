"""Slides by their highest patches, and the rules by which CONCH and MI-Zero pick how many.

CONCH (Lu et al., Nature Medicine 2024; github.com/mahmoodlab/CONCH at 141cc09): `run_mizero` pools by the mean of the j
highest scores of each class, j in 1, 5, 10, 50, 100; the notebook `MI-zeroshot_classification_example_ensemble.ipynb`
then prints the figures of the j whose balanced accuracy on the evaluated slides is largest (`best_j`).

MI-Zero (Lu et al., CVPR 2023; github.com/mahmoodlab/MI-Zero at 047922f, `slidelevel_zeroshot_multiprompt.py`): sums
instead of means, which decide alike; for each j the median over prompts of the balanced accuracy (`median_baccs`). The
script prints every j; quoting the largest is the choice that is recomputed here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from sklearn.metrics import balanced_accuracy_score

from voxtile.evaluation.compat.flattery import Flattery
from voxtile.evaluation.figures.metrics import Floats

CONCH, MI_ZERO = "conch", "mi-zero"
CONCH_TOP, MI_ZERO_TOP = (1, 5, 10, 50, 100), (1, 5, 50)

Bags = Sequence[Floats]
"""[P, K] scores of the patches of each slide."""


def pooled(bags: Bags, top: int) -> Floats:
    """[N, K]: of each slide and class the mean of its `top` highest patch scores (all, where it has fewer)."""
    return np.stack([np.sort(bag, axis=0)[::-1][:top].mean(axis=0) for bag in bags])


def balanced(classes: npt.NDArray[np.int64], bags: Bags, top: int) -> float:
    """Balanced accuracy of the largest pooled score.

    Args:
        classes: [N] number of the right class.
        bags: of the N slides.
        top: patches that are pooled.
    """
    return float(balanced_accuracy_score(classes, pooled(bags, top).argmax(axis=1)))


def best_top(classes: npt.NDArray[np.int64], prompts: Sequence[Bags], tops: Sequence[int]) -> tuple[int, float]:
    """The j with the largest median balanced accuracy over prompts, and that figure; of equal ones the smallest j.

    Args:
        classes: [N] of the slides.
        prompts: bags of the N slides, by each prompt.
        tops: the j that are tried, ascending.
    """
    figures = {top: float(np.median([balanced(classes, bags, top) for bags in prompts])) for top in tops}
    best = max(figures, key=lambda top: figures[top])
    return best, figures[best]


def best_top_flattery(
    protocol: str,
    reported: tuple[npt.NDArray[np.int64], Sequence[Bags]],
    validation: tuple[npt.NDArray[np.int64], Sequence[Bags]],
    tops: Sequence[int],
) -> Flattery:
    """The j chosen on the reported slides beside the j chosen on validation.

    Args:
        protocol: conch or mi-zero.
        reported: classes [N], and the patch scores by each prompt (CONCH has one, the ensemble).
        validation: likewise.
        tops: the j that are tried.
    """
    best, published = best_top(*reported, tops)
    chosen, _ = best_top(*validation, tops)
    honest = float(np.median([balanced(reported[0], bags, chosen) for bags in reported[1]]))
    rule = f"number of pooled patches (of {', '.join(map(str, tops))}) chosen on the reported split"
    return Flattery(protocol, rule, "balanced_accuracy", published, honest, f"j = {best}, by validation {chosen}")

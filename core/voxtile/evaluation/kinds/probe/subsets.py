"""Which training units have labels: a share of the subjects, or a few units of each class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from voxtile.evaluation.figures.figures import LabelMatrix

Integers = npt.NDArray[np.int64]


def share_of_subjects(subjects: npt.NDArray[np.str_], percent: float, seed: Sequence[int]) -> Integers:
    """Units of a share of the subjects, at least one subject; smaller shares of one seed lie within larger ones.

    Args:
        subjects: [N] subject of each training unit.
        percent: above 0 and at most 100.
        seed: of the draw.

    Returns:
        Numbers of the units, ascending.
    """
    names, owner = np.unique(subjects, return_inverse=True)
    order = np.random.default_rng(list(seed)).permutation(len(names))
    kept = np.zeros(len(names), np.bool_)
    kept[order[: max(1, round(len(names) * percent / 100))]] = True
    return np.flatnonzero(kept[owner])


def shots_of_classes(
    labels: LabelMatrix, subjects: npt.NDArray[np.str_], shots: int, seed: Sequence[int], *, exclusive: bool
) -> list[Integers]:
    """A few units of each class, of different subjects as far as there are as many; fewer shots lie within more.

    Args:
        labels: [N, K] of the training units: 1, 0 or -1.
        subjects: [N].
        shots: positives of each class and, where classes do not exclude each other, as many negatives.
        seed: of the draw.
        exclusive: exactly one class is right, so that the positives of the others are a class's negatives.

    Returns:
        For each class the numbers of its units, ascending; the same for all where classes exclude each other.
    """
    found = []
    for column in range(labels.shape[1]):
        sides = (1,) if exclusive else (1, 0)
        draws = [
            _drawn(labels[:, column] == side, subjects, shots, np.random.default_rng([*seed, column, side]))
            for side in sides
        ]
        found.append(np.sort(np.concatenate(draws)))
    if exclusive:
        return [np.unique(np.concatenate(found))] * labels.shape[1]
    return found


def _drawn(
    among: npt.NDArray[np.bool_], subjects: npt.NDArray[np.str_], count: int, rng: np.random.Generator
) -> Integers:
    """`count` units in random order, no subject twice before all have been taken."""
    order = rng.permutation(np.flatnonzero(among))
    _, first = np.unique(subjects[order], return_index=True)
    ahead = np.sort(first)
    rest = np.setdiff1d(np.arange(len(order)), ahead)
    drawn: Integers = order[np.concatenate([ahead, rest])][:count]
    return drawn

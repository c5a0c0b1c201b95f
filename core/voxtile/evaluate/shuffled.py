"""The shuffled control: images permuted among subjects, so that an honest figure falls to chance."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

PERMUTATIONS = 20
_TRIES = 100


def permutations(
    subjects: npt.NDArray[np.str_], *, seed: int, count: int = PERMUTATIONS
) -> list[npt.NDArray[np.int64]]:
    """Permutations [N] of units, in which a unit gets the image of another subject (as far as there is one).

    Args:
        subjects: [N].
        seed: fixes the permutations.
        count: how many.
    """
    rng = np.random.default_rng([seed, 0x5F])
    return [_permutation(subjects, rng) for _ in range(count)]


def _permutation(subjects: npt.NDArray[np.str_], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    order = rng.permutation(len(subjects))
    for _ in range(_TRIES):
        own = np.flatnonzero(subjects[order] == subjects)
        if not len(own):
            break
        for place in own:
            other = rng.integers(len(order))
            order[place], order[other] = order[other], order[place]
    return order

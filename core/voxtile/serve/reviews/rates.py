"""Shares among what was judged, with intervals by subject, and the agreement of two readers."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy.stats import beta, norm
from scipy.stats import t as student
from sklearn.metrics import cohen_kappa_score

Target = TypeVar("Target", bound=tuple[str, ...] | str)
_LEVEL = 0.95
_MINIMUM_SUBJECTS = 2


@dataclass(frozen=True)
class Rate:
    """A share.

    Attributes:
        share: from 0 to 1.
        low, high: of the 95 % interval; None where fewer than two subjects carry it.
        judged: targets.
        subjects: whose they are.
        further: more targets that a narrower interval needs, None where there is no interval.
    """

    share: float
    low: float | None
    high: float | None
    judged: int
    subjects: int
    further: int | None


def clustered_rate(wrong: Sequence[float], subjects: Sequence[Hashable], width: float) -> Rate:
    """A share of units that come in clusters, with an interval that knows it.

    The number of units is divided by the design effect, by the variance between subjects (linearised, Korn and Graubard
    1998, Survey Methodology 24, 193-201, with their correction for few clusters), and Jeffreys' interval is taken at
    that number. The variance rests on the subjects that carry the rarer outcome, so that its degrees of freedom are at
    most twice their number. Where no unit or all are wrong, each subject counts as one unit. In simulations of 10 to
    200 subjects it covers at least 93 %; at most 97 % where ten carry the rarer outcome, and more where fewer do.

    Args:
        wrong: [N] 1 or 0; between them where readers differ. N > 0.
        subjects: [N] of each.
        width: wished width of the interval, for `further`.
    """
    values = np.asarray(wrong, np.float64)
    _, owner = np.unique(np.asarray([str(s) for s in subjects]), return_inverse=True)
    sizes = np.bincount(owner).astype(np.float64)
    clusters, count, share = len(sizes), len(values), float(values.mean())
    if clusters < _MINIMUM_SUBJECTS:
        return Rate(share, None, None, count, clusters, None)
    effective = _effective(np.bincount(owner, weights=values), sizes, share)
    x, tail = share * effective, (1 - _LEVEL) / 2
    low = float(beta.ppf(tail, x + 0.5, effective - x + 0.5)) if share > 0 else 0.0
    high = float(beta.ppf(1 - tail, x + 0.5, effective - x + 0.5)) if share < 1 else 1.0
    needed = count * ((high - low) / width) ** 2  # the width falls with the root of the number
    return Rate(share, low, high, count, clusters, max(0, math.ceil(needed - count)))


def _effective(wrong: np.ndarray, sizes: np.ndarray, share: float) -> float:
    """How many independent units tell as much."""
    clusters, count = len(sizes), float(sizes.sum())
    if share in (0.0, 1.0):
        return float(clusters)
    variance = clusters / (clusters - 1) * float(((wrong - share * sizes) ** 2).sum()) / count**2
    independent = share * (1 - share) / variance if variance > 0 else count
    carriers = min(np.count_nonzero(wrong > 0), np.count_nonzero(wrong < sizes))
    quantile, freedom = 1 - (1 - _LEVEL) / 2, min(clusters - 1, 2 * carriers)
    return min(count, independent * float(norm.ppf(quantile) / student.ppf(quantile, freedom)) ** 2)


def agreement(
    verdicts: Mapping[tuple[str, Target], str], readers: tuple[str, str]
) -> tuple[int, float | None, list[Target]]:
    """How two readers agree.

    Args:
        verdicts: by (reader, target).
        readers: both.

    Returns:
        Targets that both judged, Cohen's kappa over them (None where there are none, or both said one thing alone),
        and the targets on which they differ.
    """
    said: dict[Target, dict[str, str]] = defaultdict(dict)
    for (reader, target), verdict in verdicts.items():
        if reader in readers:
            said[target][reader] = verdict
    both = {target: (v[readers[0]], v[readers[1]]) for target, v in sorted(said.items()) if len(v) == len(readers)}
    first, second = [a for a, _ in both.values()], [b for _, b in both.values()]
    kappa = float(cohen_kappa_score(first, second)) if len({*first, *second}) > 1 else None
    return len(both), kappa, [target for target, (a, b) in both.items() if a != b]

"""How often each sample is drawn: an expression over its columns, and the shares of sources in a mixture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voxtile.errors import ConfigError
from voxtile_datasets.curation.candidates import Pool
from voxtile_datasets.curation.conditions import matching_samples, sample_values

Weights = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Mixture:
    """Which share of the draws each value of a column gets.

    Attributes:
        column: of the samples table, or `corpus` for the number of the corpus.
        shares: positive, by value.
    """

    column: str
    shares: Mapping[str, float]


def parse_mixture(text: str) -> Mixture:
    """A mixture from `COLUMN:VALUE=SHARE,VALUE=SHARE`.

    Raises:
        ConfigError: it is not written so, or a share is not positive.
    """
    column, colon, rest = text.partition(":")
    shares: dict[str, float] = {}
    for part in rest.split(","):
        value, equals, share = part.rpartition("=")
        try:
            number = float(share)
        except ValueError:
            number = math.nan
        if not colon or not equals or not column.strip():
            raise ConfigError(f"--mixture: '{text}' is not COLUMN:VALUE=SHARE,…; for example modality:CT=0.7,MR=0.3")
        if not 0 < number < math.inf:
            raise ConfigError(f"--mixture: the share '{share}' of '{value.strip()}' is no positive number")
        shares[value.strip()] = number
    return Mixture(column.strip(), shares)


def weighted_by(pool: Pool, weights: Weights, expression: str) -> Weights:
    """Weights times the value of an expression.

    Raises:
        ConfigError: it is no expression, or negative, infinite, NaN or null for a selected sample; names one.
    """
    values = sample_values(pool, expression, "--weight")
    wrong = np.flatnonzero(pool.open_samples & ~((values >= 0) & np.isfinite(values)))
    if len(wrong):
        value = values[wrong[0]]
        what = "null or NaN" if math.isnan(value) else f"{value:g}"
        raise ConfigError(
            f"--weight: '{expression}' is {what} for {len(wrong):,} samples, such as {pool.uids([int(wrong[0])])[0]}; "
            "weights are finite and not negative (coalesce(score, 0) gives samples without a score none)"
        )
    return np.where(pool.open_samples, weights * values, weights)


def mixed(pool: Pool, weights: Weights, mixture: Mixture) -> Weights:
    """Weights scaled so that the sources are drawn in their shares, and samples of other values never.

    Raises:
        ConfigError: there is no such column, or a value has no sample with a weight.
    """
    scaled = np.where(pool.open_samples, 0.0, weights)
    for value, share in mixture.shares.items():
        quoted = value.replace("'", "''")
        column = mixture.column.replace('"', '""')
        own = matching_samples(pool, f"\"{column}\"::VARCHAR = '{quoted}'", "--mixture") & pool.open_samples
        total = float(weights[own].sum())
        if not total > 0:
            raise ConfigError(
                f"--mixture: no selected sample of '{mixture.column}' {value} is left to be drawn; "
                "leave it out, or check how the value is written with voxtile inspect"
            )
        scaled[own] = weights[own] * (share / total)
    drawn = float(scaled[pool.open_samples].sum())
    if drawn > 0:  # a mean weight of 1 keeps weights readable
        scaled[pool.open_samples] *= int(pool.open_samples.sum()) / drawn
    return scaled

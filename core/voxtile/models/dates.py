"""Dates of a study's samples as vectors: how long before the latest each was acquired.

Shape letters: S samples, K periods, W width of the image tower.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from voxtile.errors import ConfigError


@dataclass(frozen=True)
class Dates:
    """Which intervals a study tower can tell apart.

    Attributes:
        shortest: shortest period in days; twice the shortest interval that shall count.
        longest: longest period in days; intervals beyond half of it are taken for shorter ones.
        periods: how many, in even steps of their logarithm.

    The defaults suit what is dated by days: intervals of one day to a hundred years.
    """

    shortest: float = 2.0
    longest: float = 73050.0
    periods: int = 16

    def check(self) -> None:
        """Refuse what is no range; not in `__init__`, where the config's parser would hide the sentence.

        Raises:
            ConfigError: numbers out of range.
        """
        if not 0 < self.shortest < self.longest < math.inf or self.periods < 2:
            raise ConfigError(
                "dates of a study tower need at least two periods and 0 < shortest < longest (days), not "
                f"{self.periods} from {self.shortest:g} to {self.longest:g}"
            )


class DateEncoding(nn.Module):
    """A linear map of sines and cosines of the days since the latest sample (Vaswani et al. 2017, section 3.5).

    Only intervals enter, so that a shift of all dates of a subject changes nothing. It begins as nought, and gives
    nought wherever the date is unknown: both are as if there were no encoding.

    Args:
        dates: periods.
        width: W of the vectors that it is added to.
    """

    def __init__(self, dates: Dates, width: int) -> None:
        super().__init__()
        dates.check()
        self.dates = dates
        self.map = nn.Linear(2 * dates.periods, width, bias=False)
        nn.init.zeros_(self.map.weight)

    def forward(self, days: Tensor) -> Tensor:
        """[S, W] from [S] days since the latest, 0 or less; NaN where unknown."""
        known = ~days.isnan()
        steps = torch.arange(self.dates.periods, device=days.device, dtype=torch.float32) / (self.dates.periods - 1)
        periods = self.dates.shortest * (self.dates.longest / self.dates.shortest) ** steps
        # Whole periods are taken off before the division, so that decades leave the phase of days its digits.
        turns = torch.remainder(days.float().nan_to_num(0.0).unsqueeze(1), periods) / periods * math.tau
        waves = torch.cat([turns.sin(), turns.cos()], 1).to(self.map.weight.dtype)
        encoded: Tensor = self.map(waves) * known.unsqueeze(1)
        return encoded

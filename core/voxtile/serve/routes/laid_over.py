"""Another volume of a study over the planes of one, as the query of a request names it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from fastapi import Depends, Query

from voxtile.errors import ConfigError
from voxtile.formats.display import Window
from voxtile.formats.pictures.fused_planes import fused_colours
from voxtile.formats.pictures.overlay import laid_over
from voxtile.formats.pictures.planes import PlaneName
from voxtile.serve.explored import Explored


@dataclass(frozen=True)
class Over:
    """Which volume, and from and to which of its values; nothing where `uid` is None."""

    uid: str | None
    low: float
    high: float

    def laid(
        self, served: Explored, row: Mapping[str, Any], pixels: npt.NDArray[np.uint8], name: PlaneName, index: int
    ) -> npt.NDArray[np.uint8]:
        """A plane with what lies over it.

        Raises:
            ConfigError: it is of another study, has no place in the patient, or the window is none.
        """
        if self.uid is None:
            return pixels
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ConfigError("what lies over a plane is shown from one value to a higher one")
        other = served.row(self.uid)
        if row["study"] is None or (other["subject"], other["study"]) != (row["subject"], row["study"]):
            raise ConfigError("what lies over a volume must be of the same study; choose one that /companions lists")
        with served.source(other) as source:
            colours = fused_colours(row, source, name, index, Window("", self.low, self.high))
        return laid_over(pixels, colours)


def _over(
    over: Annotated[str | None, Query(max_length=200)] = None,
    low: Annotated[float, Query()] = 0.0,
    high: Annotated[float, Query()] = 1.0,
) -> Over:
    return Over(over, low, high)


LaidOver = Annotated[Over, Depends(_over)]
"""The other volume, as routes take it."""

"""Statistics of the values inside a region: attenuation in HU on CT, uptake on PET, intensity elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtile_medical.measurements.shape import Shape


@dataclass(frozen=True)
class Intensity:
    """Of the voxels of a region, each counted once and none left out.

    Attributes:
        mean: arithmetic mean.
        sd: standard deviation of the population (divided by the number of voxels).
        median: 50th percentile.
        low, high: 5th and 95th percentile, by linear interpolation between the two values beside it.
        maximum: the largest value.
    """

    mean: float
    sd: float
    median: float
    low: float
    high: float
    maximum: float


@dataclass(frozen=True, eq=False)
class Values:
    """The stored values of a volume, and how they become physical.

    Attributes:
        stored: [Z, Y, X] of the whole volume.
        scale, offset: physical = stored · scale + offset.
        unit: of the physical values.
    """

    stored: npt.NDArray[Any]
    scale: float = 1.0
    offset: float = 0.0
    unit: str = "HU"

    @property
    def quantity(self) -> str:
        """What the values are called: attenuation where they are HU, uptake where SUV, else intensity."""
        if self.unit == "HU":
            return "attenuation"
        return "uptake" if self.unit.startswith(("SUV", "SUL")) else "intensity"

    def inside(self, shape: Shape) -> npt.NDArray[np.float64]:
        """[N] physical values of a region's voxels that are numbers."""
        stored = self.stored[shape.box][shape.bits]
        physical = stored.astype(np.float64) * self.scale + self.offset
        return physical if stored.dtype.kind in "iub" else physical[np.isfinite(physical)]


def intensity(values: Values, shape: Shape) -> Intensity | None:
    """Statistics of the values inside a region; None where none of them is a number."""
    inside = values.inside(shape)
    if not len(inside):
        return None
    low, median, high = np.percentile(inside, (5, 50, 95))
    return Intensity(
        float(inside.mean()), float(inside.std()), float(median), float(low), float(high), float(inside.max())
    )

"""All that is measured on one region by itself."""

from __future__ import annotations

from dataclasses import dataclass

from voxtile_medical.measurements.diameters import AxialDiameters, Diameter, axial_diameters, largest_extent
from voxtile_medical.measurements.intensity import Intensity, Values, intensity
from voxtile_medical.measurements.shape import Shape

MAX_PARTS = 20


@dataclass(frozen=True)
class Part:
    """A connected part of a region.

    Attributes:
        shape: where it is.
        axial: its longest axial diameter and the perpendicular.
        extent: its largest extent in space.
        intensity: of its voxels; None without values.
    """

    shape: Shape
    axial: AxialDiameters
    extent: Diameter
    intensity: Intensity | None


@dataclass(frozen=True)
class Measured:
    """A region.

    Attributes:
        shape: where it is.
        parts: its connected parts by volume, largest first, at most as many as asked for.
        count: how many there are in all.
        intensity: of all its voxels; None without values.
    """

    shape: Shape
    parts: tuple[Part, ...]
    count: int
    intensity: Intensity | None

    @property
    def axial(self) -> AxialDiameters:
        """Diameters of the part that has the longest."""
        return max(self.parts, key=lambda part: part.axial.longest.mm).axial

    @property
    def extent(self) -> Diameter:
        """Largest extent of any one part."""
        return max((part.extent for part in self.parts), key=lambda extent: extent.mm)


def measure(shape: Shape, values: Values | None = None, max_parts: int = MAX_PARTS) -> Measured:
    """Measure a region and each of its connected parts.

    Args:
        shape: the region.
        values: of the volume, for the intensity.
        max_parts: how many parts, largest first, are measured one by one.
    """
    shapes, count = shape.components(max_parts)
    whole = intensity(values, shape) if values is not None else None
    parts = tuple(
        Part(
            part,
            axial_diameters(part),
            largest_extent(part),
            whole if part is shape or values is None else intensity(values, part),
        )
        for part in shapes
    )
    return Measured(shape, parts, count, whole)

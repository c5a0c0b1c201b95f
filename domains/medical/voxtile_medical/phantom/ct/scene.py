"""What painters share: the canvas of one study, its body, its random numbers, and the truth as it is painted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtile.phantom.noise import Volume
from voxtile.phantom.shapes import Frame, Point, Region
from voxtile_medical.phantom.ct.findings import CONCEPTS, organ_segment
from voxtile_medical.phantom.ct.patient import Patient

SIDES = ("right", "left")
SIGN = {"right": -1.0, "left": 1.0}  # x grows to the patient's left


@dataclass(frozen=True)
class Finding:
    """One finding as painted.

    Attributes:
        concept: which.
        side: right, left or None.
        place: free words such as a lobe or a level, or None.
        size_mm: longest diameter in patient millimetres, or None where it has no size.
        centre: [3] body mm of a point inside it.
        count: how many lesions.
        details: other known facts.
    """

    concept: str
    centre: Point
    side: str | None = None
    place: str | None = None
    size_mm: float | None = None
    count: int = 1
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def truth(self) -> dict[str, Any]:
        """What is known of it, JSON-able; the centre in patient millimetres."""
        return {
            "concept": self.concept,
            "side": self.side,
            "place": self.place,
            "size_mm": self.size_mm,
            "count": self.count,
            "centre_mm": [float(c) for c in self.centre],
            **self.details,
        }


class Chances:
    """Draws of a painter: what has a random generator `rng` can ask for these."""

    rng: np.random.Generator

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return bool(self.rng.random() < probability)

    def between(self, low: float, high: float) -> float:
        """A uniform number."""
        return float(self.rng.uniform(low, high))

    def point_in_ball(self, limit: float = 1.0) -> Point:
        """[3] uniform point of a ball of radius `limit`."""
        direction = self.rng.standard_normal(3)
        radius = limit * float(self.rng.random()) ** (1 / 3)
        return np.asarray(direction / np.linalg.norm(direction) * radius)

    def pick_sides(self, both: float) -> tuple[str, ...]:
        """One side, or both with probability `both`."""
        if self.chance(both):
            return SIDES
        return (SIDES[int(self.rng.integers(2))],)


@dataclass
class Scene(Chances):
    """The study being painted.

    Attributes:
        frame, patient, rng: grid, body, random numbers of the anatomy.
        present: finding by concept.
        values: [Z, Y, X] float32 HU.
        organs: [Z, Y, X] uint8 segment number of the organ, 0 where none.
        masks: concept to [Z, Y, X] bool.
        findings: what was painted, in order.
        mimics: benign things that look like findings: (name, side).
        sides: sides of paired findings, drawn once a study.
        heart: its centre and half axes, body mm, once it is painted.
        texture: [Z, Y, X] float32 noise of unit size with features of a few voxels.
        sizes: of findings, against those of single studies, by concept; 1 where it is not named.
        own: random numbers of a finding by its key, for bodies that are painted again with other findings: the rest is
            then as it was. None where all come from `rng`, one after the other.
    """

    frame: Frame
    patient: Patient
    rng: np.random.Generator
    present: Mapping[str, bool]
    values: Volume
    organs: npt.NDArray[np.uint8]
    texture: Volume
    masks: dict[str, npt.NDArray[np.bool_]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    mimics: list[tuple[str, str | None]] = field(default_factory=list)
    sides: dict[str, tuple[str, ...]] = field(default_factory=dict)
    heart: tuple[Point, Point] = (np.zeros(3), np.ones(3))
    sizes: Mapping[str, float] = field(default_factory=dict)
    own: Callable[..., np.random.Generator] | None = None

    @contextmanager
    def about(self, concept: str, part: int = 0) -> Iterator[None]:
        """Draw what belongs to a finding, from numbers of its own where it has such."""
        kept = self.rng
        if self.own is not None:
            self.rng = self.own(CONCEPTS.index(concept), part)
        try:
            yield
        finally:
            if self.own is not None:
                self.rng = kept

    def grown(self, concept: str) -> float:
        """Size of a finding against that of single studies."""
        return self.sizes.get(concept) or 1.0

    def paint(
        self, region: Region, value: float | Volume, *, organ: str | None = None, finding: str | None = None
    ) -> None:
        """Blend a value into the picture; voxels more than half covered get the organ's or finding's label.

        A finding lies over organs; an organ that is painted later covers findings.
        """
        part = self.values[region.box]
        part += region.weight * (value - part)
        if organ is not None or finding is not None:
            inside = region.weight > 0.5
            if organ is not None:
                self.organs[region.box][inside] = organ_segment(organ)
                for mask in self.masks.values():
                    mask[region.box][inside] = False
            if finding is not None:
                self.masks.setdefault(finding, np.zeros(self.frame.shape, bool))[region.box] |= inside

    def calcium(self) -> float:
        """HU of a calcification; stones, plaques and granulomas draw from the same range as cortical bone."""
        return self.between(450, 800)

    def millimetres(self, diameter: float) -> float:
        """Body mm to patient mm, averaged over the axes."""
        return diameter * float(np.mean(self.patient.scale))

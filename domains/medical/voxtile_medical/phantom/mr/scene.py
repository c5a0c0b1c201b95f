"""The head being painted: tissue maps of one patient on a fine upright grid, before any sequence samples them.

Body axes: x to the patient's left, y to the back, z to the head, in mm from the middle of the brain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from voxtile.phantom.noise import Volume, value_noise
from voxtile.phantom.shapes import Frame, Point, Region, rotation
from voxtile_medical.phantom.ct.scene import SIGN, Chances, Finding
from voxtile_medical.phantom.mr.tissue import AIR

SHAPE = (54, 66, 54)  # Z, Y, X of the grid that is painted
SPACING_MM = 3.2
_SHIFT_REACH = np.array([48.0, 58.0, 42.0])  # how far a shift of the midline reaches, mm


@dataclass(frozen=True)
class Head:
    """One head. Lengths in mm, angles in degrees.

    Attributes:
        scale: (x, y, z) patient mm for each body mm.
        angles: rotation about x, y, z.
        shift: displacement in the scanner.
        scalp, skull: thickness of fat and of bone.
        ventricles: size against the average.
        sulci: width of the sulci, mm.
        midline: how far the middle of the brain lies to the left.
        folds: depth of the cortex, mm.
    """

    scale: tuple[float, float, float]
    angles: tuple[float, float, float]
    shift: tuple[float, float, float]
    scalp: float
    skull: float
    ventricles: float
    sulci: float
    midline: float
    folds: float


def draw_head(rng: np.random.Generator, present: Mapping[str, bool], shift_to: str) -> Head:
    """Draw a head; size of ventricles and sulci and the midline follow the findings.

    Args:
        rng: of the patient.
        present: finding by concept.
        shift_to: side to which a shifted midline moves.
    """
    scale = rng.normal(1.0, 0.05) + rng.normal(0.0, 0.03, 3)
    ventricles, sulci = rng.normal(1.0, 0.12), rng.uniform(1.3, 3.8)
    if present["atrophy"]:
        ventricles, sulci = ventricles * rng.uniform(1.1, 1.45), rng.uniform(5.5, 8.0)
    if present["hydrocephalus"]:
        ventricles = rng.uniform(1.75, 2.1)
    shift = rng.uniform(10.0, 16.0) * SIGN[shift_to] if present["midline_shift"] else rng.normal(0.0, 1.2)
    return Head(
        scale=(float(scale[0]), float(scale[1]), float(scale[2])),
        angles=(rng.normal(0, 8.0), rng.normal(0, 6.0), rng.normal(0, 8.0)),
        shift=(rng.normal(0, 7.0), rng.normal(0, 7.0), rng.normal(0, 7.0)),
        scalp=rng.uniform(2.5, 12),
        skull=rng.uniform(5, 8),
        ventricles=float(ventricles),
        sulci=float(sulci),
        midline=float(shift),
        folds=rng.uniform(5, 8),
    )


def place_head(head: Head, rng: np.random.Generator) -> Frame:
    """Put the head into the grid, posed, gently bent, its midline where it lies."""
    turn: Point = rotation(2, head.angles[2]) @ rotation(1, head.angles[1]) @ rotation(0, head.angles[0])
    to_index: npt.NDArray[np.float64] = (turn * np.array(head.scale)) / SPACING_MM
    centre = (np.array(SHAPE[::-1]) - 1) / 2 + np.array(head.shift) / SPACING_MM
    bend = np.stack([value_noise(rng, SHAPE, (3, 3, 3)) * np.float32(1.5) for _ in range(3)])
    frame = Frame.of(SHAPE, to_index, centre, bend)
    x, y, z = frame.x / _SHIFT_REACH[0], frame.y / _SHIFT_REACH[1], (frame.z - 10) / _SHIFT_REACH[2]
    bend[0] -= np.float32(head.midline) * np.exp(-(x * x + y * y + z * z)).astype(np.float32)
    return Frame.of(SHAPE, to_index, centre, bend)


@dataclass
class HeadScene(Chances):
    """The study being painted.

    Attributes:
        frame, head, rng: grid, head, random numbers of the anatomy.
        present: finding by concept.
        away: the side from which a shifted midline moves: masses lie there.
        texture: [Z, Y, X] noise of unit size with features of a few voxels.
        maps: [6, Z, Y, X] tissue maps, see `tissue.QUANTITIES`.
        findings: what was painted, in order.
        mimics: benign things that look like findings: (name, side).
        taken: (centre, radius) of what was painted: lesions keep apart.
    """

    frame: Frame
    head: Head
    rng: np.random.Generator
    present: Mapping[str, bool]
    away: str | None
    texture: Volume
    maps: Volume = field(default_factory=lambda: np.empty((0, 0, 0, 0), np.float32))
    findings: list[Finding] = field(default_factory=list)
    mimics: list[tuple[str, str | None]] = field(default_factory=list)
    taken: list[tuple[Point, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.maps = np.repeat(AIR[:, None, None, None], self.frame.shape[0], axis=1)
        self.maps = np.ascontiguousarray(np.broadcast_to(self.maps, (len(AIR), *self.frame.shape)))

    def paint(self, region: Region, tissue: npt.NDArray[np.float32]) -> None:
        """Blend a tissue into the maps."""
        part = self.maps[(slice(None), *region.box)]
        part += region.weight * (tissue[:, None, None, None] - part)

    def millimetres(self, diameter: float) -> float:
        """Body mm to patient mm, averaged over the axes."""
        return diameter * float(np.mean(self.head.scale))

    def side(self, *, mass: bool = False) -> str:
        """A side for a lesion; a mass lies on the side from which the midline is pushed."""
        if mass and self.away is not None:
            return self.away
        return ("right", "left")[int(self.rng.integers(2))]

    def free(self, centre: Point, radius: float) -> bool:
        """Whether a lesion would keep apart from the others; if so, its place is taken."""
        if any(np.linalg.norm(centre - other) < radius + reach + 4 for other, reach in self.taken):
            return False
        self.taken.append((centre, radius))
        return True

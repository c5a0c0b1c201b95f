"""Normal variation: how one healthy body differs from another, and how one scan differs from another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voxtile.phantom.noise import value_noise
from voxtile.phantom.shapes import Frame, Point, rotation

SHAPE = (48, 64, 88)  # Z, Y, X
SPACING_MM = (7.5, 5.5, 4.5)  # nominal, Z, Y, X

BUILD = np.array([1.08, 1.24, 1.06])  # x, y, z: how the average body fills the grid

ORGAN_VARIATION = {"liver": 0.08, "spleen": 0.1, "kidney": 0.06, "heart": 0.03, "aorta": 0.06}

PHASES = ("none", "arterial", "venous")
# Hounsfield units by phase: rough textbook values for soft tissue without and with iodine.
ENHANCEMENT: dict[str, dict[str, float]] = {
    "none": {"aorta": 42, "heart": 42, "veins": 40, "liver": 58, "spleen": 48, "kidney": 34},
    "arterial": {"aorta": 270, "heart": 200, "veins": 70, "liver": 72, "spleen": 110, "kidney": 135},
    "venous": {"aorta": 150, "heart": 140, "veins": 145, "liver": 112, "spleen": 122, "kidney": 165},
}


@dataclass(frozen=True)
class Patient:
    """One body and one acquisition. Lengths in mm, intensities in HU, angles in degrees.

    Attributes:
        scale: (x, y, z) patient mm for each body mm.
        angles: rotation about x, y, z.
        shift: displacement of the body in the scanner.
        fat: thickness of the fat under the skin, as a share of the body's radius.
        visceral: share of fat among the bowel loops, 0 to 1.
        breath: height of the (right, left) diaphragm against the average; negative is a deep breath.
        spine: amplitude of (sideways, front-to-back) curvature.
        organ: size of liver, spleen, kidneys, heart, aorta against the average.
        phase: none, arterial or venous.
        lung: mean lung density.
        liver_fat: how much fat lowers the liver.
        arms_down: arms beside the body.
        noise, blur, gain, offset: noise level, kernel width (share of a neighbour), calibration.
        table: the couch is in the picture.
        spacing: (z, y, x) mm.
    """

    scale: tuple[float, float, float]
    angles: tuple[float, float, float]
    shift: tuple[float, float, float]
    fat: float
    visceral: float
    breath: tuple[float, float]
    spine: tuple[float, float]
    organ: dict[str, float]
    phase: str
    lung: float
    liver_fat: float
    arms_down: bool
    noise: float
    blur: float
    gain: float
    offset: float
    table: bool
    spacing: tuple[float, float, float]

    def hounsfield(self, tissue: str) -> float:
        """HU of an organ in this phase."""
        return ENHANCEMENT[self.phase][tissue]


def draw_patient(rng: np.random.Generator) -> Patient:
    """Draw a body and a scan; nothing here depends on the findings."""
    scale = BUILD * (rng.normal(1.0, 0.065) + rng.normal(0.0, 0.05, 3))
    field = rng.uniform(0.94, 1.10)
    return Patient(
        scale=(float(scale[0]), float(scale[1]), float(scale[2])),
        angles=(rng.normal(0, 5.0), rng.normal(0, 5.0), rng.normal(0, 7.0)),
        shift=(rng.normal(0, 15.0), rng.normal(0, 12.0), rng.normal(0, 18.0)),
        fat=rng.uniform(0.02, 0.16),
        visceral=rng.uniform(0.15, 0.9),
        breath=(rng.normal(0, 13.0), rng.normal(0, 13.0)),
        spine=(rng.normal(0, 6.0), rng.normal(0, 6.0)),
        organ={name: float(rng.normal(1.0, s)) for name, s in ORGAN_VARIATION.items()},
        phase=str(rng.choice(PHASES, p=(0.15, 0.35, 0.5))),
        lung=rng.uniform(-885, -780),
        liver_fat=float(rng.choice((0.0, rng.uniform(10, 40)), p=(0.7, 0.3))),
        arms_down=bool(rng.random() < 0.25),
        noise=rng.uniform(6, 18),
        blur=rng.uniform(0.0, 0.13),
        gain=rng.normal(1.0, 0.006),
        offset=rng.normal(0.0, 4.0),
        table=bool(rng.random() < 0.7),
        spacing=(
            round(SPACING_MM[0] * rng.uniform(0.95, 1.06), 2),
            round(SPACING_MM[1] * field, 3),
            round(SPACING_MM[2] * field, 3),
        ),
    )


def place(patient: Patient, rng: np.random.Generator) -> Frame:
    """Put the body into the scanner's grid, posed and gently bent."""
    turn: Point = rotation(2, patient.angles[2]) @ rotation(1, patient.angles[1]) @ rotation(0, patient.angles[0])
    spacing = np.array(patient.spacing[::-1])
    to_index: npt.NDArray[np.float64] = (turn * np.array(patient.scale)) / spacing[:, None]
    centre = (np.array(SHAPE[::-1]) - 1) / 2
    bend = np.empty((3, *SHAPE), np.float32)
    for axis in range(3):
        np.multiply(value_noise(rng, SHAPE, (4, 3, 4)), np.float32(3.5), out=bend[axis])
    np.minimum(np.maximum(bend, -8, out=bend), 8, out=bend)
    return Frame.of(SHAPE, to_index, centre + np.array(patient.shift) / spacing, bend)

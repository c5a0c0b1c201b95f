"""What MR measures of a tissue, and the signal that a sequence makes of it.

Times in ms, diffusion in 10⁻³ mm²/s. Rough values at 1.5 T from Bojorquez et al. 2017 (Magn Reson Imaging 35:69-80) and
Bottomley et al. 1984 (Med Phys 11:425-448); signal equations from Bernstein, King and Zhou, Handbook of MRI Pulse
Sequences, sections 14.1 (inversion recovery), 14.3 (spin echo) and 17.2 (diffusion).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from voxtile.phantom.noise import Volume

Role = Literal["t1", "t1-post", "t2", "flair", "dwi", "adc"]
ROLES: tuple[Role, ...] = ("t1", "t1-post", "t2", "flair", "dwi", "adc")
QUANTITIES = ("density", "t1", "t2", "diffusion", "uptake", "fat")
B_VALUE = 1000.0  # s/mm²


def tissue(
    density: float, t1: float, t2: float, diffusion: float, uptake: float = 0.0, fat: float = 0.0
) -> npt.NDArray[np.float32]:
    """[6] values in the order of `QUANTITIES`; uptake is the rise of 1/T1 after contrast, per second."""
    return np.array([density, t1, t2, diffusion, uptake, fat], np.float32)


AIR = tissue(0.0, 1000, 50, 0.0)
FAT = tissue(0.95, 280, 85, 0.05, fat=1.0)
MUSCLE = tissue(0.8, 1000, 45, 1.4, 0.25)
BONE = tissue(0.06, 800, 20, 0.3)
CSF = tissue(1.0, 4000, 1800, 3.0)
GREY = tissue(0.84, 1250, 98, 0.82, 0.02)
WHITE = tissue(0.72, 800, 75, 0.74, 0.01)
VEIN = tissue(0.45, 1500, 60, 1.2, 3.0)
MUCOSA = tissue(0.85, 1400, 180, 1.4, 1.0)
INFLAMED = tissue(0.86, 1450, 220, 1.2, 3.0)  # mucosa of a sinus
OEDEMA = tissue(0.86, 1450, 220, 1.35)
INFARCT = tissue(0.86, 1450, 130, 0.42)
TUMOUR = tissue(0.86, 1500, 125, 1.05, 3.4)
NECROSIS = tissue(0.95, 2600, 300, 2.2)
MENINGIOMA = tissue(0.84, 1250, 96, 0.84, 3.8)
OLD_BLOOD = tissue(0.9, 380, 115, 0.9)  # methaemoglobin: bright on T1
FRESH_BLOOD = tissue(0.82, 1150, 34, 0.6)  # deoxyhaemoglobin: dark on T2
GLIOSIS = tissue(0.86, 1350, 210, 1.1)
PROTEIN_FLUID = tissue(1.0, 1300, 420, 2.3)
XANTHOGRANULOMA = tissue(0.9, 1400, 220, 1.0, 1.0)  # of the choroid plexus: T2 shines through on diffusion
SCAR = tissue(0.9, 1700, 260, 1.6)  # long after an infarct


@dataclass(frozen=True)
class Sequence:
    """Timing of one sequence.

    Attributes:
        role: what it is in the study.
        repetition, echo, inversion: ms; inversion 0 for none.
        b_value: s/mm².
        contrast: after contrast.
        fat_left: share of the fat signal that fat suppression leaves.
    """

    role: Role
    repetition: float
    echo: float
    inversion: float = 0.0
    b_value: float = 0.0
    contrast: bool = False
    fat_left: float = 1.0

    def signal(self, maps: Volume, inflow: Volume | None = None) -> Volume:
        """Signal of [6, Z, Y, X] tissue maps: [Z, Y, X] of a density of 1, or for ADC in 10⁻⁶ mm²/s.

        Args:
            maps: in the order of `QUANTITIES`.
            inflow: [Z, Y, X] share of the magnetisation that flowed in after the inversion; none by default.
        """
        density, diffusion = maps[0], maps[3]
        if self.role == "adc":
            return np.asarray(diffusion * np.float32(1000) * (density > 0.2), np.float32)
        water, fat = self.water_and_fat(maps, inflow)
        return water + fat

    def water_and_fat(self, maps: Volume, inflow: Volume | None = None) -> tuple[Volume, Volume]:
        """The two parts of `signal`, which echo-planar imaging puts in different places; not for ADC."""
        density, t1, t2, diffusion, uptake, fat = maps
        if self.contrast:
            t1 = np.float32(1000) / (np.float32(1000) / t1 + uptake)
        recovered = 1 - np.exp(np.float32(-self.repetition) / t1)
        if self.inversion:
            inverted = 2 * np.exp(np.float32(-self.inversion) / t1) - 2 * np.exp(np.float32(-self.repetition) / t1)
            nulled = np.abs(recovered - inverted)
            recovered = nulled if inflow is None else nulled + inflow * (recovered - nulled)
        out = density * recovered * np.exp(np.float32(-self.echo) / t2)
        if self.b_value:
            out = out * np.exp(np.float32(-self.b_value / 1000) * diffusion)
        of_fat = np.asarray(out * fat, np.float32)
        return np.asarray(out - of_fat, np.float32), of_fat * np.float32(self.fat_left)


def draw_protocol(rng: np.random.Generator) -> tuple[Sequence, ...]:
    """The sequences of one study; the site's taste varies, the weighting does not."""

    def between(low: float, high: float) -> float:
        return float(np.round(rng.uniform(low, high), 1))

    short, early = between(430, 750), between(8, 18)
    diffusion = (between(4200, 7500), between(65, 105))
    fat_left = between(0.03, 0.6)
    return (
        Sequence("t1", short, early),
        Sequence(
            "t1-post", round(short * rng.uniform(0.97, 1.03), 1), early, contrast=True, fat_left=between(0.05, 0.5)
        ),
        Sequence("t2", between(3500, 6500), between(80, 120)),
        Sequence("flair", between(8000, 10_500), between(88, 135), between(2200, 2700), fat_left=between(0.05, 1.0)),
        Sequence("dwi", *diffusion, b_value=B_VALUE, fat_left=fat_left),
        Sequence("adc", *diffusion, b_value=B_VALUE, fat_left=fat_left),
    )

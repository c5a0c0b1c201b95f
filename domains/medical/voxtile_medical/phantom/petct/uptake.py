"""Uptake of FDG: what healthy organs take up, on the CT grid, and how a PET scanner sees it on its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from voxtile.phantom.noise import Volume
from voxtile.phantom.shapes import ellipsoid, rotation
from voxtile_medical.phantom.ct.findings import organ_segment
from voxtile_medical.phantom.ct.scene import SIDES, SIGN, Scene
from voxtile_medical.phantom.petct.lesions import Lesion

PET_SHAPE = (42, 48, 56)  # Z, Y, X
PET_SPACING_MM = (8.6, 7.4, 7.2)  # nominal, Z, Y, X
_FWHM_MM = 8.0  # of the point spread function
# SUV by body weight, mean over patients: Wang et al., Nucl Med Commun 28:697-704 (2007), rounded.
_ORGANS: Mapping[str, float] = {
    "left lung": 0.5, "right lung": 0.5, "heart": 1.7, "aorta": 1.6, "trachea": 0.2, "oesophagus": 1.4, "liver": 2.1,
    "gallbladder": 0.9, "spleen": 1.8, "stomach": 1.5, "left kidney": 2.6, "right kidney": 2.6, "vertebrae": 1.4,
    "ribs": 0.8,
}  # fmt: skip
_FAT, _SOFT, _AIR = 0.3, 0.8, 0.05


@dataclass(frozen=True)
class PetGrid:
    """Where the PET's voxels are: axes along the patient's, as the CT's.

    Attributes:
        spacing: (z, y, x) mm.
        origin: [3] patient mm (LPS: x, y, z) of voxel (0, 0, 0).
    """

    spacing: tuple[float, float, float]
    origin: npt.NDArray[np.float64]


def draw_grid(
    rng: np.random.Generator, spacing: Sequence[float], origin: npt.NDArray[np.float64], shape: Sequence[int]
) -> PetGrid:
    """A grid that covers the CT's, with voxels of its own size and corner.

    Args:
        rng: source of randomness.
        spacing: of the CT, (z, y, x) mm.
        origin: of the CT, [3] LPS mm.
        shape: of the CT, (Z, Y, X).
    """
    field = rng.uniform(0.97, 1.05)
    own = (round(PET_SPACING_MM[0], 2), round(PET_SPACING_MM[1] * field, 3), round(PET_SPACING_MM[2] * field, 3))
    middle = origin + np.array(spacing[::-1]) * (np.array(shape[::-1]) - 1) / 2
    corner = middle - np.array(own[::-1]) * (np.array(PET_SHAPE[::-1]) - 1) / 2 + rng.uniform(-3, 3, 3)
    return PetGrid(own, np.round(corner, 2))


def paint_uptake(scene: Scene, lesions: Sequence[Lesion]) -> Volume:
    """[Z, Y, X] SUV on the CT grid: organs, their variation, and the lesions that take up more."""
    values = scene.values
    uptake = np.where(values > -30, _SOFT, np.where(values > -500, _FAT, _AIR)).astype(np.float32)
    for organ, suv in _ORGANS.items():
        uptake[scene.organs == organ_segment(organ)] = suv * scene.between(0.85, 1.18)
    uptake *= 1 + np.float32(0.06) * scene.texture
    _paint_myocardium(scene, uptake)
    _paint_kidneys(scene, uptake)
    _paint_bowel(scene, uptake)
    for lesion in lesions:
        part = uptake[lesion.region.box]
        background = float(np.median(part)) if lesion.suv is None else lesion.suv
        if lesion.state == "cold" and lesion.concept == "liver_cyst":
            background = 0.4
        part += lesion.region.weight * (np.float32(background) - part)
    return uptake


def _paint_myocardium(scene: Scene, uptake: Volume) -> None:
    """The left ventricle's wall: none to much, by the last meal."""
    centre, radii = scene.heart
    wall = scene.between(1.5, 7.0)
    turn = rotation(2, 28) @ rotation(1, 18)
    at = centre + turn @ (np.array([0.3, -0.05, -0.1]) * radii)
    for share, suv in ((0.62, wall), (0.36, 1.7)):
        region = ellipsoid(scene.frame, at, radii * share, turn=turn)
        part = uptake[region.box]
        part += region.weight * (np.float32(suv) - part)


def _paint_kidneys(scene: Scene, uptake: Volume) -> None:
    """Activity in the renal pelves, on its way to the bladder."""
    for side in SIDES:
        lift = 0.42 * scene.patient.breath[0 if side == "right" else 1]
        at = np.array([SIGN[side] * 51, 42.0, -106.0 + (6 if side == "left" else -4) + lift])
        region = ellipsoid(scene.frame, at, (9, 8, scene.between(14, 22)))
        part = uptake[region.box]
        part += region.weight * (np.float32(scene.between(6, 16)) - part)


def _paint_bowel(scene: Scene, uptake: Volume) -> None:
    for _ in range(int(scene.rng.integers(0, 4))):
        at = np.array([scene.between(-90, 90), scene.between(-65, -10), scene.between(-175, -120)])
        region = ellipsoid(scene.frame, at, (scene.between(14, 30), 12, 12), turn=rotation(2, scene.between(0, 180)))
        part = uptake[region.box]
        part += region.weight * (np.float32(scene.between(2.0, 5.0)) - part)


def on_pet_grid(
    volume: Volume, spacing: Sequence[float], origin: npt.NDArray[np.float64], grid: PetGrid, *, blur: bool = True
) -> Volume:
    """Resample from the CT grid to the PET grid.

    Args:
        volume: [Z, Y, X] on the CT grid.
        spacing: of the CT, (z, y, x) mm.
        origin: of the CT, [3] LPS mm.
        grid: of the PET.
        blur: apply the scanner's point spread function first.
    """
    source = np.asarray(spacing)
    sigma = _FWHM_MM / 2.3548 / source
    spread = ndimage.gaussian_filter(volume, sigma, mode="nearest") if blur else volume
    ratio = np.asarray(grid.spacing) / source
    offset = (grid.origin - origin)[::-1] / source
    out = ndimage.affine_transform(spread, ratio, offset, PET_SHAPE, order=1, mode="constant", cval=0.0)
    return np.asarray(out, np.float32)


def acquire_pet(suv: Volume, rng: np.random.Generator) -> Volume:
    """Add the noise of counting, which grows with the square root of the activity."""
    noise = ndimage.gaussian_filter(rng.standard_normal(suv.shape, dtype=np.float32), 0.6)
    noise /= noise.std()
    noisy = suv + np.float32(rng.uniform(0.04, 0.09)) * np.sqrt(np.maximum(suv, 0)) * noise
    return np.asarray(np.maximum(noisy, 0), np.float32)

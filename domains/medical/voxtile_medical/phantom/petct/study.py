"""From a seed to one PET/CT study: both volumes on their grids, and the lesions with what PET measures of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtile.phantom.noise import Volume, stream
from voxtile_medical.phantom.ct.dicom import Layout, draw_layout
from voxtile_medical.phantom.ct.findings import CONCEPTS as CT_CONCEPTS
from voxtile_medical.phantom.ct.patient import SHAPE, draw_patient
from voxtile_medical.phantom.ct.render import Study, acquire, paint_scene
from voxtile_medical.phantom.identity import Identity, draw_identity
from voxtile_medical.phantom.petct.dicom import PET_SERIES_NUMBER, Injection, draw_injection, stored_pet
from voxtile_medical.phantom.petct.lesions import Lesion, State, draw_states, labels_of, paint_lesions
from voxtile_medical.phantom.petct.uptake import PET_SHAPE, PetGrid, acquire_pet, draw_grid, on_pet_grid, paint_uptake

CT_SERIES_NUMBER = 2
_PHANTOM = 611  # keeps the streams of this phantom apart from those of others with the same seed
_STATES, _PATIENT, _ANATOMY, _CT_NOISE, _PET_NOISE, _DOSE = range(6)


@dataclass(frozen=True)
class Measured:
    """A lesion as it is on the pictures.

    Attributes:
        lesion: as painted.
        suvmax: largest value of the PET within it, as its files hold it; None where PET does not show it.
        pet_slice, ct_slice: index along z of the slice with that value (of the lesion's middle, where PET shows
            nothing), in each volume.
        box_mm: [6] patient mm (LPS), smallest x, y, z, then largest.
        centre_mm: [3] patient mm (LPS).
    """

    lesion: Lesion
    suvmax: float | None
    pet_slice: int
    ct_slice: int
    box_mm: tuple[float, ...]
    centre_mm: tuple[float, ...]


@dataclass(frozen=True)
class PetCtStudy:
    """One study before it becomes DICOM.

    Attributes:
        ct: the CT, as the CT phantom's.
        pet: [Z, Y, X] SUV on the PET grid, as stored: z to the head, y to the back, x to the left.
        grid: of the PET.
        injection: dose, weight, times.
        identity, layout: patient, and how the CT's voxels lie in its file.
        states: what each place has.
        labels: finding by concept.
        lesions: as measured.
    """

    ct: Study
    pet: Volume
    grid: PetGrid
    injection: Injection
    identity: Identity
    layout: Layout
    states: dict[str, State]
    labels: dict[str, bool]
    lesions: tuple[Measured, ...]

    def ct_instance(self, z: int) -> int:
        """Number of slice z in the CT's file."""
        return SHAPE[0] - z if self.layout.flips[0] else z + 1

    def pet_instance(self, z: int) -> int:
        """InstanceNumber of slice z of the PET."""
        return self.injection.instance_of(z)


def render_petct(seed: int, number: int) -> PetCtStudy:
    """Make study `number` of the data set `seed`."""

    def draws(purpose: int) -> np.random.Generator:
        return stream(seed, number, _PHANTOM, purpose)

    states = draw_states(draws(_STATES))
    patient = draw_patient(draws(_PATIENT))
    scene = paint_scene(patient, dict.fromkeys(CT_CONCEPTS, False), draws(_ANATOMY))
    lesions = paint_lesions(scene, states)
    uptake = paint_uptake(scene, lesions)
    noise = draws(_CT_NOISE)
    values = acquire(scene, noise)
    spacing = np.array(patient.spacing)
    origin = np.round(-spacing[::-1] * (np.array(SHAPE[::-1]) - 1) / 2 + noise.normal(0, 20, 3), 2)
    ct = Study(
        number, values, scene.organs, {}, (), tuple(dict.fromkeys(scene.mimics)), patient, patient.spacing, origin
    )
    identity = _identity(seed, number)
    dose = draws(_DOSE)
    injection = draw_injection(dose, identity.sex)
    grid = draw_grid(dose, patient.spacing, origin, SHAPE)
    pet = acquire_pet(on_pet_grid(uptake, patient.spacing, origin, grid), draws(_PET_NOISE))
    stored, slopes = stored_pet(pet, injection)
    pet = (stored * slopes[:, None, None] / injection.bqml_per_suv).astype(np.float32)
    measured = tuple(_measure(lesion, ct, pet, grid) for lesion in lesions)
    layout = draw_layout(seed, number)
    return PetCtStudy(ct, pet, grid, injection, identity, layout, states, labels_of(lesions), measured)


def _identity(seed: int, number: int) -> Identity:
    person = draw_identity(seed, number)
    return person.in_phantom("petct", seed, number, patient_id=f"PC{person.patient_id[3:]}", series="ct series")


def _measure(lesion: Lesion, ct: Study, pet: Volume, grid: PetGrid) -> Measured:
    whole = np.zeros(SHAPE, np.float32)
    whole[lesion.region.box] = lesion.region.weight
    inside = whole > 0.5
    index = np.argwhere(inside) if inside.any() else np.argwhere(whole >= whole.max())
    spacing = np.array(ct.spacing)
    low, high = (index.min(0) - 0.5) * spacing, (index.max(0) + 0.5) * spacing
    centre = index.mean(0) * spacing
    on_pet = on_pet_grid(whole, ct.spacing, ct.origin, grid, blur=False)
    seen = np.where(on_pet > min(0.3, 0.5 * float(on_pet.max())), pet, -1.0)
    peak = np.unravel_index(int(seen.argmax()), seen.shape)
    place = float(grid.origin[2] + grid.spacing[0] * int(peak[0]))
    ct_slice = int(np.clip(round((place - ct.origin[2]) / ct.spacing[0]), 0, SHAPE[0] - 1))
    return Measured(
        lesion,
        None if lesion.suv is None else float(pet[peak]),
        int(peak[0]),
        ct_slice,
        tuple(_rounded(np.concatenate([ct.origin + low[::-1], ct.origin + high[::-1]]))),
        tuple(_rounded(ct.origin + centre[::-1])),
    )


def _rounded(values: npt.NDArray[np.float64]) -> list[float]:
    return [float(v) for v in np.round(values, 1)]


def truth_of(study: PetCtStudy) -> dict[str, Any]:
    """What is known of a study, JSON-able."""
    return {
        "number": study.ct.number,
        "study": study.identity.study_uid,
        "subject": study.identity.patient_id,
        "ct": {"series_number": CT_SERIES_NUMBER, "spacing_mm": list(study.ct.spacing), "shape": list(SHAPE)},
        "pet": {"series_number": PET_SERIES_NUMBER, "spacing_mm": list(study.grid.spacing), "shape": list(PET_SHAPE)},
        "weight_kg": study.injection.weight_kg,
        "dose_bq": study.injection.dose_bq,
        "uptake_s": study.injection.uptake_s,
        "bqml_per_suv": study.injection.bqml_per_suv,
        "states": study.states,
        "lesions": [_lesion_truth(study, measured) for measured in study.lesions],
    }


def _lesion_truth(study: PetCtStudy, measured: Measured) -> dict[str, Any]:
    lesion = measured.lesion
    return {
        "concept": lesion.concept,
        "state": lesion.state,
        "side": lesion.side,
        "place": lesion.words,
        "size_mm": lesion.size_mm,
        "suv_painted": None if lesion.suv is None else round(lesion.suv, 3),
        "suvmax": None if measured.suvmax is None else round(measured.suvmax, 3),
        "pet_image": study.pet_instance(measured.pet_slice),
        "ct_image": study.ct_instance(measured.ct_slice),
        "box_mm": list(measured.box_mm),
        "centre_mm": list(measured.centre_mm),
    }

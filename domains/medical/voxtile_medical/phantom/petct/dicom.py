"""The PET of a PET/CT study as a classic series, one file a slice, in Bq/ml.

Attributes follow DICOM PS3.3 A.21 (Positron Emission Tomography Image).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, PositronEmissionTomographyImageStorage

from voxtile.phantom.noise import Volume
from voxtile.phantom.truth import content_uid
from voxtile_medical.phantom.ct.dicom import code, patient_and_study
from voxtile_medical.phantom.identity import Identity
from voxtile_medical.phantom.petct.uptake import PET_SHAPE, PetGrid
from voxtile_medical.phantom.template import Marks, Template, decimal, decimals, encode, pixel_element

PET_SERIES_NUMBER = 4
HALF_LIFE_S = 6586.2  # fluorine 18
_BED_S = 120.0
_BEDS = 4


@dataclass(frozen=True)
class Injection:
    """What the SUV depends on besides the picture.

    Attributes:
        weight_kg, size_m: of the patient.
        dose_bq: injected.
        uptake_s: from injection to the start of the scan.
        slope_a_slice: each slice has its own RescaleSlope, as GE writes it.
        head_first: instance 1 is the highest slice.
    """

    weight_kg: float
    size_m: float
    dose_bq: float
    uptake_s: float
    slope_a_slice: bool
    head_first: bool

    @property
    def bqml_per_suv(self) -> float:
        """Bq/ml, at the start of the scan, that are an SUV of 1."""
        return float(self.dose_bq * 2 ** (-self.uptake_s / HALF_LIFE_S) / (self.weight_kg * 1000))

    def instance_of(self, z: int) -> int:
        """InstanceNumber of slice z of the [Z, Y, X] volume."""
        return PET_SHAPE[0] - z if self.head_first else z + 1


def draw_injection(rng: np.random.Generator, sex: str) -> Injection:
    """Invent a patient's size and dose; nothing here depends on the findings."""
    size = round(float(rng.normal(1.66 if sex == "F" else 1.78, 0.06)), 2)
    weight = round(float(np.clip(rng.normal(25.5, 3.5), 18, 38)) * size**2, 1)
    dose = round(float(rng.uniform(2.6, 4.5)) * weight, 1) * 1e6
    uptake = float(rng.integers(55, 80)) * 60
    return Injection(weight, size, dose, uptake, bool(rng.random() < 0.5), bool(rng.random() < 0.5))


def stored_pet(suv: Volume, injection: Injection) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.float64]]:
    """[Z, Y, X] stored values and [Z] slopes: Bq/ml = stored · slope."""
    activity = suv.astype(np.float64) * injection.bqml_per_suv
    peak = activity.max(axis=(1, 2)) if injection.slope_a_slice else np.full(len(activity), activity.max())
    slopes = np.array([float(decimal(value)) for value in np.maximum(peak, 1.0) / 32767 + 5e-5])
    return np.rint(activity / slopes[:, None, None]).astype(np.uint16), slopes


def pet_files(suv: Volume, grid: PetGrid, injection: Injection, identity: Identity) -> Iterator[tuple[str, bytes]]:
    """The series: (file name, bytes); names say nothing about the order."""
    template = _template()
    stored, slopes = stored_pet(suv, injection)
    start = _seconds(identity.study_time)
    fields = _fields(grid, injection, identity)
    for z, plane in enumerate(stored):
        number = injection.instance_of(z)
        bed = (z * _BEDS) // PET_SHAPE[0]
        position = grid.origin + np.array([0, 0, grid.spacing[0] * z])
        sop_uid = content_uid(identity.series_uid, "pet", number)
        delay_ms = (bed * _BED_S + _mean_time(_BED_S)) * 1000
        varying = {
            "sop_uid": sop_uid,
            "instance": f"{number:04d}",
            "position": decimals(position),
            "slope": decimal(slopes[z]),
            "acquired": _clock(start + bed * _BED_S),
            "reference": decimal(delay_ms),
        }
        yield f"{sop_uid[-12:]}.dcm", bytes(template.fill(fields | varying)) + pixel_element(plane.tobytes())


def _mean_time(duration: float) -> float:
    x = np.log(2) / HALF_LIFE_S * duration
    return float(duration * np.log(x / -np.expm1(-x)) / x)


def _fields(grid: PetGrid, injection: Injection, identity: Identity) -> dict[str, str]:
    injected = _seconds(identity.study_time) - injection.uptake_s
    return {
        "patient_id": identity.patient_id,
        "patient_name": identity.name,
        "birth_date": identity.birth_date,
        "sex": identity.sex,
        "age": f"{identity.age_years:03d}Y",
        "study_date": identity.study_date,
        "study_time": identity.study_time,
        "accession": identity.accession,
        "hospital": identity.hospital,
        "physician": identity.physician,
        "manufacturer": identity.manufacturer,
        "model": identity.model,
        "study_uid": identity.study_uid,
        "series_uid": content_uid(identity.study_uid, "pet series"),
        "frame_uid": identity.frame_uid,
        "weight": decimal(injection.weight_kg),
        "size": decimal(injection.size_m),
        "dose": f"{injection.dose_bq:11.0f}",
        "injected": _clock(injected),
        "injected_moment": identity.study_date + _clock(injected),
        "thickness": decimals([grid.spacing[0]]),
        "spacing": decimals(grid.spacing[1:]),
    }


def _seconds(clock: str) -> float:
    return int(clock[:2]) * 3600 + int(clock[2:4]) * 60 + int(clock[4:6])


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600:02d}{whole // 60 % 60:02d}{whole % 60:02d}"


@cache
def _template() -> Template:
    marks = Marks()
    ds = patient_and_study(marks, "PT")
    ds.AcquisitionTime = marks.time("acquired")
    ds.StudyDescription = "FDG PET CT TORSO"
    ds.SeriesDescription = "PET AC"
    ds.SeriesNumber = PET_SERIES_NUMBER
    ds.InstanceNumber = marks.number("instance")
    ds.ImageType = ["ORIGINAL", "PRIMARY"]
    ds.PatientWeight, ds.PatientSize = marks.decimals("weight", 1)[0], marks.decimals("size", 1)[0]
    ds.SliceThickness = marks.decimals("thickness", 1)[0]
    ds.PixelSpacing = marks.decimals("spacing", 2)
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.ImagePositionPatient = marks.decimals("position", 3)
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = PET_SHAPE[1], PET_SHAPE[2]
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit, ds.PixelRepresentation = 15, 0
    ds.RescaleIntercept, ds.RescaleSlope = "0", marks.decimals("slope", 1)[0]
    ds.RescaleType = "BQML"
    ds.Units, ds.SeriesType, ds.CountsSource = "BQML", ["WHOLE BODY", "IMAGE"], "EMISSION"
    ds.CorrectedImage = ["NORM", "DTIM", "ATTN", "SCAT", "DECY", "RAN"]
    ds.DecayCorrection, ds.RandomsCorrectionMethod = "START", "DLYD"
    ds.NumberOfSlices = PET_SHAPE[0]
    ds.CollimatorType = "NONE"
    ds.ActualFrameDuration = int(_BED_S * 1000)
    ds.FrameReferenceTime = marks.decimals("reference", 1)[0]
    ds.RadiopharmaceuticalInformationSequence = [_radiopharmaceutical(marks)]
    content = encode(ds, PositronEmissionTomographyImageStorage, marks.uid("sop_uid"), ExplicitVRLittleEndian)
    return Template(content, marks.fields)


def _radiopharmaceutical(marks: Marks) -> Dataset:
    item = Dataset()
    item.Radiopharmaceutical = "Fluorodeoxyglucose"
    item.RadiopharmaceuticalStartTime = marks.time("injected")
    item.RadiopharmaceuticalStartDateTime = marks.moment("injected_moment")
    item.RadionuclideTotalDose = marks.decimals("dose", 1)[0]
    item.RadionuclideHalfLife = str(HALF_LIFE_S)
    item.RadionuclidePositronFraction = "0.97"
    item.RadionuclideCodeSequence = [code("C-111A1", "SRT", "^18^Fluorine")]
    return item

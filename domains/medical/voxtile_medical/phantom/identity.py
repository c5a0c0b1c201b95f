"""Who the patients are: invented names, numbers and dates, so that de-identification has something to remove."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from voxtile.phantom.noise import stream
from voxtile.phantom.truth import content_uid
from voxtile.phantom.wording import pick

_STREAM = 4
_FAMILY = (
    "Abara", "Bergqvist", "Castellane", "Dvorsky", "Eskildsen", "Fontaine", "Gutierrez", "Halloran",
    "Ivanova", "Jankowski", "Kowalczyk", "Lindqvist", "Mwangi", "Nakashima", "Okonkwo", "Petrosyan", "Quispe",
    "Rautavaara", "Sithebe", "Tanaka", "Umarova", "Vandermeer", "Wojcik", "Xanthopoulos", "Yilmaz",
    "Zielinska",
)  # fmt: skip
_GIVEN = (
    "Amara", "Benno", "Chiara", "Dagny", "Elio", "Farida", "Goran", "Hedda", "Imre", "Jolanda", "Kaito",
    "Leocadia", "Malik", "Noemi", "Oskar", "Priya", "Quentin", "Rosalind", "Soren", "Tamsin", "Ulrike",
    "Viggo", "Wanda", "Yannick",
)  # fmt: skip
_HOSPITALS = ("Northgate General Hospital", "Riverside Clinic", "St. Aldwyn Medical Centre")
_SCANNERS = (("Phantom Works", "Torso One"), ("Synthetic Imaging", "Helix 64"), ("Voxel Foundry", "Spiral S"))
_KERNELS = ("B30f", "STANDARD", "FC08", "B50f")


@dataclass(frozen=True)
class Identity:
    """The patient and study modules of one study; all invented, none depends on the findings."""

    patient_id: str
    name: str
    birth_date: str
    sex: str
    age_years: int
    study_date: str
    study_time: str
    accession: str
    hospital: str
    physician: str
    manufacturer: str
    model: str
    kernel: str
    study_uid: str
    series_uid: str
    frame_uid: str

    def fields(self) -> dict[str, str]:
        """Values of the template fields that name patient, study and scanner."""
        return {
            "patient_id": self.patient_id,
            "patient_name": self.name,
            "birth_date": self.birth_date,
            "sex": self.sex,
            "age": f"{self.age_years:03d}Y",
            "study_date": self.study_date,
            "study_time": self.study_time,
            "accession": self.accession,
            "hospital": self.hospital,
            "physician": self.physician,
            "manufacturer": self.manufacturer,
            "model": self.model,
            "study_uid": self.study_uid,
            "series_uid": self.series_uid,
            "frame_uid": self.frame_uid,
        }

    def in_phantom(self, phantom: str, seed: int, number: int, *, patient_id: str, series: str = "series") -> Identity:
        """The same person in the data set of another phantom, under another number.

        Args:
            phantom: its name, as `voxtile phantom` takes it.
            seed: of the data set.
            number: of the study.
            patient_id: that no other phantom gives.
            series: what `series_uid` is of.
        """
        study = content_uid(f"voxtile {phantom} phantom", seed, number)
        return replace(
            self,
            patient_id=patient_id,
            study_uid=study,
            series_uid=content_uid(study, series),
            frame_uid=content_uid(study, "frame of reference"),
        )

    def instance_uid(self, name: object) -> str:
        """SOP instance UID of an object of this study."""
        return content_uid(self.series_uid, name)


def draw_identity(seed: int, number: int) -> Identity:
    """Invent the patient of study `number`; another seed gives entirely different people."""
    rng = stream(seed, number, _STREAM)
    year, age = int(rng.integers(2015, 2024)), int(rng.integers(22, 89))
    manufacturer, model = pick(rng, _SCANNERS)
    study_uid = content_uid("voxtile ct phantom", seed, number)
    return Identity(
        patient_id=f"MRN{int(rng.integers(10**7, 10**8))}{seed % 1000:03d}{number:05d}",
        name=f"{pick(rng, _FAMILY)}^{pick(rng, _GIVEN)}",
        birth_date=f"{year - age}{_month_day(rng)}",
        sex=pick(rng, ("F", "M")),
        age_years=age,
        study_date=f"{year}{_month_day(rng)}",
        study_time=f"{int(rng.integers(7, 20)):02d}{int(rng.integers(60)):02d}{int(rng.integers(60)):02d}",
        accession=f"A{int(rng.integers(10**8, 10**9))}",
        hospital=pick(rng, _HOSPITALS),
        physician=f"{pick(rng, _FAMILY)}^{pick(rng, _GIVEN)}",
        manufacturer=manufacturer,
        model=model,
        kernel=pick(rng, _KERNELS),
        study_uid=study_uid,
        series_uid=content_uid(study_uid, "series"),
        frame_uid=content_uid(study_uid, "frame of reference"),
    )


def _month_day(rng: np.random.Generator) -> str:
    return f"{int(rng.integers(1, 13)):02d}{int(rng.integers(1, 29)):02d}"

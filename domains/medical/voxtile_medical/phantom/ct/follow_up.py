"""Pairs of examinations: a patient, and the same one later, with a known course of every finding.

Study 2k is the first examination of a patient, and study 2k + 1 a later one. The body is the same; the patient lies a
little otherwise, and noise is new. What is new, larger or unchanged is as large in the later examination as in single
studies, so that its size by itself does not tell the course; only what is smaller can be told so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np

from voxtile.phantom.noise import stream
from voxtile.phantom.truth import content_uid
from voxtile_medical.phantom.ct.findings import CONCEPTS
from voxtile_medical.phantom.ct.patient import Patient, draw_patient
from voxtile_medical.phantom.ct.render import ANATOMY_STREAM, NOISE_STREAM, PATIENT_STREAM, Study, paint_scene, study_of
from voxtile_medical.phantom.identity import Identity, draw_identity

_COURSE_STREAM, _POSE_STREAM, _DATE_STREAM, _FINDING_STREAM = 20, 21, 22, 100
_BODIES = 50_000_000  # numbers of patients of pairs are none of single studies'

SIZED = (
    "pulmonary_nodule", "pleural_effusion", "pneumothorax", "consolidation", "pericardial_effusion", "liver_lesion",
    "renal_stone",
)  # fmt: skip
"""Findings whose size is painted as it grows, and is told by reports."""

COURSES: Mapping[str, tuple[float, float]] = {
    "never": (0.0, 0.0),
    "new": (0.0, 1.0),
    "resolved": (1.0, 0.0),
    "larger": (0.5, 1.0),
    "smaller": (1.0, 0.5),
    "unchanged": (1.0, 1.0),
}
"""Size of a finding in the first examination and in the second, against that of single studies; 0 where it is not."""

_SHARES_SIZED = {"never": 0.48, "new": 0.12, "resolved": 0.08, "larger": 0.12, "smaller": 0.08, "unchanged": 0.12}
_SHARES_OTHERS = {"never": 0.7, "new": 0.1, "resolved": 0.1, "unchanged": 0.1}


@dataclass(frozen=True)
class Examination:
    """One of a pair.

    Attributes:
        study: as it is rendered.
        identity: of the patient and the examination.
        prior: of the examination before it; None of the first one.
        courses: what has become of each finding, by concept.
    """

    study: Study
    identity: Identity
    prior: Identity | None
    courses: Mapping[str, str]

    @property
    def is_later(self) -> bool:
        """Whether there is an examination before it."""
        return self.prior is not None


def examination(seed: int, number: int) -> Examination:
    """Make study `number` of the pairs of `seed`."""
    pair, is_later = _BODIES + number // 2, number % 2 == 1
    courses = draw_courses(seed, pair)
    sizes = {concept: COURSES[course][is_later] for concept, course in courses.items()}
    patient = _posed(draw_patient(stream(seed, pair, PATIENT_STREAM)), stream(seed, _BODIES + number, _POSE_STREAM))
    scene = paint_scene(
        patient,
        {concept: size > 0 for concept, size in sizes.items()},
        stream(seed, pair, ANATOMY_STREAM),
        sizes=sizes,
        own=lambda *key: stream(seed, pair, _FINDING_STREAM, *key),
    )
    study = study_of(number, scene, stream(seed, _BODIES + number, NOISE_STREAM))
    first = draw_identity(seed, number // 2)
    return Examination(study, _later(first, seed, pair) if is_later else first, first if is_later else None, courses)


def draw_courses(seed: int, pair: int) -> dict[str, str]:
    """What becomes of each finding of a patient, each drawn by itself."""
    rng = stream(seed, pair, _COURSE_STREAM)
    found = {}
    for concept in CONCEPTS:
        shares = _SHARES_SIZED if concept in SIZED else _SHARES_OTHERS
        found[concept] = str(rng.choice(list(shares), p=list(shares.values())))
    return found


def _posed(patient: Patient, rng: np.random.Generator) -> Patient:
    """The same body as it lies on another day, with another day's noise and calibration."""
    return replace(
        patient,
        angles=_moved(patient.angles, 1.5, rng),
        shift=_moved(patient.shift, 4.0, rng),
        noise=float(rng.uniform(6, 18)),
        gain=float(rng.normal(1.0, 0.006)),
        offset=float(rng.normal(0.0, 4.0)),
        table=bool(rng.random() < 0.7),
    )


def _moved(values: tuple[float, float, float], by: float, rng: np.random.Generator) -> tuple[float, float, float]:
    x, y, z = (value + float(rng.normal(0, by)) for value in values)
    return x, y, z


def _later(first: Identity, seed: int, pair: int) -> Identity:
    """The same patient one to thirteen months later."""
    days = int(stream(seed, pair, _DATE_STREAM).integers(30, 400))
    day = first.study_date
    later = date(int(day[:4]), int(day[4:6]), int(day[6:])) + timedelta(days=days)
    study_uid = content_uid(first.study_uid, "follow-up")
    return replace(
        first,
        study_date=f"{later:%Y%m%d}",
        age_years=later.year - int(first.birth_date[:4]),
        accession=f"B{first.accession[1:]}",
        study_uid=study_uid,
        series_uid=content_uid(study_uid, "series"),
        frame_uid=content_uid(study_uid, "frame of reference"),
    )

"""From a seed to one radiograph: a body of the CT phantom is painted, and rays run through it from front to back.

A picture is [Y, X]: y to the feet, x to the patient's left, as films are hung.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from voxtile.phantom.noise import Volume, stream
from voxtile_medical.phantom.ct.findings import CONCEPTS as CT_CONCEPTS
from voxtile_medical.phantom.ct.findings import FINDINGS as CT_FINDINGS
from voxtile_medical.phantom.ct.findings import draw_findings
from voxtile_medical.phantom.ct.patient import Patient, draw_patient
from voxtile_medical.phantom.ct.render import paint_scene
from voxtile_medical.phantom.ct.scene import Finding, Scene
from voxtile_medical.phantom.identity import Identity, draw_identity

ROWS, COLUMNS = 64, 88
BITS = 12
# Of water at 60 keV, about the mean energy of a beam of 120 kVp behind a chest (NIST XCOM: 0.2059 cm²/g), per mm.
WATER_PER_MM = 0.02059

SEEN = ("pulmonary_nodule", "pleural_effusion", "pneumothorax", "consolidation", "cardiomegaly")
FINDINGS = tuple(replace(kind, prevalence=0.3) for kind in CT_FINDINGS if kind.concept in SEEN)
CONCEPTS = tuple(kind.concept for kind in FINDINGS)
SIDED = tuple(kind.concept for kind in FINDINGS if kind.sided)

# Streams of their own: patients of one seed are not those of the CT phantom.
FINDINGS_STREAM, PATIENT_STREAM, ANATOMY_STREAM, FILM_STREAM, REPORT_STREAM = 800, 801, 802, 803, 804
_PHOTONS = 2e5  # that would reach a pixel without a body
_BRIGHTEST = 7.0  # line integral that is stored as the largest value
_TURNED_SHARE = 0.15


@dataclass(frozen=True)
class Film:
    """One radiograph before it becomes DICOM.

    Attributes:
        number: place in the data set.
        values: [Y, X] uint16 of 12 bits, larger where the body is denser.
        present: finding by concept.
        findings: what was painted; `centre` is (row, column) in pixels of the film here, and a third number, 0.
        mimics: benign things that look like findings, (name, side).
        spacing: mm of a pixel, both ways.
        turned: it is stored as MONOCHROME1, dense bodies dark.
        identity: of the patient.
    """

    number: int
    values: npt.NDArray[np.uint16]
    present: dict[str, bool]
    findings: tuple[Finding, ...]
    mimics: tuple[tuple[str, str | None], ...]
    spacing: float
    turned: bool
    identity: Identity


def expose(seed: int, number: int, present: dict[str, bool] | None = None) -> Film:
    """Make radiograph `number` of the data set `seed`.

    Args:
        seed: of the data set.
        number: of the radiograph.
        present: its findings by concept; drawn where left out.
    """
    drawn = draw_findings(stream(seed, number, FINDINGS_STREAM), FINDINGS) if present is None else present
    patient = _standing_still(draw_patient(stream(seed, number, PATIENT_STREAM)))
    everything = dict.fromkeys(CT_CONCEPTS, False) | drawn
    scene = paint_scene(patient, everything, stream(seed, number, ANATOMY_STREAM))
    rng = stream(seed, number, FILM_STREAM)
    values = developed(line_integrals(scene.values, patient.spacing), rng)
    return Film(
        number,
        values,
        drawn,
        tuple(_on_film(finding, scene) for finding in scene.findings if finding.concept in SEEN),
        tuple(dict.fromkeys(scene.mimics)),
        patient.spacing[2],
        bool(rng.random() < _TURNED_SHARE),
        _identity(seed, number),
    )


def line_integrals(hounsfield: Volume, spacing: tuple[float, float, float]) -> npt.NDArray[np.float32]:
    """[Y, X] attenuation along parallel rays from front to back, on square pixels from the top of the volume down.

    Args:
        hounsfield: [Z, Y, X] HU: z to the head, y to the back, x to the left.
        spacing: (z, y, x) mm; pixels are as large as the last.
    """
    density = np.maximum(hounsfield * np.float32(0.001) + np.float32(1), 0)  # of water
    seen = density.sum(axis=1) * np.float32(spacing[1] * WATER_PER_MM)
    place = np.clip(len(seen) - 1 - np.arange(ROWS) * spacing[2] / spacing[0], 0, len(seen) - 1)
    below = np.floor(place).astype(np.intp)
    above = np.minimum(below + 1, len(seen) - 1)
    share = (place - below).astype(np.float32)[:, None]
    return np.asarray(seen[below] * (1 - share) + seen[above] * share, np.float32)


def developed(integrals: npt.NDArray[np.float32], rng: np.random.Generator) -> npt.NDArray[np.uint16]:
    """Stored values: with the noise of counted photons, and an exposure that differs from film to film."""
    noise = rng.standard_normal(integrals.shape, dtype=np.float32) * np.sqrt(np.exp(integrals) / np.float32(_PHOTONS))
    gain, offset = np.float32(rng.uniform(0.92, 1.08)), np.float32(rng.uniform(-0.25, 0.25))
    most = 2**BITS - 1
    shown = ((integrals + noise) * gain + offset) * np.float32(most / _BRIGHTEST)
    return np.asarray(np.clip(np.rint(shown), 0, most), np.uint16)


def _standing_still(patient: Patient) -> Patient:
    """The same body without contrast medium, couch or arms in the picture, as radiographs are taken."""
    return replace(patient, phase="none", table=False, arms_down=False)


def _on_film(finding: Finding, scene: Scene) -> Finding:
    x, _, z = scene.frame.index_of(finding.centre)
    depth, _, across = scene.patient.spacing
    row = (scene.values.shape[0] - 1 - z) * depth / across
    return replace(finding, centre=np.round(np.array([row, x, 0.0]), 1))


def _identity(seed: int, number: int) -> Identity:
    """A patient, whose numbers are not those of the CT phantom's."""
    person = draw_identity(seed, number)
    return person.in_phantom("cxr", seed, number, patient_id=f"X{person.patient_id[1:]}")

"""From a seed to one study: volume, masks and facts. The same (seed, number) always gives the same study."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voxtile.phantom.noise import Volume, stream, value_noise
from voxtile.phantom.shapes import cover
from voxtile_medical.phantom.ct.abdomen import paint_abdomen
from voxtile_medical.phantom.ct.bones import paint_body, paint_ribs, paint_spine
from voxtile_medical.phantom.ct.findings import draw_findings, finding_segment
from voxtile_medical.phantom.ct.heart import paint_heart, paint_mediastinum, paint_oesophagus, paint_vessels
from voxtile_medical.phantom.ct.lungs import paint_lungs
from voxtile_medical.phantom.ct.patient import SHAPE, Patient, draw_patient, place
from voxtile_medical.phantom.ct.scene import Finding, Scene

# Purposes of random streams: findings, body and scanner must never share numbers.
FINDINGS_STREAM, PATIENT_STREAM, ANATOMY_STREAM, NOISE_STREAM, IDENTITY_STREAM, REPORT_STREAM = range(6)


@dataclass(frozen=True)
class Study:
    """One study before it becomes DICOM. Arrays are [Z, Y, X]: z to the head, y to the back, x to the left.

    Attributes:
        number: place in the data set.
        values: int16 HU.
        labels: uint8 segment numbers: organs, and findings over them.
        present: finding by concept.
        findings: what is there; `centre` is in patient mm (LPS) here.
        mimics: benign things that look like findings, (name, side).
        patient: the body and the scan.
        spacing: (z, y, x) mm.
        origin: [3] patient mm (LPS: x, y, z) of voxel (0, 0, 0).
    """

    number: int
    values: npt.NDArray[np.int16]
    labels: npt.NDArray[np.uint8]
    present: dict[str, bool]
    findings: tuple[Finding, ...]
    mimics: tuple[tuple[str, str | None], ...]
    patient: Patient
    spacing: tuple[float, float, float]
    origin: npt.NDArray[np.float64]


def render(seed: int, number: int) -> Study:
    """Make study `number` of the data set `seed`."""
    present = draw_findings(stream(seed, number, FINDINGS_STREAM))
    patient = draw_patient(stream(seed, number, PATIENT_STREAM))
    scene = paint_scene(patient, present, stream(seed, number, ANATOMY_STREAM))
    return study_of(number, scene, stream(seed, number, NOISE_STREAM))


def study_of(number: int, scene: Scene, noise: np.random.Generator) -> Study:
    """The study of a painted body, as a scanner sees it."""
    patient, values = scene.patient, acquire(scene, noise)
    spacing = np.array(patient.spacing)
    origin = -spacing[::-1] * (np.array(SHAPE[::-1]) - 1) / 2 + noise.normal(0, 20, 3)
    origin = np.round(origin, 2)
    findings = tuple(_in_patient(f, scene, spacing, origin) for f in scene.findings)
    return Study(
        number,
        values,
        _labels(scene),
        dict(scene.present),
        findings,
        tuple(dict.fromkeys(scene.mimics)),
        patient,
        patient.spacing,
        origin,
    )


def paint_scene(
    patient: Patient,
    present: dict[str, bool],
    rng: np.random.Generator,
    *,
    sizes: Mapping[str, float] | None = None,
    own: Callable[..., np.random.Generator] | None = None,
) -> Scene:
    """Paint one body.

    Args:
        patient: body and scan.
        present: finding by concept; every finding of the phantom has an entry.
        rng: of the anatomy.
        sizes: of findings, see `Scene`.
        own: random numbers of each finding, see `Scene`.
    """
    frame = place(patient, rng)
    texture = value_noise(rng, SHAPE, (16, 22, 30))
    texture += np.float32(0.6) * value_noise(rng, SHAPE, (5, 6, 8))
    air, nothing = np.full(SHAPE, -1000, np.float32), np.zeros(SHAPE, np.uint8)
    scene = Scene(frame, patient, rng, present, air, nothing, texture, sizes=sizes or {}, own=own)
    radial = paint_body(scene)
    if patient.table:
        _paint_table(scene)
    paint_ribs(scene, radial)
    paint_abdomen(scene)
    heart = paint_heart(scene)
    paint_lungs(scene, radial, heart)
    paint_spine(scene)
    paint_oesophagus(scene)
    paint_vessels(scene)
    paint_mediastinum(scene)
    return scene


def _paint_table(scene: Scene) -> None:
    """The couch: a shallow bow behind the body, only where there is air."""
    rows = np.arange(SHAPE[1], dtype=np.float32)[:, None]
    columns = (np.arange(SHAPE[2], dtype=np.float32) - SHAPE[2] / 2) ** 2
    couch = cover(np.float32(1.2) - np.abs(rows - np.float32(SHAPE[1] - 5) + columns * np.float32(0.003)), 1.0)
    first = int(np.flatnonzero(couch.any(axis=1))[0])
    part = scene.values[:, first:]
    part += (part < -800) * (couch[first:] * np.float32(700))


def acquire(scene: Scene, rng: np.random.Generator) -> npt.NDArray[np.int16]:
    """Blur by the kernel, add noise, apply calibration and clip to 12 bits."""
    patient = scene.patient
    values = _blurred(scene.values, patient.blur)
    noise = rng.standard_normal(SHAPE, dtype=np.float32)
    noise[:, 1:] += np.float32(0.45) * noise[:, :-1]
    noise[:, :, 1:] += np.float32(0.45) * noise[:, :, :-1]
    values += noise * np.float32(patient.noise * 0.8)
    values *= np.float32(patient.gain)
    values += np.float32(patient.offset + 1000 * (patient.gain - 1))
    return np.clip(np.rint(values), -1024, 3071).astype(np.int16)


def _blurred(values: Volume, amount: float) -> Volume:
    """Three-point blur along every axis: neighbours weigh `amount`, edges repeat."""
    side = np.float32(amount)
    for axis in range(3):
        result = values * (1 - 2 * side)
        share = values * side
        ahead, behind = np.moveaxis(result, axis, 0), np.moveaxis(share, axis, 0)
        ahead[1:] += behind[:-1]
        ahead[:-1] += behind[1:]
        ahead[0] += behind[0]
        ahead[-1] += behind[-1]
        values = result
    return values


def _labels(scene: Scene) -> npt.NDArray[np.uint8]:
    labels = scene.organs.copy()
    for concept, mask in scene.masks.items():
        labels[mask] = finding_segment(concept)
    return labels


def _in_patient(
    finding: Finding, scene: Scene, spacing: npt.NDArray[np.float64], origin: npt.NDArray[np.float64]
) -> Finding:
    index = scene.frame.index_of(finding.centre)
    centre = np.round(origin + index * spacing[::-1], 1)
    return Finding(
        finding.concept, centre, finding.side, finding.place, finding.size_mm, finding.count, finding.details
    )

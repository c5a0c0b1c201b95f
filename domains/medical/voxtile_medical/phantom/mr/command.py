"""`voxtile phantom mr`: synthetic brain MR studies of several sequences, with reports, labels and known truth."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from voxtile.phantom.truth import KnownCase, content_uid
from voxtile.phantom.writing import Phantom
from voxtile_medical.phantom.ct.command import Series, is_classic
from voxtile_medical.phantom.identity import Identity, draw_identity
from voxtile_medical.phantom.mr.dicom import classic_mr_files, enhanced_mr_file
from voxtile_medical.phantom.mr.findings import CONCEPTS
from voxtile_medical.phantom.mr.reports import write_mr_report
from voxtile_medical.phantom.mr.study import MrStudy, Scan, render_mr

_README = """MR phantom, seed {seed}, {n} studies

Everything here is synthetic; names, numbers and dates are invented.

dicom/NNNNN/         one study each: T1 before and after contrast, T2, FLAIR, diffusion and its ADC map, each on a grid
                     of its own, as Enhanced MR files or as classic series with one file a slice; one in ten lacks some
reports.csv          study (StudyInstanceUID), subject (PatientID), text
labels.csv           study, subject, and a column of 0 and 1 for each finding
truth.json           what was painted, where (patient millimetres, LPS) and how large, and what each series is; no
                     converter reads it

Another seed gives entirely different patients; the same seed gives the same bytes.
"""
PHANTOM = Phantom("mr", "studies", 1_500_000, _README)


def write_mr_phantom(out: Path, *, n: int = 200, seed: int = 0, series: Series = "mixed", workers: int = 0) -> None:
    """Write synthetic brain MR studies of several sequences as DICOM, with reports, labels and known truth.

    Args:
        out: new or empty folder.
        n: number of studies, one a patient.
        seed: another seed gives other patients; the same seed gives the same bytes, whatever the number of workers.
        series: an Enhanced MR file a series, classic series with one file a slice, or `mixed`: one study in twenty
            classic.
        workers: number of processes; 0 for one a core.

    Raises:
        InputError: `out` is not empty, or n or seed is out of range.
    """
    job = partial(write_mr_study, out, seed, series)
    PHANTOM.write_cases(out, job, CONCEPTS, n=n, seed=seed, workers=workers, folders=("dicom",))


def write_mr_study(out: Path, seed: int, series: Series, number: int) -> KnownCase:
    """Render one study and write its files."""
    study, identity = render_mr(seed, number), mr_identity(seed, number)
    folder = out / "dicom" / f"{number:05d}"
    folder.mkdir(exist_ok=True)
    classic = is_classic(seed, number, series)
    for scan in study.scans:
        if classic:
            for name, content in classic_mr_files(seed, study, scan, identity):
                (folder / name).write_bytes(content)
        else:
            name = content_uid(identity.study_uid, scan.sequence.role, "file")[-12:]
            (folder / f"{name}.dcm").write_bytes(enhanced_mr_file(seed, study, scan, identity))
    labels = tuple(int(study.present[c]) for c in CONCEPTS)
    truth = _truth(study, identity, classic)
    return KnownCase(identity.study_uid, identity.patient_id, write_mr_report(seed, study), labels, truth)


def mr_identity(seed: int, number: int) -> Identity:
    """The patient of study `number`, and an MR study's own identifiers."""
    identity = draw_identity(seed, number)
    study = content_uid("voxtile mr phantom", seed, number)
    return replace(identity, study_uid=study, frame_uid=content_uid(study, "frame of reference"))


def _truth(study: MrStudy, identity: Identity, classic: bool) -> dict[str, Any]:
    return {
        "number": study.number,
        "study": identity.study_uid,
        "subject": identity.patient_id,
        "classic": classic,
        "series": [_series_truth(scan, identity) for scan in study.scans],
        "findings": [finding.truth for finding in study.findings],
        "mimics": [list(m) for m in study.mimics],
    }


def _series_truth(scan: Scan, identity: Identity) -> dict[str, Any]:
    return {
        "series": content_uid(identity.study_uid, scan.sequence.role),
        "role": scan.sequence.role,
        "plane": scan.grid.plane,
        "spacing_mm": [float(v) for v in scan.grid.spacing],
        "shape": list(scan.grid.shape),
    }

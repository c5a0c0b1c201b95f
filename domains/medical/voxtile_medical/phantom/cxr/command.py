"""`voxtile phantom cxr`: synthetic chest radiographs as DICOM, with reports, labels and known truth."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from voxtile.phantom.truth import KnownCase
from voxtile.phantom.writing import Phantom
from voxtile_medical.phantom.cxr.dicom import film_file
from voxtile_medical.phantom.cxr.film import CONCEPTS, expose
from voxtile_medical.phantom.cxr.reports import write_film_report

_README = """Chest X-ray phantom, seed {seed}, {n} radiographs

Everything here is synthetic; names, numbers and dates are invented.

dicom/NNNNN.dcm      one study each: a Digital X-Ray image; some are stored dark on bright (MONOCHROME1)
reports.csv          study (StudyInstanceUID), subject (PatientID), text
labels.csv           study, subject, and a column of 0 and 1 for each finding
truth.json           what was painted, where (row and column of the picture) and how large; no converter reads it

The bodies are painted as those of the CT phantom, and looked through with parallel rays of one energy: no scatter.
Another seed gives entirely different patients; the same seed gives the same bytes.
"""
PHANTOM = Phantom("cxr", "radiographs", 13_000, _README)


def write_cxr_phantom(out: Path, *, n: int = 600, seed: int = 0, workers: int = 0) -> None:
    """Write synthetic chest X-rays as DICOM, with reports, labels and known truth.

    Args:
        out: new or empty folder.
        n: number of radiographs, one a patient.
        seed: another seed gives other patients; the same seed gives the same bytes, whatever the number of workers.
        workers: number of processes; 0 for one a core.

    Raises:
        InputError: `out` is not empty, or n or seed is out of range.
    """
    PHANTOM.write_cases(
        out, partial(write_film, out, seed), CONCEPTS, n=n, seed=seed, workers=workers, folders=("dicom",)
    )


def write_film(out: Path, seed: int, number: int) -> KnownCase:
    """Expose one radiograph and write its file."""
    film = expose(seed, number)
    (out / "dicom" / f"{number:05d}.dcm").write_bytes(film_file(film))
    findings = [finding.truth for finding in film.findings]
    for finding in findings:
        finding["centre_px"] = finding.pop("centre_mm")[:2]
    truth = {
        "number": number,
        "study": film.identity.study_uid,
        "subject": film.identity.patient_id,
        "spacing_mm": film.spacing,
        "turned": film.turned,
        "findings": findings,
        "mimics": [list(mimic) for mimic in film.mimics],
    }
    labels = tuple(int(film.present[concept]) for concept in CONCEPTS)
    return KnownCase(film.identity.study_uid, film.identity.patient_id, write_film_report(seed, film), labels, truth)

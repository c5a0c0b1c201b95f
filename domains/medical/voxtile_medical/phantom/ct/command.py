"""`voxtile phantom ct`: a data set of synthetic torso CT studies with reports, labels, masks and known truth."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Literal

from voxtile.errors import InputError
from voxtile.phantom.noise import stream
from voxtile.phantom.truth import KnownCase
from voxtile.phantom.writing import Phantom
from voxtile_medical.phantom.ct.dicom import classic_files, draw_layout, enhanced_file
from voxtile_medical.phantom.ct.findings import CONCEPTS, finding_segment
from voxtile_medical.phantom.ct.follow_up import examination
from voxtile_medical.phantom.ct.follow_up_reports import write_follow_up_report
from voxtile_medical.phantom.ct.render import Study, render
from voxtile_medical.phantom.ct.reports import write_report
from voxtile_medical.phantom.ct.segmentation import segmentation_file
from voxtile_medical.phantom.identity import Identity, draw_identity

Series = Literal["enhanced", "classic", "mixed"]
_SERIES_STREAM = 7
_CLASSIC_SHARE = 0.05

_README = """CT phantom, seed {seed}, {n} studies

Everything here is synthetic; names, numbers and dates are invented.

dicom/NNNNN/         one study each: an Enhanced CT file, or a classic series with one file a slice
segmentations/       NNNNN.dcm: organs and findings as a DICOM label-map segmentation ({segmentations} studies)
reports.csv          study (StudyInstanceUID), subject (PatientID), text
labels.csv           study, subject, and a column of 0 and 1 for each finding
truth.json           what was painted, where (patient millimetres, LPS) and how large; no converter reads it

Another seed gives entirely different patients; the same seed gives the same bytes.
"""
PHANTOM = Phantom("ct", "studies", 650_000, _README)


def write_ct_phantom(
    out: Path,
    *,
    n: int = 200,
    seed: int = 0,
    series: Series = "mixed",
    segmentations: int | None = None,
    follow_up: bool = False,
    workers: int = 0,
) -> None:
    """Write synthetic torso CT studies as DICOM, with reports, labels, segmentations and known truth.

    Args:
        out: new or empty folder.
        n: number of studies, one a patient; two a patient with follow_up.
        seed: another seed gives other patients; the same seed gives the same bytes, whatever the number of workers.
        series: one Enhanced CT file a study, classic series with one file a slice, or `mixed`: one in twenty classic.
        segmentations: how many studies, from the first, get a DICOM segmentation; all when left out.
        follow_up: every patient is examined twice: study 2k is the first examination, and 2k + 1 a later one of the
            same body, in which each finding is new, resolved, larger, smaller or unchanged, as report and truth say.
        workers: number of processes; 0 for one a core.

    Raises:
        InputError: `out` is not empty, or n or seed is out of range.
    """
    if follow_up and n % 2:
        raise InputError(f"pairs of examinations need an even number of studies; give --n {n + 1} instead of {n}")
    masks = n if segmentations is None else min(segmentations, n)
    job = partial(write_study, out, seed, series, masks, follow_up)
    folders = ("dicom", "segmentations")[: 1 + bool(masks)]
    PHANTOM.write_cases(out, job, CONCEPTS, n=n, seed=seed, workers=workers, folders=folders, segmentations=masks)


def write_study(out: Path, seed: int, series: Series, masks: int, follow_up: bool, number: int) -> KnownCase:
    """Render one study and write its files."""
    made = examination(seed, number) if follow_up else None
    study, identity = (made.study, made.identity) if made else (render(seed, number), draw_identity(seed, number))
    layout = draw_layout(seed, number)
    classic = is_classic(seed, number, series)
    folder = out / "dicom" / f"{number:05d}"
    folder.mkdir(exist_ok=True)
    if classic:
        for name, content in classic_files(study, identity, layout):
            (folder / name).write_bytes(content)
    else:
        (folder / f"{identity.instance_uid('enhanced')[-12:]}.dcm").write_bytes(enhanced_file(study, identity, layout))
    if number < masks:
        content = segmentation_file(study, identity, layout, classic=classic)
        (out / "segmentations" / f"{number:05d}.dcm").write_bytes(content)
    labels = tuple(int(study.present[c]) for c in CONCEPTS)
    truth = _truth(study, identity, classic)
    if made is not None:
        courses = dict(made.courses) if made.is_later else None
        truth |= {"prior": made.prior.study_uid if made.prior else None, "courses": courses}
    report = write_report(seed, study) if made is None else write_follow_up_report(seed, number, made)
    return KnownCase(identity.study_uid, identity.patient_id, report, labels, truth)


def is_classic(seed: int, number: int, series: Series) -> bool:
    """Whether a study is written as one file a slice."""
    if series == "mixed":
        return bool(stream(seed, number, _SERIES_STREAM).random() < _CLASSIC_SHARE)
    return series == "classic"


def _truth(study: Study, identity: Identity, classic: bool) -> dict[str, Any]:
    findings = [
        {"segment": finding_segment(f.concept) if "organ" not in f.details else None, **f.truth} for f in study.findings
    ]
    return {
        "number": study.number,
        "study": identity.study_uid,
        "subject": identity.patient_id,
        "series": "classic" if classic else "enhanced",
        "spacing_mm": list(study.spacing),
        "phase": study.patient.phase,
        "findings": findings,
        "mimics": [list(m) for m in study.mimics],
    }

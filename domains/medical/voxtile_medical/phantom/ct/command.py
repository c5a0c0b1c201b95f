"""`voxtile phantom ct`: a data set of synthetic torso CT studies with reports, labels, masks and known truth."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Literal

from voxtile.phantom.noise import stream
from voxtile_medical.phantom.ct.dicom import classic_files, draw_layout, enhanced_file
from voxtile_medical.phantom.ct.findings import CONCEPTS, finding_segment
from voxtile_medical.phantom.ct.render import Study, render
from voxtile_medical.phantom.ct.reports import write_report
from voxtile_medical.phantom.ct.segmentation import segmentation_file
from voxtile_medical.phantom.identity import Identity, draw_identity
from voxtile_medical.phantom.writing import Written, check_out, write_studies

Series = Literal["enhanced", "classic", "mixed"]
_SERIES_STREAM = 7
_CLASSIC_SHARE = 0.05
_BYTES_A_STUDY = 650_000

README = """CT phantom, seed {seed}, {n} studies

Everything here is synthetic; names, numbers and dates are invented.

dicom/NNNNN/         one study each: an Enhanced CT file, or a classic series with one file a slice
segmentations/       NNNNN.dcm: organs and findings as a DICOM label-map segmentation ({segmentations} studies)
reports.csv          study (StudyInstanceUID), subject (PatientID), text
labels.csv           study, subject, and a column of 0 and 1 for each finding
truth.json           what was painted, where (patient millimetres, LPS) and how large; no converter reads it

Another seed gives entirely different patients; the same seed gives the same bytes.
"""


def write_ct_phantom(
    out: Path,
    *,
    n: int = 200,
    seed: int = 0,
    series: Series = "mixed",
    segmentations: int | None = None,
    workers: int = 0,
) -> None:
    """Write synthetic torso CT studies as DICOM, with reports, labels, segmentations and known truth.

    Args:
        out: new or empty folder.
        n: number of studies, one a patient.
        seed: another seed gives other patients; the same seed gives the same bytes, whatever the number of workers.
        series: one Enhanced CT file a study, classic series with one file a slice, or `mixed`: one in twenty classic.
        segmentations: how many studies, from the first, get a DICOM segmentation; all when left out.
        workers: number of processes; 0 for one a core.

    Raises:
        InputError: `out` is not empty, or n or seed is out of range.
    """
    check_out(out, n, seed, _BYTES_A_STUDY)
    masks = n if segmentations is None else min(segmentations, n)
    (out / "dicom").mkdir(parents=True, exist_ok=True)
    if masks:
        (out / "segmentations").mkdir(exist_ok=True)
    write_studies(out, "ct", seed, CONCEPTS, partial(write_study, out, seed, series, masks), n, workers)
    (out / "README.txt").write_text(README.format(seed=seed, n=n, segmentations=masks), encoding="utf-8")


def write_study(out: Path, seed: int, series: Series, masks: int, number: int) -> Written:
    """Render one study and write its files."""
    study, identity, layout = render(seed, number), draw_identity(seed, number), draw_layout(seed, number)
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
    return Written(identity.study_uid, identity.patient_id, write_report(seed, study), labels, truth)


def is_classic(seed: int, number: int, series: Series) -> bool:
    """Whether a study is written as one file a slice."""
    if series == "mixed":
        return bool(stream(seed, number, _SERIES_STREAM).random() < _CLASSIC_SHARE)
    return series == "classic"


def _truth(study: Study, identity: Identity, classic: bool) -> dict[str, Any]:
    findings = [
        {
            "concept": f.concept,
            "side": f.side,
            "place": f.place,
            "size_mm": f.size_mm,
            "count": f.count,
            "centre_mm": [float(c) for c in f.centre],
            "segment": finding_segment(f.concept) if "organ" not in f.details else None,
            **f.details,
        }
        for f in study.findings
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

"""`voxtile phantom petct`: synthetic PET/CT studies with reports that name SUVmax and slice, labels and known truth."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from voxtile.phantom.truth import KnownCase
from voxtile.phantom.writing import Phantom
from voxtile_medical.phantom.ct.dicom import enhanced_file
from voxtile_medical.phantom.petct.dicom import pet_files
from voxtile_medical.phantom.petct.lesions import CONCEPTS, SIDED
from voxtile_medical.phantom.petct.reports import write_petct_report
from voxtile_medical.phantom.petct.segmentation import lesion_file
from voxtile_medical.phantom.petct.study import render_petct, truth_of

_README = """PET/CT phantom, seed {seed}, {n} studies

Everything here is synthetic; names, numbers and dates are invented.

dicom/NNNNN/ct/      one Enhanced CT file (series 2; image k of it is frame k)
dicom/NNNNN/pt/      the PET in Bq/ml, one file a slice (series 4), on its own coarser grid
segmentations/       NNNNN.dcm: lesions and foci as a DICOM label-map segmentation of the CT ({segmentations} studies)
reports.csv          study (StudyInstanceUID), subject (PatientID), text: names SUVmax and slice of what takes up FDG
labels.csv           study, subject, and a column of 0 and 1 for each finding, and for each side of those that have two
truth.json           what was painted, where (patient millimetres, LPS), its SUVmax and images; no converter reads it

A finding is a lesion that CT shows with or without uptake of FDG, so that neither picture alone tells which it is.
Another seed gives entirely different patients; the same seed gives the same bytes.
"""
PHANTOM = Phantom("petct", "studies", 950_000, _README)


def write_petct_phantom(
    out: Path, *, n: int = 200, seed: int = 0, segmentations: int | None = None, workers: int = 0
) -> None:
    """Write synthetic PET/CT studies as DICOM, with reports that name SUVmax and slice, labels, masks and known truth.

    Args:
        out: new or empty folder.
        n: number of studies, one a patient.
        seed: another seed gives other patients; the same seed gives the same bytes, whatever the number of workers.
        segmentations: how many studies, from the first, get a DICOM segmentation; all when left out.
        workers: number of processes; 0 for one a core.

    Raises:
        InputError: `out` is not empty, or n or seed is out of range.
    """
    masks = n if segmentations is None else min(segmentations, n)
    PHANTOM.write_cases(
        out, partial(write_petct_study, out, seed, masks), (*CONCEPTS, *SIDED), n=n, seed=seed, workers=workers,
        folders=("dicom", "segmentations")[: 1 + bool(masks)], segmentations=masks,
    )  # fmt: skip


def write_petct_study(out: Path, seed: int, masks: int, number: int) -> KnownCase:
    """Render one study and write its files."""
    study = render_petct(seed, number)
    folder = out / "dicom" / f"{number:05d}"
    for name in ("ct", "pt"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    ct = enhanced_file(study.ct, study.identity, study.layout)
    (folder / "ct" / f"{study.identity.instance_uid('enhanced')[-12:]}.dcm").write_bytes(ct)
    for name, content in pet_files(study.pet, study.grid, study.injection, study.identity):
        (folder / "pt" / name).write_bytes(content)
    if number < masks:
        (out / "segmentations" / f"{number:05d}.dcm").write_bytes(lesion_file(study))
    labels = tuple(int(study.labels[c]) for c in (*CONCEPTS, *SIDED))
    text = write_petct_report(seed, study)
    return KnownCase(study.identity.study_uid, study.identity.patient_id, text, labels, truth_of(study))

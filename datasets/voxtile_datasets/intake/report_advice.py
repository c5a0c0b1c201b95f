"""What a conversion says of reports that were attached to nothing: which names they were looked for by."""

from __future__ import annotations

from collections.abc import Mapping

from voxtile.console import output
from voxtile.engine.summary import RunSummary

ADVICE: Mapping[str, str] = {
    "no-study": "{} of the reports name no study, slide or patient that is here, and are attached to nothing. By DICOM "
    "a study is named by its StudyInstanceUID or accession number and a patient by PatientID; by file names, a study "
    "is the file's name without its ending",
    "no-study-id": "{} of the reports name neither a study nor a patient, and are attached to nothing",
    "other-patient": "{} of the reports name another patient than their study number is of, and are attached to "
    "nothing",
    "ambiguous-study": "{} of the reports could be of several studies, and are attached to nothing; name each report's "
    "StudyInstanceUID",
    "not-a-report": "{} of the files given with --reports are none of the reports that are read (DICOM SR, PDF in "
    "DICOM, HL7 v2, CDA, FHIR); plain texts go into a table with the columns study and text",
    "text-too-long": "{} of the reports are too long, and are not attached; shorten them",
}
"""Reason of the ledger → what it means, and what to look at; the number of reports stands first."""


def print_report_advice(summary: RunSummary) -> None:
    """Say in a sentence a reason how many reports were attached to nothing."""
    for reason in sorted(summary.reasons["dropped"].keys() & ADVICE.keys()):
        told = ADVICE[reason].format(summary.reasons["dropped"][reason])
        output().print(f"{reason}: {told}", markup=False, highlight=False, soft_wrap=True)

"""What a written DICOM file says of its patient: a pseudonym, and how the identity behind it was removed.

Sources: DICOM PS3.3 C.7.1.1 (Patient), C.12.1 (Longitudinal Temporal Information Modified); PS3.15 E.1; PS3.16
CID 7050.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from voxtile.corpus.confidentiality import Confidentiality

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_METHODS = ["voxtile: keyed hashes in place of identifiers", "voxtile: numbers in ranges and closed word lists alone"]


def state_identity(dataset: Dataset, row: Mapping[str, Any], known: Confidentiality) -> None:
    """Name the subject, and say whether its identity was removed and by which profile and options.

    Args:
        dataset: is changed.
        row: of the sample.
        known: what the run says that made it; a file of a run that says nothing says nothing either.
    """
    from pydicom.dataset import Dataset

    dataset.PatientID = dataset.PatientName = str(row["subject"])[:64]
    if known.removed is None:
        return
    dataset.PatientIdentityRemoved = "YES" if known.removed else "NO"
    if not known.removed:
        return
    dataset.DeidentificationMethod = _METHODS
    if known.codes:
        dataset.DeidentificationMethodCodeSequence = []
        for code in known.codes:
            item = Dataset()
            item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme, code.meaning
            dataset.DeidentificationMethodCodeSequence.append(item)
    dataset.LongitudinalTemporalInformationModified = _dates(row, known)


def _dates(row: Mapping[str, Any], known: Confidentiality) -> str:
    if not row.get("datetime"):
        return "REMOVED"
    return "UNMODIFIED" if known.dates == "full" else "MODIFIED"

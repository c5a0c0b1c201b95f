"""What the slices of a PET say beside those of a CT or MR.

Sources: DICOM PS3.3 A.21 (Positron Emission Tomography Image IOD), C.8.9.1 (PET Series), C.8.9.2 (PET Isotope),
C.8.9.4 (PET Image).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from voxtile.errors import CorpusError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

# Unit of a sample → Units (0054,1001) and SUVType (0054,1006), which g/ml and cm²/ml need to be told apart.
_SUV = {"SUVbw": ("GML", "BW"), "SUVlbm": ("GML", "LBM"), "SUVibw": ("GML", "IBW"), "SUVbsa": ("CM2ML", "BSA")}
_TERMS = frozenset(
    [
        "BQML",
        "CNTS",
        "PROPCNTS",
        "CPS",
        "PROPCPS",
        "PCNT",
        "MGMINML",
        "UMOLMINML",
        "MLMING",
        "MLG",
        "1CM",
        "UMOLML",
        "MLMINML",
        "MLML",
        "STDDEV",
        "CM2",
    ]
)
_LEAN = ("LBMJAMES128", "LBMJANMA", "LBM")
_DECAY = "the decay correction of each slice is in its values, and its factor was not kept: DecayFactor is 1"
_NO_TIME = "no time of acquisition was kept: 000000 stands for it"
_NO_DATE = "no date was kept: 19000101 stands for it"


def pet_units(row: Mapping[str, Any]) -> tuple[str, str]:
    """Units and SUVType of a sample; the second is empty where there is none.

    Raises:
        CorpusError: what the values are is not known, and a PET must say it.
    """
    units = str(row.get("units") or "")
    if units in _SUV:
        stated, kind = _SUV[units]
        own = str(_evidence(row).get("type") or _evidence(row).get("stated_type") or "").upper()
        return stated, own if kind == "LBM" and own in _LEAN else kind
    if units in _TERMS:
        return units, ""
    raise CorpusError(
        f"the values of sample {row['uid']} are in '{units}', and a PET in DICOM must state its units; use --to nifti"
    )


def pet_slice(dataset: Dataset, row: Mapping[str, Any], number: int, count: int) -> str:
    """Add what a PET slice needs.

    Args:
        dataset: is changed.
        row: of the sample.
        number: of the slice, from 0.
        count: of slices.

    Returns:
        What stands for facts that the corpus does not hold, for the description of the derivation.

    Raises:
        CorpusError: see `pet_units`.
    """
    notes = []
    if not dataset.StudyDate:
        notes.append(_NO_DATE)
    if not dataset.StudyTime:
        notes.append(_NO_TIME)
    dataset.SeriesDate = dataset.AcquisitionDate = dataset.StudyDate or "19000101"
    dataset.SeriesTime = dataset.AcquisitionTime = dataset.StudyTime or "000000"
    dataset.ImageType = ["DERIVED", "PRIMARY"]
    units, suv = pet_units(row)
    dataset.Units = units
    if suv:
        dataset.SUVType = suv
    dataset.SeriesType, dataset.CountsSource = ["STATIC", "IMAGE"], "EMISSION"
    dataset.NumberOfSlices, dataset.ImageIndex = count, number + 1
    done = [str(word) for word in _attributes(row).get("corrections") or ()]
    dataset.CorrectedImage = done
    dataset.CollimatorType = ""
    stated = str(_evidence(row).get("decay_correction") or ("START" if "DECY" in done else "NONE"))
    dataset.DecayCorrection = stated
    if stated != "NONE":
        dataset.DecayFactor = 1
        notes.append(_DECAY)
    dataset.RadiopharmaceuticalInformationSequence = []
    dataset.PatientOrientationCodeSequence, dataset.PatientGantryRelationshipCodeSequence = [], []
    dataset.FrameReferenceTime, dataset.ActualFrameDuration = 0, None
    return "; ".join(notes)


def _attributes(row: Mapping[str, Any]) -> Mapping[str, Any]:
    found = json.loads(row.get("attributes") or "{}")
    return found if isinstance(found, dict) else {}


def _evidence(row: Mapping[str, Any]) -> Mapping[str, Any]:
    found = _attributes(row).get("suv")
    return found if isinstance(found, dict) else {}

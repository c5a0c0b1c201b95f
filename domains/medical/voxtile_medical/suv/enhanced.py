"""The PET elements of enhanced multi-frame files, brought to those of a slice each.

Enhanced PET (PS3.3 A.56) says in YES and NO what was corrected for, in codes what its values are, and by date and time
when each frame was acquired; a legacy converted one (A.71) keeps the elements of its slices unassigned.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from voxtile_medical.dicom_header.dataset import read_dataset
from voxtile_medical.dicom_header.pydicom_warnings import quiet_pydicom
from voxtile_medical.dicom_planes.enhanced import FrameGroups
from voxtile_medical.dicom_planes.frames import Frame
from voxtile_medical.suv.header import PET_KEYWORDS, PetHeader, pet_header
from voxtile_medical.suv.refused import SuvRefusedError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

# Codes of the Unified Code for Units of Measure (PS3.16 CID 84 and 85) → Units, SUVType.
UCUM = {
    "Bq/ml": ("BQML", ""),
    "{counts}": ("CNTS", ""),
    "{counts}/s": ("CPS", ""),
    "{propcounts}": ("PROPCNTS", ""),
    "{SUVbw}g/ml": ("GML", "BW"),
    "g/ml{SUVbw}": ("GML", "BW"),
    "{SUVlbm}g/ml": ("GML", "LBM"),
    "g/ml{SUVlbm}": ("GML", "LBM"),
    "{SUVlbm(James128)}g/ml": ("GML", "LBMJAMES128"),
    "{SUVlbm(Janma)}g/ml": ("GML", "LBMJANMA"),
    "{SUVibw}g/ml": ("GML", "IBW"),
    "g/ml{SUVibw}": ("GML", "IBW"),
    "{SUVbsa}cm2/ml": ("CM2ML", "BSA"),
    "cm2/ml{SUVbsa}": ("CM2ML", "BSA"),
}
_CORRECTED = {
    "AttenuationCorrected": "ATTN", "DecayCorrected": "DECY", "ScatterCorrected": "SCAT", "RandomsCorrected": "RAN",
    "DeadTimeCorrected": "DTIM",
}  # fmt: skip
_ELEMENTS = (*PET_KEYWORDS, *_CORRECTED, "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")


@dataclass(frozen=True)
class EnhancedPet:
    """What an enhanced file says of its values.

    Attributes:
        headers: of each frame, in the order that was asked for.
        frames: with the scale that belongs to the units.
    """

    headers: tuple[PetHeader, ...]
    frames: tuple[Frame, ...]


def enhanced_pet(path: Path, frames: Sequence[Frame]) -> EnhancedPet:
    """Read the elements of the frames of one file.

    Args:
        path: of the file.
        frames: of the volume.

    Raises:
        SuvRefusedError: an element is damaged, or several radiopharmaceuticals are given.
    """
    from pydicom.dataset import Dataset

    try:
        with quiet_pydicom():
            dataset = read_dataset(path, _ELEMENTS)
            groups = dataset.PerFrameFunctionalGroupsSequence
            shared = (dataset.get("SharedFunctionalGroupsSequence") or [Dataset()])[0]
            pairs = [_of_frame(dataset, shared, groups[frame.index], frame) for frame in frames]
    except SuvRefusedError:
        raise
    except Exception as error:  # nested elements of unknown writers: anything can be wrong with them
        why = f"the functional groups cannot be read ({type(error).__name__})"
        raise SuvRefusedError("implausible-value", "the functional groups", why) from error
    return EnhancedPet(tuple(header for header, _ in pairs), tuple(frame for _, frame in pairs))


def _of_frame(dataset: Dataset, shared: Dataset, own: Dataset, frame: Frame) -> tuple[PetHeader, Frame]:
    from pydicom.dataset import Dataset

    flat = Dataset()
    unassigned = (
        *_items(shared, "UnassignedSharedConvertedAttributesSequence"),
        *_items(own, "UnassignedPerFrameConvertedAttributesSequence"),
    )
    for source in (dataset, *unassigned):
        for keyword in PET_KEYWORDS:
            if keyword in source:
                flat[keyword] = source[keyword]
    _say_corrections(dataset, flat)
    groups = FrameGroups(shared).of(own)
    moments = {"AcquisitionDateTime": "FrameAcquisitionDateTime", "ActualFrameDuration": "FrameAcquisitionDuration"}
    for keyword, of_frame in moments.items():
        value = groups.value("FrameContentSequence", of_frame)
        if value is not None and keyword not in flat:
            setattr(flat, keyword, str(value) if keyword == "AcquisitionDateTime" else round(float(value)))
    mapping = None if "Units" in flat else _mapping(shared, own)
    if mapping is not None:
        code = str(mapping.MeasurementUnitsCodeSequence[0].CodeValue)
        flat.Units, flat.SUVType = UCUM[code]
        slope, intercept = float(mapping.RealWorldValueSlope), float(mapping.RealWorldValueIntercept)
        frame = replace(frame, slope=slope, intercept=intercept, keys={**frame.keys, "Rescale": (slope, intercept)})
    flat.RescaleSlope, flat.RescaleIntercept = _decimal(frame.slope), _decimal(frame.intercept)
    return pet_header(flat), frame


def _say_corrections(dataset: Dataset, flat: Dataset) -> None:
    done = [word for keyword, word in _CORRECTED.items() if str(dataset.get(keyword, "")).upper() == "YES"]
    if any(keyword in dataset for keyword in _CORRECTED) and "CorrectedImage" not in flat:
        flat.CorrectedImage = done or ["NONE"]
    if "DecayCorrected" in dataset and "DecayCorrection" not in flat:
        # Values are corrected to DecayCorrectionDateTime (PS3.3 C.8.22.4), whenever that is.
        flat.DecayCorrection = "START" if "DECY" in done else "NONE"


def _mapping(shared: Dataset, own: Dataset) -> Dataset | None:
    """The mapping to real-world values whose units are known; activity before an SUV of someone else's."""
    known: dict[str, Dataset] = {}
    for source in (shared, own):
        for item in source.get("RealWorldValueMappingSequence") or ():
            codes = item.get("MeasurementUnitsCodeSequence") or ()
            if codes and str(codes[0].get("CodeValue", "")) in UCUM and "RealWorldValueSlope" in item:
                known[UCUM[str(codes[0].CodeValue)][0]] = item
    return known.get("BQML") or next(iter(known.values()), None)


def _items(source: Dataset, keyword: str) -> Iterator[Dataset]:
    yield from source.get(keyword) or ()


def _decimal(value: float) -> str:
    """A number as a decimal string has it: up to 16 characters."""
    from pydicom.valuerep import format_number_as_ds

    return str(format_number_as_ds(value))

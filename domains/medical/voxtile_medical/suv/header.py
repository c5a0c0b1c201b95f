"""The elements of a PET slice's header that its SUV depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxtile_medical.dicom_header.dataset import read_dataset
from voxtile_medical.dicom_header.pydicom_warnings import quiet_pydicom
from voxtile_medical.suv.refused import SuvRefusedError, missing, named

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_SERIES = (
    "Units", "SUVType", "DecayCorrection", "CorrectedImage", "RescaleSlope", "RescaleIntercept",
    "PatientWeight", "PatientSize", "PatientSex", "SeriesDate", "SeriesTime", "AcquisitionDate", "AcquisitionTime",
    "AcquisitionDateTime", "DecayCorrectionDateTime", "FrameReferenceTime", "ActualFrameDuration",
    "TimezoneOffsetFromUTC",
)  # fmt: skip
_DOSE = "RadiopharmaceuticalInformationSequence"
_OF_DOSE = (
    "RadiopharmaceuticalStartTime", "RadiopharmaceuticalStartDateTime", "RadionuclideTotalDose",
    "RadionuclideHalfLife", "RadionuclideCodeSequence",
)  # fmt: skip
PET_KEYWORDS = (*_SERIES, _DOSE)
# Private elements by name: group, element within the block, creator (conformance statements of GE and Philips).
_PRIVATE = {
    "GE scan date and time (0009,100d)": (0x0009, 0x0D, "GEMS_PETD_01"),
    "Philips SUV factor (7053,1000)": (0x7053, 0x00, "Philips PET Private Group"),
    "Philips activity factor (7053,1009)": (0x7053, 0x09, "Philips PET Private Group"),
}
GE_SCAN, PHILIPS_SUV, PHILIPS_ACTIVITY = _PRIVATE


@dataclass(frozen=True)
class PetHeader:
    """One slice.

    Attributes:
        values: element by keyword (private ones by the names above), as text; absent and empty elements are left out.
            `RadionuclideCodeSequence` is the meaning of its code.
    """

    values: Mapping[str, str] = field(default_factory=dict)

    def text(self, keyword: str) -> str:
        """The value; empty where there is none."""
        return self.values.get(keyword, "")

    def number(self, keyword: str) -> float | None:
        """The value as a number; None where there is none.

        Raises:
            SuvRefusedError: it is not a finite number.
        """
        text = self.values.get(keyword, "")
        if not text:
            return None
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not abs(value) < float("inf"):
            raise SuvRefusedError("implausible-value", named(keyword), f"{named(keyword)} is not a number")
        return value

    def positive(self, keyword: str, needed: str) -> float:
        """A number above nought.

        Raises:
            SuvRefusedError: it is missing, nought (which scanners write for unknown) or negative.
        """
        value = self.number(keyword)
        if not value:
            raise missing(keyword, needed)
        if value < 0:
            raise SuvRefusedError("implausible-value", named(keyword), f"{named(keyword)} is negative ({value:g})")
        return value


def read_pet_header(path: Path) -> PetHeader:
    """Read one file's elements, its pixels left alone.

    Raises:
        SuvRefusedError: several radiopharmaceuticals are given, so that no one dose is the dose; or an element is
            damaged.
    """
    with quiet_pydicom():
        try:
            return pet_header(read_dataset(path))
        except (SuvRefusedError, MemoryError):
            raise
        except Exception as error:  # pydicom raises anything; the message may quote the header, so it is not kept
            why = f"an element cannot be read ({type(error).__name__})"
            raise SuvRefusedError("implausible-value", "the PET elements", why) from error


def pet_header(dataset: Dataset) -> PetHeader:
    """The elements of a data set that is in memory; see `read_pet_header`."""
    values = {keyword: _text(dataset.get(keyword)) for keyword in _SERIES}
    doses = list(dataset.get(_DOSE) or [])
    if len(doses) > 1:
        raise SuvRefusedError(
            "contradictory-tags", named(_DOSE), f"{named(_DOSE)} holds {len(doses)} items, and an SUV needs one dose"
        )
    if doses:
        values[_DOSE] = "1"
        values |= {keyword: _text(doses[0].get(keyword)) for keyword in _OF_DOSE[:-1]}
        codes = list(doses[0].get(_OF_DOSE[-1]) or [])
        values[_OF_DOSE[-1]] = _text(codes[0].get("CodeMeaning")) if codes else ""
    values |= {name: _private(dataset, *place) for name, place in _PRIVATE.items()}
    return PetHeader({keyword: text for keyword, text in values.items() if text})


def _private(dataset: Dataset, group: int, element: int, creator: str) -> str:
    """A private element by its creator's block; where no creator is kept (some anonymisers), the usual block 10."""
    blocks = [tag.element for tag in dataset.keys() if tag.group == group and 0x10 <= tag.element <= 0xFF]  # noqa: SIM118
    owners = {block: _text(dataset[group, block].value) for block in blocks}
    named_blocks = [block for block, owner in owners.items() if owner == creator]
    for block in named_blocks or ([] if owners else [0x10]):
        tag = (group, block << 8 | element)
        if tag in dataset:
            return _text(dataset[tag].value)
    return ""


def _text(value: Any) -> str:  # noqa: ANN401 - whatever pydicom gives
    if value is None:
        return ""
    if isinstance(value, bytes):  # a private element in implicit value representation
        return value.decode("latin-1").strip(" \0")
    if isinstance(value, str):
        return value.strip(" \0")
    try:
        return "\\".join(str(part).strip() for part in value)
    except TypeError:
        return str(value).strip()

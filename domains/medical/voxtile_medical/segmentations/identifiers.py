"""What a mask object's own header says of people, numbers and places: none of it may be in a structure's name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from voxtile_medical.dicom_header.tags import IDENTIFYING, PEOPLE, PLACES
from voxtile_medical.segmentations.names import Identifiers

_MORE_PEOPLE = ("ContentCreatorName", "ReviewerName", "ROIInterpreter")
_MORE_NUMBERS = ("PatientBirthDate", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


def identifiers_of(dataset: Dataset, hides: bool, known: Mapping[str, Sequence[str]]) -> Identifiers:
    """Identifiers of a SEG or RTSTRUCT object, those of who drew it included.

    Args:
        dataset: the object.
        hides: they are to be removed from names.
        known: `people`, `numbers` and `places` that its images name.
    """
    found: dict[str, dict[str, None]] = {
        kind: dict.fromkeys(known.get(kind, ())) for kind in ("people", "numbers", "places")
    }
    for keyword in (*IDENTIFYING, *_MORE_PEOPLE, *_MORE_NUMBERS):
        is_person = keyword in PEOPLE or keyword in _MORE_PEOPLE
        kind = "people" if is_person else "places" if keyword in PLACES else "numbers"
        for holder in (dataset, *(dataset.get("RTROIObservationsSequence") or ())):
            value = holder.get(keyword)
            values = value if isinstance(value, MultiValue) else [value]
            found[kind].update(dict.fromkeys(str(v) for v in values if v))
    return Identifiers(tuple(found["people"]), tuple(found["numbers"]), tuple(found["places"]), hides)

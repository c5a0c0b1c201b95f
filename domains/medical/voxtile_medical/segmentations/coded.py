"""Coded concepts of DICOM items (PS3.3 8.8), and the side that a modifier gives."""

from __future__ import annotations

from dataclasses import replace

from pydicom.dataset import Dataset

from voxtile_medical.segmentations.names import Code, Identifiers

# CID 244 Laterality, in SNOMED CT and in the identifiers that older objects use.
_SIDES = {"7771000": "left", "24028007": "right", "G-A101": "left", "G-A100": "right"}
_MODIFIERS = (
    ("SegmentedPropertyTypeCodeSequence", "SegmentedPropertyTypeModifierCodeSequence"),
    ("AnatomicRegionSequence", "AnatomicRegionModifierSequence"),
    ("RTROIIdentificationCodeSequence", "SegmentedPropertyTypeModifierCodeSequence"),
)


def code_of(item: Dataset, keyword: str, identifiers: Identifiers) -> Code | None:
    """The first code of a sequence, its meaning without identifiers; None where there is none."""
    sequence = item.get(keyword)
    code = _code(sequence[0]) if sequence else None
    return replace(code, meaning=identifiers.clean(code.meaning) or "") if code else None


def side_of(item: Dataset) -> str | None:
    """Left or right by a laterality modifier of the item's type or anatomic region."""
    for holder, keyword in _MODIFIERS:
        for concept in item.get(holder) or ():
            for modifier in (*(concept.get(keyword) or ()), *(item.get(keyword) or ())):
                code = _code(modifier)
                if code and code.value in _SIDES:
                    return _SIDES[code.value]
    return None


def _code(item: Dataset) -> Code | None:
    value = item.get("CodeValue") or item.get("LongCodeValue") or item.get("URNCodeValue")
    if not value:
        return None
    # SRT and SNM3 are the designators that SNOMED's identifiers had before SCT (PS3.16 table 8-1).
    return Code(str(item.get("CodingSchemeDesignator", "")), str(value), str(item.get("CodeMeaning", "")))

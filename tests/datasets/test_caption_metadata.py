"""Claims of how and of whom a picture was made, against the sample's own row; and claims that no picture shows."""

import json

import pytest

from voxtile_datasets.captions.checker.check import Known, check
from voxtile_datasets.captions.checker.judging.metadata import metadata_of
from voxtile_datasets.captions.checker.vocabulary import installed_vocabularies

VOCABULARIES = installed_vocabularies()
FACTS = [{"concept": "pulmonary_nodule", "polarity": "present", "value": 8.0, "unit": "mm", "attributes": None}]
CT = {"modality": "CT", "body_part": "CHEST", "sex": "F", "age": 64, "contrast_phase": "PORTAL_VENOUS"}


def verdict(text, metadata, facts=FACTS):
    return check(text, Known(facts, (), metadata=metadata), VOCABULARIES["medical"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Computed tomography shows a lung nodule.", "supported"),
        ("A radiograph with a lung nodule.", "contradicted"),
        ("This MRI contains a lung nodule.", "contradicted"),
        ("A lung nodule, grown since last summer's radiograph.", "unsupported"),
        ("Thoracic CT with a lung nodule.", "supported"),
        ("CT of the knee with a lung nodule.", "contradicted"),
        ("Contrast-enhanced CT with a lung nodule.", "supported"),
        ("Unenhanced CT with a lung nodule.", "contradicted"),
        ("Arterial phase CT with a lung nodule.", "contradicted"),
        ("Lung nodule in a woman of 64.", "supported"),
        ("Lung nodule in a man.", "contradicted"),
        ("Lung nodule in a 46-year-old.", "contradicted"),
        ("Lung nodule in a patient in her sixties.", "supported"),
        ("Lung nodule in an elderly lady.", "supported"),
        ("Lung nodule in a boy.", "contradicted"),
    ],
)
def test_what_the_row_states_is_compared(text, expected):
    """A modality, a part of the body, a phase, a sex and an age are right or wrong by the row of the sample."""
    assert verdict(text, CT).verdict == expected


def test_what_the_row_does_not_state():
    """An age that nobody gave is invented; a sex is not known; without any row nothing is said of it."""
    assert verdict("Lung nodule in a 46-year-old.", {"modality": "CT"}).verdict == "unsupported"
    assert verdict("Lung nodule in a man.", {"modality": "CT"}).verdict == "unknown"
    assert verdict("This MRI contains a lung nodule.", {}).verdict == "supported"


def test_a_band_of_ages_and_codes_of_columns():
    """Attributes as DICOM conversion writes them are read."""
    row = {
        "modality": "MR",
        "gsd_m": None,
        "attributes": json.dumps({"age_band": "60-69", "body_part": "CHESTABDPELVIS"}),
    }
    known = metadata_of(row)
    assert verdict("MRI, 67-year-old patient, lung nodule.", known).verdict == "supported"
    assert verdict("MRI, 71-year-old patient, lung nodule.", known).verdict == "contradicted"
    assert verdict("Abdominal MRI with a lung nodule.", known).verdict == "supported"
    assert verdict("MRI of the wrist with a lung nodule.", known).verdict == "contradicted"

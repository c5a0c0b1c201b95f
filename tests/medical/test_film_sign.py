"""Which way round radiographs are shown, by everything in the header that may turn them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    DigitalMammographyXRayImageStorageForProcessing,
    DigitalXRayImageStorageForPresentation,
)

RISING = list(range(0, 4096, 16))
X_RAY = {
    "Modality": "DX", "SOPClassUID": DigitalXRayImageStorageForPresentation, "RescaleIntercept": 0, "RescaleSlope": 1,
    "ImagePositionPatient": None, "ImageOrientationPatient": None, "BitsStored": 12, "HighBit": 11,
    "PhotometricInterpretation": "MONOCHROME2",
}  # fmt: skip


def table(entries):
    item = Dataset()
    item.LUTDescriptor = [len(entries), 0, 12]
    item["LUTDescriptor"].VR = "US"
    item.LUTData = entries
    item["LUTData"].VR = "US"
    return [item]


def one(dicom, folder, picture, **values):
    dicom.make(picture, **(X_RAY | values)).save_as(folder / "one", enforce_file_format=True)
    (outcome,) = dicom.convert(folder).outcomes
    (sample,) = outcome.samples
    return sample, json.loads(sample.row["attributes"]), [part.reason for part in outcome.parts]


@pytest.mark.parametrize(
    ("values", "turned"),
    [
        ({}, None),
        ({"PresentationLUTShape": "IDENTITY"}, None),
        ({"PhotometricInterpretation": "MONOCHROME1"}, "MONOCHROME1"),
        ({"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}, "MONOCHROME1"),
        ({"RescaleSlope": -0.001, "RescaleIntercept": 4}, "RescaleSlope"),
        ({"VOILUTSequence": table(RISING)}, None),
        ({"VOILUTSequence": table(RISING[::-1])}, "VOI LUT"),
        ({"ModalityLUTSequence": table(RISING[::-1]), "RescaleSlope": None, "RescaleIntercept": None}, "modality LUT"),
        ({"VOILUTSequence": table(RISING[::-1]), "PhotometricInterpretation": "MONOCHROME1"}, None),
        ({"RescaleSlope": -1, "RescaleIntercept": 4, "PhotometricInterpretation": "MONOCHROME1"}, None),
        (
            {"RescaleSlope": -1, "VOILUTSequence": table(RISING[::-1]), "PhotometricInterpretation": "MONOCHROME1"},
            "RescaleSlope · VOI LUT · MONOCHROME1",
        ),
    ],
)
def test_larger_is_brighter_whatever_turned_it(tmp_path, dicom, noise, values, turned):
    picture = noise(6, 7)
    sample, attributes, parts = one(dicom, tmp_path, picture, **values)
    np.testing.assert_array_equal(sample.payload, picture if turned is None else 4095 - picture)
    assert attributes.get("inverted_from") == turned
    assert (parts, "polarity" in attributes) == ([], False)
    assert sample.row["channels"][0]["scale"] > 0


def test_density_of_a_film_stays_physical_and_its_window_too(tmp_path, dicom, noise):
    picture = noise(6, 7)
    own = {"RescaleSlope": -0.001, "RescaleIntercept": 4, "WindowCenter": 2, "WindowWidth": 1}
    sample, attributes, _ = one(dicom, tmp_path, picture, **own)
    channel = sample.row["channels"][0]
    np.testing.assert_allclose(sample.payload * channel["scale"] + channel["offset"], picture * -0.001 + 4, atol=1e-12)
    assert attributes["window"] == pytest.approx([2, 1])


def test_a_window_behind_a_table_is_not_one_of_the_values_before_it(tmp_path, dicom, noise):
    own = {"ModalityLUTSequence": table(RISING), "RescaleSlope": None, "RescaleIntercept": None}
    _, attributes, _ = one(dicom, tmp_path, noise(6, 7), **own, WindowCenter=30000, WindowWidth=60000)
    assert "window" not in attributes


@pytest.mark.parametrize(
    "values",
    [
        {"PresentationLUTShape": "INVERSE"},
        {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "IDENTITY"},
        {"VOILUTSequence": table([0, 400, 100, 300, 50, 200])},
        {"VOILUTSequence": table([7] * 8)},
    ],
)
def test_what_contradicts_itself_is_named(tmp_path, dicom, noise, values):
    _, attributes, parts = one(dicom, tmp_path, noise(6, 7), **values)
    assert (attributes["polarity"], parts) == ("uncertain", ["uncertain-polarity"])


@pytest.mark.parametrize(
    ("values", "meant"),
    [
        ({"PresentationIntentType": "FOR PROCESSING"}, "FOR PROCESSING"),
        ({"PresentationIntentType": "FOR PRESENTATION"}, "FOR PRESENTATION"),
        ({"PresentationIntentType": "Doe^Jane"}, None),
        ({"Modality": "MG", "SOPClassUID": DigitalMammographyXRayImageStorageForProcessing}, "FOR PROCESSING"),
        ({"Modality": "CR", "SOPClassUID": ComputedRadiographyImageStorage}, None),
    ],
)
def test_images_for_processing_say_so(tmp_path, dicom, noise, values, meant):
    assert one(dicom, tmp_path, noise(6, 7), **values)[1].get("presentation_intent") == meant

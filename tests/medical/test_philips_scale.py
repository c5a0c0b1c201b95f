"""Philips' private scale of MR values: planes are in one scale, that of the signal where the display has several."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pydicom.uid import MRImageStorage

OWNER = "Philips MR Imaging DD 001"
MR = {"Modality": "MR", "SOPClassUID": MRImageStorage, "Manufacturer": "Philips Medical Systems", "RescaleIntercept": 0}


def write(dicom, folder, volume, rescale, scale, *, owner=OWNER, **values):
    for k, plane in enumerate(volume):
        made = dicom.make(plane, ImagePositionPatient=[0, 0, 2.0 * k], InstanceNumber=k + 1, **(MR | values))
        made.RescaleSlope = rescale[k]
        if scale is not None:
            made.private_block(0x2005, owner, create=True).add_new(0x0E, "FL", scale[k])
        made.save_as(folder / str(k), enforce_file_format=True)


def converted(dicom, folder):
    (sample,) = dicom.convert(folder).samples
    channel = sample.row["channels"][0]
    return sample.payload * channel["scale"] + channel["offset"], json.loads(sample.row["attributes"])


def test_planes_of_several_displays_are_in_the_scale_of_the_signal(tmp_path, dicom, noise):
    volume = noise(4, 6, 6)
    write(dicom, tmp_path, volume, [1, 2, 4, 8], [0.5, 0.5, 0.25, 0.25])
    values, attributes = converted(dicom, tmp_path)
    signal = volume / np.array([0.5, 0.5, 0.25, 0.25])[:, None, None]
    np.testing.assert_allclose(values, signal[:, ::-1, ::-1], rtol=1e-6)
    assert attributes["values"] == "signal"


@pytest.mark.parametrize(
    ("rescale", "scale", "values"),
    [
        ([2, 2, 2, 2], [0.5, 0.5, 0.5, 0.5], {}),  # one display: its values are proportional to the signal
        ([1, 2, 4, 8], [8, 4, 2, 1], {}),
        ([1, 2, 4, 8], None, {}),
        ([1, 2, 4, 8], [1, 1, 1, 1], {"owner": "SOMEONE ELSE"}),
        ([1, 2, 4, 8], [1, 1, 1, 1], {"Manufacturer": "SIEMENS"}),
        ([1, 2, 4, 8], [1, 0, 1, 1], {}),
    ],
)
def test_otherwise_values_are_those_of_the_display(tmp_path, dicom, noise, rescale, scale, values):
    volume = noise(4, 6, 6)
    write(dicom, tmp_path, volume, rescale, scale, **values)
    found, attributes = converted(dicom, tmp_path)
    np.testing.assert_allclose(found, (volume * np.array(rescale)[:, None, None])[:, ::-1, ::-1], rtol=1e-6)
    assert "values" not in attributes
    assert attributes.get("philips_scale_slope") == (0.5 if rescale == [2, 2, 2, 2] else None)

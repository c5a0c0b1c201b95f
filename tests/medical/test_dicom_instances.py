"""Which slice of a stored volume is which image of its series, whatever the orientation and the order of the files."""

import json

import numpy as np
import pytest

from voxtile_medical.dicom.instances import slice_of_instance


@pytest.mark.parametrize(
    ("orientation", "step", "axis"),
    [((1, 0, 0, 0, 1, 0), (0, 0, 1), 0), ((0, 1, 0, 0, 0, -1), (1, 0, 0), 2), ((1, 0, 0, 0, 0, -1), (0, 1, 0), 1)],
)
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("numbers", [[1, 2, 3, 4, 5], [12, 10, 8, 6, 4], [5, 9, 2, 7, 1]])
def test_the_slice_with_a_number_holds_that_files_pixels(
    tmp_path, dicom, noise, orientation, step, axis, sign, numbers
):
    planes = noise(5, 6, 7)
    positions = [[sign * 2.0 * k * s for s in step] for k in range(5)]
    for path, plane, position, number in zip(
        [tmp_path / f"{k}.dcm" for k in range(5)], planes, positions, numbers, strict=True
    ):
        dicom.save(
            path,
            dicom.make(
                plane, ImageOrientationPatient=list(orientation), ImagePositionPatient=position, InstanceNumber=number,
                SeriesNumber=3,
            ),
        )  # fmt: skip
    (sample,) = dicom.convert(tmp_path).samples
    attributes = json.loads(sample.row["attributes"])
    assert attributes["series_number"] == 3
    for plane, number in zip(planes, numbers, strict=True):
        found_axis, index = slice_of_instance(attributes, number)
        assert found_axis == axis
        stored = sample.payload.take(index, axis)
        assert np.array_equal(np.sort(stored.ravel()), np.sort(plane.ravel()))
    assert slice_of_instance(attributes, 99) is None


def test_equal_numbers_name_no_slice(tmp_path, dicom, noise):
    for k, plane in enumerate(noise(4, 6, 7)):
        dataset = dicom.make(plane, ImagePositionPatient=[0, 0, 2.0 * k], InstanceNumber=1)
        dicom.save(tmp_path / f"{k}.dcm", dataset)
    (sample,) = dicom.convert(tmp_path).samples
    attributes = json.loads(sample.row["attributes"])
    assert "instances" not in attributes
    assert slice_of_instance(attributes, 1) is None

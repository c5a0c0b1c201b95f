"""RT structure sets become regions: against the masks of a published benchmark, closed forms and shapely."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from voxtile.corpus.reader import Corpus
from voxtile.errors import RunFailedError
from voxtile_medical.convert.dicom import convert_dicom
from voxtile_medical.orientation import to_nearest_ras

FRAME = "1.2.826.0.1.3680043.8.498.7"
SHAPE = (8, 20, 24)
STEP = 2.0


@pytest.mark.parametrize(("modality", "voxels"), [("CT", 8862), ("PET", 388), ("MR_T1", 8862)])
def test_the_masks_of_the_ibsi_patient_are_met_voxel_for_voxel(test_data, tmp_path, modality, voxels):
    source = test_data / "medical" / "ibsi_sts_008"
    convert_dicom(source / "dicom" / modality, tmp_path / "corpus", engine="inline")
    corpus = Corpus(tmp_path / "corpus")
    [region] = corpus.table("regions").to_pylist()
    reference = nib.load(source / "nifti" / f"{modality}_mask.nii.gz")
    expected, _ = to_nearest_ras(np.asarray(reference.dataobj).transpose(2, 1, 0) > 0, reference.affine)
    found = corpus.mask(region)
    assert found.shape == expected.shape
    assert int(found.sum()) == voxels
    np.testing.assert_array_equal(found, expected)  # Dice 1.0
    assert region["phrase"].startswith("GTV Mass")


def square(x, y, size, z):
    """Corners between pixel centres, in mm: pixels x … x + size - 1 of a grid of 1 mm."""
    low_x, low_y, high_x, high_y = x - 0.5, y - 0.5, x + size - 0.5, y + size - 0.5
    return [low_x, low_y, z, high_x, low_y, z, high_x, high_y, z, low_x, high_y, z]


@pytest.fixture
def scan(tmp_path, dicom, noise):
    return dicom.write(
        tmp_path / "in" / "ct",
        noise(*SHAPE),
        FrameOfReferenceUID=FRAME,
        SeriesInstanceUID="1.2.3",
        StudyInstanceUID="1.2",
    )


@pytest.fixture
def write(tmp_path, scan):
    """`write({name: [(type, points)]})`: a structure set of the scan."""

    def make(rois, name="in/rs.dcm", frames=None, series="1.2.3", **more):
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.481.3"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.Modality, dataset.PatientID, dataset.PatientName = "RTSTRUCT", "patient-1", "Doe^Jane"
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2", generate_uid()
        referenced, study, one = Dataset(), Dataset(), Dataset()
        one.SeriesInstanceUID = series
        study.RTReferencedSeriesSequence = [one]
        referenced.FrameOfReferenceUID, referenced.RTReferencedStudySequence = FRAME, [study]
        dataset.ReferencedFrameOfReferenceSequence = [referenced]
        dataset.StructureSetROISequence, dataset.ROIContourSequence = [], []
        for number, (title, contours) in enumerate(rois.items(), 1):
            roi, drawn = Dataset(), Dataset()
            roi.ROINumber, roi.ROIName = number, title
            roi.ReferencedFrameOfReferenceUID = (frames or {}).get(title, FRAME)
            drawn.ReferencedROINumber, drawn.ContourSequence = number, []
            for kind, points in contours:
                item = Dataset()
                item.ContourGeometricType, item.NumberOfContourPoints = kind, len(points) // 3
                item.ContourData = [f"{value:g}" for value in points]
                drawn.ContourSequence.append(item)
            dataset.StructureSetROISequence.append(roi)
            dataset.ROIContourSequence.append(drawn)
        for keyword, value in more.items():
            setattr(dataset, keyword, value)
        dataset.save_as(tmp_path / name, enforce_file_format=True)
        return tmp_path / name

    return make


@pytest.fixture
def convert(tmp_path):
    def run():
        convert_dicom(tmp_path / "in", tmp_path / "corpus", engine="inline")
        return Corpus(tmp_path / "corpus")

    return run


def masks_of(corpus):
    """[Z, Y, X] in the order of the slices (left, back, up)."""
    return {r["phrase"]: corpus.mask(r)[:, ::-1, ::-1] for r in corpus.table("regions").to_pylist()}


def reasons(corpus):
    return sorted(row["reason"] for row in corpus.ledger().to_pylist() if row["reason"])


def boxes(*parts, shape=SHAPE):
    mask = np.zeros(shape, bool)
    for z, y, x, height, width in parts:
        mask[z, y : y + height, x : x + width] ^= True
    return mask


@pytest.mark.parametrize("kind", ["CLOSED_PLANAR", "CLOSEDPLANAR_XOR"])
def test_all_contours_of_a_slice_make_one_mask(write, convert, kind):
    slices = [(kind, square(3, 4, 9, z * STEP)) for z in (2, 3, 5)]
    hole = [(kind, square(6, 6, 3, 3 * STEP))]
    apart = [(kind, square(17, 12, 4, 3 * STEP))]
    overlapping = [(kind, square(19, 14, 4, 3 * STEP))]
    write({"Kidney_L": slices + hole + apart + overlapping})
    expected = boxes(*((z, 4, 3, 9, 9) for z in (2, 3, 5)), (3, 6, 6, 3, 3), (3, 12, 17, 4, 4), (3, 14, 19, 4, 4))
    corpus = convert()
    np.testing.assert_array_equal(masks_of(corpus)["left Kidney"], expected)
    [fact] = [f for f in corpus.table("facts").to_pylist() if f["concept"] == "structure"]
    assert json.loads(fact["attributes"])["laterality"] == "left"
    assert "resampled" not in json.loads(fact["attributes"])


def test_points_a_little_off_their_plane_are_moved_onto_it(write, convert):
    tilted = square(3, 4, 9, 2 * STEP)
    tilted[2], tilted[8] = tilted[2] + 0.4, tilted[8] - 0.4
    write(
        {
            "a": [("CLOSED_PLANAR", tilted)],
            "b": [("CLOSED_PLANAR", [v + (i % 3 == 2) * 2.4 for i, v in enumerate(tilted)])],
        }
    )
    steep = square(3, 4, 9, 2 * STEP)
    steep[2] += 4.0
    write({"c": [("CLOSED_PLANAR", steep)]}, "in/steep.dcm")
    corpus = convert()
    found = masks_of(corpus)
    np.testing.assert_array_equal(found["a"], boxes((2, 4, 3, 9, 9)))
    np.testing.assert_array_equal(found["b"], boxes((3, 4, 3, 9, 9)))
    assert reasons(corpus) == ["not-planar"]


def test_contours_drawn_between_the_slices_go_to_the_nearest_and_say_so(write, convert):
    planes = [2.9, 5.9, 8.9]  # mm: steps of 3 mm on slices of 2 mm
    write({"a": [("CLOSED_PLANAR", square(3, 4, 9, z)) for z in planes]})
    corpus = convert()
    [fact] = [f for f in corpus.table("facts").to_pylist() if f["concept"] == "structure"]
    assert json.loads(fact["attributes"])["resampled"] == "nearest"
    covered = [k for k in range(SHAPE[0]) if min(abs(k * STEP - z) for z in planes) <= 1.5]
    np.testing.assert_array_equal(masks_of(corpus)["a"], boxes(*((k, 4, 3, 9, 9) for k in covered)))


def test_sagittal_contours_of_an_axial_volume(write, convert):
    def sagittal(x):
        return [x, 3.5, 3, x, 12.5, 3, x, 12.5, 9, x, 3.5, 9]

    write({"a": [("CLOSED_PLANAR", sagittal(x)) for x in (5, 6, 7)]})
    expected = np.zeros(SHAPE, bool)
    expected[2:5, 4:13, 5:8] = True
    np.testing.assert_array_equal(masks_of(convert())["a"], expected)


def test_bad_rois_are_named_and_the_good_one_stays(write, convert, capsys):
    bow_tie = [3, 3, 4, 12, 12, 4, 12, 3, 4, 3, 12, 4]
    write(
        {
            "good": [("CLOSED_PLANAR", square(3, 4, 9, 4))],
            "point": [("POINT", [5, 5, 4])],
            "line": [("OPEN_PLANAR", square(3, 4, 9, 4))],
            "wire": [("OPEN_NONPLANAR", square(3, 4, 9, 4))],
            "crossed": [("CLOSED_PLANAR", bow_tie)],
            "high": [("CLOSED_PLANAR", square(3, 4, 9, 4)), ("CLOSED_PLANAR", square(3, 4, 9, 40))],
            "wide": [("CLOSED_PLANAR", square(18, 4, 19, 4))],
            "tiny": [("CLOSED_PLANAR", [3.2, 3.2, 4, 3.4, 3.2, 4, 3.4, 3.4, 4])],
            "two": [("CLOSED_PLANAR", [3, 3, 4, 9, 9, 4])],
            "elsewhere": [("CLOSED_PLANAR", square(3, 4, 9, 4))],
            "undrawn": [],
        },
        frames={"elsewhere": "1.2.3.4.5"},
    )
    corpus = convert()
    assert set(masks_of(corpus)) == {"good"}
    expected = ["absent-slices", "no-voxel", "other-frame-of-reference", "outside-image", "point-contour"]
    assert reasons(corpus) == sorted(
        [*expected, "self-crossing-contour", "open-contour", "open-contour", "open-contour"]
    )
    said = capsys.readouterr().out
    assert "crosses itself" in said
    assert "frame of reference" in said


def test_sets_of_other_series_and_damaged_ones(write, convert, tmp_path):
    good = [("CLOSED_PLANAR", square(3, 4, 9, 4))]
    write({"good": good})
    write({"gone": good}, "in/other.dcm", series="9.9.9")
    write({"none": []}, "in/none.dcm")
    broken = write({"broken": good}, "in/broken.dcm")
    broken.write_bytes(broken.read_bytes().replace(b"2.5\\3.5\\4", b"2.5\\x.5\\4"))
    with pytest.raises(RunFailedError, match="unreadable-contours"):
        convert()
    corpus = Corpus(tmp_path / "corpus")
    assert set(masks_of(corpus)) == {"good"}
    assert reasons(corpus) == ["empty-mask", "no-series", "unreadable-contours"]


def test_a_set_that_names_no_series_goes_by_its_frame_of_reference(write, convert, tmp_path):
    path = write({"Jane Doe tumour": [("CLOSED_PLANAR", square(3, 4, 9, 4))]})
    dataset = pydicom.dcmread(path)
    del dataset.ReferencedFrameOfReferenceSequence
    dataset.save_as(path)
    assert set(masks_of(convert())) == {"tumour"}
    assert b"Jane" not in b"".join(p.read_bytes() for p in Path(tmp_path / "corpus").rglob("*") if p.is_file())

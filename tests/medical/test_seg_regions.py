"""DICOM segmentations become regions, voxel for voxel as highdicom reads them."""

import json
import pickle
import shutil
from pathlib import Path

import highdicom as hd
import nibabel as nib
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from highdicom.sr import CodedConcept
from pydicom.data import get_testdata_file

from voxtile.corpus.reader import Corpus
from voxtile.engine.run import RunOptions
from voxtile.errors import InputError, RunFailedError
from voxtile.stages.verify.corpus import verify
from voxtile_medical.convert.dicom import convert_dicom
from voxtile_medical.convert.nifti import convert_nifti
from voxtile_medical.orientation import LPS_TO_RAS
from voxtile_medical.phantom.ct.command import write_ct_phantom
from voxtile_medical.segmentations.attach import attach_masks
from voxtile_medical.verdicts import Verdict

FILES = "medical/dicom_seg_sr_highdicom"
SHAPE = (6, 12, 10)
INLINE = RunOptions(engine="inline")
HEADER = {
    "FrameOfReferenceUID": "1.2.826.0.1.3680043.8.498.7",
    "PixelSpacing": [1.5, 1.5],
    "SliceThickness": 2.0,
    "StudyTime": "101112",
    "PatientBirthDate": "19500101",
    "PatientSex": "F",
    "AccessionNumber": "A12345",
    "StudyID": "77",
    "ReferringPhysicianName": "Roe^Richard",
    "InstitutionName": "Northern General",
}
LIVER = CodedConcept("10200004", "SCT", "Liver")
MASS = CodedConcept("4147007", "SCT", "Mass")
ORGAN = CodedConcept("123037004", "SCT", "Anatomical Structure")


def blobs(*boxes, shape=SHAPE):
    """[Z, Y, X, segments] bool."""
    masks = np.zeros((*shape, len(boxes)), bool)
    for number, box in enumerate(boxes):
        masks[(*(slice(*pair) for pair in box), number)] = True
    return masks


LIVER_AND_MASS = blobs(((1, 5), (2, 9), (3, 8)), ((2, 4), (4, 7), (6, 10)))


def segment(number, label, kind=LIVER, **more):
    return hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=label,
        segmented_property_category=ORGAN,
        segmented_property_type=kind,
        algorithm_type="MANUAL",
        **more,
    )


@pytest.fixture
def scan(tmp_path, dicom, noise):
    """A CT series; its slices as datasets in the order of z."""
    paths = dicom.write(tmp_path / "in" / "ct", noise(*SHAPE), **HEADER)
    return [pydicom.dcmread(path) for path in paths]


@pytest.fixture
def write(tmp_path, scan):
    """`write(masks, kind, segments)`: a segmentation of the series beside it."""

    def make(masks, kind, segments, name="in/seg.dcm", sources=None, **more):
        made = hd.seg.Segmentation(
            source_images=sources or scan,
            pixel_array=masks,
            segmentation_type=kind,
            segment_descriptions=segments,
            series_instance_uid=hd.UID(),
            series_number=2,
            sop_instance_uid=hd.UID(),
            instance_number=1,
            manufacturer="m",
            manufacturer_model_name="m",
            software_versions="1",
            device_serial_number="1",
            **more,
        )
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        made.save_as(tmp_path / name)
        return tmp_path / name

    return make


@pytest.fixture
def convert(tmp_path):
    """`convert()`: the corpus of everything below `in`."""

    def run(folder="in", **options):
        convert_dicom(tmp_path / folder, tmp_path / "corpus", engine="inline", **options)
        return Corpus(tmp_path / "corpus")

    return run


def masks_of(corpus):
    return {region["phrase"]: corpus.mask(region) for region in corpus.table("regions").to_pylist()}


def structures(corpus):
    rows = [fact for fact in corpus.table("facts").to_pylist() if fact["concept"] == "structure"]
    return {json.loads(row["attributes"]).get("structure"): row | json.loads(row["attributes"]) for row in rows}


def on_corpus(masks):
    """[Z, Y, X] of axial slices (left, back, up) → the corpus's (right, front, up)."""
    return masks[:, ::-1, ::-1]


def reasons(corpus):
    return sorted(row["reason"] for row in corpus.ledger().to_pylist() if row["reason"])


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP", "FRACTIONAL"])
def test_segments_lie_on_the_voxels_that_they_mark(write, convert, tmp_path, kind):
    masks = LIVER_AND_MASS.copy()
    if kind == "LABELMAP":
        masks[..., 0] &= ~masks[..., 1]
    stored = masks.astype(np.float32) if kind == "FRACTIONAL" else masks.astype(np.uint8)
    write(stored, kind, [segment(1, "Liver"), segment(2, "lesion", MASS)])
    corpus = convert()
    found = masks_of(corpus)
    assert set(found) == {"Liver", "lesion"}
    for number, name in enumerate(("Liver", "lesion")):
        expected = on_corpus(masks[..., number])
        np.testing.assert_array_equal(found[name], expected * 255 if kind == "FRACTIONAL" else expected)
        assert found[name].dtype == (np.uint8 if kind == "FRACTIONAL" else bool)
    known = structures(corpus)
    assert known["Liver"]["code"] == "SCT:10200004"
    assert known["lesion"]["code_meaning"] == "Mass"
    assert known["lesion"]["category"] == ["SCT", "123037004", "Anatomical Structure"]
    [box] = [region["box"] for region in corpus.table("regions").to_pylist() if region["phrase"] == "lesion"]
    where = np.argwhere(on_corpus(masks[..., 1]))
    assert box == [*where.min(axis=0).astype(float), *(where.max(axis=0) + 1).astype(float)]
    assert reasons(corpus) == []
    assert verify(tmp_path / "corpus").problems == []


def test_codes_of_other_ontologies_and_sides_are_kept(write, convert):
    kidney = CodedConcept("7203", "FMA", "Kidney")
    lobe = CodedConcept("RID1302", "RADLEX", "upper lobe of right lung")
    lobe.AnatomicRegionModifierSequence = [CodedConcept("24028007", "SCT", "Right")]
    sided = segment(2, "upper lobe", MASS, anatomic_regions=[lobe])
    write(LIVER_AND_MASS.astype(np.uint8), "BINARY", [segment(1, "Segment 1", kidney), sided])
    known = structures(convert())
    assert known["Kidney"]["code"] == "FMA:7203"  # the label says nothing, so the code's meaning is the phrase
    assert known["right upper lobe"]["anatomic_region"] == ["RADLEX", "RID1302", "upper lobe of right lung"]
    assert known["right upper lobe"]["laterality"] == "right"


def test_shares_keep_their_steps(write, convert):
    shares = np.random.default_rng(0).integers(0, 256, (*SHAPE, 1))
    write((shares / 255).astype(np.float32), "FRACTIONAL", [segment(1, "Liver")])
    corpus = convert()
    np.testing.assert_array_equal(masks_of(corpus)["Liver"], on_corpus(shares[..., 0]))
    assert structures(corpus)["Liver"]["fraction_of"] == 255


def test_another_grid_is_resampled_as_simpleitk_does_and_says_so(write, convert, scan):
    fine = np.random.default_rng(3).integers(0, 2, (5, 13, 11)).astype(np.uint8)
    affine = np.array([[2.1, 0, 0, 1.0], [0, 0, 1.1, 2.0], [0, 1.2, 0, 1.5], [0, 0, 0, 1.0]])  # (z, y, x) → LPS mm
    affine[:3, :3] = [[0, 0, 1.1], [0, 1.2, 0], [2.1, 0, 0]]
    write(hd.Volume(fine, affine, "PATIENT", HEADER["FrameOfReferenceUID"]), "BINARY", [segment(1, "Liver")])
    corpus = convert()
    image, reference = sitk.GetImageFromArray(fine), sitk.GetImageFromArray(np.zeros(SHAPE, np.uint8))
    image.SetSpacing((1.1, 1.2, 2.1))
    image.SetOrigin((1.0, 2.0, 1.5))
    reference.SetSpacing((1.5, 1.5, 2.0))
    expected = sitk.GetArrayFromImage(sitk.Resample(image, reference, sitk.Transform(), sitk.sitkNearestNeighbor, 0))
    assert expected.any()
    np.testing.assert_array_equal(masks_of(corpus)["Liver"], on_corpus(expected) > 0)
    assert structures(corpus)["Liver"]["resampled"] == "nearest"


@pytest.mark.parametrize(
    "orientation",
    [[0, 1, 0, 0, 0, -1], [1, 0, 0, 0, 0, -1], [-1, 0, 0, 0, 1, 0], [0.8, 0.6, 0, -0.6, 0.8, 0]],
    ids=["sagittal", "coronal", "mirrored", "oblique"],
)
def test_planes_of_any_orientation(tmp_path, dicom, noise, write, convert, same_places, orientation):
    normal = np.cross(orientation[:3], orientation[3:])
    shutil.rmtree(tmp_path / "in" / "ct")
    places = [list(np.round(2.0 * k * normal, 6)) for k in range(SHAPE[0])]
    paths = dicom.write(
        tmp_path / "in" / "turned", noise(*SHAPE), places, ImageOrientationPatient=orientation, **HEADER
    )
    masks = LIVER_AND_MASS[..., :1] & (np.random.default_rng(6).random((*SHAPE, 1)) < 0.7)
    write(masks.astype(np.uint8), "BINARY", [segment(1, "Liver")], sources=[pydicom.dcmread(path) for path in paths])
    corpus = convert()
    lps = np.eye(4)
    lps[:3, :3] = np.array([orientation[:3], orientation[3:], normal]).T * [1.5, 1.5, 2.0]
    [region] = corpus.table("regions").to_pylist()
    affine = np.array(corpus.row(region["uid"])["affine"]).reshape(4, 4)
    same_places(corpus.mask(region), affine, masks[..., 0], LPS_TO_RAS @ lps)
    assert "resampled" not in structures(corpus)["Liver"]


def test_a_part_of_the_image_in_any_frame_order_is_copied(write, convert, tmp_path):
    path = write(LIVER_AND_MASS.astype(np.uint8), "BINARY", [segment(1, "Liver"), segment(2, "lesion", MASS)])
    dataset = pydicom.dcmread(path)
    frames = np.unpackbits(np.frombuffer(dataset.PixelData, np.uint8), bitorder="little")
    frames = frames[: int(dataset.NumberOfFrames) * 120].reshape(-1, 120)[::-1]
    dataset.PixelData = np.packbits(frames.reshape(-1), bitorder="little").tobytes()
    dataset.PixelData += b"\0" * (len(dataset.PixelData) % 2)
    groups = list(dataset.PerFrameFunctionalGroupsSequence)[::-1]
    dataset.PerFrameFunctionalGroupsSequence = groups
    dataset.save_as(path)
    corpus = convert()
    np.testing.assert_array_equal(masks_of(corpus)["lesion"], on_corpus(LIVER_AND_MASS[..., 1]))
    assert "resampled" not in structures(corpus)["lesion"]


def test_masks_that_arrive_later_find_their_image_and_are_attached_once(write, convert, tmp_path):
    path = write(LIVER_AND_MASS.astype(np.uint8), "BINARY", [segment(1, "Liver"), segment(2, "l", MASS)], "late/a.dcm")
    corpus, root = convert(), tmp_path / "corpus"
    assert not masks_of(corpus)
    assert attach_masks(root, tmp_path / "late", INLINE).used == 1
    attach_masks(root, tmp_path / "late", INLINE)
    shutil.copy(path, tmp_path / "late" / "copy.dcm")
    attach_masks(root, tmp_path / "late", INLINE)
    assert corpus.table("regions").num_rows == 2
    np.testing.assert_array_equal(masks_of(corpus)["Liver"], on_corpus(LIVER_AND_MASS[..., 0]))
    (tmp_path / "corpus.sources.parquet").rename(tmp_path / "elsewhere.parquet")
    with pytest.raises(InputError, match="key map"):
        attach_masks(root, tmp_path / "late", INLINE)
    attach_masks(root, tmp_path / "late", INLINE, key_file=tmp_path / "elsewhere.parquet")
    with pytest.raises(InputError, match="holds no DICOM SEG"):
        attach_masks(root, tmp_path / "in", INLINE, key_file=tmp_path / "elsewhere.parquet")


def test_a_segmentation_that_was_corrected_under_its_uid_is_named(write, convert, tmp_path, capsys):
    path = write(LIVER_AND_MASS[..., :1].astype(np.uint8), "BINARY", [segment(1, "Liver")], "late/a.dcm")
    corpus, root = convert(), tmp_path / "corpus"
    for _ in range(2):
        assert attach_masks(root, tmp_path / "late", INLINE).reasons["dropped"] == {}
    corrected = pydicom.dcmread(path)
    corrected.PixelData = bytes(len(corrected.PixelData) - 8) + corrected.PixelData[-8:]
    corrected.save_as(path)
    capsys.readouterr()
    for _ in range(2):
        assert attach_masks(root, tmp_path / "late", INLINE).reasons["dropped"] == {"corrected-mask": 1}
        assert "corrected-mask: an earlier run attached another version" in capsys.readouterr().out
    np.testing.assert_array_equal(masks_of(corpus)["Liver"], on_corpus(LIVER_AND_MASS[..., 0]))


def test_segmentations_for_a_corpus_without_dicom_series_are_refused_at_once(write, tmp_path):
    write(LIVER_AND_MASS[..., :1].astype(np.uint8), "BINARY", [segment(1, "Liver")], "late/a.dcm")
    (tmp_path / "nifti").mkdir()
    nib.save(nib.Nifti1Image(np.zeros((4, 5, 6), np.int16), np.eye(4)), tmp_path / "nifti" / "ct.nii.gz")
    convert_nifti(tmp_path / "nifti", tmp_path / "corpus", engine="inline")
    with pytest.raises(InputError, match="convert the images first"):
        attach_masks(tmp_path / "corpus", tmp_path / "late", INLINE)


def test_no_identifier_reaches_the_corpus(write, convert, tmp_path):
    labels = ["Doe_Jane_liver", "Tumour A12345 seen 2020-03-12", "Dr. Roe contour", "Northern General"]
    masks = blobs(*(((1, 4), (n, n + 3), (n, n + 3)) for n in range(4)))
    write(masks.astype(np.uint8), "BINARY", [segment(n + 1, text, MASS) for n, text in enumerate(labels)])
    corpus = convert()
    assert set(masks_of(corpus)) == {"liver", "Tumour seen", "contour", "Mass"}
    written = b"".join(path.read_bytes() for path in (tmp_path / "corpus").rglob("*") if path.is_file())
    text = str([corpus.table(name).to_pylist() for name in ("regions", "facts", "samples")]) + str(
        corpus.ledger().to_pylist()
    )
    for secret in ("Jane", "Doe", "A12345", "Northern", "Roe", "seg.dcm", HEADER["FrameOfReferenceUID"]):
        assert secret not in text
        assert secret.encode() not in written


def test_without_hiding_names_stay(write, convert):
    write(LIVER_AND_MASS[..., :1].astype(np.uint8), "BINARY", [segment(1, "Doe_Jane_liver")])
    assert set(masks_of(convert(deidentify=False))) == {"Doe Jane liver"}


def test_masks_can_be_left_out(write, convert):
    write(LIVER_AND_MASS[..., :1].astype(np.uint8), "BINARY", [segment(1, "Liver")])
    corpus = convert(masks=False)
    assert not masks_of(corpus)
    assert reasons(corpus) == ["not-an-image"]


def shorten(dataset):
    dataset.PixelData = dataset.PixelData[: len(dataset.PixelData) // 2]


def claim_size(dataset):
    dataset.Rows = dataset.Columns = 40000


def claim_frames(dataset):
    dataset.NumberOfFrames = 900


def enlarge(dataset):
    dataset.PixelData = dataset.PixelData + b"\0" * 64


def drop_segments(dataset):
    del dataset.SegmentSequence


def drop_geometry(dataset):
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        del frame.PlanePositionSequence


def another_frame(dataset):
    dataset.FrameOfReferenceUID = "1.2.3.4"


def other_series(dataset):
    dataset.ReferencedSeriesSequence[0].SeriesInstanceUID = "1.2.3.4"


@pytest.mark.cases(3)
@pytest.mark.parametrize(
    ("damage", "reason", "fails"),
    [
        (shorten, "pixel-data-too-short", True),
        (claim_size, "too-large", True),
        (claim_frames, "size-mismatch", True),
        (enlarge, "size-mismatch", True),
        (drop_segments, "unreadable-segmentation", True),
        (drop_geometry, "unreadable-segmentation", True),
        (another_frame, "other-frame-of-reference", False),
        (other_series, "no-series", False),
    ],
)
def test_a_bad_segmentation_is_named_and_harms_nothing_else(write, convert, tmp_path, capsys, damage, reason, fails):
    write(LIVER_AND_MASS[..., :1].astype(np.uint8), "BINARY", [segment(1, "Liver")], "in/good.dcm")
    path = write(LIVER_AND_MASS[..., 1:].astype(np.uint8), "BINARY", [segment(1, "lesion", MASS)], "in/bad.dcm")
    dataset = pydicom.dcmread(path)
    damage(dataset)
    dataset.save_as(path)
    if fails:
        with pytest.raises(RunFailedError, match=reason):
            convert()
    else:
        convert()
    corpus = Corpus(tmp_path / "corpus")
    np.testing.assert_array_equal(masks_of(corpus)["Liver"], on_corpus(LIVER_AND_MASS[..., 0]))
    assert set(masks_of(corpus)) == {"Liver"}
    assert reasons(corpus) == [reason]
    said = " ".join(capsys.readouterr().out.split())
    assert reason in said
    assert verify(tmp_path / "corpus").problems == []


def test_slices_that_are_absent_and_empty_masks_are_named(write, convert, tmp_path, scan, capsys):
    write(LIVER_AND_MASS.astype(np.uint8), "BINARY", [segment(1, "Liver"), segment(2, "lesion", MASS)], "in/a.dcm")
    empty = np.zeros((*SHAPE, 1), np.uint8)
    write(empty, "BINARY", [segment(1, "nothing")], "in/b.dcm", omit_empty_frames=False)
    for path in sorted((tmp_path / "in" / "ct").iterdir())[4:]:  # the liver is on slices 1 to 4, the lesion on 2 and 3
        path.unlink()
    corpus = convert()
    assert set(masks_of(corpus)) == {"lesion"}
    assert reasons(corpus) == ["absent-slices", "empty-mask"]
    assert "convert the whole series" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name",
    [
        "seg_image_ct_binary",
        "seg_image_ct_binary_fractional",
        "seg_image_ct_true_fractional",
        "seg_image_ct_binary_overlap",
    ],
)
def test_segmentations_of_highdicoms_own_series(test_data, tmp_path, name):
    """Three of the four slices of the series stand at equal steps; the fourth is far away."""
    series = Path(get_testdata_file("CT_small.dcm")).parent / "dicomdirtests" / "77654033" / "CT2"
    folder = tmp_path / "in"
    folder.mkdir()
    for slice_name in ("17136", "17166", "17196"):
        shutil.copy(series / slice_name, folder)
    shutil.copy(test_data / FILES / f"{name}.dcm", folder)
    convert_dicom(folder, tmp_path / "corpus", engine="inline")
    corpus = Corpus(tmp_path / "corpus")
    seg = hd.seg.segread(test_data / FILES / f"{name}.dcm")
    uids = [str(pydicom.dcmread(series / n).SOPInstanceUID) for n in ("17136", "17166", "17196")]
    frames = seg.get_pixels_by_source_instance(uids, rescale_fractional=False)
    absent = seg.get_pixels_by_source_instance(
        [str(pydicom.dcmread(series / "17106").SOPInstanceUID)],
        rescale_fractional=False,
        assert_missing_frames_are_empty=True,
    )
    found = masks_of(corpus)
    refused = [number for number in range(frames.shape[3]) if absent[..., number].any()]
    kept = [number for number in range(frames.shape[3]) if number not in refused]
    assert len(found) == len(kept)
    assert reasons(corpus) == ["absent-slices"] * len(refused)
    for number in kept:
        label = seg.SegmentSequence[number].SegmentLabel
        expected = on_corpus(frames[..., number])
        np.testing.assert_array_equal(found[label], expected.astype(found[label].dtype))
    assert all(s["code"] in {"SCT:272673000", "SCT:421060004"} for s in structures(corpus).values())


def test_segmentations_of_one_slice_and_of_a_picture(test_data, tmp_path):
    base = Path(get_testdata_file("CT_small.dcm")).parent
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copy(base / "CT_small.dcm", folder)
    shutil.copytree(base / "dicomdirtests" / "77654033" / "CR1", folder / "CR1")
    for name in (
        "seg_image_ct_binary_single_frame",
        "seg_image_cr_binary",
        "seg_image_sm_dots",
        "seg_image_sm_control_labelmap",
    ):
        shutil.copy(test_data / FILES / f"{name}.dcm", folder)
    convert_dicom(folder, tmp_path / "corpus", engine="inline", min_slices=1)
    corpus = Corpus(tmp_path / "corpus")
    found = {corpus.row(r["uid"])["modality"]: corpus.mask(r) for r in corpus.table("regions").to_pylist()}
    for modality, name in (("CT", "seg_image_ct_binary_single_frame"), ("CR", "seg_image_cr_binary")):
        expected = hd.seg.segread(test_data / FILES / f"{name}.dcm").pixel_array > 0
        np.testing.assert_array_equal(found[modality], on_corpus(expected[None]) if modality == "CT" else expected)
    # Two of slides, which this converter does not read; the note is the radiograph's.
    assert reasons(corpus) == ["no-series", "no-series", "text-not-looked-for"]


def test_the_phantoms_label_map_gives_its_organs_and_findings(tmp_path):
    write_ct_phantom(tmp_path / "phantom", n=1, seed=4)
    convert_dicom(tmp_path / "phantom" / "dicom", tmp_path / "corpus", engine="inline")
    attach_masks(tmp_path / "corpus", tmp_path / "phantom" / "segmentations", INLINE)
    corpus = Corpus(tmp_path / "corpus")
    seg = hd.seg.segread(next((tmp_path / "phantom" / "segmentations").iterdir()))
    volume = seg.get_volume(combine_segments=True)
    labels = volume.to_patient_orientation("HAL").array  # up, front, … as hd names the ends that axes run to
    truth = {str(s.SegmentLabel): int(s.SegmentNumber) for s in seg.SegmentSequence}
    known = structures(corpus)
    assert len(known) == len(np.unique(labels)) - 1
    sizes = {fact["segment"]: fact["voxels"] for fact in known.values()}
    assert sizes == {
        number: int((labels == number).sum()) for number in truth.values() if (labels == number).any() and number
    }
    by_number = {known[phrase]["segment"]: mask for phrase, mask in masks_of(corpus).items()}
    right_front_up = volume.to_patient_orientation("HAR").array
    for number, mask in by_number.items():
        np.testing.assert_array_equal(mask, right_front_up == number)


def test_a_verdict_is_itself_after_the_way_between_processes():
    """pydicom's rtstruct.dcm has no preamble: reading its references gives a verdict, which ended the command."""
    verdict = pickle.loads(pickle.dumps(Verdict("unreadable-header", "its references cannot be parsed")))
    assert (verdict.reason, verdict.detail, str(verdict)) == (
        "unreadable-header",
        *["its references cannot be parsed"] * 2,
    )

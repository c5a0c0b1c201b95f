"""A volume's masks as DICOM SEG: highdicom reads them, and converted again they are the same bits."""

import json
import shutil
from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Mask, Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.errors import ConfigError, CorpusError, InputError
from voxtile.stages.extract import extract_sample
from voxtile_medical.convert.dicom import convert_dicom
from voxtile_medical.orientation import LPS_TO_RAS

SHAPE = (7, 15, 13)
RNG = np.random.default_rng(5)
MASKS = {
    "left kidney": RNG.random(SHAPE) < 0.3,
    "renal mass": RNG.random(SHAPE) < 0.1,
    "lesion share": RNG.integers(0, 256, SHAPE).astype(np.uint8),
}
OBLIQUE = np.array([[1.2, -0.3, 0, -40.0], [0.3, 1.2, 0, 12.5], [0, 0, 2.5, -7.0], [0, 0, 0, 1.0]])
CODES = {"renal mass": ("SCT:309088003", {"code_meaning": "Mass of kidney", "algorithm": "MANUAL"})}


@pytest.fixture
def corpus(tmp_path):
    """One CT volume with two overlapping masks and one of shares."""
    root = tmp_path / "corpus"
    new_corpus(root)
    writer = JobWriter(root, "job-1")
    row = {"uid": "u", "subject": "p7", "kind": "volume", "modality": "CT", "axes": "ZYX", "units": "HU"}
    row |= {"affine": OBLIQUE.reshape(-1).tolist(), "spacing": [2.5, 1.237, 1.237], "study": "st"}
    writer.add(Sample(row, RNG.integers(-1000, 1000, SHAPE).astype(np.int16)))
    for name, mask in MASKS.items():
        region_id = name.replace(" ", "-")
        writer.add_mask(Mask({"region_id": region_id, "uid": "u", "phrase": name, "source": "test@1"}, mask))
        if name in CODES:
            code, attributes = CODES[name]
            fact = {"uid": "u", "concept": "structure", "polarity": "present", "region_id": region_id, "code": code}
            writer.add_rows("facts", [{**fact, "attributes": json.dumps(attributes)}])
    writer.add_mask(Mask({"region_id": "coarse", "uid": "u", "phrase": "coarse"}, np.ones((3, 4, 5), bool)))
    writer.publish()
    return root


def test_masks_come_back_bit_for_bit(corpus, tmp_path):
    extract_sample(corpus, "u", to="dicom", out=tmp_path / "out" / "images")
    extract_sample(corpus, "u", to="dicom-seg", out=tmp_path / "out" / "masks.dcm")
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"images", "masks.dcm", "masks-fractional.dcm"}
    seg = hd.seg.segread(tmp_path / "out" / "masks.dcm")
    volume = seg.get_volume()
    index_to_ras = LPS_TO_RAS @ volume.affine[:, [2, 1, 0, 3]]
    steps = np.linalg.inv(OBLIQUE) @ index_to_ras  # highdicom makes the axes right-handed with z down
    np.testing.assert_allclose(steps[:3, :3], -np.eye(3), atol=1e-6)
    for number, name in enumerate(("left kidney", "renal mass")):
        assert seg.SegmentSequence[number].SegmentLabel == name
        np.testing.assert_array_equal(volume.array[::-1, ::-1, ::-1, number], MASKS[name])
    assert seg.SegmentSequence[1].SegmentedPropertyTypeCodeSequence[0].CodeValue == "309088003"
    shares = hd.seg.segread(tmp_path / "out" / "masks-fractional.dcm")
    found = shares.get_volume(rescale_fractional=False).array[::-1, ::-1, ::-1, 0]
    np.testing.assert_array_equal(found, MASKS["lesion share"])
    images = {str(pydicom.dcmread(p).SOPInstanceUID) for p in (tmp_path / "out" / "images").iterdir()}
    assert {str(uid) for _, _, uid in seg.get_source_image_uids()} == images

    convert_dicom(tmp_path / "out", tmp_path / "again", engine="inline")
    again = Corpus(tmp_path / "again")
    regions = {region["phrase"]: region for region in again.table("regions").to_pylist()}
    assert set(regions) == set(MASKS)
    for name, mask in MASKS.items():
        found = again.mask(regions[name])
        assert found.dtype == mask.dtype
        np.testing.assert_array_equal(found, mask)
    codes = {fact["region_id"]: fact["code"] for fact in again.table("facts").to_pylist() if fact["code"]}
    assert codes[regions["renal mass"]["region_id"]] == "SCT:309088003"


@pytest.mark.parametrize("modality", ["CT", "PET"])
def test_masks_of_the_original_series_refer_to_its_slices(test_data, tmp_path, modality):
    source = test_data / "medical" / "ibsi_sts_008" / "dicom" / modality
    convert_dicom(source, tmp_path / "corpus", engine="inline")
    corpus = Corpus(tmp_path / "corpus")
    [region] = corpus.table("regions").to_pylist()
    extract_sample(tmp_path / "corpus", region["uid"], to="dicom-seg", out=tmp_path / "m.dcm", originals=source)
    seg = hd.seg.segread(tmp_path / "m.dcm")
    slices = sorted(
        (pydicom.dcmread(p) for p in Path(source / "image").iterdir()), key=lambda s: s.ImagePositionPatient[2]
    )
    frames = seg.get_pixels_by_source_instance([str(s.SOPInstanceUID) for s in slices])[..., 0]
    np.testing.assert_array_equal(frames[:, ::-1, ::-1] > 0, corpus.mask(region))
    assert seg.FrameOfReferenceUID == slices[0].FrameOfReferenceUID


def test_what_cannot_be_written_is_said(corpus, tmp_path, test_data):
    other = test_data / "medical" / "ibsi_sts_008" / "dicom" / "MR_T1"
    with pytest.raises(InputError, match="holds 0 series"):
        extract_sample(corpus, "u", to="dicom-seg", out=tmp_path / "a.dcm", originals=other)
    with pytest.raises(ConfigError, match="--originals is for"):
        extract_sample(corpus, "u", to="dicom", out=tmp_path / "b", originals=other)
    convert_dicom(other / "image", tmp_path / "plain", engine="inline")
    uid = Corpus(tmp_path / "plain").table("samples")["uid"][0].as_py()
    with pytest.raises(CorpusError, match="no mask on its own grid"):
        extract_sample(tmp_path / "plain", uid, to="dicom-seg", out=tmp_path / "c.dcm")
    assert not list(tmp_path.glob("*.dcm"))


def test_files_without_identifiers_cannot_be_referred_to(tmp_path, test_data):
    """Real files whose SOP, study and series UIDs were emptied."""
    source = tmp_path / "series"
    source.mkdir()
    for path in sorted((test_data / "medical" / "totalseg_ct_mr_labels" / "example_ct_dicom").iterdir())[:3]:
        shutil.copy(path, source)
    convert_dicom(source, tmp_path / "corpus", engine="inline")
    row = Corpus(tmp_path / "corpus").table("samples").to_pylist()[0]
    writer = JobWriter(tmp_path / "corpus", "mask")
    writer.add_mask(Mask({"region_id": "r", "uid": row["uid"], "phrase": "liver"}, np.ones(row["shape"], bool)))
    writer.publish()
    with pytest.raises(InputError, match="have no SOPClassUID, so that no segmentation can refer to them"):
        extract_sample(tmp_path / "corpus", row["uid"], to="dicom-seg", out=tmp_path / "m.dcm", originals=source)

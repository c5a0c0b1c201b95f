"""NIfTI conversion: header rules against nibabel and SimpleITK, damaged and hostile files, names and label maps."""

from __future__ import annotations

import gzip
import json
import re
import tracemalloc

import nibabel as nib
import numpy as np
import pyarrow.dataset as ds
import pytest
import SimpleITK

from voxtile.corpus.identity import KeyMap
from voxtile.errors import InputError, RunFailedError
from voxtile_datasets.intake.deidentify import PlainNames
from voxtile_datasets.intake.planner import Planner
from voxtile_datasets.intake.splits_file import Splits
from voxtile_medical.convert.nifti import convert_nifti
from voxtile_medical.nifti.files import is_label_name, modality_of, stem_of, study_of, subject_of
from voxtile_medical.nifti.task import NiftiTask

LABELS = ("*seg*", "*label*", "*mask*")
OBLIQUE = np.array([[0, -1.9, 0.3, 10], [1.5, 0, 0, -20], [0, 0.2, 3.0, 30], [0, 0, 0, 1]])


def convert(source, **options):
    """Plan and process in this process; {path: outcome}."""
    names = PlainNames()
    planner = Planner(names, Splits(names, "0.8,0.1,0.1", None))
    task = NiftiTask(
        source, **{"label_patterns": LABELS, "modality": "OT", "deidentify": False, "planner": planner, **options}
    )
    return {item.source: task.process(item) for item in task.items()}


def one(source, **options):
    (outcome,) = convert(source, **options).values()
    assert outcome.status == "used", outcome
    (sample,) = outcome.samples
    return sample


def affine_of(sample):
    return np.array(sample.row["affine"]).reshape(4, 4)


def image(array, affine=OBLIQUE, *, sform=1, qform=0, **fields):
    made = nib.Nifti1Image(array, None)
    made.set_sform(affine if sform else None, sform)
    made.set_qform(affine if qform else None, qform)
    for name, value in fields.items():
        made.header[name] = value
    return made


@pytest.fixture
def volume(noise):
    return noise(5, 6, 7, dtype="int16")  # x, y, z


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", "float64", ">i2", ">f4"])
def test_values_keep_type_and_place(tmp_path, noise, same_places, suffix, dtype):
    array = noise(5, 6, 7, high=200).astype(dtype)
    header = nib.Nifti1Header(endianness=">" if dtype.startswith(">") else "<")
    header.set_data_dtype(array.dtype)
    made = nib.Nifti1Image(array, OBLIQUE, header)
    nib.save(made, tmp_path / f"a{suffix}")
    sample = one(tmp_path)
    assert sample.payload.dtype == np.dtype(dtype).newbyteorder("=")
    same_places(sample.payload, affine_of(sample), array.transpose(2, 1, 0), OBLIQUE)
    loaded = nib.as_closest_canonical(nib.load(tmp_path / f"a{suffix}"))
    np.testing.assert_array_equal(sample.payload.transpose(2, 1, 0), loaded.dataobj)
    np.testing.assert_allclose(affine_of(sample), loaded.affine, atol=1e-5)


def test_nifti_2_is_read(tmp_path, volume):
    nib.save(nib.Nifti2Image(volume, OBLIQUE), tmp_path / "a.nii")
    assert one(tmp_path).payload.size == volume.size


def test_the_sform_comes_before_the_qform(tmp_path, volume):
    other = np.diag([2.0, 2.0, 2.0, 1.0])
    both = image(volume, np.diag([1.0, 1.0, 1.0, 1.0]), sform=2)
    both.set_qform(other, 1)
    nib.save(both, tmp_path / "both.nii")
    nib.save(image(volume, other, sform=0, qform=1), tmp_path / "qform.nii")
    outcomes = convert(tmp_path)
    found = {
        name: (json.loads(o.samples[0].row["attributes"])["affine_from"], o.samples[0].row["spacing"][0])
        for name, o in outcomes.items()
    }
    assert found == {"both.nii": ("sform", 1.0), "qform.nii": ("qform", 2.0)}


@pytest.mark.parametrize(("moved", "is_told"), [(0.0, False), (0.2, False), (5.0, True)])
def test_a_qform_that_says_another_place_is_told(tmp_path, volume, capsys, moved, is_told):
    stored = nib.Nifti1Image(volume, OBLIQUE)
    stored.set_sform(OBLIQUE, 2)
    aside = OBLIQUE.copy()
    aside[0, 3] += moved
    stored.set_qform(aside, 1)
    nib.save(stored, tmp_path / "a_mr.nii")
    convert_nifti(tmp_path, tmp_path / "c", engine="inline")
    assert ("sform-qform-differ: the sform is taken" in " ".join(capsys.readouterr().out.split())) == is_told
    ledger = ds.dataset(tmp_path / "c" / "ledger").to_table().to_pylist()
    assert [row["reason"] for row in ledger].count("sform-qform-differ") == is_told


def test_without_an_orientation_it_is_refused_or_assumed(tmp_path, volume):
    data = bytearray(image(volume).to_bytes())
    data[80:92] = np.array([1.5, 2.0, 2.5], "<f4").tobytes()  # pixdim
    data[252:256] = bytes(4)  # qform_code and sform_code
    (tmp_path / "a.nii").write_bytes(data)
    assert convert(tmp_path)["a.nii"].reason == "no-orientation"
    sample = one(tmp_path, no_affine="assume")
    assert sample.row["spacing"] == [2.5, 2.0, 1.5]
    assert json.loads(sample.row["attributes"])["affine_from"] == "pixdim"


@pytest.mark.parametrize(("unit", "factor"), [(0, 1), (1, 1000), (2, 1), (3, 0.001), (2 + 8, 1)])
def test_header_units_become_millimetres(tmp_path, volume, unit, factor):
    nib.save(image(volume, np.diag([2.0, 3.0, 4.0, 1.0]), xyzt_units=unit), tmp_path / "a.nii")
    np.testing.assert_allclose(one(tmp_path).row["spacing"], np.array([4.0, 3.0, 2.0]) * factor)


@pytest.mark.parametrize(
    ("slope", "intercept", "expected"),
    [(0.5, -10.0, (0.5, -10.0)), (0.0, 5.0, (1.0, 0.0)), (np.nan, np.nan, (1.0, 0.0))],
)
def test_scale_is_kept_beside_the_stored_values(tmp_path, volume, slope, intercept, expected):
    path = tmp_path / "a.nii"
    nib.save(image(volume), path)
    data = bytearray(path.read_bytes())
    data[112:120] = np.array([slope, intercept], "<f4").tobytes()
    path.write_bytes(data)
    sample = one(tmp_path)
    (channel,) = sample.row["channels"]
    assert (channel["scale"], channel["offset"]) == expected
    assert sample.payload.dtype == np.int16
    physical = sample.payload * channel["scale"] + channel["offset"]
    if np.isfinite(intercept):
        np.testing.assert_allclose(physical.transpose(2, 1, 0), nib.as_closest_canonical(nib.load(path)).get_fdata())


@pytest.mark.parametrize(("slope", "intercept"), [(2.0, np.nan), (2.0, np.inf), (np.inf, 0.0)])
def test_half_a_scale_is_refused_as_nibabel_refuses_it(tmp_path, volume, slope, intercept):
    path = tmp_path / "a.nii"
    nib.save(image(volume), path)
    data = bytearray(path.read_bytes())
    data[112:120] = np.array([slope, intercept], "<f4").tobytes()
    path.write_bytes(data)
    assert convert(tmp_path)["a.nii"].reason == "unreadable-value"


def test_a_4d_file_gives_one_sample_a_volume(tmp_path, noise):
    array = noise(4, 5, 6, 3)
    nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / "a.nii.gz")
    (outcome,) = convert(tmp_path).values()
    assert len({sample.row["uid"] for sample in outcome.samples}) == 3
    for number, sample in enumerate(outcome.samples):
        np.testing.assert_array_equal(sample.payload.transpose(2, 1, 0), array[..., number])
        assert json.loads(sample.row["attributes"])["volume"] == number


@pytest.mark.parametrize(
    "name",
    ["nifti_mni152/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz", "totalseg_ct_mr_labels/example_mr_sm.nii.gz"],
)
def test_simpleitk_sees_the_same_value_at_the_same_place(test_data, name):
    path = test_data / "medical" / name
    sample = one(path)
    reference = SimpleITK.ReadImage(str(path))
    inverse = np.linalg.inv(affine_of(sample))
    (channel,) = sample.row["channels"]
    for index in np.random.default_rng(0).integers(0, reference.GetSize(), (200, 3)).tolist():
        left, back, up = reference.TransformIndexToPhysicalPoint(index)
        voxel = inverse @ (-left, -back, up, 1)
        x, y, z = np.round(voxel[:3]).astype(int)
        np.testing.assert_allclose(voxel[:3], (x, y, z), atol=2e-3)
        assert sample.payload[z, y, x] * channel["scale"] + channel["offset"] == pytest.approx(
            reference[index], rel=1e-5
        )


def test_label_maps_are_dropped_by_name_or_intent(tmp_path, volume):
    for name in ("ct_Seg.nii.gz", "LABELS.nii", "brainmask.nii", "image.nii"):
        nib.save(image(volume), tmp_path / name)
    nib.save(image(volume, intent_code=1002), tmp_path / "other.nii")
    reasons = {name: outcome.reason for name, outcome in convert(tmp_path).items()}
    assert reasons == {
        "ct_Seg.nii.gz": "label-map",
        "LABELS.nii": "label-map",
        "brainmask.nii": "label-map",
        "image.nii": None,
        "other.nii": "label-map",
    }
    assert convert(tmp_path, label_patterns=())["LABELS.nii"].status == "used"


def damaged(kind, volume):
    """Bytes of a file that is wrong in one way."""
    data = bytearray(image(volume).to_bytes())
    if kind == "NaN sform":
        data[280:284] = np.array([np.nan], "<f4").tobytes()
    elif kind == "singular sform":
        data[280:296] = data[296:312]
    elif kind == "bad quaternion":
        data[252:256] = np.array([1, 0], "<i2").tobytes()
        data[256:268] = np.array([2, 2, 2], "<f4").tobytes()
    elif kind == "100 GB":
        data[40:48] = np.array([3, 4000, 4000, 3200], "<i2").tobytes()
    elif kind == "5D":
        data[40:56] = np.array([5, 5, 6, 7, 1, 3, 1, 1], "<i2").tobytes()
    elif kind == "negative size":
        data[40:48] = np.array([3, -5, 6, 7], "<i2").tobytes()
    elif kind == "RGB":
        data[70:72] = np.array([128], "<i2").tobytes()
    elif kind == "unknown type":
        data[70:72] = np.array([999], "<i2").tobytes()
    elif kind == "cut":
        data = data[:-5]
    elif kind == "cut in the header":
        data = data[:200]
    elif kind == "text":
        data = bytearray(b"this is not an image " * 40)
    elif kind == "empty":
        data = bytearray()
    return bytes(data)


BAD = [
    ("NaN sform", "invalid-affine"),
    ("singular sform", "invalid-affine"),
    ("bad quaternion", "invalid-affine"),
    ("100 GB", "too-large"),
    ("5D", "unsupported-dimensions"),
    ("negative size", "unsupported-dimensions"),
    ("RGB", "unsupported-datatype"),
    ("unknown type", "unsupported-datatype"),
    ("cut", "truncated"),
    ("cut in the header", "truncated"),
    ("text", "not-nifti-content"),
    ("empty", "empty-file"),
]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("kind", "reason"), BAD)
def test_damaged_files_are_named_and_take_no_memory(tmp_path, volume, kind, reason, packed):
    data = damaged(kind, volume)
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(data) if packed and data else data)
    tracemalloc.start()
    (outcome,) = convert(tmp_path).values()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert outcome.reason == reason
    assert peak < 32 << 20


def test_a_gzip_stream_that_ends_early_or_lies_is_named(tmp_path, volume):
    packed = gzip.compress(image(volume).to_bytes())
    (tmp_path / "cut.nii.gz").write_bytes(packed[:-40])
    wrong = bytearray(packed)
    wrong[len(wrong) // 2] ^= 0xFF
    (tmp_path / "flipped.nii.gz").write_bytes(wrong)
    small = bytearray(image(volume).to_bytes())
    small[40:48] = np.array([3, 1000, 1000, 500], "<i2").tobytes()
    (tmp_path / "claims-1-GB.nii.gz").write_bytes(gzip.compress(bytes(small)))
    assert {name: outcome.reason for name, outcome in convert(tmp_path).items()} == {
        "cut.nii.gz": "truncated",
        "flipped.nii.gz": "truncated",
        "claims-1-GB.nii.gz": "truncated",
    }


def test_the_command_keeps_the_rest_and_hides_names(tmp_path, volume):
    source, corpus = tmp_path / "source", tmp_path / "corpus"
    for subject in ("sub-Jane", "sub-John"):
        folder = source / subject / "ses-1" / "anat"
        folder.mkdir(parents=True)
        header = image(volume, descrip=b"Jane Doe 1950", aux_file=b"Jane")
        nib.save(header, folder / f"{subject}_ses-1_T1w.nii.gz")
    (source / "broken.nii").write_bytes(damaged("NaN sform", volume))
    reports = tmp_path / "reports.csv"
    reports.write_text("study,text\nsub-Jane/ses-1,Brain of sub-Jane on 1/2/2020: normal.\n")
    with pytest.raises(RunFailedError, match="invalid-affine"):
        convert_nifti(source, corpus, reports=reports, engine="inline")
    samples = ds.dataset(corpus / "tables" / "samples").to_table().to_pylist()
    names = KeyMap.for_corpus(corpus)
    assert {row["subject"] for row in samples} == {names.hash("subject", f"sub-{name}") for name in ("Jane", "John")}
    assert {row["modality"] for row in samples} == {"MR"}
    (caption,) = ds.dataset(corpus / "tables" / "captions").to_table().to_pylist()
    assert caption["text"] == "Brain of ___ on ___: normal."
    data = b"".join(path.name.encode() + path.read_bytes() for path in corpus.rglob("*") if path.is_file())
    assert b"Jane" not in data


def body(offset=0):
    """A CT [X, Y, Z] of soft tissue, fat and air in HU."""
    generator = np.random.default_rng(0)
    hu = np.full((40, 40, 20), -1000.0)
    hu[8:32, 8:32] = 40
    hu[8:12, 8:32] = -100
    return (hu + generator.normal(0, 12, hu.shape) + offset).astype(np.int16)


@pytest.mark.parametrize(("offset", "intercept", "shows"), [(0, 0, True), (1024, -1024, True), (1024, 0, False)])
def test_ct_whose_intercept_was_lost_is_not_said_to_be_in_hu(tmp_path, capsys, offset, intercept, shows):
    made = image(body(offset), np.eye(4))
    made.header.set_slope_inter(1, intercept)
    nib.save(made, tmp_path / "a_ct.nii")
    sample = one(tmp_path)
    assert (sample.row["units"], sample.row["channels"][0]["unit"]) == (("HU", "HU") if shows else ("a.u.", "a.u."))
    assert ("RescaleIntercept may be missing" in json.loads(sample.row["attributes"]).get("not_hu", "")) != shows
    assert one(tmp_path, units="HU").row["units"] == "HU"
    convert_nifti(tmp_path, tmp_path / "corpus", engine="inline")
    said = capsys.readouterr().out
    assert ("not-hu: CT whose values do not show" in said) != shows
    rows = ds.dataset(tmp_path / "corpus" / "ledger").to_table()["reason"].to_pylist()
    assert ("not-hu" in rows) != shows


def test_volumes_in_other_formats_are_named(tmp_path, volume, capsys):
    source = tmp_path / "in"
    source.mkdir()
    nib.save(image(volume), source / "a_ct.nii.gz")
    for name in ("b.NRRD", "c.mha", "notes.txt"):
        (source / name).write_text("x")
    convert_nifti(source, tmp_path / "corpus", engine="inline")
    assert f"2 files in '{source}' are of formats that are not read ('b.NRRD', 'c.mha'); convert them" in (
        capsys.readouterr().err
    )


def test_images_of_which_nothing_says_what_they_are_are_counted(tmp_path, volume, capsys):
    source = tmp_path / "in"
    source.mkdir()
    for name in ("CT Thorax.nii.gz", "scan.nii.gz", "a_t1w.nii.gz"):
        nib.save(image(volume), source / name)
    convert_nifti(source, tmp_path / "corpus", engine="inline")
    assert "of 2 files neither the name (case_ct.nii.gz) nor a sidecar" in " ".join(capsys.readouterr().err.split())
    convert_nifti(source, tmp_path / "told", modality="MR", engine="inline")
    assert "nor a sidecar" not in capsys.readouterr().err


@pytest.mark.parametrize(("word", "said"), [("mr", r"'mr' is stored.*did you mean 'MR'\?"), ("MR", "")])
def test_a_modality_that_nothing_knows_is_said_and_stored(tmp_path, volume, capsys, word, said):
    (tmp_path / "in").mkdir()
    nib.save(image(volume), tmp_path / "in" / "scan.nii")
    convert_nifti(tmp_path / "in", tmp_path / "corpus", modality=word, engine="inline")
    notes = [line for line in capsys.readouterr().err.splitlines() if "--modality" in line]
    assert len(notes) == bool(said)
    assert re.search(said, "".join(notes))
    (row,) = ds.dataset(tmp_path / "corpus" / "tables" / "samples").to_table(columns=["modality"]).to_pylist()
    assert row["modality"] == word


def test_a_volume_under_two_names_is_told(tmp_path, volume, capsys):
    source, corpus = tmp_path / "in", tmp_path / "corpus"
    (source / "first").mkdir(parents=True)
    nib.save(image(volume), source / "first" / "a_T1w.nii")
    nib.save(image(volume[::-1]), source / "first" / "b_T1w.nii")
    for move in ("first", "second"):
        capsys.readouterr()
        (source / "first").rename(source / move)
        convert_nifti(source, corpus, deidentify=False, engine="inline")
        said = " ".join(capsys.readouterr().err.split())
        found = "2 volumes are stored under several names, such as 'first/a_T1w.nii' and 'second/a_T1w.nii'"
        assert (found in said) == (move == "second")


def test_an_image_that_was_not_fetched_is_named(tmp_path, volume):
    """git-annex leaves a link to nothing in its place."""
    nib.save(image(volume), tmp_path / "CT_a.nii.gz")
    (tmp_path / "CT_b.nii.gz").symlink_to("annex")
    (tmp_path / "README").symlink_to("annex")
    outcomes = convert(tmp_path)
    assert {name: outcome.reason for name, outcome in outcomes.items()} == {
        "CT_a.nii.gz": None,
        "CT_b.nii.gz": "missing-file",
    }


def test_a_folder_without_nifti_is_one_sentence(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(InputError, match=r"\.nii"):
        convert_nifti(tmp_path, tmp_path / "corpus", engine="inline")


def test_what_names_say():
    path = "ds/sub-01/ses-2/anat/sub-01_ses-2_T2w.nii.gz"
    assert (subject_of(path), study_of(path), modality_of(path)) == ("sub-01", "sub-01/ses-2", "MR")
    assert (subject_of("a/case7.NII"), study_of("a/case7.nii"), stem_of("a/case7.nii.gz")) == (
        "case7",
        "case7",
        "case7",
    )
    assert modality_of("a/case7.nii") is None
    assert is_label_name("x/CT_SEG.nii", LABELS)
    assert not is_label_name("segments/ct.nii", LABELS)

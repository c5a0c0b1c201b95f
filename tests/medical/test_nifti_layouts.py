"""NIfTI as public collections lay it out: subjects, modalities and label maps by folders, through the command."""

import json
import shutil

import nibabel as nib
import numpy as np
import pytest

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile_medical.nifti.layouts import has_channels, read_layout
from voxtile_medical.segmentations.file_names import ImageFiles

TOTALSEG = "medical/totalseg_ct_mr_labels"
STRUCTURES = {1: "spleen", 3: "kidney_left", 5: "liver"}
AFFINE = np.diag([-2.0, 2.0, 3.0, 1.0])


def save(path, array, affine=AFFINE):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, affine), path)


def ct(path, seed=0):
    save(path, np.random.default_rng(seed).integers(-1000, 1000, (9, 8, 7)).astype(np.int16))


def blob(value=1):
    array = np.zeros((9, 8, 7), np.uint8)
    array[2:5, 3:6, 1:4] = value
    return array


def convert(folder, corpus, *words):
    """Exit status and corpus of `voxtile convert nifti`."""
    status = main(["convert", "nifti", str(folder), str(corpus), "--no-deidentify", *words])
    return status, Corpus(corpus)


def regions_of(corpus):
    """Source of the image → phrases of its regions."""
    found = {}
    for region in corpus.table("regions").to_pylist():
        found.setdefault(corpus.row(region["uid"])["source"], set()).add(region["phrase"])
    return found


def test_real_files_as_totalsegmentator_and_nnunet_lay_them_out(test_data, tmp_path):
    source, folder = test_data / TOTALSEG, tmp_path / "in"
    labels = nib.load(source / "example_seg.nii.gz")
    values = np.asarray(labels.dataobj)
    for case in ("s0001", "s0002"):
        (folder / "ts" / case).mkdir(parents=True)
        shutil.copy(source / "example_ct_sm.nii.gz", folder / "ts" / case / "ct.nii.gz")
        for value, name in STRUCTURES.items():
            mask = (values == value).astype(np.uint8)
            save(folder / "ts" / case / "segmentations" / f"{name}.nii.gz", mask, labels.affine)
    for part in ("imagesTr", "labelsTr"):
        (folder / "nnunet" / part).mkdir(parents=True)
    shutil.copy(source / "example_mr_sm.nii.gz", folder / "nnunet/imagesTr/amos_0507_0000.nii.gz")
    shutil.copy(source / "example_seg_mr.nii.gz", folder / "nnunet/labelsTr/amos_0507.nii.gz")
    (folder / "nnunet/dataset.json").write_text(json.dumps({"channel_names": {"0": "MRI"}, "labels": {"liver": 5}}))
    status, corpus = convert(folder, tmp_path / "corpus", "--workers", "2")
    assert status == 0
    rows = {row["source"]: row for row in corpus.table("samples").to_pylist()}
    assert {source: (row["subject"], row["modality"], row["units"]) for source, row in rows.items()} == {
        "ts/s0001/ct.nii.gz": ("s0001", "CT", "HU"),
        "ts/s0002/ct.nii.gz": ("s0002", "CT", "HU"),
        "nnunet/imagesTr/amos_0507_0000.nii.gz": ("amos_0507", "MR", "a.u."),
    }
    phrases = {"spleen", "left kidney", "liver"}
    found = regions_of(corpus)
    assert found["ts/s0001/ct.nii.gz"] == found["ts/s0002/ct.nii.gz"] == phrases
    assert "liver" in found["nnunet/imagesTr/amos_0507_0000.nii.gz"]
    for region in corpus.table("regions").to_pylist():
        if corpus.row(region["uid"])["subject"] == "s0001" and region["phrase"] == "liver":
            assert np.asarray(corpus.mask(region)).sum() == (values == 5).sum()
    assert not [row for row in corpus.ledger().to_pylist() if row["status"] != "used"]


def test_cases_that_end_in_four_digits_are_no_channels(tmp_path):
    """AMOS: the label map of one patient was attached to all that have the same grid, and nobody said so."""
    for number in (1, 4, 7):
        ct(tmp_path / f"in/imagesTr/amos_{number:04d}.nii.gz", number)
        save(tmp_path / f"in/labelsTr/amos_{number:04d}.nii.gz", blob(number))
    save(tmp_path / "in/labelsTr/amos_0009.nii.gz", blob(9))  # its image is not there
    names = {str(number): f"organ {number}" for number in (1, 4, 7, 9)}
    (tmp_path / "in/dataset.json").write_text(json.dumps({"modality": {"0": "CT"}, "labels": names}))
    status, corpus = convert(tmp_path / "in", tmp_path / "corpus", "--engine", "inline")
    assert status == 0
    assert regions_of(corpus) == {f"imagesTr/amos_{n:04d}.nii.gz": {f"organ {n}"} for n in (1, 4, 7)}
    rows = corpus.table("samples").to_pylist()
    assert {(row["subject"], row["modality"]) for row in rows} == {(f"amos_{n:04d}", "CT") for n in (1, 4, 7)}
    assert [row["reason"] for row in corpus.ledger().to_pylist() if row["reason"]] == ["no-image"]


def test_channels_of_a_case_are_one_subject_and_a_case_without_its_image_no_ct(tmp_path):
    for channel in range(2):
        ct(tmp_path / f"in/imagesTr/case_{channel:04d}.nii.gz", channel)
    save(tmp_path / "in/labelsTr/case.nii.gz", blob())
    ct(tmp_path / "in/s0001/ct.nii.gz", 9)
    for case in ("s0001", "s0002"):
        save(tmp_path / f"in/{case}/segmentations/liver.nii.gz", blob())
    status, corpus = convert(tmp_path / "in", tmp_path / "corpus", "--modality", "CT", "--engine", "inline")
    assert status == 0
    subjects = {row["source"]: row["subject"] for row in corpus.table("samples").to_pylist()}
    assert subjects == {
        "imagesTr/case_0000.nii.gz": "case", "imagesTr/case_0001.nii.gz": "case", "s0001/ct.nii.gz": "s0001",
    }  # fmt: skip
    reasons = {row["source"]: row["reason"] for row in corpus.ledger().to_pylist() if row["reason"]}
    assert reasons == {"s0002/segmentations/liver.nii.gz": "no-image"}


@pytest.mark.parametrize(
    ("array", "is_kept"),
    [
        (blob(), False),
        (blob(117).astype(np.int16), False),
        (blob(3).astype(np.float32), False),
        (np.arange(504, dtype=np.uint8).reshape(9, 8, 7), False),  # 8-bit greys: a CT that somebody has windowed
        (np.where(blob() > 0, 3, np.nan).astype(np.float32), False),
        (blob() - 0.5, True),
        (blob().astype(np.int16) - 1, True),
        (blob().astype(np.int16) * 2000 - 1000, True),
        (np.arange(504, dtype=np.int16).reshape(9, 8, 7), True),
        (np.full((9, 8, 7), np.nan, np.float32), True),
    ],
)
def test_a_few_whole_numbers_are_labels_and_never_a_ct(tmp_path, capsys, array, is_kept):
    save(tmp_path / "in/case1.nii.gz", array)
    status, corpus = convert(tmp_path / "in", tmp_path / "corpus", "--modality", "CT", "--engine", "inline")
    assert status == 0
    assert len(corpus.table("samples")) == is_kept
    assert corpus.ledger()["reason"].to_pylist() == [None if is_kept else "looks-like-labels"]
    assert ("name label maps with --label-pattern" in capsys.readouterr().out) is not is_kept


@pytest.mark.parametrize(
    ("path", "subject", "study"),
    [
        ("s0001/ct.nii.gz", "s0001", "s0001"),
        ("BDMAP_00000001/ct.nii.gz", "BDMAP_00000001", "BDMAP_00000001"),
        ("s0001/mri.nii.gz", "s0001", "s0001"),
        ("p7/ct/image.nii.gz", "p7", "p7"),
        ("p7/CT_image.nii.gz", "p7", "p7"),
        ("ct.nii.gz", "in", "in"),
        ("BraTS/BraTS_001/BraTS_001_t1ce.nii.gz", "BraTS_001", "BraTS_001"),
        ("train/train_1/train_1_a/train_1_a_2.nii.gz", "train_1", "train_1_a"),
        ("BraTS-GLI-00000-000/BraTS-GLI-00000-000-t1n.nii.gz", "BraTS-GLI-00000-000", "BraTS-GLI-00000-000"),
        ("BraTS/BraTS_001.nii.gz", "BraTS_001", "BraTS_001"),
        ("liver/liver_3.nii.gz", "liver_3", "liver_3"),
        ("CT/CT_001.nii.gz", "CT_001", "CT_001"),
        ("CT/CT_t1.nii.gz", "in", "in"),
        ("imagesTr/liver_3.nii.gz", "liver_3", "liver_3"),
        ("imagesTs/liver_140.nii.gz", "liver_140", "liver_140"),
        ("sub-01/ses-2/anat/sub-01_ses-2_T1w.nii.gz", "sub-01", "sub-01/ses-2"),
        ("anything/case7.nii.gz", "case7", "case7"),
    ],
)
def test_whose_an_image_is(tmp_path, path, subject, study):
    layout = read_layout(tmp_path / "in", [path, "imagesTr/liver_4.nii.gz", "labelsTr/liver_3.nii.gz"])
    assert (layout.subject_of(path), layout.study_of(path)) == (subject, study)


def test_what_macos_leaves_beside_files_is_passed_over(tmp_path):
    """The archives of the Decathlon hold it."""
    ct(tmp_path / "in/imagesTr/liver_3.nii.gz")
    save(tmp_path / "in/labelsTr/liver_3.nii.gz", blob())
    for folder in ("imagesTr", "labelsTr"):
        (tmp_path / "in" / folder / "._liver_3.nii.gz").write_bytes(b"\0\5\x16\7" + bytes(200))
    (tmp_path / "in/dataset.json").write_text(json.dumps({"modality": {"0": "CT"}, "labels": {"1": "liver"}}))
    status, corpus = convert(tmp_path / "in", tmp_path / "corpus", "--engine", "inline")
    assert status == 0
    assert corpus.ledger()["source"].to_pylist() == ["labelsTr/liver_3.nii.gz", "imagesTr/liver_3.nii.gz"]
    assert regions_of(corpus) == {"imagesTr/liver_3.nii.gz": {"liver"}}


def owners(root, *paths):
    layout = read_layout(root, paths)
    return [(layout.subject_of(path), layout.study_of(path)) for path in paths]


def test_folders_of_the_same_name_in_several_places_are_several_subjects(tmp_path):
    paths = ["h1/001/ct.nii.gz", "h2/001/ct.nii.gz", "h2/001/mr.nii.gz", "h3/ct.nii.gz"]
    assert [subject for subject, _ in owners(tmp_path, *paths)] == ["h1/001", "h2/001", "h2/001", "h3"]


def test_examinations_of_one_patient_are_studies_of_one_subject(tmp_path):
    """Else a patient's first scan would train the model that is tested on the second."""
    paths = [
        "p1/ses1/ct.nii.gz",
        "p1/ses2/ct.nii.gz",
        "p2/ses1/ct.nii.gz",
        "p3/2019-03-31/ct.nii.gz",
        "p3/20200101/ct.nii.gz",
    ]
    assert owners(tmp_path, *paths) == [
        ("p1", "p1/ses1"), ("p1", "p1/ses2"), ("p2", "p2/ses1"), ("p3", "p3/2019-03-31"), ("p3", "p3/20200101"),
    ]  # fmt: skip
    assert owners(tmp_path, "a/p1/visit 2/t1.nii.gz", "b/p1/baseline/t1.nii.gz") == [
        ("a/p1", "a/p1/visit 2"), ("b/p1", "b/p1/baseline"),
    ]  # fmt: skip
    assert owners(tmp_path, "baseline/ct.nii.gz", "data/2019/ct.nii.gz") == [("baseline",) * 2, ("2019",) * 2]


def test_names_that_say_when_are_of_one_subject(tmp_path):
    paths = ["patient1_baseline.nii.gz", "patient1_followup.nii.gz", "p2/ses-a/ct.nii.gz", "p2/ses-b/ct.nii.gz"]
    paths += ["p3_2020-03-31.nii.gz", "p3-visit_2.nii.gz", "sub-1/ses-a/sub-1_ses-a_ct.nii.gz"]
    subjects = [subject for subject, _ in owners(tmp_path, *paths)]
    assert subjects == ["patient1", "patient1", "p2", "p2", "p3", "p3", "sub-1"]
    assert len(set(owners(tmp_path, *paths))) == len(paths), "each is an examination of its own"
    apart = ["lung_baseline.nii.gz", "cohort_2020-03-31.nii.gz", "ct_visit1.nii.gz"]  # no number tells a patient
    assert [subject for subject, _ in owners(tmp_path, *apart)] == [path.split(".")[0] for path in apart]


def test_subjects_that_may_be_one_patient_are_counted(tmp_path):
    def alike(*paths):
        return read_layout(tmp_path, paths).alike(paths)

    assert alike("anna_1.nii.gz", "anna_2.nii.gz", "bert_1.nii.gz") == 2
    assert alike("p1/scan1/ct.nii.gz", "p1/scan2/ct.nii.gz", "p2/scan1/ct.nii.gz") == 2
    assert alike("p1/left_eye.nii.gz", "p1/right_eye.nii.gz", "p2/other.nii.gz") == 2
    assert not alike(*(f"case_{n:03d}.nii.gz" for n in range(4)))
    assert not alike("p1/ses1/ct.nii.gz", "p1/ses2/ct.nii.gz", "p2/ses1/ct.nii.gz")
    assert not alike(*(f"hospital{h}/{n:03d}/ct.nii.gz" for h in range(2) for n in range(40)))
    assert not alike(*(f"{part}/{n:03d}.nii.gz" for part in ("train", "test") for n in range(3)))


def test_a_subject_pattern_keeps_a_patient_in_one_split(tmp_path, capsys):
    for number, name in enumerate(("anna_first", "anna_second", "bert_first")):
        ct(tmp_path / f"in/{name}.nii.gz", number)
    save(tmp_path / "in/seg.nii.gz", blob())
    status, corpus = convert(tmp_path / "in", tmp_path / "plain", "--engine", "inline")
    assert status == 0
    assert len(set(corpus.table("samples")["subject"].to_pylist())) == 3
    said = " ".join(capsys.readouterr().out.split())
    assert "2 subjects have the beginning of their name" in said
    assert "--subject-pattern" in said
    words = ("--engine", "inline", "--subject-pattern", "^([^_/]+)_")
    status, corpus = convert(tmp_path / "in", tmp_path / "told", *words)
    assert status == 0
    assert sorted(corpus.table("samples")["subject"].to_pylist()) == ["anna", "anna", "bert"]
    assert "--subject-pattern" not in capsys.readouterr().out
    assert main(["convert", "nifti", str(tmp_path / "in"), str(tmp_path / "x"), "--subject-pattern", "^(x+)_"]) == 2
    assert "--subject-pattern '^(x+)_' does not match 'anna_first.nii.gz'" in capsys.readouterr().err


def test_a_name_that_stands_in_every_folder_is_nobodys(tmp_path):
    kits = [f"case_{n:05d}/imaging.nii.gz" for n in range(3)]
    assert owners(tmp_path, *kits) == [(f"case_{n:05d}",) * 2 for n in range(3)]
    phases = [f"p{n}/{phase}.nii.gz" for n in range(3) for phase in ("arterial", "venous")]
    assert [subject for subject, _ in owners(tmp_path, *phases)] == ["p0", "p0", "p1", "p1", "p2", "p2"]
    numbered = [f"{part}/{n:03d}.nii.gz" for part in ("train", "test") for n in range(3)]
    assert [subject for subject, _ in owners(tmp_path, *numbered)] == ["000", "001", "002"] * 2
    assert owners(tmp_path, "CT/anna.nii.gz", "MR/anna.nii.gz") == [("anna", "anna")] * 2


def test_what_four_digits_mean():
    assert has_channels(["a_0000", "a_0001", "b_0000", "b_0001"])
    assert not has_channels(["amos_0001", "amos_0004"])
    assert not has_channels(["case_0000", "case_0001"], ["case_0000", "case_0001"])
    assert has_channels(["case_0000", "case_0001"], ["case"])
    assert not has_channels([f"case_{n:04d}" for n in range(100)])
    assert not has_channels(["a_0000", "liver_3"])


def test_folders_of_labels_need_images_beside_them(tmp_path):
    def labels(*paths):
        return read_layout(tmp_path, paths).labels

    assert labels("a/ct.nii.gz", "a/segmentations/liver.nii.gz") == {"a/segmentations/liver.nii.gz"}
    assert labels("images/1.nii.gz", "labels/1.nii.gz") == {"labels/1.nii.gz"}
    assert labels("imagesTs/1.nii.gz", "labelsTr/2.nii.gz") == {"labelsTr/2.nii.gz"}
    assert labels("seg/sub-01_T1w.nii.gz", "other/2.nii.gz") == set()


def test_a_label_map_without_its_own_image_finds_no_other():
    files = ImageFiles(["imagesTr/amos_0001.nii.gz", "imagesTr/amos_0004.nii.gz"])
    assert files.of("labelsTr/amos_0001.nii.gz").named == ("imagesTr/amos_0001.nii.gz",)
    assert files.of("labelsTr/amos_0009.nii.gz").named == ()


def splits_of(root, *paths, more=()):
    for path in paths:
        ct(root / path)
    status, corpus = convert(root, root.parent / "corpus", "--engine", "inline", *more)
    split = {row["subject"]: row["split"] for row in corpus.table("splits").to_pylist()}
    return status, {row["source"]: split[row["subject"]] for row in corpus.table("samples").to_pylist()}


def test_folders_that_are_named_after_splits_are_followed(tmp_path):
    """Else a model is trained on the test set of the collection."""
    training, test = [f"imagesTr/liver_{n}.nii.gz" for n in range(6)], [f"imagesTs/liver_{n}.nii.gz" for n in (7, 8)]
    _, found = splits_of(tmp_path / "in", *training, *test, more=("--split-fractions", "0.4,0.2,0.4"))
    assert {found[path] for path in training} == {"train", "val"}
    assert {found[path] for path in test} == {"test"}


def test_a_table_of_splits_goes_before_folders(tmp_path):
    (tmp_path / "splits.csv").write_text("subject,split\na,val\n")
    _, found = splits_of(
        tmp_path / "in",
        *("train/a.nii.gz", "train/b.nii.gz", "valid/c.nii.gz"),
        more=("--splits", str(tmp_path / "splits.csv")),
    )
    assert found == {"train/a.nii.gz": "val", "train/b.nii.gz": "train", "valid/c.nii.gz": "val"}


def test_a_subject_in_folders_of_two_splits_is_refused(tmp_path, capsys):
    for path in ("train/p1_a.nii.gz", "test/p1_b.nii.gz"):
        ct(tmp_path / "in" / path)
    command = ["convert", "nifti", str(tmp_path / "in"), str(tmp_path / "corpus"), "--subject-pattern", r"p\d+"]
    assert main(command) == 2
    assert "give each subject one split with --splits" in capsys.readouterr().err

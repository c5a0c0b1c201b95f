"""Recipes of data sets of volumes on small invented copies of their layouts, with the faults that real ones have."""

import csv
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from tests.support.volume_sets import CT_RATE_LABELS, VOLUME_LAYOUTS, ct_rate, hu, save

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.corpus.splits import split_of
from voxtile.errors import ConfigError
from voxtile_medical.recipes.volumes.volume_set import SETS, load_volume_set


def build(name, root, corpus, *words):
    """Exit status of `voxtile build` in this process, and the corpus."""
    status = main(["build", name, str(root), str(corpus), "--engine", "inline", *words])
    return status, Corpus(corpus)


def reasons(corpus):
    """Reason → how many rows of the ledger were dropped or failed for it."""
    return Counter(row["reason"] for row in corpus.ledger().to_pylist() if row["status"] != "used")


def samples(corpus):
    """Source's name without folders and suffix → row of the sample."""
    return {row["source"].rpartition("/")[2].split(".")[0]: row for row in corpus.table("samples").to_pylist()}


def splits(corpus):
    """Subject → split."""
    return {row["subject"]: row["split"] for row in corpus.table("splits").to_pylist()}


def physical(corpus, row):
    """[z, y, x] values of a sample."""
    (channel,) = row["channels"]
    return np.asarray(corpus.source(row).array(), np.float64) * channel["scale"] + channel["offset"]


def edit(path, change):
    """Rewrite the rows of a CSV file, the header among them."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(change(rows))


@pytest.mark.parametrize("path", sorted(SETS.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_set_says_its_licence_access_and_layout(path):
    held = load_volume_set(path.stem)
    assert held.name == path.stem
    assert held.licence
    assert held.access
    assert all(source.address.startswith("https://") and source.says for source in held.layout)
    assert set(held.splits.values()) <= {"train", "val", "test"}
    assert path.stem in VOLUME_LAYOUTS


def test_ct_rate_geometry_and_scale_are_those_of_the_table_where_headers_are_blank(tmp_path):
    ct_rate(tmp_path / "in")
    status, corpus = build("ct-rate", tmp_path / "in", tmp_path / "corpus")
    assert status == 0
    row = samples(corpus)["train_1_a_1"]
    assert (row["subject"], row["study"], row["modality"], row["units"]) == ("train_1", "train_1_a", "CT", "HU")
    # DICOM says the first voxel lies at (-100, -90, -300) LPS, columns run left and rows back.
    stored = hu("train_1_a_1")
    affine = np.array(row["affine"]).reshape(4, 4)
    place = np.linalg.inv(affine) @ np.array([100 - 0.7 * 4, 90 - 0.7 * 3, -300 + 1.5 * 2, 1.0])
    x, y, z = np.rint(place[:3]).astype(int)
    assert np.allclose(place[:3], (x, y, z))
    values = physical(corpus, row)
    assert values[z, y, x] == stored[4, 3, 2]
    assert sorted(values.ravel()) == sorted(stored.ravel())
    assert row["spacing"] == pytest.approx([1.5, 0.7, 0.7])
    assert json.loads(row["attributes"])["affine_from"] == "table"


def test_ct_rate_of_the_second_release_is_not_scaled_again(tmp_path):
    ct_rate(tmp_path / "in", release=2)
    status, corpus = build("ct-rate", tmp_path / "in", tmp_path / "corpus")
    assert status == 0
    row = samples(corpus)["train_1_a_1"]
    assert sorted(physical(corpus, row).ravel()) == sorted(hu("train_1_a_1").ravel())
    assert row["spacing"] == pytest.approx([1.5, 0.7, 0.7])


def test_ct_rate_values_that_are_scaled_twice_are_refused(tmp_path):
    ct_rate(tmp_path / "in")
    path = tmp_path / "in/dataset/train/train_2/train_2_a/train_2_a_1.nii.gz"
    save(path, hu("train_2_a_1"), np.eye(4))  # in HU already, under a blank header
    status, corpus = build("ct-rate", tmp_path / "in", tmp_path / "corpus")
    assert status == 0
    assert reasons(corpus) == {"not-in-hu": 1}
    assert "train_2_a_1" not in samples(corpus)


def test_ct_rate_a_blank_header_without_a_row_of_the_metadata_is_refused(tmp_path):
    ct_rate(tmp_path / "in")
    edit(tmp_path / "in/dataset/metadata/train_metadata.csv", lambda rows: [rows[0], *rows[2:]])
    edit(
        tmp_path / "in/dataset/metadata/validation_metadata.csv",
        lambda rows: [rows[0], [*rows[1][:4], "nan", *rows[1][5:]]],
    )
    status, corpus = build("ct-rate", tmp_path / "in", tmp_path / "corpus")
    assert status == 1
    assert reasons(corpus) == {"no-geometry-row": 1, "unreadable-value": 1}


def test_ct_rate_reports_labels_and_splits(tmp_path):
    ct_rate(tmp_path / "in", ("train_1_a_1", "train_1_a_2", "train_1_b_1", "train_2_a_1", "valid_1_a_1"))
    reports = tmp_path / "in/dataset/radiology_text_reports/train_reports.csv"
    edit(reports, lambda rows: [*rows[:-1], [*rows[-1][:3], "Not given.", "Normal."]])
    status, corpus = build("ct-rate", tmp_path / "in", tmp_path / "corpus")
    assert status == 0
    found = samples(corpus)
    texts = {row["uid"]: row["text"] for row in corpus.table("captions").to_pylist()}
    assert texts[found["train_1_a_1"]["uid"]] == "Findings: There is a nodule in train_1_a_1.\nImpression: Lung nodule."
    assert texts[found["train_2_a_1"]["uid"]] == "Impression: Normal."
    facts = [f for f in corpus.table("facts").to_pylist() if f["uid"] == found["valid_1_a_1"]["uid"]]
    labels = {f["concept"]: f["polarity"] for f in facts if f["source"] == "ct-rate@1"}
    assert labels == {"Emphysema": "present", "Lung nodule": "present"}
    scopes = {s["uid"]: s for s in corpus.table("scopes").to_pylist()}
    assert scopes[found["valid_1_a_1"]["uid"]]["closed"]
    assert set(scopes[found["valid_1_a_1"]["uid"]]["concepts"]) == set(CT_RATE_LABELS)
    apart = {s: split_of(s, {"train": 0.95, "val": 0.05}, salt="ct-rate") for s in ("train_1", "train_2")}
    assert splits(corpus) == {**apart, "valid_1": "test"}
    assert {row["licence"] for row in found.values()} == {"CC BY-NC-SA 4.0"}


def test_ct_rate_labels_without_a_value_are_unknown_and_not_absent(tmp_path):
    ct_rate(tmp_path / "in")
    path = tmp_path / "in/dataset/multi_abnormality_labels/valid_predicted_labels.csv"
    edit(path, lambda rows: [rows[0], [*rows[1][:-1], ""]])
    _, corpus = build("ct-rate", tmp_path / "in", tmp_path / "corpus")
    (scope,) = [s for s in corpus.table("scopes").to_pylist() if s["uid"] == samples(corpus)["valid_1_a_1"]["uid"]]
    assert set(scope["concepts"]) == set(CT_RATE_LABELS[:-1])


def test_what_is_named_twice_missing_or_contradicted_is_in_the_ledger(tmp_path, capsys):
    root = tmp_path / "in"
    ct_rate(root, ("train_1_a_1", "train_2_a_1", "train_3_a_1", "train_4_a_1", "valid_1_a_1"))
    ct_rate(root, ("train_5_a_1",), release=2)  # overwrites the tables
    ct_rate(root, ("train_1_a_1", "train_2_a_1", "train_3_a_1", "train_4_a_1", "valid_1_a_1"))
    volumes = root / "dataset/train"
    save(root / "dataset/train_fixed/train_1_a_1.nii.gz", hu("train_1_a_1"))  # the second release of one volume
    (volumes / "train_2/train_2_a/train_2_a_1.nii.gz").unlink()
    (volumes / "train_3/train_3_a/train_3_a_1.nii.gz").write_text("version https://git-lfs.github.com/spec/v1\n")
    (volumes / "train_1/train_1_a/._train_1_a_1.nii.gz").write_bytes(b"\0")
    reports = root / "dataset/radiology_text_reports/train_reports.csv"
    torn = ["train_4_a_1.nii.gz", "", "", "No nodule.", "Normal."]
    edit(reports, lambda rows: [*rows, rows[1], torn, ["", "", "", "Nobody's.", ""]])
    status, corpus = build("ct-rate", root, tmp_path / "corpus")
    assert status == 0
    ledger = {row["source"]: row["reason"] for row in corpus.ledger().to_pylist() if row["status"] != "used"}
    assert ledger == {
        "dataset/train/train_1/train_1_a/train_1_a_1.nii.gz": "duplicate-volume",
        "train_2_a_1": "missing-file",
        "dataset/train/train_3/train_3_a/train_3_a_1.nii.gz": "missing-file",
        "dataset/radiology_text_reports/train_reports.csv row 4 (train_4_a_1)": "conflicting-rows",
        "dataset/radiology_text_reports/train_reports.csv row 7": "no-name",
    }
    found = samples(corpus)
    # The volume that no table names is read; of the one of which two rows differ, the report is not.
    assert set(found) == {"train_1_a_1", "train_4_a_1", "train_5_a_1", "valid_1_a_1"}
    captioned = {row["uid"] for row in corpus.table("captions").to_pylist()}
    assert captioned == {found["train_1_a_1"]["uid"], found["valid_1_a_1"]["uid"]}
    said = capsys.readouterr().err
    assert "1 rows of reports say again" in said


def test_a_table_of_another_release_is_refused_in_one_sentence(tmp_path, capsys):
    ct_rate(tmp_path / "in")
    path = tmp_path / "in/dataset/metadata/train_metadata.csv"
    edit(path, lambda rows: [["VolumeName", "Slope", *rows[0][2:]], *rows[1:]])
    assert main(["build", "ct-rate", str(tmp_path / "in"), str(tmp_path / "corpus"), "--engine", "inline"]) == 2
    said = capsys.readouterr().err
    assert "'dataset/metadata/train_metadata.csv' has no column 'RescaleSlope', which CT-RATE" in said
    assert "unexpected" not in said


def test_reports_of_other_volumes_are_refused(tmp_path, capsys):
    ct_rate(tmp_path / "in")
    for path in (tmp_path / "in/dataset/radiology_text_reports").iterdir():
        edit(path, lambda rows: [rows[0], *([f"scan_{row[0]}", *row[1:]] for row in rows[1:])])
    assert main(["build", "ct-rate", str(tmp_path / "in"), str(tmp_path / "corpus"), "--engine", "inline"]) == 2
    assert "of the same release" in capsys.readouterr().err


def phrases(corpus, row):
    """Phrase → number of voxels of the masks of a sample."""
    found = [region for region in corpus.table("regions").to_pylist() if region["uid"] == row["uid"]]
    return {region["phrase"]: int((np.asarray(corpus.mask(region)) > 0).sum()) for region in found}


def described(row):
    """What the attributes say of a series."""
    return json.loads(row["attributes"]).get("described_as")


def built(name, tmp_path, *words):
    """The corpus of a small copy."""
    VOLUME_LAYOUTS[name][0](tmp_path / "in")
    status, corpus = build(name, tmp_path / "in", tmp_path / "corpus", *words)
    assert status == 0
    return corpus


def test_totalsegmentator_structures_and_official_splits(tmp_path):
    corpus = built("totalsegmentator", tmp_path)
    assert splits(corpus) == {"s0000": "train", "s0001": "train", "s0002": "val", "s0003": "test"}
    for row in corpus.table("samples").to_pylist():
        assert phrases(corpus, row) == {"liver": 24, "left kidney": 24}


def test_a_subject_in_two_official_splits_stays_where_it_is_not_trained_on(tmp_path, capsys):
    root = tmp_path / "in"
    VOLUME_LAYOUTS["totalsegmentator"][0](root)
    with (root / "meta.csv").open("a") as file:
        file.write("s0000;60;m;A;ct abdomen;test\ns0042;60;m;A;ct abdomen;train\n")
    status, corpus = build("totalsegmentator", root, tmp_path / "corpus")
    assert status == 0
    assert splits(corpus)["s0000"] == "test"
    ledger = {row["source"]: row["reason"] for row in corpus.ledger().to_pylist() if row["status"] != "used"}
    assert ledger == {"s0000": "in-two-splits", "s0042": "missing-file"}
    assert "'s0042'" in capsys.readouterr().err


def test_msd_channels_masks_and_what_macos_left(tmp_path):
    corpus = built("msd", tmp_path)
    rows = corpus.table("samples").to_pylist()
    four = [row for row in rows if row["subject"] == "BRATS_001"]
    assert sorted(described(row) for row in four) == [["flair"], ["t1"], ["t1", "contrast"], ["t2"]]
    assert all(phrases(corpus, row) == {"enhancing tumor": 24} for row in four)
    (pancreas,) = [row for row in rows if row["subject"] == "pancreas_001"]
    assert (pancreas["modality"], phrases(corpus, pancreas)) == ("CT", {"pancreas": 23, "pancreatic tumor": 1})
    assert splits(corpus)["pancreas_002"] == "test"
    assert not reasons(corpus)


def test_rad_chestct_arrays_lie_as_their_makers_stacked_them(tmp_path):
    corpus = built("rad-chestct", tmp_path)
    row = samples(corpus)["trn00003"]
    stored = hu("trn00003")  # [x, y, z]: to the left, to the back, down
    values = physical(corpus, row)  # [z, y, x]: up, to the front, to the right
    assert np.array_equal(values, stored.transpose(2, 1, 0)[::-1, ::-1, ::-1])
    assert row["spacing"] == pytest.approx([0.8] * 3)
    affine = np.array(row["affine"]).reshape(4, 4)
    assert np.allclose(affine[:3, :3], np.diag([0.8] * 3))


def test_rad_chestct_labels_say_where_and_patients_keep_together(tmp_path, capsys):
    corpus = built("rad-chestct", tmp_path)
    assert "its licence forbids to share what is made of it, models among it" in capsys.readouterr().err
    found = samples(corpus)
    assert {name: row["subject"] for name, row in found.items()} == {
        "trn00001": "p1", "trn00002": "p1", "trn00003": "ptrn00003", "val00001": "pval00001", "tst00001": "ptst00001",
    }  # fmt: skip
    assert splits(corpus) == {"p1": "train", "ptrn00003": "train", "pval00001": "val", "ptst00001": "test"}
    (fact,) = [f for f in corpus.table("facts").to_pylist() if f["uid"] == found["tst00001"]["uid"]]
    assert (fact["concept"], fact["polarity"]) == ("nodule", "present")
    assert json.loads(fact["attributes"]) == {"stated_locations": ["left lung"]}
    assert {len(scope["concepts"]) for scope in corpus.table("scopes").to_pylist()} == {84}


def test_a_patient_whose_scans_are_in_two_official_splits_is_not_trained_on(tmp_path, capsys):
    root = tmp_path / "in"
    VOLUME_LAYOUTS["rad-chestct"][0](root)
    edit(
        root / "CT_Scan_Metadata_Complete_35747.csv",
        lambda rows: [[r[0], r[1].replace("ptst00001", "p1")] for r in rows],
    )
    status, corpus = build("rad-chestct", root, tmp_path / "corpus")
    assert status == 0
    assert set(samples(corpus)) == {"trn00003", "val00001", "tst00001"}
    assert splits(corpus)["p1"] == "test"
    assert reasons(corpus) == {"subject-in-two-splits": 2}
    assert "1 subjects in two splits ('p1')" in capsys.readouterr().err


def test_an_array_of_something_else_is_a_row_of_the_ledger(tmp_path):
    root = tmp_path / "in"
    VOLUME_LAYOUTS["rad-chestct"][0](root)
    np.savez_compressed(root / "trn00001.npz", other=np.zeros((2, 2, 2), np.int16))
    np.savez_compressed(root / "trn00002.npz", ct=np.zeros((2, 2), np.int16))
    (root / "val00001.npz").write_bytes((root / "val00001.npz").read_bytes()[:200])
    status, corpus = build("rad-chestct", root, tmp_path / "corpus")
    assert status == 1
    assert reasons(corpus) == {"unsupported-dimensions": 2, "truncated": 1}


def test_merlin_labels_that_were_not_mentioned_are_unknown(tmp_path):
    corpus = built("merlin", tmp_path)
    assert splits(corpus) == {"AC4213cb1": "train", "AC4213cb2": "val", "AC4213cb3": "test"}
    assert {tuple(sorted(scope["concepts"])) for scope in corpus.table("scopes").to_pylist()} == {
        ("ascites", "renal cyst")
    }
    facts = Counter((fact["concept"], fact["polarity"]) for fact in corpus.table("facts").to_pylist())
    assert facts == {("renal cyst", "present"): 3}
    texts = {row["text"] for row in corpus.table("captions").to_pylist()}
    assert "Liver: A cyst in AC4213cb1. IMPRESSION: Hepatic cyst." in texts


def test_inspect_tables_are_joined_by_impression(tmp_path, capsys):
    corpus = built("inspect", tmp_path)
    found = samples(corpus)
    assert {name: (row["subject"], row["study"]) for name, row in found.items()} == {
        "PE452a1": ("11", "101"), "PE452a2": ("11", "102"), "PE452a3": ("12", "103"), "PE452a4": ("13", "104"),
    }  # fmt: skip
    assert splits(corpus) == {"11": "train", "12": "val", "13": "test"}
    texts = {row["uid"]: row["text"] for row in corpus.table("captions").to_pylist()}
    assert texts[found["PE452a3"]["uid"]] == "Impression: 1. Embolism 103."
    scopes = {tuple(scope["concepts"]) for scope in corpus.table("scopes").to_pylist()}
    assert scopes == {("pulmonary embolism", "death within a month")}
    assert "1 rows of splits say again" in capsys.readouterr().err


def test_amos_modalities_by_number(tmp_path):
    corpus = built("amos", tmp_path)
    found = samples(corpus)
    assert {name: row["modality"] for name, row in found.items()} == {
        "amos_0001": "CT", "amos_0008": "CT", "amos_0022": "CT", "amos_0507": "MR", "amos_5001": "CT",
    }  # fmt: skip
    assert splits(corpus) == {
        "amos_0001": "train", "amos_0507": "train", "amos_5001": "train", "amos_0008": "val", "amos_0022": "test",
    }  # fmt: skip
    assert phrases(corpus, found["amos_0507"]) == {"liver": 24}
    assert phrases(corpus, found["amos_0022"]) == {}


def test_kits_masks_have_names_and_half_a_download_is_no_case(tmp_path):
    corpus = built("kits", tmp_path, "--split-fractions", "1,0,0")
    rows = {row["subject"]: row for row in corpus.table("samples").to_pylist()}
    assert set(rows) == {"case_00000", "case_00001", "case_00002"}
    assert phrases(corpus, rows["case_00000"]) == {"kidney": 23, "kidney cyst": 1}
    assert set(splits(corpus).values()) == {"train"}


def test_brats_the_number_4_depends_on_the_year(tmp_path):
    corpus = built("brats", tmp_path)
    rows = corpus.table("samples").to_pylist()
    assert Counter(row["subject"] for row in rows) == {"BraTS2021_00000": 4, "BraTS-GLI-02062": 8}
    assert {row["study"] for row in rows} == {"BraTS2021_00000", "BraTS-GLI-02062-100", "BraTS-GLI-02062-101"}
    for row in rows:
        part = "enhancing tumor" if row["subject"] == "BraTS2021_00000" else "resection cavity"
        assert phrases(corpus, row) == {part: 24}
    (contrast,) = [row for row in rows if row["source"].endswith("BraTS-GLI-02062-101-t1c.nii.gz")]
    assert described(contrast) == ["t1", "contrast"]


def test_every_volume_of_a_download_is_read_or_in_the_ledger(tmp_path, capfd):
    root = tmp_path / "in"
    VOLUME_LAYOUTS["totalsegmentator"][0](root)
    vertebra = root / "s0001/segmentations/vertebrae_L1.nii.gz"
    vertebra.write_bytes((root / "s0001/segmentations/liver.nii.gz").read_bytes())
    (root / "s0001/ct_original.nii.gz").write_bytes((root / "s0001/ct.nii.gz").read_bytes())
    status, corpus = build("totalsegmentator", root, tmp_path / "corpus")
    assert status == 0
    (row,) = [row for row in corpus.table("samples").to_pylist() if row["subject"] == "s0001"]
    assert set(phrases(corpus, row)) == {"liver", "left kidney", "vertebrae L1"}
    (left,) = [row for row in corpus.ledger().to_pylist() if row["status"] != "used"]
    assert (left["source"], left["reason"]) == ("s0001/ct_original.nii.gz", "not-of-the-set")
    assert "ct_original.nii.gz" in capfd.readouterr().err


def test_brats_numbers_of_children_are_given_no_names(tmp_path):
    root = tmp_path / "in"
    VOLUME_LAYOUTS["brats"][0](root)
    for path in sorted(root.glob("BraTS-GLI-02062-100/*")):
        child = root / "BraTS-PED-00002-000" / path.name.replace("GLI-02062-100", "PED-00002-000")
        child.parent.mkdir(exist_ok=True)
        path.rename(child)
    _, corpus = build("brats", root, tmp_path / "corpus")
    children = [row for row in corpus.table("samples").to_pylist() if row["subject"] == "BraTS-PED-00002"]
    assert [phrases(corpus, row) for row in children] == [{}] * 4
    assert reasons(corpus) == {"not-of-the-set": 1}


def test_autopet_reads_the_pet_once_and_marks_lesions_on_it(tmp_path):
    corpus = built("autopet", tmp_path)
    rows = corpus.table("samples").to_pylist()
    assert Counter((row["modality"], row["units"]) for row in rows) == {("PT", "SUVbw"): 3, ("CT", "HU"): 3}
    assert not [row for row in rows if row["source"].endswith(("CTres.nii.gz", "PET.nii.gz"))]
    for row in rows:
        assert phrases(corpus, row) == ({"tumor lesion": 24} if row["modality"] == "PT" else {})
    assert {row["subject"] for row in rows} == {"PETCT_0011f3deaf", "fdg_0123abcd", "psma_aa00bb11"}


def test_abdomenatlas_reports_are_not_of_people(tmp_path):
    root = tmp_path / "in"
    VOLUME_LAYOUTS["abdomenatlas3"][0](root)
    edit(root / "data/TrainTestIDS/IID_train.csv", lambda rows: [*rows, ["BDMAP_00000003"]])
    status, corpus = build("abdomenatlas3", root, tmp_path / "corpus")
    assert status == 0
    assert splits(corpus)["BDMAP_00000003"] == "test"
    assert reasons(corpus) == {"in-two-splits": 1}
    kinds = Counter((row["kind"], row["provider"]) for row in corpus.table("captions").to_pylist())
    assert kinds == {("template", "abdomenatlas3"): 3, ("vlm", "abdomenatlas3"): 3}
    for row in corpus.table("samples").to_pylist():
        assert phrases(corpus, row) == {"liver": 24, "liver lesion": 24}


def test_a_second_run_adds_what_has_arrived_and_nothing_else(tmp_path):
    root = tmp_path / "in"
    VOLUME_LAYOUTS["totalsegmentator"][0](root)
    late = root / "s0003"
    late.rename(tmp_path / "late")
    assert build("totalsegmentator", root, tmp_path / "corpus")[0] == 0
    (tmp_path / "late").rename(late)
    status, corpus = build("totalsegmentator", root, tmp_path / "corpus")
    assert status == 0
    assert len(corpus.table("samples")) == 4
    assert len(corpus.table("regions")) == 8


def lidc(corpus, patient=1):
    """(z, y, x) indices of the nodule's voxels in RAS order, and the attributes of its fact."""
    (row,) = [row for row in corpus.table("samples").to_pylist() if row["subject"] == f"LIDC-IDRI-{patient:04d}"]
    (region,) = [region for region in corpus.table("regions").to_pylist() if region["uid"] == row["uid"]]
    (fact,) = [fact for fact in corpus.table("facts").to_pylist() if fact["region_id"] == region["region_id"]]
    return row, region, json.loads(fact["attributes"]), np.argwhere(np.asarray(corpus.mask(region)))


def test_lidc_nodules_are_what_readers_enclose_where_half_of_them_agree(tmp_path):
    corpus = built("lidc-idri", tmp_path)
    row, region, attributes, places = lidc(corpus)
    # One reader drew 5 × 5 pixels inside a square on two slices, with a hole of 2 × 2 in the upper one; the other the
    # same square a pixel further on the lower slice alone. Squares themselves are just outside.
    first = {(1, y, x) for y in range(11, 16) for x in range(11, 16)}
    hole = {(2, y, x) for y in (12, 13) for x in (12, 13)}
    drawn = first | {(1, y, x) for y in range(12, 17) for x in range(12, 17)} | {(2, y, x) for _, y, x in first} - hole
    lps = {(-10 + 0.5 * x, -20 + 0.7 * y, -300 + 2.0 * z) for z, y, x in drawn}
    affine = np.array(row["affine"]).reshape(4, 4)
    ras = [affine @ [*place[::-1], 1.0] for place in places]
    assert {tuple(np.round([-x, -y, z], 6)) for x, y, z, _ in ras} == {tuple(np.round(p, 6)) for p in lps}
    assert region["phrase"] == "pulmonary nodule"
    assert (attributes["readers"], attributes["marked_by"]) == (4, 2)
    assert attributes["readings"] == [
        {"reader": 1, "name": "N0", "malignancy": 5}, {"reader": 2, "name": "N0", "malignancy": 3},
    ]  # fmt: skip
    assert reasons(corpus) == {"point-contour": 2, "not-dicom": 2}


def test_lidc_what_is_no_reading_of_its_series_is_in_the_ledger(tmp_path):
    root = tmp_path / "in"
    VOLUME_LAYOUTS["lidc-idri"][0](root)
    first, second = sorted(root.rglob("069.xml"))
    text = first.read_text()
    second.write_text("<IdriReadMessage xmlns='http://www.nih.gov'/>")
    (first.parent / "070.xml").write_text(text.replace("<edgeMap>", "<edgeMap", 1))
    (first.parent / "071.xml").write_text(text.replace(".1.1</Series", ".1.9</Series"))
    (first.parent / "072.xml").write_text(text.replace("-298.0", "-298.9"))
    (first.parent / "073.xml").write_text(text.replace("-298.0", "-398.0"))
    (second.parent / "074.xml").write_text(text)
    (root / "tcia-lidc-xml").mkdir()
    (root / "tcia-lidc-xml/075.xml").write_text(text)
    status, corpus = build("lidc-idri", root, tmp_path / "corpus")
    assert status == 1  # one is damaged
    found = {(row["source"].rpartition("/")[2], row["reason"]) for row in corpus.ledger().to_pylist()}
    assert {
        ("069.xml", "not-ct-reading"), ("070.xml", "unreadable-contours"), ("071.xml", "no-series"),
        ("072.xml", "other-series"), ("073.xml", "absent-slices"), ("074.xml", "other-series"),
        ("075.xml", "no-series"),
    } <= found  # fmt: skip
    assert len(corpus.table("regions")) == 1  # of the first patient's 069.xml, which is as it was


@pytest.mark.parametrize("fault", ["role: reprots", "unknown: 1", "of: {}"])
def test_a_set_that_says_what_nothing_reads_is_refused(tmp_path, monkeypatch, fault):
    text = (
        (SETS / "ct-rate.yaml")
        .read_text()
        .replace("  - role: reports", f"  - {fault}" if "role" in fault else "  - role: reports")
    )
    (tmp_path / "ct-rate.yaml").write_text(text if "role" in fault else f"{text}{fault}\n")
    monkeypatch.setattr("voxtile_medical.recipes.volumes.volume_set.SETS", tmp_path)
    with pytest.raises(ConfigError, match=r"ct-rate\.yaml"):
        load_volume_set("ct-rate")


PAGE = Path(__file__).parents[2] / "docs" / "medical-data-sets.md"


def sources_table():
    """Each set with its licence, access and where its layout is documented, as the page has it."""
    lines = ["| set | licence and access | layout documented at | not verified |", "|---|---|---|---|"]
    for path in sorted(SETS.glob("*.yaml")):
        held = load_volume_set(path.stem)
        places = [f"<{s.address}>" + (f" at {s.commit[:8]}" if s.commit else "") for s in held.layout]
        terms = f"{held.licence}; {held.access}"
        lines.append(f"| `{held.name}` | {terms} | {'; '.join(places)} | {held.unverified or 'nothing'} |")
    return "\n".join(lines)


def counted_table(folder):
    """What becomes of a small copy of each set, of which one image is missing and one cut off, as the page has it."""
    lines = [
        "| set | read | not read | samples | masks | texts | train/val/test subjects |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, (write, *_) in sorted(VOLUME_LAYOUTS.items()):
        root = folder / name
        write(root)
        paths = next(filter(None, (sorted(root.rglob(f"*.{ending}")) for ending in ("npz", "nii.gz", "dcm"))))
        masks = re.compile(r"seg|labels|/\.", re.IGNORECASE)
        images = [path for path in paths if not masks.search(f"/{path.relative_to(root).as_posix()}")]
        images[-1].write_bytes(images[-1].read_bytes()[:100])
        images[0].unlink()
        status, corpus = build(name, root, folder / f"{name}-corpus")
        assert status == 1  # for the image that is cut off
        ledger = [row["source"] for row in corpus.ledger().to_pylist() if row["status"] == "used"]
        left = ", ".join(f"{reason} {count}" for reason, count in sorted(reasons(corpus).items()))
        read = len(
            [source for source in ledger if source in {r["source"] for r in corpus.table("samples").to_pylist()}]
        )
        counts = [len(corpus.table(table)) for table in ("samples", "regions", "captions")]
        held = Counter(splits(corpus).values())
        shares = "/".join(str(held[split]) for split in ("train", "val", "test"))
        lines.append(f"| `{name}` | {read} | {left} | {' | '.join(map(str, counts))} | {shares} |")
    return "\n".join(lines)


def test_the_page_says_what_the_sets_say():
    assert sources_table() in PAGE.read_text()


def test_the_page_says_what_becomes_of_small_copies(tmp_path):
    assert counted_table(tmp_path) in PAGE.read_text()

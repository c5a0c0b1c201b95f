"""Recipes of data sets of volumes on small invented copies of their layouts, with the faults that real ones have."""

import csv
import json
from collections import Counter

import numpy as np
import pytest
from tests.support.volume_sets import CT_RATE_LABELS, VOLUME_LAYOUTS, ct_rate, hu, save

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.corpus.splits import split_of
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

"""Data lists as MONAI and the Decathlon write them: images, label maps and splits, through the command."""

import json

import nibabel as nib
import numpy as np
import pytest

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus

AFFINE = np.diag([-2.0, 2.0, 3.0, 1.0])


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, AFFINE), path)


def image(path, seed):
    save(path, np.random.default_rng(seed).integers(-1000, 1000, (9, 8, 7)).astype(np.int16))


@pytest.fixture
def folder(tmp_path):
    """Images, and label maps whose names do not say of what; one image that no list names."""
    source = tmp_path / "in"
    for number, name in enumerate(["a", "mask_of_b", "c", "d", "unlisted"]):
        image(source / "volumes" / f"{name}.nii.gz", number)
    for number in range(2):
        labels = np.zeros((9, 8, 7), np.uint8)
        labels[2 : 5 + number, 3:6, 1:4] = 1
        save(source / "readings" / f"{number}.nii.gz", labels)
    return source


def convert(folder, content, *words):
    """Exit status of the conversion of a list, and source → split of what is stored."""
    path = folder.parent / "list.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    corpus = folder.parent / "corpus"
    options = ("--no-deidentify", "--engine", "inline", "--datalist", str(path), *words)
    status = main(["convert", "nifti", str(folder), str(corpus), *options])
    if not corpus.exists():
        return status, {}
    splits = {row["subject"]: row["split"] for row in Corpus(corpus).table("splits").to_pylist()}
    rows = Corpus(corpus).table("samples").to_pylist()
    return status, {row["source"]: splits[row["subject"]] for row in rows}


def test_a_list_of_the_decathlon_gives_images_masks_splits_modality_and_names(folder, capsys):
    content = {
        "numTraining": 2,
        "modality": {"0": "CT"},
        "labels": {"0": "background", "1": "spleen"},
        "training": [
            {"image": "./volumes/a.nii.gz", "label": "./readings/1.nii.gz"},
            {"image": str(folder / "volumes/mask_of_b.nii.gz"), "label": ["readings/0.nii.gz"], "box": [1, 2]},
        ],
        "validation": [{"image": "volumes/c.nii.gz", "label": 1}],
        "test": ["./volumes/d.nii.gz"],
    }

    status, splits = convert(folder, content)

    assert status == 0
    assert splits == {
        "volumes/a.nii.gz": "train",
        "volumes/mask_of_b.nii.gz": "train",
        "volumes/c.nii.gz": "val",
        "volumes/d.nii.gz": "test",
    }
    corpus = Corpus(folder.parent / "corpus")
    assert {row["modality"] for row in corpus.table("samples").to_pylist()} == {"CT"}
    sizes = {
        corpus.row(region["uid"])["source"]: (region["phrase"], np.subtract(*np.reshape(region["box"], (2, 3))[::-1]))
        for region in corpus.table("regions").to_pylist()
    }
    assert {source: (phrase, sorted(size)) for source, (phrase, size) in sizes.items()} == {
        "volumes/a.nii.gz": ("spleen", [3, 3, 4]),
        "volumes/mask_of_b.nii.gz": ("spleen", [3, 3, 3]),
    }
    said = capsys.readouterr().err
    assert "labels of 1 entries are no files" in said
    assert "which is not read: box (1)" in said


def test_a_fold_is_the_validation_and_images_of_an_entry_are_one_subject(folder, capsys):
    content = {
        "modality": {"0": "T1", "1": "CT"},
        "training": [
            {"image": ["volumes/a.nii.gz", "volumes/c.nii.gz"], "fold": 0},
            {"image": ["volumes/d.nii.gz"], "fold": 1},
        ],
    }

    assert convert(folder, content, "--fold", "0", "--units", "HU")[1] == {
        "volumes/a.nii.gz": "val",
        "volumes/c.nii.gz": "val",
        "volumes/d.nii.gz": "train",
    }
    rows = {row["source"]: row for row in Corpus(folder.parent / "corpus").table("samples").to_pylist()}
    assert {rows[f"volumes/{name}.nii.gz"]["subject"] for name in "ac"} == {"a"}
    assert [rows[f"volumes/{name}.nii.gz"]["modality"] for name in "acd"] == ["MR", "CT", "OT"]
    assert "left aside" not in capsys.readouterr().err


def test_without_a_fold_folds_are_left_aside_which_is_said(folder, capsys):
    content = {"training": [{"image": "volumes/a.nii.gz", "fold": 0}, {"image": "volumes/c.nii.gz", "fold": 3}]}

    _, splits = convert(folder, content, "--split-fractions", "0,0.5,0.5")

    assert set(splits.values()) == {"val"}
    assert "has the folds 0, 3, which are left aside: --fold N" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_named(folder, capsys):
    status, splits = convert(folder, {"training": ["volumes/a.nii.gz", "volumes/gone.nii.gz"]})

    assert status == 1
    assert set(splits) == {"volumes/a.nii.gz"}
    assert "volumes/gone.nii.gz: the data list names it, and no file of it is there" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "words", "sentence"),
    [
        ("{", (), "cannot be read"),
        ("[1]", (), "holds no object with training, validation or test"),
        ({"training": []}, (), "lists no image under training, validation or test"),
        ({"training": [{"label": "x.nii.gz"}]}, (), "entry 1 of training names no image"),
        ({"training": [{"image": [1]}]}, (), "entry 1 of training names no image"),
        ({"training": ["a.png"]}, (), "'a.png', which is no NIfTI"),
        ({"training": ["x/a.nii.gz"]}, (), "none of the 1 files"),
        ({"training": [{"image": "volumes/a.nii.gz", "fold": 2}]}, ("--fold", "1"), "it has the folds 2"),
        ({"training": ["volumes/a.nii.gz"]}, ("--fold", "1"), "it has no folds"),
        ({"training": ["volumes/a.nii.gz"], "test": ["volumes/a.nii.gz"]}, (), "into two splits"),
    ],
)
def test_a_list_that_cannot_be_followed_is_refused(folder, capsys, content, words, sentence):
    assert convert(folder, content, *words)[0] == 2
    assert sentence in capsys.readouterr().err
    assert not (folder.parent / "corpus" / "shards").exists()


def test_a_list_as_the_source_and_a_fold_of_none_say_where_they_belong(folder, capsys):
    (folder / "list.json").write_text("{}")

    assert main(["convert", "nifti", str(folder / "list.json"), str(folder.parent / "corpus")]) == 2
    assert main(["convert", "nifti", str(folder), str(folder.parent / "corpus"), "--fold", "0"]) == 2

    said = capsys.readouterr().err
    assert "as SOURCE, and the list as --datalist" in said
    assert "--fold is of a data list" in said

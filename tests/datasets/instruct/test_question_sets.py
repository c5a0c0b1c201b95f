"""Sets of questions and conversations in their owners' layouts, built by the command."""

import json
import os
import pickle

import pytest
from tests.support.question_sets import TALK_LAYOUTS, dump, geochat, path_vqa, picture, slake

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.stages.verify.corpus import verify

OPTIONS = "What is it?\nA) granuloma\nB) gland\nC) necrosis"
EXPECTED = {
    "vqa-rad": [
        ("presence", "train", "Is there a mass?", "Yes", "yes", "test"),  # of a picture that the test part asks about
        ("place", "test", "Where is it?", "left lobe", "left lobe", "test"),
        ("question", "train", "What is seen?", "A fracture", "a fracture", "train"),
        ("count", "train", "How many ribs?", "12", "12", "train"),
    ],
    "slake": [
        ("place", "train", "Where is the liver?", "Right", "right", "train"),
        ("presence", "val", "Is this normal?", "No", "no", "val"),
        ("count", "test", "How many kidneys?", "2", "2", "test"),
    ],
    "path-vqa": [
        ("question", part, "What is shown?", "adenocarcinoma", "adenocarcinoma", part)
        for part in ("train", "val", "test")
    ],
    "rsvqa": [
        row for part in ("train", "val", "test") for row in (
            ("presence", part, "Is a road there?", "yes", "yes", part),
            ("question", part, "More roads than fields?", "no", "no", part),
        )
    ],
    "llava-med": [("conversation", "train", "What is shown?", "Of the chest.", None, "train")],
    "geochat": [
        ("question", "train", "Describe it.", "There is a ship at the pier.", "there is a ship at the pier", "train"),
    ],
    "conversations": [("question", "train", "What?", "A nevus.", "a nevus", "train")],
    "path-mmu": [
        ("choice", "val", OPTIONS, "A) granuloma", "a) granuloma", "val"),
        ("choice", "test", OPTIONS, "B) gland", "b) gland", "test"),
        ("choice", "test", OPTIONS, "C) necrosis", "c) necrosis", "test"),
    ],
    "gmai-vl": [
        ("question", "train", "What is it?", "A kidney.", "a kidney", "train"),
        ("presence", "train", "What is it?", "no", "no", "train"),
    ],
    "medmax": [
        ("question", "train", "What is shown?", "A liver.", "a liver", "train"),
        ("conversation", "train", "Is it large?", "20 cm", None, "train"),
        ("presence", "val", "Is it a cyst?", "No.", "no", "val"),
    ],
}  # fmt: skip


def build(name, folder, *options):
    return main(["build", name, str(folder / "raw"), str(folder / "corpus"), "--engine", "inline", *options])


@pytest.mark.parametrize("name", TALK_LAYOUTS)
def test_every_question_is_a_dialogue_of_its_picture_in_its_part(tmp_path, name):
    TALK_LAYOUTS[name][0](tmp_path / "raw")
    assert build(name, tmp_path) == 0
    corpus = Corpus(tmp_path / "corpus")
    splits, subjects = corpus.splits(), {r["uid"]: r["subject"] for r in corpus.table("samples").to_pylist()}
    talks = {}
    for row in sorted(corpus.table("dialogues").to_pylist(), key=lambda row: row["turn"]):
        talks.setdefault(row["dialogue_id"], []).append(row)
    found = [
        (t[0]["kind"], t[0]["provider"].removeprefix(f"{name}/"), t[0]["text"], t[-1]["text"], t[-1]["answer"],
         splits[subjects[t[0]["uids"][0]]])
        for t in talks.values()
    ]  # fmt: skip
    assert sorted(found, key=str) == sorted(EXPECTED[name], key=str)
    assert verify(tmp_path / "corpus").problems == []


def test_boxes_become_regions_in_pixels(tmp_path):
    slake(tmp_path / "s" / "raw")
    geochat(tmp_path / "g" / "raw")
    assert build("slake", tmp_path / "s") == 0
    (liver,) = Corpus(tmp_path / "s/corpus").table("regions").to_pylist()
    assert (liver["phrase"], liver["box"]) == ("Liver", [2.0, 4.0, 8.0, 14.0])  # top, left, bottom, right
    modalities = {row["modality"] for row in Corpus(tmp_path / "s/corpus").table("samples").to_pylist()}
    assert modalities == {"MR", "DX", "CT"}
    assert build("geochat", tmp_path / "g") == 0
    corpus = Corpus(tmp_path / "g/corpus")
    (ship,) = corpus.table("regions").to_pylist()
    assert (ship["phrase"], ship["box"], ship["angle"]) == ("a ship", [4.0, 4.0, 8.0, 20.0], -30.0)  # of 20 × 40 pixels
    told = {row["role"]: row["region_ids"] for row in corpus.table("dialogues").to_pylist()}
    assert told == {"user": None, "assistant": [ship["region_id"]]}


def test_rows_that_are_not_read_are_counted_and_modalities_are_those_of_the_paths(tmp_path, capsys):
    said = {
        "path-mmu": "left out of PathMMU: rows with an answer that is none of its options (1)",
        "gmai-vl": "left out of GMAI-VL-5.5M: rows with Chinese text (1), with several pictures (1)",
        "medmax": "left out of MedMax: rows with a picture that needs credentials (1), with an answer that is a "
        "picture (1)",
    }
    for name, sentence in said.items():
        TALK_LAYOUTS[name][0](tmp_path / name / "raw")
        assert build(name, tmp_path / name) == 0
        assert sentence in " ".join(capsys.readouterr().err.split())
    rows = Corpus(tmp_path / "gmai-vl/corpus").table("samples").to_pylist()
    assert sorted(row["modality"] for row in rows) == ["CT", "OT"]
    (tmp_path / "path-mmu/raw/data.json").write_text('{"PubMed": {"holdout": [{"options": [], "answer": "A"}]}}')
    assert build("path-mmu", tmp_path / "path-mmu", "--dry-run") == 2
    assert "is not laid out as PathMMU" in " ".join(capsys.readouterr().err.split())


def test_a_pickle_that_would_run_something_is_refused(tmp_path, capsys):
    path_vqa(tmp_path / "raw")

    class Hostile:  # names a function that no library of this process replaces, as Ray does `print`
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "run"),)

    (tmp_path / "raw/qas/val/val_qa.pkl").write_bytes(pickle.dumps([Hostile()]))
    assert build("path-vqa", tmp_path) == 2
    assert f"is no plain pickled list (it names {os.name}.mkdir)" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", TALK_LAYOUTS)
def test_a_folder_of_something_else_is_one_sentence(tmp_path, capsys, name):
    (tmp_path / "raw").mkdir()
    assert build(name, tmp_path) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "raw' has no" in said
    assert not (tmp_path / "corpus").exists()


def test_pictures_outside_the_folder_are_not_read(tmp_path, capsys):
    geochat(tmp_path / "raw")
    picture(tmp_path / "secret.png", form="PNG")
    turns = [{"from": "human", "value": "What?"}, {"from": "gpt", "value": "This."}]
    rows = json.loads((tmp_path / "raw/GeoChat_Instruct.json").read_text())
    dump(tmp_path / "raw/GeoChat_Instruct.json", [*rows, {"image": "../secret.png", "conversations": turns}])
    assert build("geochat", tmp_path) == 0
    assert len(Corpus(tmp_path / "corpus").table("samples")) == 1
    assert "missing-file" in capsys.readouterr().out

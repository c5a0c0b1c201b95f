"""The engine of `voxtile build`: jobs keep their ids, so that a corpus that was begun by an older voxtile goes on."""

import json
from dataclasses import dataclass

import numpy as np
import pytest

from voxtile.engine.plan import TaskIdentity, plan_jobs
from voxtile.engine.task import Item, Part
from voxtile.errors import InputError
from voxtile.stages.ingest.picture import PictureError
from voxtile_datasets.recipes.build import RecipeTask
from voxtile_datasets.recipes.medmnist import MedMnistRows, data_set
from voxtile_datasets.recipes.npz import read_headers
from voxtile_datasets.recipes.recipe import DataSet, MissingFileError, Recipe, Record
from voxtile_pathology.recipes.class_folders import BREAKHIS
from voxtile_pathology.recipes.labelled import MHIST
from voxtile_pathology.recipes.picture_files import PictureFiles
from voxtile_pathology.recipes.segmented import DIGEST_PATH
from voxtile_remote_sensing.recipes.captioned_pictures import RSICD_DATASET
from voxtile_remote_sensing.recipes.scene_classes import AID_DATASET
from voxtile_remote_sensing.recipes.scene_files import SceneFiles

LISTS = "voxtile_pathology.recipes"
SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}


def files(*names):
    def write(root):
        for name in names:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(f"bytes of {name}".encode())

    return write


def captioned(root):
    files("RSICD_images/airport_1.jpg")(root)  # the second is missing
    images = [{"filename": f"airport_{i}.jpg", "split": "test", "sentences": [{"raw": "an airport ."}]} for i in (1, 2)]
    (root / "dataset_rsicd.json").write_text(json.dumps({"images": images, "dataset": "rsicd"}))


def voted(root):
    files("images/a.png")(root)
    head = "Image Name,Majority Vote Label,Number of Annotators who Selected SSA (Out of 7),Partition"
    (root / "annotations.csv").write_text(f"{head}\na.png,SSA,6,train\nb.png,HP,1,test\n")


NEG, POS = "tissue-train-neg/1_2-3_2018-05-24 21_50_30", "tissue-train-pos-v1/2_2-3_2018-05-24 21_50_30"
# What writes a layout, the recipe, its shares, and the ids of its jobs when each domain had an engine of its own.
BEFORE = {
    "aid": (
        files("AID/Beach/beach_1.jpg", "AID/Farmland/farmland_2.jpg"), SceneFiles(AID_DATASET), SHARES,
        ["c79a793a6b30189f", "ba97f437fae74476"],
    ),
    "rsicd": (captioned, SceneFiles(RSICD_DATASET), SHARES, ["cbc77ac823407f18", "0abd5dc824b94582"]),
    "digestpath": (
        files(f"{NEG}.jpg", f"{POS}.jpg", f"{POS}_mask.jpg"),
        PictureFiles(DIGEST_PATH, f"{LISTS}.segmented:list_digestpath"),
        {"train": 0.7, "val": 0.1, "test": 0.2}, ["25d2806418dc2e0d", "7becf8aecdee4082"],
    ),
    "breakhis": (
        files("benign/40X/SOB_B_A-14-22549AB-40-001.png"),
        PictureFiles(BREAKHIS, f"{LISTS}.class_folders:list_breakhis"),
        {"train": 0.6, "val": 0.1, "test": 0.3}, ["6d9195bf7a212bfc"],
    ),
    "mhist": (
        voted, PictureFiles(MHIST, f"{LISTS}.labelled:list_mhist"), {"train": 1.0, "val": 0.0, "test": 0.0},
        ["1eee2d1da7d226ea", "3464872b3b6e576e"],
    ),
}  # fmt: skip


def ids(task):
    jobs = plan_jobs(TaskIdentity.of(task), list(task.items()), job_cost=1, job_items=1)
    return [job.id[:16] for job in jobs]


@pytest.mark.parametrize("name", BEFORE)
def test_jobs_of_files_have_the_ids_that_they_had(tmp_path, name):
    write, recipe, shares, known = BEFORE[name]
    write(tmp_path)
    assert ids(RecipeTask(str(tmp_path), recipe, shares)) == known


def test_jobs_of_medmnist_have_the_ids_that_they_had(tmp_path):
    path, arrays = tmp_path / "pneumoniamnist.npz", {}
    for split in ("train", "val", "test"):
        arrays |= {f"{split}_images": np.zeros((3, 28, 28), np.uint8)}
        arrays |= {f"{split}_labels": np.array([[0], [1], [0]], np.uint8)}
    np.savez(path, **arrays)
    recipe = MedMnistRows(data_set("pneumoniamnist"), "pneumoniamnist", read_headers(path))
    known = ["8e1dadd51433ddfa", "c24cfe797c5a308b", "900edf0a0b41084a"]
    assert ids(RecipeTask(str(path), recipe, None)) == known


TOLD = DataSet(name="told", title="Told", source="here", licence="CC0-1.0")


@dataclass(frozen=True)
class Told(Recipe):
    """Yields what it was given, and raises what is an error."""

    found: tuple[object, ...]
    data: DataSet = TOLD

    @property
    def vocabularies(self):
        return {"animals": ("cat", "dog")}

    def config(self):
        return {}

    def items(self, root):
        yield Item("told/1", {})

    def records(self, root, item):
        for one in self.found:
            if isinstance(one, Exception):
                raise one
            yield one


def record(uid, **known):
    return Record(uid, "s1", "told/1", b"\xff\xd8", {"kind": "image"}, **known)


def outcome(*found):
    task = RecipeTask(".", Told(found), {"train": 1.0, "val": 0.0, "test": 0.0})
    return task.process(Item("told/1", {}))


def test_what_is_known_of_a_record_becomes_rows():
    found = outcome(
        record("a", labels={"animals": ("cat",), "open": ("tree",)}, texts=("A cat.", ""), attributes={"n": 1}),
        record("b", split="test"),
    )
    assert found.status == "used"
    assert (found.detail, found.parts) == (None, ()), "an empty caption loses nothing"
    first = found.samples[0].row
    assert (first["licence"], first["source"], first["attributes"]) == ("CC0-1.0", "told/1", '{"n": 1}')
    assert [(f["concept"], f["source"]) for f in found.tables["facts"]] == [("cat", "told@1"), ("tree", "told@1")]
    assert found.tables["scopes"] == [
        {"uid": "a", "vocabulary": "animals", "closed": True, "concepts": ["cat", "dog"]}
    ], "of a vocabulary that is not listed nothing is known to be absent"
    assert [c["text"] for c in found.tables["captions"]] == ["A cat."]
    assert len(found.tables["splits"]) == 1, "one row a subject"


def test_a_missing_file_is_dropped_and_a_damaged_one_fails_by_its_reason():
    assert (outcome(MissingFileError("not there")).status, outcome(MissingFileError("x")).reason) == (
        "dropped",
        "missing-file",
    )
    assert outcome(PictureError("bit-depth", "12 bits")).reason == "bit-depth"
    with pytest.raises(InputError, match="odd label"):
        outcome(InputError("odd label"))


def test_an_item_of_which_no_part_can_be_read_failed():
    part = Part("a", "failed", "unreadable-patch", "cut short")
    assert outcome(part).reason == "unreadable-patch"
    found = outcome(part, record("b"))
    assert (found.status, found.parts, len(found.samples)) == ("used", (part,), 1)

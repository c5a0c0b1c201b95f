"""Answers that point and questions that mark: trained, resumed, asked by the commands, on voxels of the scan itself."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml

from voxtile.assist import Assistant
from voxtile.assist.regions import GroundedAnswering
from voxtile.assist.speaking.speaker import Speaker
from voxtile.assist.writing import Answer
from voxtile.cli.main import lightning_main, main
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Mask, Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.data.regions.runs import mask_of_runs
from voxtile.grounding.sliding_windows import ground_sample
from voxtile.inference.load import load_model
from voxtile.training.checkpoint import read_checkpoint

GROUNDING = {
    "class_path": "voxtile.objectives.Grounding",
    "init_args": {"width": 16, "fine_width": 16, "product": 4, "points": 64, "words": False},
}
ANSWERING = {
    "class_path": "voxtile.assist.GroundedAnswering",
    "init_args": {
        "scratch": {"vocabulary": 300, "width": 16, "depth": 1, "heads": 2, "context": 400},
        "connector": {"kind": "none", "pooled": 2, "hidden": 16},
        "grounding": GROUNDING,
        "asking": 16,
    },
}
AFFINE = np.array([[-2.0, 0, 0, 30], [0, 3.0, 0, -20], [0, 0, 2.5, 5], [0, 0, 0, 1]])  # x runs to the left
SHAPE = (11, 9, 14)  # x, y, z


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Four volumes with a nodule each, a question where it is, and one what is marked."""
    root = tmp_path_factory.mktemp("pointing") / "corpus"
    new_corpus(root)
    writer, rng = JobWriter(root, "made"), np.random.default_rng(0)
    for number in range(4):
        uid = f"{number:032x}"
        row = {"uid": uid, "subject": f"p{number}", "study": uid, "kind": "volume", "modality": "CT", "axes": "ZYX",
               "units": "HU", "spacing": [2.0, 2.0, 2.0],
               "affine": np.diag([2.0, 2.0, 2.0, 1.0]).ravel().tolist()}  # fmt: skip
        writer.add(Sample(row, rng.integers(-200, 200, (8, 8, 8)).astype(np.int16)))
        writer.add_rows("splits", [{"scheme": "default", "subject": row["subject"], "split": "train"}])
        mask = np.zeros((8, 8, 8), bool)
        mask[2:5, 2:4, 3 + number % 2 : 6] = True
        box = [2.0, 2.0, 3.0 + number % 2, 5.0, 4.0, 6.0]
        writer.add_mask(Mask({"region_id": f"r{number}", "uid": uid, "phrase": "nodule", "box": box}, mask))
        talks = {
            "where": [("Where is the nodule?", None), ("Here is the nodule.", [f"r{number}"])],
            "what": [("What is in the marked region?", [f"r{number}"]), ("A nodule.", None)],
        }
        for name, turns in talks.items():
            about = {"dialogue_id": f"{name}{number}", "uids": [uid], "kind": name}
            rows = [
                {
                    **about,
                    "turn": n,
                    "role": ("user", "assistant")[n],
                    "text": text,
                    "region_ids": regions,
                    "answer": "nodule" if n else None,
                }
                for n, (text, regions) in enumerate(turns)
            ]
            writer.add_rows("dialogues", rows)
        writer.add_rows("captions", [{"caption_id": f"c{number}", "uid": uid, "text": "A nodule.", "kind": "raw"}])
    writer.publish()
    return root


def config(corpus, **model):
    made = yaml.safe_load(Path(__file__).with_name("tiny.yaml").read_text())
    made["data"] |= {"corpus": str(corpus), "batch_size": 4, "regions": {"present": 4, "absent": 0}}
    made["data"]["preset"] = {
        "class_path": "voxtile.data.VolumePreset",
        "init_args": {"shape": [8, 8, 8], "spacing": [2.0, 2.0, 2.0], "windows": [[-200, 200]], "units": "HU",
                      "modalities": ["CT"], "augment": {"shift": [1, 1, 1]}},
    }  # fmt: skip
    made["model"]["encoder"]["image"] = {
        "class_path": "voxtile.models.WaveletTower",
        "init_args": {"dimensions": 3, "channels": 1, "widths": [8, 16], "blocks": [1, 1], "cells": [2, 2, 2]},
    }
    made["model"] |= {"weights": {}, **model}
    made["trainer"] |= {"max_epochs": -1, "max_steps": 4, "limit_val_batches": 0, "callbacks": []}
    made["checkpoint"] = {"every_n_train_steps": 2, "keep": True}
    return made


def unaugmented(checkpoint, path):
    """The same tower as if its images had never been moved."""
    content = torch.load(checkpoint, weights_only=False)
    content["voxtile_preset"]["init_args"]["augment"]["shift"] = (0, 0, 0)
    torch.save(content, path)
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory, corpus):
    """Checkpoints of a tower that grounds, of an assistant on it, and of the same stopped halfway and resumed."""
    folder, found = tmp_path_factory.mktemp("assist-regions"), {}
    for name in ("tower", "whole", "resumed"):
        if name == "tower":
            made = config(corpus, objectives={"shows": GROUNDING})
        else:
            made = assistant_config(corpus, found["tower"])
        found[name] = fitted(folder, name, made, before={"resumed": "whole"}.get(name))
    return found


@pytest.fixture(scope="module")
def kept(tmp_path_factory, corpus, trained):
    """Assistants that learn no masks: their tower reads each scan once; the same resumed; one that reads at every step.

    The last is without augmentation, as if its images had never been moved.
    """
    folder, found = tmp_path_factory.mktemp("assist-kept"), {}
    for name in ("kept", "kept-resumed", "looked"):
        made = assistant_config(corpus, trained["tower"])
        learned = ANSWERING["init_args"] | {"place": 0, "connector": {"kind": "mlp", "pooled": 1, "hidden": 16}}
        made["model"]["objectives"] = {"answering": ANSWERING | {"init_args": learned}}
        made["model"]["cache_locked"] = name != "looked"
        if name == "looked":
            made["data"]["preset"]["init_args"].pop("augment")
            made["model"]["pretrained"] = str(unaugmented(trained["tower"], folder / "tower.ckpt"))
        found[name] = fitted(folder, name, made, before={"kept-resumed": "kept"}.get(name))
    return found


def assistant_config(corpus, tower):
    made = config(corpus, objectives={"answering": ANSWERING}, freeze_encoder=True)
    made["model"]["pretrained"] = str(tower)
    made["data"]["dialogues"] = {"per_item": 2, "marked": True}
    return made


def fitted(folder, name, made, before):
    """Checkpoint of a run in a folder of its own, from the middle of the run `before` on."""
    (folder / name).mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder / name)
        Path("config.yaml").write_text(yaml.safe_dump(made))
        middle = [] if before is None else ["--ckpt_path", *map(str, (folder / before).rglob("step-2.ckpt"))]
        assert lightning_main(["fit", "-c", "config.yaml", *middle]) == 0
    (last,) = (folder / name).rglob("last.ckpt")
    return last


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """A volume whose axes run otherwise than ours."""
    path = tmp_path_factory.mktemp("scan") / "scan.nii.gz"
    values = np.random.default_rng(1).integers(-200, 200, SHAPE).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(values, AFFINE), path)
    return path


def test_a_resumed_run_is_the_undisturbed_one_and_the_decoder_that_was_taken_stands_still(trained):
    tower, whole, resumed = (read_checkpoint(trained[name])["state_dict"] for name in ("tower", "whole", "resumed"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    taken = {name: part for name, part in tower.items() if name.startswith("objectives.shows.")}
    assert len(taken) > 10
    for name, part in taken.items():
        assert torch.equal(part, whole[name.replace("objectives.shows.", "objectives.answering.grounding.")])
    (first,) = trained["whole"].parent.glob("step-2.ckpt")
    before = read_checkpoint(first)["state_dict"]
    learned = [name for name in whole if ".ask." in name or ".regions." in name]
    assert len(learned) > 8
    assert all(not torch.equal(whole[name], before[name]) for name in learned)


@pytest.mark.sweep(ci=True)  # three trainings; test_assist_named and test_assist have others whose tower reads once
def test_a_tower_that_reads_each_scan_once_teaches_what_one_that_reads_it_at_every_step_does(kept):
    once, resumed, looked = (read_checkpoint(kept[name])["state_dict"] for name in ("kept", "kept-resumed", "looked"))
    for name, part in once.items():
        assert torch.equal(part, resumed[name]), name
        torch.testing.assert_close(part, looked[name], rtol=1e-4, atol=1e-6, msg=name)
    (first,) = kept["kept"].parent.glob("step-2.ckpt")
    before = read_checkpoint(first)["state_dict"]
    learned = [name for name in once if ".ask." in name or ".regions." in name]
    assert all(not torch.equal(once[name], before[name]) for name in learned)


def asking_as(monkeypatch, phrase):
    """The language model says "Here is the nodule." and points; its state asks what the text tower says of a phrase."""

    def write(answering, image, prompt, *, longest, read=None):
        words = answering.words
        written = [*words.encode(" Here is the nodule."), *words.encode("<seg>")]
        return [Answer("Here is the nodule.", len(written), -1.0, True, tuple(written))] * len(image)

    for module in ("assistant", "speaking.talk"):
        monkeypatch.setattr(f"voxtile.assist.{module}.write", write)
    made = Assistant.__init__

    def keeping(self, *args, **options):
        made(self, *args, **options)
        encoded = self._model.encoded_phrases([phrase])[1]
        monkeypatch.setattr(GroundedAnswering, "queries_of", lambda *_: encoded)

    monkeypatch.setattr(Assistant, "__init__", keeping)


def test_the_file_is_that_of_ground_where_the_token_asks_what_the_phrase_does(
    trained, scan, tmp_path, monkeypatch, capsys
):
    model, low = str(trained["whole"]), ["--threshold", "0.08", "--presence", "0.01"]
    assert main(["ground", model, str(scan), "nodule", "--out", str(tmp_path / "ground"), *low]) == 0
    asking_as(monkeypatch, "nodule")
    ask = ["ask", str(scan), "Where is the nodule?", "--model", model, "--least", "0", *low]
    assert main([*ask, "--out", str(tmp_path / "ask")]) == 0
    ours, theirs = ((tmp_path / folder) for folder in ("ask", "ground"))
    (file,), (other,) = ours.glob("*.nii.gz"), theirs.glob("*.nii.gz")
    mask, expected = nibabel.load(file), nibabel.load(other)
    assert np.array_equal(mask.get_fdata(), expected.get_fdata())
    assert 0 < mask.get_fdata().sum() < np.prod(SHAPE)
    assert np.allclose(mask.affine, AFFINE)
    assert (
        json.loads(file.with_name(file.name.replace(".nii.gz", ".json")).read_text())["phrases"][0]["name"] == "nodule"
    )
    said = capsys.readouterr().out
    point = said.split("at (")[1].split(")")[0].split(",")
    voxel = np.linalg.inv(AFFINE) @ [*map(float, point), 1.0]
    x, y, z = np.round(voxel[:3]).astype(int)
    assert mask.get_fdata()[x, y, z, 0] == 1  # the point that is printed lies in the mask
    assert f"slice {z + 1} of {SHAPE[2]}" in said  # z runs up in the file, too
    assert main(["report", str(scan), "--model", model, *low]) == 0  # a report says the same without files
    assert "at (" + ",".join(point) in capsys.readouterr().out


def test_drafted_answers_bring_the_masks_that_ground_shows(trained, corpus, tmp_path, monkeypatch, capsys):
    asking_as(monkeypatch, "nodule")
    low = ["--threshold", "0.08", "--presence", "0.01"]
    given = ["draft", str(corpus), str(trained["whole"]), "--split", "train", "--out", str(tmp_path / "d.parquet")]
    assert main([*given, "--questions", "true", "--places", "true", *low]) == 0
    store, model = Corpus(corpus), load_model(str(trained["whole"]))
    rows = {row["dialogue_id"]: row["mask_runs"] for row in pq.read_table(tmp_path / "d.parquet").to_pylist()}
    assert len(rows) == 8
    for row in store.table("samples", with_root=True).to_pylist():
        shown = ground_sample(lambda images: model.ground(images, ["nodule"]), model.preset, store.source(row))[0][0]
        found = mask_of_runs(rows[f"where{int(row['uid'], 16)}"], row["shape"])
        assert np.array_equal(found, shown.numpy() >= 0.08)
        assert 0 < found.sum() < found.size
    for words, said in (
        (["--places", "true"], "--places goes with --questions true and without --shuffled"),
        (["--questions", "true", "--places", "true", "--threshold", "2"], "--threshold must lie between 0 and 1"),
    ):
        assert main([*given, *words]) == 2
        assert said in " ".join(capsys.readouterr().err.split())


def test_what_is_marked_by_a_box_is_what_a_mask_of_it_marks_and_not_another_region(
    trained, scan, tmp_path, monkeypatch
):
    seen = []
    marked = Speaker.marked
    monkeypatch.setattr(Speaker, "marked", lambda *args: seen.append(marked(*args)) or seen[-1])
    mask = np.zeros(SHAPE, np.uint8)
    mask[3:6, 2:5, 4:9] = 1  # x of the file runs to the left: 11 - 6 = 5 to 11 - 3 = 8 of the corpus
    nibabel.save(nibabel.Nifti1Image(mask, AFFINE), tmp_path / "mask.nii.gz")
    ask = ["ask", str(scan), "What is in the marked region?", "--model", str(trained["whole"]), "--longest", "3"]
    for region in (["--box", "4,2,5,9,5,8"], ["--mask", str(tmp_path / "mask.nii.gz")], ["--box", "4,2,6,9,5,8"]):
        assert main([*ask, *region]) == 0
    assert torch.equal(seen[0], seen[1])
    assert not torch.allclose(seen[0], seen[2])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--box", "40,2,2,50,5,5"], "lies outside the image, which has 14 x 9 x 11 voxels (Z, Y, X)"),
        (["--box", "1,2,3,4"], "has 6 numbers, min corner then max corner along Z, Y, X, not 4"),
        (["--box", "5,2,2,5,5,5"], "is empty: its max corner must lie beyond its min corner"),
        (["--box", "1,2,a"], "is not of numbers"),
        (["--box", "1,2,2,3,4,4", "--mask", "x.nii"], "one of --box, --mask and --outline"),
        (["--box", "1,2,2,3,4,4", "--angle", "30"], "--angle turns boxes of pictures"),
        (["--mask", "other.nii.gz"], "has another geometry than the scan"),
        (["--mask", "moved.nii.gz"], "has another geometry than the scan"),
        (["--mask", "nothing.nii.gz"], "there is no mask"),
        (["--outline", "there.geojson"], "an outline lies on a picture"),
        (["--to", "nifti"], "name a folder with --out"),
        (["--out", "found", "--to", "geopackage"], "a volume has no outlines for a GeoPackage"),
        (["--threshold", "1.5"], "--threshold must lie between 0 and 1"),
    ],
)
def test_what_cannot_be_marked_or_shown_is_refused(trained, scan, tmp_path, monkeypatch, capsys, options, sentence):
    monkeypatch.chdir(tmp_path)
    nibabel.save(nibabel.Nifti1Image(np.ones((3, 3, 3), np.uint8), AFFINE), "other.nii.gz")
    nibabel.save(nibabel.Nifti1Image(np.ones(SHAPE, np.uint8), AFFINE + np.eye(4)[3] * 9), "moved.nii.gz")
    if "geopackage" in options:
        asking_as(monkeypatch, "nodule")
        options = [*options, "--threshold", "0.08", "--presence", "0.01"]
    ask = ["ask", str(scan), "What?", "--model", str(trained["whole"]), "--longest", "3", "--least", "0"]
    assert main([*ask, *options]) != 0
    assert sentence in " ".join(capsys.readouterr().err.split())


def test_a_checkpoint_that_points_at_nothing_says_what_to_train(trained, corpus, scan, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    plain = {"class_path": "voxtile.assist.Answering", "init_args": dict(ANSWERING["init_args"])}
    for name in ("grounding", "asking"):
        plain["init_args"].pop(name)
    made = config(corpus, objectives={"answering": plain}, freeze_encoder=True, pretrained=str(trained["tower"]))
    made["data"] |= {"dialogues": {"kinds": {"where": 1}}, "regions": None}
    made["trainer"]["max_steps"] = 1
    Path("config.yaml").write_text(yaml.safe_dump(made))
    assert lightning_main(["fit", "-c", "config.yaml"]) == 0
    (checkpoint,) = Path().rglob("last.ckpt")
    ask = ["ask", str(scan), "Where is the nodule?", "--model", str(checkpoint), "--longest", "3"]
    assert main([*ask, "--out", "found"]) != 0
    assert "ct-grounded-report" in capsys.readouterr().err
    places = ["--split", "train", "--questions", "true", "--places", "true", "--out", "places.parquet"]
    assert main(["draft", str(corpus), str(checkpoint), *places]) != 0
    assert "shows no places; train one that does" in " ".join(capsys.readouterr().err.split())
    assert main([*ask, "--box", "1,1,1,4,4,4"]) != 0
    assert "was not trained on questions about marked regions" in " ".join(capsys.readouterr().err.split())
    draft = ["--split", "train", "--questions", "true", "--longest", "2", "--out", "drafts.parquet"]
    assert main(["draft", str(corpus), str(checkpoint), *draft]) == 0
    assert "4 questions mark a region, which this model was not taught to read" in capsys.readouterr().err
    assert pq.read_table("drafts.parquet").num_rows == 4
    seen, marked = [], Speaker.marked
    monkeypatch.setattr(Speaker, "marked", lambda *args: seen.append(args[2][0]) or marked(*args))
    assert main(["draft", str(corpus), str(trained["whole"]), *draft]) == 0
    assert pq.read_table("drafts.parquet").num_rows == 8
    assert sorted(int(mask.sum()) for mask in seen) == [12, 12, 18, 18]  # the outlines, two of them a voxel narrower

"""Dataset tasks: their classes are those that the recipes write, and no prompt stands for two classes."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch.nn import functional

from voxtile.corpus.reader import Corpus
from voxtile.data.presets.image import ImagePreset
from voxtile.evaluation.kinds.referring.run import run_referring
from voxtile.evaluation.kinds.retrieval.run import run_retrieval
from voxtile.evaluation.options import Options
from voxtile.evaluation.tasks.file import load_task
from voxtile_remote_sensing.domain import domain
from voxtile_remote_sensing.landcover.legend import load_legend
from voxtile_remote_sensing.recipes.layouts import classes, grounding
from voxtile_remote_sensing.recipes.skyscript_benchmark import CLASSIFICATION, RETRIEVAL

TABLES = {
    "eurosat": classes.EUROSAT, "resisc45": classes.RESISC45, "aid": classes.AID, "patternnet": classes.PATTERNNET,
    "rsscn7": classes.RSSCN7, "fmow": classes.FMOW, "millionaid": classes.MILLIONAID, "rsicb256": classes.RSICB256,
    "bigearthnet": classes.BIGEARTHNET,
}  # fmt: skip
SIZES = {"eurosat": 10, "resisc45": 45, "aid": 30, "patternnet": 38, "rsscn7": 7, "fmow": 62, "millionaid": 51,
         "rsicb256": 35, "bigearthnet": 19}  # fmt: skip


@pytest.mark.parametrize("name", sorted(TABLES))
def test_classes_of_a_task_are_those_of_its_recipe(name):
    task = load_task(f"remote_sensing/{name}")
    assert [c.concept for c in task.classes] == list(classes.concepts(TABLES[name]))
    assert len(task.classes) == SIZES[name], "the official number of classes"
    assert task.labels.vocabulary == ("bigearthnet-19" if name == "bigearthnet" else name)
    prompts = Counter(wording.present for c in task.classes for wording in c.wordings)
    assert max(prompts.values()) == 1, prompts.most_common(1)
    assert min(len(c.wordings) for c in task.classes) >= 2
    assert task.multilabel == (name == "bigearthnet")
    if not task.multilabel:
        assert len(task.templates) >= 5


def test_skyscripts_seven_sets_have_a_task_each():
    seven = set(CLASSIFICATION) - {"skyscript"}
    assert len(seven) == 7
    for name in seven:
        task = load_task(f"remote_sensing/{name}")
        table = CLASSIFICATION[name][2]
        assert {c.concept for c in task.classes} == set(table.values())


@pytest.mark.parametrize("language", ["de", "fr", "es", "zh", "ar"])
def test_a_task_in_another_language_asks_of_the_same_classes_in_other_words(language):
    english, other = load_task("remote_sensing/eurosat"), load_task(f"remote_sensing/eurosat-{language}")
    assert [c.concept for c in other.classes] == [c.concept for c in english.classes]
    assert (other.labels, other.split, other.kind) == (english.labels, english.split, english.kind)
    words = [wording.present for c in other.classes for wording in c.wordings]
    assert len(set(words)) == 20
    assert not {w.present for c in english.classes for w in c.wordings} & set(words)
    assert not set(other.templates) & set(english.templates[1:])


@pytest.mark.parametrize("name", sorted(RETRIEVAL))
def test_skyscripts_three_retrieval_sets_have_a_task_each(name):
    assert len(RETRIEVAL) == 3
    task = load_task(f"remote_sensing/{name}-retrieval")
    assert (task.kind, task.recall, task.captions, task.split) == ("retrieval", (1, 5, 10), ("raw",), "test")


def test_retrieval_from_a_recipe_with_real_captions(test_data, tmp_path):
    """Forty pictures of noise under RSITMD's own captions: what a model of noise finds is chance."""
    content = json.loads((test_data / "remote_sensing/captions_rsicd_rsitmd/rsitmd_test.json").read_text())[:40]
    rng = np.random.default_rng(0)
    for image in content:
        path = tmp_path / "data" / "images" / Path(image["image"]).name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(path)
    (tmp_path / "data" / "rsitmd_test.json").write_text(json.dumps(content))
    domain.recipes["rsitmd"].load()(tmp_path / "data", tmp_path / "corpus", engine="inline")
    options = Options(replicates=100)
    result = run_retrieval(
        NoiseModel(), Corpus(tmp_path / "corpus"), load_task("remote_sensing/rsitmd-retrieval"), options
    )
    assert result.captions == sum(len(image["caption"]) for image in content)
    rows = {(row.kind, row.metric, row.class_name): row for row in result.rows}
    control = rows["shuffled", "recall@10", "text-to-image/strict"]
    assert control.value == pytest.approx(10 / 40, abs=0.03)
    found = rows["model", "recall@10", "text-to-image/strict"]
    assert found.low < 10 / 40 < found.high


class NoiseModel:
    """Pixels of the corner, and a direction that depends on the text alone."""

    name, logit_scale, fact_names = "noise", 10.0, ()
    preset = ImagePreset(size=(16, 16), mean=(0.5, 0.5, 0.5), std=(0.3, 0.3, 0.3))

    def encode_images(self, images):
        return functional.normalize(images[:, :, :2, :2].flatten(1), dim=1)

    def encode_texts(self, texts):
        rows = [np.random.default_rng(list(text.encode())).standard_normal(12) for text in texts]
        return functional.normalize(torch.tensor(np.array(rows), dtype=torch.float32), dim=1)


class ColourModel(NoiseModel):
    """Shows the pixels of the colour that a phrase names; of `thing` those of both."""

    preset = ImagePreset(size=(32, 32), mean=(0.0,) * 3, std=(1.0,) * 3)
    grounds = True

    def ground(self, images, phrases):
        shown = [
            (images[:, 0] > 0.7) * ("red" in phrase or "thing" in phrase)
            + (images[:, 1] > 0.7) * ("green" in phrase or "thing" in phrase)
            for phrase in phrases
        ]
        found = torch.stack(shown, 1).float()
        return found, found.flatten(2).amax(2)


def two_things(path):
    """A picture with a red and a green thing: their boxes (x0, y0, x1, y1)."""
    array = np.zeros((32, 32, 3), np.uint8)
    boxes = {"red": (2, 3, 10, 9), "green": (16, 14, 30, 26)}
    for channel, (x0, y0, x1, y1) in enumerate(boxes.values()):
        array[y0:y1, x0:x1, channel] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return boxes


def dior_rsvg(root):
    """A red thing of each picture is asked in the test, the green one in training; six pictures are for validation."""
    lists = {"train": [], "val": [], "test": []}
    for n in range(20):
        boxes = two_things(root / "JPEGImages" / f"{n:05d}.png")
        xml = "".join(
            f"<object><name>thing</name><bndbox><xmin>{b[0]}</xmin><ymin>{b[1]}</ymin><xmax>{b[2]}</xmax><ymax>{b[3]}</ymax>"
            f"</bndbox><description>The {colour} thing</description></object>".replace("thing</desc", "one</desc")
            for colour, b in boxes.items()
        )
        path = root / "Annotations" / f"{n:05d}.xml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"<annotation><filename>{n:05d}.png</filename>{xml}</annotation>")
        lists["val" if n >= 14 else "test"].append(2 * n)
        lists["val" if n >= 14 else "train"].append(2 * n + 1)
    for split, numbers in lists.items():
        (root / f"{split}.txt").write_text("\n".join(map(str, numbers)))


def rsvg(root):
    rows = {"train": [], "val": [], "test": []}
    for n in range(20):
        boxes = two_things(root / "images" / f"{n:05d}.png")
        rows["val" if n >= 14 else "test"].append((f"{n:05d}.png", None, list(boxes["red"]), "the red one", None))
        rows["val" if n >= 14 else "train"].append((f"{n:05d}.png", None, list(boxes["green"]), "the green one", None))
    for split, found in rows.items():
        torch.save([tuple(v for v in row if v is not None) for row in found], root / f"rsvg_{split}.pth")


def vrsbench(root):
    """Upright and turned boxes of two things, a phrase that both bear, a caption and questions."""
    for split, numbers in (("train", range(4)), ("val", range(4, 18))):
        for n in numbers:
            boxes = two_things(root / f"Images_{split}" / f"{n:05d}.png")
            objects = []
            for colour, (x0, y0, x1, y1) in boxes.items():
                corners = [v / 32 for v in (x0, y0, x1, y0, x1, y1, x0, y1)]
                found = {"obj_cls": "thing", "is_unique": True, "obj_coord": [v / 32 for v in (x0, y0, x1, y1)]}
                objects += [found | {"obj_corner": corners, "referring_sentence": f"The {colour} one."}, found]
            content = {"image": f"{n:05d}.png", "caption": f"Two things, {n}.", "objects": objects}
            content["qa_pairs"] = [
                {"question": "How many things?", "answer": "2"},
                {"question": "Which?", "answer": ""},
            ]
            path = root / f"Annotations_{split}" / f"{n:05d}.json"
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(content))


@pytest.mark.parametrize(("write", "name"), [(dior_rsvg, "dior-rsvg"), (rsvg, "rsvg")])
def test_only_official_test_expressions_are_asked(write, name, tmp_path):
    write(tmp_path)
    domain.recipes[name].load()(tmp_path, tmp_path / "corpus", engine="inline")
    task = load_task(f"remote_sensing/{name}")
    result = run_referring(ColourModel(), Corpus(tmp_path / "corpus"), task, Options(replicates=50))
    found = next(row for row in result.rows if (row.kind, row.metric) == ("model", "pr@0.5"))
    assert (found.value, found.n) == (1.0, 14), "the green ones of the same pictures were asked in training"


def test_vrsbench_asks_each_object_once_and_keeps_its_questions(tmp_path, monkeypatch):
    monkeypatch.setattr(grounding, "_VRS_SIDE", 32.0)
    vrsbench(tmp_path)
    domain.recipes["vrsbench"].load()(tmp_path, tmp_path / "corpus", engine="inline")
    corpus, options = Corpus(tmp_path / "corpus"), Options(replicates=50)
    result = run_referring(ColourModel(), corpus, load_task("remote_sensing/vrsbench-referring"), options)
    found = {row.metric: row for row in result.rows if row.kind == "model"}
    assert (found["pr@0.5"].value, found["pr@0.5"].n) == (1.0, 28), "an upright and a turned box are one object"
    assert found["rotated_pr@0.5"].n == 28
    assert any("several" in note for note in result.notes), "both are called a thing"
    captions = {row["caption_id"]: row for row in corpus.table("captions").to_pylist()}
    asked = corpus.table("instructions").to_pylist()
    assert len(asked) == 18, "an answer that is missing is no question"
    assert {(row["question"], row["answer"]) for row in asked} == {("How many things?", "2")}
    assert {captions[row["caption_id"]]["text"] for row in asked} == {"How many things? 2"}
    assert len(captions) == 36
    assert {row["kind"] for row in captions.values()} == {"vlm", "qa"}
    retrieval = run_retrieval(NoiseModel(), corpus, load_task("remote_sensing/vrsbench-retrieval"), options)
    assert retrieval.captions == 14, "questions are not searched"


class MeanColour(NoiseModel):
    """A picture's vector is its mean colour, a text's the colour that it names: knows no places."""

    def encode_images(self, images):
        return functional.normalize((images * 0.3 + 0.5).mean((2, 3)), dim=1)

    def encode_texts(self, texts):
        return torch.tensor([[1.0, 0, 0] if "red" in text else [0, 1.0, 0] for text in texts])


@pytest.mark.sweep(ci=True)
def test_air_slt_asks_a_model_of_whole_pictures_where_sentences_are_true(tmp_path):
    """A red roof, turned, and two green ponds in each of ten large pictures."""
    roof = [[200, 150], [300, 200], [250, 300], [150, 250], [200, 150]]
    ponds = [[[420, 40], [519, 40], [519, 139], [420, 139]], [[440, 280], [539, 280], [539, 379], [440, 379]]]
    folder, sentences = tmp_path / "data" / "imgs", []
    folder.mkdir(parents=True)
    for n in range(10):
        picture = Image.new("RGB", (600, 420), (40, 40, 40))
        draw = ImageDraw.Draw(picture)
        draw.polygon([tuple(point) for point in roof], fill=(250, 0, n))
        for pond in ponds:
            draw.polygon([tuple(point) for point in pond], fill=(0, 250, n))
        picture.save(folder / f"{n}.jpg", quality=95)
        sentences += [{"caption": "a red roof.\n", "jpg_name": f"{n}.jpg", "points": [roof]}]
        sentences += [{"caption": "two green ponds.", "jpg_name": f"{n}.jpg", "points": ponds}]
    path = tmp_path / "data" / "annotations" / "anno.json"
    path.parent.mkdir()
    path.write_text(json.dumps(sentences))
    domain.recipes["air-slt"].load()(tmp_path / "data", tmp_path / "corpus", engine="inline")
    task = load_task("remote_sensing/air-slt")
    assert (task.windows.sides, task.windows.median) == ((256, 512, 768), 251), "the paper's s5"
    task = replace(task, windows=replace(task.windows, sides=(80, 160), median=15))
    result = run_referring(MeanColour(), Corpus(tmp_path / "corpus"), task, Options(replicates=50))
    rows = {(row.kind, row.metric): row for row in result.rows}
    assert (result.headline_metric, result.expressions) == ("rmi", 20)
    assert rows["model", "rsu"].value > 0.6, "0.507 is that of an even map"
    assert rows["shuffled", "rsu"].value < 0.2
    assert rows["model", "rmi"].low > rows["trivial", "rmi"].high
    assert rows["trivial", "rmi"].low > rows["shuffled", "rmi"].high


def test_bigearthnets_classes_are_the_concepts_of_the_corine_19_legend():
    assert classes.concepts(classes.BIGEARTHNET) == load_legend("corine-19").concepts

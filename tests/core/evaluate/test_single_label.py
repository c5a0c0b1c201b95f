"""Single-label tasks on real formats: pictures, binary and with three classes, against scikit-learn."""

import io
import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from sklearn import metrics as sk
from torch.nn import functional

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, append_rows, new_corpus
from voxtile.data.presets.image import ImagePreset
from voxtile.evaluation.options import Options
from voxtile.evaluation.run import evaluate_model, report

CLASSES = ("red", "green", "blue")
QUICK = Options(replicates=100, batch_size=32)


class ColourModel:
    """Embeds the mean colour; a text is the colour that it names."""

    name, logit_scale, fact_names = "colours", 20.0, ()

    def __init__(self):
        self.preset = ImagePreset(size=(24, 24), mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))

    def encode_images(self, images):
        return functional.normalize(images.mean(dim=(2, 3)), dim=1)

    def encode_texts(self, texts):
        return torch.tensor([[float(name in text) for name in CLASSES] for text in texts]).add(1e-3)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """240 PNGs with a tint; two in a row are of one subject. Labels are a closed scope over the classes."""
    root, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    new_corpus(root)
    writer, tables = JobWriter(root, "made"), {"facts": [], "scopes": [], "splits": []}
    for number in range(240):
        label = int(rng.integers(0, 3))
        pixels = rng.integers(0, 200, (24, 24, 3))
        pixels[..., label] += int(rng.integers(0, 40))
        buffer = io.BytesIO()
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(buffer, "PNG")
        uid, subject = f"u{number:03d}", f"p{number // 2}"
        row = {"uid": uid, "subject": subject, "kind": "image", "modality": "RGB", "units": None}
        writer.add(Sample(row, buffer.getvalue()))
        tables["facts"].append({"uid": uid, "concept": CLASSES[label], "polarity": "present", "source": "x@1"})
        tables["scopes"].append({"uid": uid, "vocabulary": "x", "closed": True, "concepts": list(CLASSES)})
        if number % 2 == 0:
            split = ("test", "val", "test", "train")[(number // 2) % 4]
            tables["splits"].append({"scheme": "default", "subject": subject, "split": split})
    for name, rows in tables.items():
        writer.add_rows(name, rows)
    writer.publish()
    return Corpus(root)


def run(pictures, folder, classes, extra=""):
    lines = "\n".join(f"  {name}: {{{fields}}}" for name, fields in classes.items())
    (folder / "t.yaml").write_text(f"kind: zero-shot-singlelabel\n{extra}classes:\n{lines}\n")
    evaluation = evaluate_model(ColourModel(), "m", pictures, [str(folder / "t.yaml")], QUICK)
    report(evaluation, folder, Console(file=io.StringIO()))
    return evaluation.results[0], json.loads((folder / "results.json").read_text())["rows"]


def value(rows, kind="model", **wanted):
    wanted |= {"kind": kind}
    found = [row["value"] for row in rows if all(row[k] == v for k, v in wanted.items())]
    assert len(found) == 1
    return found[0]


def truth(pictures, units):
    concept = {row["uid"]: row["concept"] for row in pictures.table("facts").to_pylist()}
    return np.array([CLASSES.index(concept[uid]) for uid in units.names])


def test_three_classes(pictures, tmp_path):
    prompts = {name: f'prompts: ["{name}", "a {name} one"]' for name in CLASSES}
    result, rows = run(pictures, tmp_path, prompts, 'templates: ["{}", "picture of {}"]\n')
    labels, scores = truth(pictures, result.units), result.scores["colours"]
    np.testing.assert_allclose(scores.sum(axis=1), 1)
    expected = sk.roc_auc_score(labels, scores, multi_class="ovr")
    assert value(rows, metric="auroc", average="macro") == pytest.approx(expected, abs=1e-9)
    expected = sk.balanced_accuracy_score(labels, scores.argmax(axis=1))
    assert value(rows, metric="balanced_accuracy", average="macro") == pytest.approx(expected, abs=1e-9)
    assert value(rows, "shuffled", metric="auroc", average="macro") == pytest.approx(0.5, abs=0.05)
    assert value(rows, "trivial", metric="auroc", average="macro") > 0.6
    assert result.sizes["test"] == {"units": 120, "subjects": 60}
    assert len(result.sensitivity[0].values) == 4  # two prompts by two templates


def test_binary_by_presence_and_absence_of_one_concept(pictures, tmp_path):
    classes = {
        "other": "concept: red, when: absent, prompts: [green or blue]",
        "red": "prompts: [red]",
    }
    result, rows = run(pictures, tmp_path, classes)
    labels = truth(pictures, result.units) == 0
    np.testing.assert_array_equal(result.labels[:, 0] == 1, labels)
    scores = result.scores["colours"][:, 0]
    assert value(rows, metric="auroc", **{"class": "red"}) == pytest.approx(sk.roc_auc_score(labels, scores), abs=1e-9)
    expected = sk.average_precision_score(labels, scores)
    assert value(rows, metric="average_precision", **{"class": "red"}) == pytest.approx(expected, abs=1e-9)
    called = scores > result.thresholds["colours"]["red"]
    expected = sk.balanced_accuracy_score(labels, called)
    assert value(rows, metric="balanced_accuracy", **{"class": "red"}) == pytest.approx(expected, abs=1e-9)
    assert {row["class"] for row in rows} == {"red", None}


def test_a_picture_of_two_classes_has_no_label(pictures, tmp_path):
    """Classes exclude each other: where two facts are stated, neither counts, in any figure."""
    root = tmp_path / "corpus"
    shutil.copytree(pictures.roots[0], root)
    task_of = {name: f'prompts: ["{name}"]' for name in CLASSES}
    before, _ = run(Corpus(root), tmp_path, task_of)
    unit = next(n for n in range(len(before.labels)) if before.labels[n, 0] == 1)
    uid = before.units.names[unit]
    append_rows(root, "facts", "second", [{"uid": uid, "concept": "blue", "polarity": "present", "source": "x@1"}])
    after, rows = run(Corpus(root), tmp_path, task_of)
    place = list(after.units.names).index(uid) if uid in after.units.names else None
    assert place is None or (after.labels[place] == -1).all()
    assert {row["n"] for row in rows if row["average"] == "macro"} == {119}
    assert after.sizes["test"] == {"units": 119, "subjects": 60}, "the headline is of what figures are of"
    assert "1 of 120 samples of 'test' have no label of these classes, and count in no figure" in after.notes
    assert not any("no label" in note for note in before.notes)

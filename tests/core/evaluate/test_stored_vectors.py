"""`voxtile evaluate stored:NAME`: tasks on the vectors that a corpus has, each of its own sample."""

import json

import numpy as np
import pytest
from PIL import Image

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.corpus.writer import append_rows
from voxtile_datasets.converters.image import convert_image

PROBE = "title: one of two\nkind: linear-probe\nshares: [100]\nrepeats: 1\nof: classes.yaml\n"
ZERO_SHOT = "title: t\nkind: zero-shot-singlelabel\nclasses: {cat: {prompts: [cat]}, dog: {prompts: [dog]}}\n"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Pictures of noise in two classes; vectors of the model `told` hold the class, of `partly` one is missing."""
    root = tmp_path_factory.mktemp("stored")
    rng = np.random.default_rng(0)
    for split, count in (("train", 20), ("val", 20), ("test", 40)):
        for number in range(count):
            path = root / "in" / split / ("cat", "dog")[number % 2] / f"{split}{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(path)
    convert_image(root / "in", root / "corpus", engine="inline")
    rows = Corpus(root / "corpus").table("samples").to_pylist()
    for model, count in (("told", len(rows)), ("partly", len(rows) - 1)):
        vectors = [
            {"uid": row["uid"], "model": model, "vector": np.array([3 * ("cat" in row["source"]), *noise], np.float16)}
            for row, noise in zip(rows[:count], rng.normal(1, 0.2, (count, 3)), strict=True)
        ]
        append_rows(root / "corpus", "embeddings", f"{model}-0000", vectors)
    return root / "corpus"


def evaluate(corpus, model, task, tmp_path, *more):
    (tmp_path / "t.yaml").write_text(task.replace("classes.yaml", str(tmp_path / "classes.yaml")))
    (tmp_path / "classes.yaml").write_text(ZERO_SHOT)
    words = [model, str(tmp_path / "t.yaml"), "--corpus", str(corpus), "--out", str(tmp_path / "out")]
    return main(["evaluate", *words, "--bootstrap", "100", *more])


def test_a_probe_of_stored_vectors_reads_those_of_its_own_samples(corpus, tmp_path):
    assert evaluate(corpus, "stored:told", PROBE, tmp_path) == 0
    rows = json.loads((tmp_path / "out/results.json").read_text())["rows"]
    found = {
        row["kind"]: row["value"] for row in rows if row["metric"] == "auroc" and row["model"].startswith("stored:told")
    }
    assert found["model"] == 1.0


@pytest.mark.parametrize(
    ("model", "task", "sentence"),
    [
        ("stored:other", PROBE, "the embeddings of corpus"),
        ("stored:partly", PROBE, "has no embedding of sample"),
        ("stored:told", ZERO_SHOT, "for others name the model itself"),
    ],
)
def test_what_stored_vectors_cannot_answer_is_refused(corpus, tmp_path, capsys, model, task, sentence):
    assert evaluate(corpus, model, task, tmp_path) == 2
    assert sentence in " ".join(capsys.readouterr().err.split())


def test_stored_vectors_are_looked_for_on_no_cluster(corpus, tmp_path, capsys):
    assert evaluate(corpus, "stored:told", PROBE, tmp_path, "--engine", "ray") == 2
    assert "leave out --engine" in " ".join(capsys.readouterr().err.split())

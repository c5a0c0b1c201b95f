"""One-dimensional data, such as a spectrum or a pulse, from the corpus to the page."""

import base64
import io
import json
import re

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from torch.nn import functional

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.errors import ConfigError
from voxtile.evaluation.figures.baselines import SimpleFeatures
from voxtile.evaluation.inputs.robustness import changes
from voxtile.evaluation.options import Options
from voxtile.evaluation.report.pictures import planes
from voxtile.evaluation.run import evaluate_model, report

LENGTH = 64
TASK = """
kind: zero-shot-multilabel
unit: sample
facts_source: labels
classes:
  spike:
    wordings: [{present: a spike, absent: no spike}]
"""


class SignalPreset:
    version = "1"
    channels = 1
    grid = (LENGTH,)

    def check(self, metas):
        assert all(meta["axes"] == "X" for meta in metas)

    def __call__(self, source, rng):
        return torch.from_numpy(np.asarray(source.array(), dtype=np.float32))[None]

    def to_config(self):
        return {"class_path": "SignalPreset", "init_args": {}}


class SpikeModel:
    name = "spikes"
    logit_scale = 10.0
    fact_names = ()

    def __init__(self):
        self.preset = SignalPreset()

    def encode_images(self, images):
        return functional.normalize(torch.stack([images[:, 0].amax(1) / 100 - 1, torch.ones(len(images))], 1), dim=1)

    def encode_texts(self, texts):
        return torch.tensor([[-1.0, 0.0] if text.startswith("no ") else [1.0, 0.0] for text in texts])


@pytest.fixture(scope="module")
def signals(tmp_path_factory):
    root = tmp_path_factory.mktemp("signals") / "corpus"
    new_corpus(root)
    writer, rng, facts, splits = JobWriter(root, "made"), np.random.default_rng(0), [], []
    for number in range(80):
        spike = bool(rng.random() < 0.5)
        array = rng.normal(0, 5, LENGTH)
        array[20:24] += 200 * spike
        row = {"uid": f"{number:04d}", "subject": f"p{number}", "study": f"s{number}", "kind": "image"}
        writer.add(Sample({**row, "modality": "ECG", "axes": "X", "units": "raw"}, array.astype(np.int16)))
        said = "present" if spike else "absent"
        facts.append({"uid": row["uid"], "concept": "spike", "polarity": said, "source": "labels@1"})
        split = ("test", "val", "test", "train")[number % 4]
        splits.append({"scheme": "default", "subject": row["subject"], "split": split})
    writer.add_rows("facts", facts)
    writer.add_rows("splits", splits)
    writer.publish()
    return Corpus(root)


def test_signals_are_evaluated_and_shown_as_curves(signals, tmp_path):
    (tmp_path / "task.yaml").write_text(TASK)
    options = Options(batch_size=16, replicates=100, robustness=("resampling", "noise", "scanner", "flip"))
    evaluation = evaluate_model(SpikeModel(), "m", signals, [str(tmp_path / "task.yaml")], options)
    report(evaluation, tmp_path, Console(file=io.StringIO(), width=200))
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    auroc = {row["kind"]: row["value"] for row in rows if row["metric"] == "auroc" and row["average"] == "none"}
    assert auroc["model"] == 1.0
    assert auroc["trivial"] > 0.9
    assert 0.2 < auroc["shuffled"] < 0.8
    shown = re.findall(r"data:image/jpeg;base64,([^\"]+)", (tmp_path / "index.html").read_text())
    assert shown, "examples"
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(shown[0]))).convert("L"))
    peak = np.abs(np.argmin(pixels[: pixels.shape[0] // 4], axis=0).argmax() / pixels.shape[1] - 22 / LENGTH)
    assert peak < 0.05, "the surest hit has its spike where the signal has it"


def test_a_curve_has_no_gaps_and_keeps_the_extremes_of_a_long_signal():
    signal = np.zeros(10_000, np.float32)
    signal[5_000] = 1
    picture = planes(signal)
    assert picture.shape[1] == 480
    assert (picture[0] == 0).any(), "a spike of one value in twenty a column is seen"
    assert (picture == 0).any(axis=0).all()
    assert planes(np.zeros((3, 4, 5, 6), np.float32)).ndim == 2


def test_the_trivial_baseline_does_not_mix_the_channels_of_a_signal():
    signal = torch.zeros(2, 2, LENGTH)
    signal[:, 1] = torch.arange(LENGTH)
    signal[1] += 1
    blocks = SimpleFeatures(signal)(signal)[:, -16:].reshape(2, 2, 8)
    np.testing.assert_allclose(blocks[0, 0], 0)
    np.testing.assert_allclose(blocks[0, 1], np.arange(LENGTH).reshape(8, 8).mean(axis=1))


def test_a_signal_is_not_turned():
    turned = changes(["orientation"], SignalPreset())["orientation"]
    with pytest.raises(ConfigError, match="a signal has no plane to turn in"):
        turned(torch.zeros(2, LENGTH), np.random.default_rng(0))

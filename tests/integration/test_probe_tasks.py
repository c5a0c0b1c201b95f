"""The probe, retrieval and slide tasks of the domains, each on a small corpus of its own classes."""

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.data.presets.image import ImagePreset
from voxtile.data.presets.volume import VolumePreset
from voxtile.evaluation import run
from voxtile.evaluation.kinds.probe.task import ProbeTask
from voxtile.evaluation.options import Options
from voxtile.evaluation.run import evaluate_model
from voxtile.evaluation.tasks.file import load_task

UNITS, SIDE = 96, 16
TASKS = {
    "medical/ct-findings-probe": "volume",
    "medical/ct-findings-few-shot": "volume",
    "medical/ct-retrieval": "volume",
    "medical/ct-similar": "volume",
    "pathology/he-slide-top-k": "patch",
    "pathology/he-slide-attention": "patch",
    "pathology/he-slide-probe": "patch",
    "pathology/he-slide-abmil": "patch",
    "remote_sensing/eurosat-probe": "tile",
    "remote_sensing/eurosat-few-shot": "tile",
    "remote_sensing/eurosat-similar": "tile",
}


class Eight:
    """Embeds the means of an image's 8 vertical bands; a text is a random direction."""

    name, logit_scale, fact_names = "eight", 10.0, ()

    def __init__(self, kind):
        self.preset = (
            VolumePreset(shape=(8, SIDE, SIDE), windows=((-1000, 1000),))
            if kind == "volume"
            else ImagePreset(size=(SIDE, SIDE), mean=(0.5,) * 3, std=(0.5,) * 3)
        )

    def encode_images(self, images):
        means = images.flatten(1, -2).mean(dim=1)
        return functional.normalize(means.unflatten(1, (8, -1)).mean(dim=2), dim=1)

    def encode_texts(self, texts):
        rows = [np.random.default_rng(list(text.encode())).standard_normal(8) for text in texts]
        return functional.normalize(torch.tensor(np.array(rows), dtype=torch.float32), dim=1)


def picture(rng, shown, kind):
    """A bright band for each of the first eight classes that an image shows."""
    level = np.repeat([1.0 if k in shown else -1.0 for k in range(8)], SIDE // 8)
    if kind == "volume":
        return (300 * level + rng.normal(0, 150, (8, SIDE, SIDE))).astype(np.int16)
    pixels = np.clip(128 + 60 * level[None, :, None] + rng.normal(0, 30, (SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def row_of(kind, unit, number):
    base = {"uid": f"{unit:03d}{number}", "subject": f"p{unit}", "study": f"s{unit}", "licence": "CC0-1.0 (phantom)"}
    own = {
        "volume": {"kind": "volume", "modality": "CT", "axes": "ZYX", "units": "HU", "shape": [8, SIDE, SIDE]},
        "patch": {"kind": "patch", "modality": "SM"},
        "tile": {"kind": "tile", "modality": "RGB"},
    }
    return base | own[kind]


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """By kind: studies of one or two samples that show about a third of the classes, tiles that show one."""
    found = {}
    for kind, name in {"volume": "medical/ct-findings", "patch": "pathology/he-slide",
                       "tile": "remote_sensing/eurosat"}.items():  # fmt: skip
        rng, task = np.random.default_rng(1), load_task(name)
        root = tmp_path_factory.mktemp(kind) / "corpus"
        new_corpus(root)
        writer = JobWriter(root, "made")
        concepts = [item.concept for item in task.classes]
        tables = {"facts": [], "splits": [], "captions": []}
        scopes = []
        for unit in range(150 if kind == "tile" else UNITS):
            one = {unit % len(concepts)}
            shown = one if kind == "tile" else set(np.flatnonzero(rng.random(len(concepts)) < 0.4).tolist())
            for number in range(1 if kind == "tile" else 2):
                row = row_of(kind, unit, number)
                writer.add(Sample(row, picture(rng, shown, kind)))
                source = f"{task.labels.source or 'labels'}@1"
                for k, concept in enumerate(concepts):
                    said = {"uid": row["uid"], "concept": concept, "source": source}
                    tables["facts"].append(said | {"polarity": "present" if k in shown else "absent"})
                scopes.append({"uid": row["uid"], "vocabulary": task.labels.vocabulary or "v", "closed": True,
                               "concepts": concepts})  # fmt: skip
                text = f"Report of {', '.join(concepts[k] for k in sorted(shown))}."
                tables["captions"].append({"caption_id": row["uid"], "uid": row["uid"], "text": text, "kind": "raw"})
            split = ("test", "val", "train")[unit % 3]
            if kind == "tile":  # ten classes of eleven tiles each to report, two to choose on and two to learn from
                split = "test" if unit < 110 else ("val" if unit < 130 else "train")
            tables["splits"].append({"scheme": task.scheme, "subject": f"p{unit}", "split": split})
        for table, rows in {**tables, "scopes": scopes}.items():
            writer.add_rows(table, rows)
        writer.publish()
        found[kind] = Corpus(root)
    return found


def lighter(task):
    """Two numbers of labels, drawn once."""
    if not isinstance(task, ProbeTask):
        return task
    return replace(task, shares=task.shares[:2], shots=task.shots[:3:2], repeats=1)


# The volumes' few-shot task is the tiles' one with 14 labels a sample, and takes ten times as long.
LONG = "medical/ct-findings-few-shot"


@pytest.mark.cases(1)
@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.sweep if n == LONG else ()) for n in TASKS])
def test_it_runs_from_pixels_to_rows(name, corpora, monkeypatch):
    kind = TASKS[name]
    monkeypatch.setattr(run, "load_tasks", lambda names: [lighter(load_task(name)) for name in names])
    evaluation = evaluate_model(Eight(kind), "eight", corpora[kind], [name], Options(replicates=100))
    task, result = load_task(name), evaluation.results[0]
    assert {row.kind for row in result.rows} == {"model", "trivial", "shuffled"}
    assert result.headlines("eight")
    if task.kind in ("linear-probe", "image-retrieval"):
        model, control = (
            next(r for r in result.rows if r.kind == k and r.value is not None) for k in ("model", "shuffled")
        )
        assert model.metric == control.metric
        assert model.value > control.value, "bands tell the classes apart"

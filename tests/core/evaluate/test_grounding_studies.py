"""Grounding of whole studies: masks of samples with grids of their own judge one image, and only those of the truth."""

import io
import json

import numpy as np
import pytest
import torch
from rich.console import Console

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Mask, Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.data.presets.study import RoleVolume, StudyPreset
from voxtile.data.presets.volume import VolumePreset
from voxtile.errors import ConfigError, EvaluationError
from voxtile.evaluation.figures.rows import find_row
from voxtile.evaluation.kinds.grounding.figures import METRICS
from voxtile.evaluation.options import checked_options
from voxtile.evaluation.run import evaluate_model, report
from voxtile.evaluation.tasks.file import load_task

GRIDS = {"CT": ((12, 16, 16), 2.0), "PT": ((8, 10, 10), 3.0)}
PHRASES = {"CT": "cold lesion", "PT": "hot lesion"}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """What is bright on the CT is cold, and on the PET hot; a report's guess of the hot one is always elsewhere."""
    root = tmp_path_factory.mktemp("studies") / "corpus"
    new_corpus(root)
    writer, rng = JobWriter(root, "made"), np.random.default_rng(0)
    for number in range(60):
        for place, (modality, (shape, spacing)) in enumerate(GRIDS.items()):
            uid, values = f"{number:016x}{place:016x}", np.zeros(shape, np.int16)
            row = {"uid": uid, "subject": f"p{number}", "study": f"s{number}", "kind": "volume", "modality": modality}
            affine = np.diag([spacing, spacing, spacing, 1.0])
            row |= {"axes": "ZYX", "units": "a.u.", "spacing": [spacing] * 3, "affine": affine.ravel().tolist()}
            phrase, present = PHRASES[modality], bool(rng.random() < 0.6)
            low = [int(rng.integers(1, size - 4)) for size in shape]
            if present:
                values[tuple(slice(a, a + 3) for a in low)] = 1000
            writer.add(Sample(row, values))
            region = {"uid": uid, "phrase": phrase}
            if present:
                writer.add_mask(Mask(region | {"region_id": f"t{number}-{place}", "source": "truth@1"}, values > 0))
            writer.add_mask(Mask(region | {"region_id": f"g{number}-{place}", "source": "guess@1"}, values[::-1] > 0))
            fact = {"concept": phrase.replace(" ", "_"), "polarity": "present" if present else "absent"}
            writer.add_rows("facts", [{"uid": uid, "source": "labels@1"} | fact])
        split = ("test", "val", "test", "train")[number % 4]
        writer.add_rows("splits", [{"scheme": "default", "subject": f"p{number}", "split": split}])
    writer.publish()
    return Corpus(root)


class Seeing:
    """Shows what is bright in the channel of the phrase."""

    name, logit_scale, fact_names, grounds = "seeing", 10.0, (), True
    preset = StudyPreset(
        roles={role: RoleVolume(windows=((0.0, 1000.0),)) for role in ("ct", "pt")},
        shape=(12, 16, 16), spacing=(2.0, 2.0, 2.0), value_range=(0.0, 1.0),
    )  # fmt: skip

    def ground(self, images, phrases):
        found = torch.stack([images[:, 0 if "cold" in phrase else 1] for phrase in phrases], 1)
        return found, found.flatten(2).amax(2)


def task_file(tmp_path, **more):
    path = tmp_path / "lesions.yaml"
    classes = {phrase.replace(" ", "_"): {"prompts": [phrase]} for phrase in PHRASES.values()}
    task = {"kind": "grounding", "unit": "study", "facts_source": "labels", "least_extent": 2, "classes": classes}
    path.write_text(json.dumps(task | more))
    return str(path)


def figures(model, corpus, task, tmp_path):
    evaluation = evaluate_model(model, "spec", corpus, [task], checked_options(None, 8, 200, 0))
    report(evaluation, tmp_path, Console(file=io.StringIO()))
    rows = {m: find_row(evaluation.rows, model=model.name, kind="model", metric=m, class_name=None) for m in METRICS}
    return {metric: row.value for metric, row in rows.items()}


def test_only_the_truth_judges_and_lies_where_its_sample_lies(corpus, tmp_path):
    found = figures(Seeing(), corpus, task_file(tmp_path, regions_source="truth"), tmp_path)
    assert found["dice"] > 0.99
    assert found["lesion_f1"] > 0.99
    assert figures(Seeing(), corpus, task_file(tmp_path), tmp_path)["dice"] < 0.85


def test_what_cannot_be_judged_is_named(corpus, tmp_path):
    with pytest.raises(ConfigError, match="regions_source"):
        load_task(task_file(tmp_path, regions_source=["truth"]))

    class Single(Seeing):
        preset = VolumePreset(shape=(12, 16, 16), windows=((0.0, 1000.0),), units=None)

    with pytest.raises(EvaluationError, match="asks about whole studies, but the model reads single samples"):
        figures(Single(), corpus, task_file(tmp_path), tmp_path)

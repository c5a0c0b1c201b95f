"""Grounding and segmentation by similarity as tasks: a model whose maps are known, its controls, and proposals."""

import io
import json

import numpy as np
import pytest
import torch
from rich.console import Console
from tests.core.evaluate.blocks import NAMES, block_corpus

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Mask, Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.data.presets.volume import VolumePreset
from voxtile.errors import ConfigError, CorpusError, PresetError
from voxtile.evaluation.figures.rows import find_row
from voxtile.evaluation.kinds.grounding.similarity import best_proposal, quantile_cuts
from voxtile.evaluation.options import checked_options
from voxtile.evaluation.run import evaluate_model, report
from voxtile.evaluation.tasks.file import load_task
from voxtile.inference.encoder_model import EncoderModel
from voxtile.models.dual import DualEncoder
from voxtile.models.tower import ImageTower, TextTower
from voxtile.types import Encoded

SHAPE = (8, 12, 12)
OPTIONS = checked_options(None, 8, 100, 0)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return block_corpus(tmp_path_factory.mktemp("similarity") / "corpus", SHAPE, (2, 5), items=60, share=0.6)


class Words:
    ready = True

    def encode(self, texts):
        return torch.tensor([[next(k for k, name in enumerate(NAMES) if name in text)] for text in texts]), 0


class Named(TextTower):
    width, tokenizer = 3, Words()

    def forward(self, tokens):
        return Encoded(torch.eye(3)[tokens[:, 0]])


class Levels(ImageTower):
    """How much of the volume has each name's grey level: what Grad-CAM shows of a name is where that level is.

    `deaf` tells only whether there is anything at all.
    """

    width, channels, dimensions = 3, 1, 3

    def __init__(self, deaf=False):
        super().__init__()
        self.deaf, self.maps = deaf, torch.nn.Identity()

    def forward(self, images, tokens=False):
        levels = [((images - 0.25 * (k + 1)).abs() < 0.05) | (self.deaf & (images > 0)) for k in range(3)]
        maps = self.maps(torch.cat(levels, 1).float() + 0 * images)
        return Encoded(maps.flatten(2).mean(2) + 1e-3)


def made(**changes):
    encoder = DualEncoder(image=Levels(**changes), text=Named(), embed_dim=3, project=False)
    return EncoderModel("levels", encoder, VolumePreset(shape=SHAPE, windows=((0.0, 400.0),)))


def task_file(folder, **changes):
    path = folder / "blocks.yaml"
    classes = {name: {"prompts": [name, f"show the {name}"]} for name in NAMES}
    content = {"kind": "grounding", "method": "gradcam", "facts_source": "labels", "classes": classes}
    path.write_text(json.dumps(content | changes))
    return str(path)


def evaluated(model, corpus, folder, **changes):
    evaluation = evaluate_model(model, "spec", corpus, [task_file(folder, **changes)], OPTIONS)
    names = {"trivial": "text-blind"}

    def figure(metric, kind="model", name=None):
        named = name or names.get(kind, model.name)
        return find_row(evaluation.rows, model=named, kind=kind, metric=metric, class_name=None).value

    return evaluation, figure


def test_known_maps_get_full_marks_and_controls_fall(corpus, tmp_path):
    evaluation, figure = evaluated(made(), corpus, tmp_path)
    for metric in ("dice", "iou", "giou", "ciou", "lesion_f1", "n_acc", "pointing"):
        assert figure(metric) == 1.0
    assert figure("dice", "shuffled") < 0.1
    assert figure("pointing", "trivial") < 0.8
    volume = float(np.prod(SHAPE))
    assert figure("pointing", "trivial", "random point") == pytest.approx(50 / volume)
    assert 0 <= figure("pointing", "trivial", "centre point") < 0.5
    report(evaluation, tmp_path, Console(file=io.StringIO()))
    page = (tmp_path / "index.html").read_text()
    assert "by similarity (gradcam)" in page
    assert "at a random point" in page
    written = json.loads((tmp_path / "results.json").read_text())
    assert '"method": "gradcam"' in json.dumps(written["provenance"])


def test_every_place_belongs_to_one_class_in_segmentation(corpus, tmp_path):
    _, figure = evaluated(made(), corpus, tmp_path, kind="similarity-segmentation", method="auto")
    assert figure("ciou") == 1.0, "pooled over images it is the IoU of semantic segmentation, and its mean mIoU"
    assert figure("ciou", "shuffled") < 0.1
    assert figure("ciou", "trivial") < 0.8


def test_a_model_that_does_not_hear_is_no_better_than_its_control(corpus, tmp_path):
    _, figure = evaluated(made(deaf=True), corpus, tmp_path)
    assert figure("dice") == pytest.approx(figure("dice", "trivial"))
    assert figure("dice") == pytest.approx(figure("dice", "shuffled"))


@pytest.mark.parametrize("name", ["oracle", "regions"])
def test_proposals_are_answered_whole_and_called_an_oracles(corpus, tmp_path, name):
    evaluation, figure = evaluated(made(), corpus, tmp_path, proposals=name)
    report(evaluation, tmp_path, Console(file=io.StringIO()))
    assert "the right answer is one of them" in (tmp_path / "index.html").read_text()
    assert figure("iou") == figure("pointing") == 1.0
    assert figure("iou", "shuffled") < 0.1
    assert figure("iou", "trivial") < 0.6, "the control takes the same region for every phrase"
    assert not best_proposal(np.ones((3, 3), np.float32), []).any()


def test_thresholds_lie_between_what_was_seen():
    assert quantile_cuts([]) == (0.0,)
    assert quantile_cuts([0.61, 0.61]) == (0.0,)
    cuts = quantile_cuts([0.60, 0.61, 0.64])
    assert cuts[0] == 0.0
    assert all(0.6 < cut < 0.64 for cut in cuts[1:])
    assert any(0.61 < cut < 0.64 for cut in cuts)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "saliency"}, "'saliency' is not a choice"),
        ({"proposals": "regions", "kind": "similarity-segmentation"}, "set 'method'"),
        ({"proposals": "boxes"}, "'boxes' is not a choice"),
    ],
)
def test_wrong_tasks_are_named(tmp_path, changes, message):
    with pytest.raises(ConfigError, match=message):
        load_task(task_file(tmp_path, **changes))


def with_region(root, **region):
    """A volume of the corpus above, with one region as given."""
    new_corpus(root)
    writer = JobWriter(root, "made")
    for number, split in enumerate(("test", "val")):
        uid = f"{number:032x}"
        row = {"uid": uid, "subject": f"p{number}", "study": f"s{number}", "kind": "volume", "modality": "CT"}
        row |= {"axes": "ZYX", "units": "HU", "spacing": [1.0, 1.0, 1.0]}
        writer.add(Sample(row, np.zeros(SHAPE, np.int16)))
        writer.add_rows("splits", [{"scheme": "default", "subject": f"p{number}", "split": split}])
        about = {"region_id": f"r{number}", "uid": uid, "phrase": "nodule"}
        if "mask" in region:
            writer.add_mask(Mask(about, region["mask"]))
        else:
            writer.add_rows("regions", [about | region])
        for name in NAMES:
            facts = {"uid": uid, "concept": name, "polarity": "present", "source": "labels@1"}
            writer.add_rows("facts", [facts])
            writer.add_rows(
                "regions", [about | {"region_id": f"{name}{number}", "phrase": name, "box": [0.0] * 3 + [4.0] * 3}]
            )
    writer.publish()
    return Corpus(root)


@pytest.mark.parametrize(
    ("region", "message"),
    [
        (
            {"mask": np.ones((8, 12, 11), bool)},
            "mask of region r1 has the shape .8, 12, 11., but its",
        ),
        ({"box": [0.0, 0.0, 20.0, 4.0, 4.0, 24.0]}, "region r1 lies outside its sample"),
        ({"box": [0.0, 0.0, 4.0, 4.0]}, "region r1 has neither a mask nor a box of 3 axes"),
    ],
)
def test_truth_that_does_not_fit_its_image_is_named(tmp_path, region, message):
    with pytest.raises(CorpusError, match=message):
        evaluated(made(), with_region(tmp_path / "corpus", **region), tmp_path)


def test_a_corpus_that_the_preset_cannot_read_is_refused(corpus, tmp_path):
    encoder = DualEncoder(image=Levels(), text=Named(), embed_dim=3, project=False)
    model = EncoderModel("pet", encoder, VolumePreset(shape=SHAPE, units="SUVbw"))
    with pytest.raises(PresetError, match="SUVbw"):
        evaluated(model, corpus, tmp_path)


def test_what_the_model_has_not_is_named(corpus, tmp_path):
    with pytest.raises(ConfigError, match="nothing for the method 'maskclip'"):
        evaluated(made(), corpus, tmp_path, method="maskclip")

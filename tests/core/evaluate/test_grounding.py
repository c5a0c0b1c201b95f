"""Figures of grounding against known answers: a model that knows, one that is silent, one that shifts."""

import io
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from scipy import ndimage
from sklearn.metrics import f1_score, jaccard_score
from tests.core.evaluate.blocks import NAMES, block_corpus

from voxtile.data.presets.volume import VolumePreset
from voxtile.errors import ConfigError, EvaluationError
from voxtile.evaluation.figures.rows import find_row
from voxtile.evaluation.kinds.grounding.overlap import PartsOf, answer, extent, shown_parts
from voxtile.evaluation.options import checked_options
from voxtile.evaluation.run import evaluate_model, report
from voxtile.evaluation.tasks.file import load_task

SHAPE = (12, 16, 16)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 0.6))
def test_overlap_equals_scikit_learn(seed, density):
    rng = np.random.default_rng(seed)
    predicted, target = rng.random((5, 6, 7)) < density, rng.random((5, 6, 7)) < density
    found = answer(predicted, target, overlap=0.3, least_extent=1)
    if predicted.any() or target.any():
        assert 2 * found.both / found.sum == pytest.approx(f1_score(target.ravel(), predicted.ravel(), zero_division=0))
        assert found.both / found.either == pytest.approx(
            jaccard_score(target.ravel(), predicted.ravel(), zero_division=0)
        )
    lesions = ndimage.label(target, np.ones((3, 3, 3)))[1]
    assert found.found + found.missed == lesions
    assert found.found + found.false <= ndimage.label(predicted, np.ones((3, 3, 3)))[1]


def test_lesions_are_matched_one_to_one_and_small_ones_do_not_count():
    target = np.zeros((20, 40), bool)
    target[2:8, 2:8] = target[2:8, 12:18] = target[15, 30] = True
    predicted = target.copy()
    predicted[2:8, 8:12] = True  # joins both lesions: one guess cannot be two answers
    found = answer(predicted, target, overlap=0.3, least_extent=4)
    assert (found.found, found.missed, found.false) == (1, 1, 0)
    apart = np.roll(target, 9, axis=0)
    assert answer(apart, target, overlap=0.3, least_extent=4).false == 3
    assert extent(target[:10]) == 16
    with pytest.raises(ValueError, match="cannot be compared"):
        answer(target, target[:10], overlap=0.3, least_extent=1)


def test_parts_are_left_out_by_their_share_of_the_largest_and_by_their_peak():
    mask = np.zeros((6, 20), bool)
    mask[0:4, 0:5] = mask[0, 8:12] = mask[5, 19] = True  # 20, 4 and 1
    sure = np.where(mask, 0.9, 0.0)
    assert shown_parts(mask, 0.0, sure, 0.0).sum() == 25
    assert shown_parts(mask, 0.2, sure, 0.0).sum() == 24, "a part of just this share is kept"
    assert shown_parts(mask, 0.21, sure, 0.0).sum() == 20
    assert not shown_parts(np.zeros((3, 3), bool), 0.2, np.zeros((3, 3)), 0.5).any()
    unsure = np.where(mask, 0.4, 0.0)
    unsure[0, 10] = 0.8
    assert shown_parts(mask, 0.0, unsure, 0.8).sum() == 4, "one voxel that is sure is enough for its part"
    assert shown_parts(mask, 1.0, unsure, 0.8).sum() == 4, "the largest is that of the sure parts"
    assert not shown_parts(mask, 0.0, unsure, 0.81).any()


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.02, 0.3), st.sampled_from([0.0, 0.3]), st.sampled_from([0.0, 0.9]))
def test_counting_a_choice_of_parts_equals_cutting_them_out(seed, density, least, peak):
    rng = np.random.default_rng(seed)
    probability, target = rng.random((6, 7, 8)), rng.random((6, 7, 8)) < density
    predicted = probability >= 1 - density
    cut = answer(shown_parts(predicted, least, probability, peak), target, overlap=0.2, least_extent=2)
    counted = PartsOf(predicted, target, probability, 2).lesions(0.2, least, peak)
    assert counted == (cut.found, cut.missed, cut.false)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return block_corpus(tmp_path_factory.mktemp("grounding") / "corpus", SHAPE, (4, 6), items=80, share=0.5)


class Knowing:
    """Sees the truth in the pixels; `shift` moves what it shows, `deaf` answers every phrase alike."""

    name, logit_scale, fact_names, grounds = "knowing", 10.0, (), True
    preset = VolumePreset(shape=SHAPE, windows=((0.0, 400.0),))

    def __init__(self, shift=0, deaf=False):
        self.shift, self.deaf = shift, deaf

    def ground(self, images, phrases):
        masks = []
        for phrase in phrases:
            level = next(k for k, name in enumerate(NAMES) if name in phrase)
            shown = images[:, 0] > 0 if self.deaf else (images[:, 0] - 0.25 * (level + 1)).abs() < 0.05
            masks.append(shown.roll(self.shift, 3).float())
        found = torch.stack(masks, 1)
        return found, found.flatten(2).amax(2)


@pytest.fixture
def task(tmp_path):
    path = tmp_path / "blocks.yaml"
    classes = {name: {"prompts": [name, f"show the {name}"]} for name in NAMES}
    path.write_text(json.dumps({"kind": "grounding", "facts_source": "labels", "classes": classes}))
    return str(path)


def evaluated(model, corpus, task, tmp_path):
    evaluation = evaluate_model(model, "spec", corpus, [task], checked_options(None, 8, 200, 0))
    report(evaluation, tmp_path, Console(file=io.StringIO()))
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert {row["kind"] for row in rows} == {"model", "trivial", "shuffled"}

    def figure(metric, kind="model"):
        name = "text-blind" if kind == "trivial" else model.name
        return find_row(evaluation.rows, model=name, kind=kind, metric=metric, class_name=None).value

    return figure


@pytest.mark.parametrize("shape", [(12, 16, 2), (12, 3, 16)])
def test_a_target_that_is_nowhere_on_the_grid_is_no_phrase_without_one(corpus, task, tmp_path, shape):
    """A grid that is smaller than the volumes: silence about what lies beside it was counted as right."""

    def counted(preset):
        model = Knowing()
        model.preset = preset
        rows = evaluate_model(model, "spec", corpus, [task], checked_options(None, 8, 100, 0)).rows
        return {(r.metric, r.class_name): r.n for r in rows if r.kind == "model" and r.class_name is not None}

    whole, part = counted(Knowing.preset), counted(VolumePreset(shape=shape, windows=((0.0, 400.0),)))
    absent = {name: n for name, n in whole.items() if name[0] == "n_acc"}
    assert {name: n for name, n in part.items() if name[0] == "n_acc"} == absent
    assert sum(part["dice", name] for name in NAMES) < sum(whole["dice", name] for name in NAMES)
    for name in NAMES:
        assert part["giou", name] == part["dice", name] + part["n_acc", name]


def test_crumbs_are_seen_on_validation_and_swept_away(corpus, task, tmp_path):
    """A model that adds two short streaks to every mask: with one lesion a phrase its F1 would be a half."""

    class Crumbling(Knowing):
        def ground(self, images, phrases):
            masks, presence = super().ground(images, phrases)
            masks[..., 0, 15, 12:16] = masks[..., 11, 15, 12:16] = presence[..., None]
            return masks, presence

    figure = evaluated(Crumbling(), corpus, task, tmp_path)
    assert figure("lesion_f1") == 1.0
    (said,) = json.loads((tmp_path / "results.json").read_text())["provenance"]["tasks"].values()
    assert said["least_part"] > 0


def test_what_is_nowhere_sure_is_seen_on_validation_and_swept_away(corpus, task, tmp_path):
    """A model that adds to every mask a block as large as a lesion, less sure than its lesions."""

    class Unsure(Knowing):
        def ground(self, images, phrases):
            masks, presence = super().ground(images, phrases)
            masks[..., 8:, 12:, 12:] = masks[..., 8:, 12:, 12:].clamp(min=0.75)
            return masks, torch.ones_like(presence)

    figure = evaluated(Unsure(), corpus, task, tmp_path)
    assert figure("n_acc") == 1.0
    (said,) = json.loads((tmp_path / "results.json").read_text())["provenance"]["tasks"].values()
    assert said["least_peak"] > 0.75


def test_each_phrase_has_a_threshold_of_presence_of_its_own(corpus, task, tmp_path):
    """A model that is as shy about fractures as it is bold about nodules that are not there."""

    class Uneven(Knowing):
        def ground(self, images, phrases):
            masks, presence = super().ground(images, phrases)
            low = torch.tensor([0.6 if "nodule" in p else 0.1 if "fracture" in p else 0.3 for p in phrases])
            filled = masks.clone()
            filled[..., :4, 4:10, 4:10] = 1.0  # what it would show where nothing is
            empty = presence == 0
            return torch.where(empty[:, :, None, None, None], filled, masks), low + 0.25 * presence

    figure = evaluated(Uneven(), corpus, task, tmp_path)
    assert figure("n_acc") == 1.0
    assert figure("dice") == 1.0
    (said,) = json.loads((tmp_path / "results.json").read_text())["provenance"]["tasks"].values()
    cuts = said["presence_threshold"]
    assert cuts["fracture"] < cuts["effusion"] < cuts["nodule"]


def test_the_truth_gets_full_marks_and_its_controls_fall(corpus, task, tmp_path):
    figure = evaluated(Knowing(), corpus, task, tmp_path)
    for metric in ("dice", "iou", "giou", "ciou", "lesion_f1", "n_acc", "pointing"):
        assert figure(metric) == 1.0
    assert figure("dice", "shuffled") == 0.0
    assert figure("dice", "trivial") < 0.8
    assert figure("n_acc", "shuffled") < 0.8
    page = (tmp_path / "index.html").read_text()
    assert "Dice" in page
    assert "text-blind" in page


def test_a_shift_of_half_a_lesion_halves_dice(corpus, task, tmp_path):
    figure = evaluated(Knowing(shift=3), corpus, task, tmp_path)
    assert 0.4 < figure("dice") < 0.55
    assert figure("n_acc") == 1.0


def test_a_model_that_does_not_hear_is_no_better_than_its_control(corpus, task, tmp_path):
    figure = evaluated(Knowing(deaf=True), corpus, task, tmp_path)
    assert figure("dice") == pytest.approx(figure("dice", "trivial"))
    assert figure("dice") == pytest.approx(figure("dice", "shuffled"))


def test_wrong_tasks_are_named(corpus, task, tmp_path, make_model):
    with pytest.raises(EvaluationError, match="cannot show phrases"):
        evaluate_model(make_model(), "spec", corpus, [task], checked_options(None, 8, 200, 0))
    other = tmp_path / "other.yaml"
    other.write_text(json.dumps({"kind": "grounding", "overlap": 2, "classes": {n: {"prompts": [n]} for n in NAMES}}))
    with pytest.raises(ConfigError, match="above 0 and at most 1"):
        load_task(str(other))
    missing = json.loads((tmp_path / "blocks.yaml").read_text())
    first = next(iter(missing["classes"]))
    missing["classes"] = {first: missing["classes"][first], "dragon": {"prompts": ["dragon", "a dragon"]}}
    other.write_text(json.dumps(missing))
    with pytest.raises(EvaluationError, match=r"class 'dragon'.* needs two classes that regions show"):
        evaluate_model(Knowing(), "spec", corpus, [str(other)], checked_options(None, 8, 200, 0))


def test_a_class_that_no_region_shows_is_skipped_and_listed(corpus, task, tmp_path):
    more = json.loads((tmp_path / "blocks.yaml").read_text())
    more["classes"]["dragon"] = {"prompts": ["dragon", "a dragon"]}
    spelt = {name.upper() if name != "dragon" else name: item | {"concept": name.upper()}
             for name, item in more["classes"].items()}  # fmt: skip
    (tmp_path / "more.yaml").write_text(json.dumps(more | {"classes": spelt}))
    both = [str(tmp_path / "more.yaml"), task]
    first, second = evaluate_model(Knowing(), "spec", corpus, both, checked_options(None, 8, 200, 0)).results
    assert "skipped, since no region of the corpus shows them: dragon" in first.notes
    macro = [[row.value for row in result.rows if row.class_name is None] for result in (first, second)]
    assert macro[0] == macro[1]

"""Slides from their patches: the best few or attention, against brute force and on a slide with one loud patch."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from voxtile.errors import EvaluationError
from voxtile.evaluation.inputs.aggregate import aggregate, attended, top_mean
from voxtile.evaluation.inputs.encode import Encoded
from voxtile.evaluation.inputs.units import Units
from voxtile.evaluation.kinds.zero_shot.model_scores import model_scores, with_best_count
from voxtile.evaluation.kinds.zero_shot.published import published_figures
from voxtile.evaluation.kinds.zero_shot.scores import embed_prompts
from voxtile.evaluation.kinds.zero_shot.sensitivity import prompt_sensitivity
from voxtile.evaluation.tasks.file import parse_task
from voxtile.evaluation.tasks.task import Averaging


def units(sizes):
    owner = np.repeat(np.arange(len(sizes)), sizes)
    names = tuple(f"u{i}" for i in range(len(sizes)))
    return Units(tuple(f"s{i}" for i in range(len(owner))), owner, np.array(names), names)


@pytest.mark.parametrize("count", [1, 3, 100])
def test_pooling_equals_brute_force(count):
    rng = np.random.default_rng(0)
    part = units([1, 7, 2, 30])
    scores = np.round(rng.random((40, 3)), 1)
    best = top_mean(scores, part, count)
    smooth = attended(scores, part, 4 * scores)
    for unit in range(4):
        own = scores[part.owner == unit]
        np.testing.assert_allclose(best[unit], np.sort(own, axis=0)[::-1][:count].mean(axis=0), atol=1e-12)
        np.testing.assert_allclose(smooth[unit], (softmax(4 * own, axis=0) * own).sum(axis=0), atol=1e-12)
    mean = aggregate(scores, part, Averaging(samples="scores"))
    np.testing.assert_allclose(top_mean(scores, part, 30), mean, atol=1e-12)


class Axes:
    """Texts are axes: the finding and its absence, or one of three classes."""

    name, logit_scale, fact_names = "m", 20.0, ()

    def encode_texts(self, texts):
        order = ["present", "absent", "a", "b", "c"]
        return torch.eye(32)[[order.index(text) for text in texts]].double()


def slides(seed, count=60, patches=50):
    """Patches of noise; a positive slide has two that show the finding."""
    rng = np.random.default_rng(seed)
    part = units([patches] * count)
    vectors = rng.normal(size=(count * patches, 32))
    truth = np.arange(count) % 2 == 0
    first = np.flatnonzero(truth) * patches
    vectors[np.concatenate([first, first + 1]), 0] += 8
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Encoded(part, vectors, None, np.zeros((count, 1), np.float32)), truth[:, None].astype(np.int8)


def task(**averaging):
    pair = {"present": "present", "absent": "absent"}
    spec = {"kind": "zero-shot-multilabel", "unit": "study", "classes": {"x": {"wordings": [pair]}}}
    return parse_task(spec | {"averaging": averaging}, where="f", name="t")


def test_the_best_few_find_what_the_mean_drowns_and_validation_says_how_few():
    model, (validation, labels), (reported, truth) = Axes(), slides(0), slides(1)
    asked = task(samples="top-k", top_k=[1, 2, 50])
    prompts = embed_prompts(model, asked)
    chosen = with_best_count(asked, prompts, validation, labels, model.logit_scale)
    assert chosen.averaging.top_k in ((1,), (2,))
    values = {}
    for name, part in {"top-k": chosen, "attention": task(samples="attention"), "mean": task(samples="scores")}.items():
        scores = model_scores(model, part, prompts, reported)["m"][:, 0]
        values[name] = np.mean(scores[truth[:, 0] == 1][:, None] > scores[truth[:, 0] == 0][None])
    assert values["top-k"] > values["mean"] + 0.05
    every = dataclasses.replace(asked, averaging=dataclasses.replace(asked.averaging, top_k=(50,)))
    np.testing.assert_allclose(
        model_scores(model, every, prompts, reported)["m"],
        model_scores(model, task(samples="scores"), prompts, reported)["m"],
        atol=1e-12,
    )
    vectors = reported.embeddings[:50]
    evidence = 20 * (vectors[:, 0] - vectors[:, 1])
    attention = model_scores(model, task(samples="attention"), prompts, reported)["m"][0, 0]
    assert attention == pytest.approx((softmax(evidence) * expit(evidence)).sum(), abs=1e-9)


def test_exclusive_classes_compete_after_the_best_patches_are_picked():
    model, (reported, _) = Axes(), slides(2)
    spec = {"kind": "zero-shot-singlelabel", "unit": "study", "classes": {c: {"prompts": [c]} for c in "abc"}}
    spec["averaging"] = {"samples": "top-k", "top_k": [3]}
    asked = parse_task(spec, where="f", name="t")
    scores = model_scores(model, asked, embed_prompts(model, asked), reported)["m"]
    best = np.stack([np.sort(part, axis=0)[-3:].mean(axis=0) for part in np.split(reported.embeddings[:, 2:5], 60)])
    np.testing.assert_allclose(scores, softmax(20 * best, axis=1), atol=1e-9)


def test_several_counts_need_a_validation_split():
    asked = task(samples="top-k")
    assert asked.averaging.top_k == (1, 5, 10, 50, 100)
    none = Encoded(units([]), None, None, np.zeros((0, 1), np.float32))
    with pytest.raises(EvaluationError, match="which only a validation split may decide, and there is none"):
        with_best_count(asked, embed_prompts(Axes(), asked), none, np.zeros((0, 1), np.int8), 20.0)


def of_three_classes(averaging, seed):
    """A task, a split of 60 units of two to nine samples, one-hot labels, and the cosine of each sample and class."""
    spec = {"kind": "zero-shot-singlelabel", "unit": "study", "classes": {c: {"prompts": [c]} for c in "abc"}}
    asked, rng = parse_task(spec | {"averaging": averaging}, where="f", name="t"), np.random.default_rng(seed)
    part = units(rng.integers(2, 10, 60))
    vectors = rng.normal(size=(len(part.uids), 32))
    truth = np.arange(60) % 3
    vectors[np.arange(len(part.uids)), 2 + truth[part.owner]] += 1.0
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    encoded = Encoded(part, vectors, None, np.zeros((60, 1), np.float32))
    return asked, encoded, np.eye(3, dtype=np.int8)[truth], vectors[:, 2:5]


def of_unit(samples, cosines):
    logits = 20 * cosines
    if samples == "scores":
        return softmax(logits, axis=1).mean(axis=0)
    if samples == "top-k":
        return softmax(np.sort(logits, axis=0)[-2:].mean(axis=0))
    return softmax((softmax(logits, axis=0) * logits).sum(axis=0))


@pytest.mark.parametrize("samples", ["scores", "top-k", "attention"])
def test_the_only_prompt_alone_has_the_figure_of_the_task(samples):
    averaging = {"samples": samples} | ({"top_k": [2]} if samples == "top-k" else {})
    asked, encoded, labels, cosines = of_three_classes(averaging, 3)
    scores = np.stack([of_unit(samples, cosines[encoded.units.owner == unit]) for unit in range(60)])
    expected = roc_auc_score(labels, scores, average="macro")
    (part,) = prompt_sensitivity(asked, embed_prompts(Axes(), asked), encoded, 20.0, labels, ("a", "b", "c"))
    assert part.values == (pytest.approx(expected, abs=1e-9),)


@pytest.mark.parametrize("protocol", ["conch", "mi-zero"])
def test_published_rules_pool_the_logits_of_patches(protocol):
    """`topj_pooling` of both protocols takes cosines; probabilities over classes would decide otherwise."""
    (asked, encoded, labels, cosines), other = of_three_classes({"samples": "scores"}, 4), of_three_classes({}, 5)
    data = SimpleNamespace(encoded={"reported": encoded, "val": other[1]}, labels={"reported": labels, "val": other[2]})
    result = SimpleNamespace(task=asked, data=data, prompts=embed_prompts(Axes(), asked))
    (found,) = published_figures(protocol, result, Axes())
    figures = []
    for top in (1, 5, 50):
        pooled = [np.sort(cosines[encoded.units.owner == n], axis=0)[-top:].mean(axis=0) for n in range(60)]
        figures.append(balanced_accuracy_score(labels.argmax(1), np.argmax(pooled, axis=1)))
    assert found.published == pytest.approx(max(figures), abs=1e-12)

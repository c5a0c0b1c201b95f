"""Scores against their formulas, labels against the rules for facts and scopes, rows against scikit-learn."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from sklearn import metrics as sk
from sklearn.linear_model import LogisticRegression

from voxtile.corpus.reader import Corpus
from voxtile.corpus.writer import append_rows
from voxtile.errors import EvaluationError
from voxtile.evaluation.figures.baselines import SimpleFeatures, fit_logistic, permutations
from voxtile.evaluation.figures.bootstrap import SubjectBootstrap
from voxtile.evaluation.figures.decisions import decide
from voxtile.evaluation.figures.figures import FigureTable, Scores
from voxtile.evaluation.inputs.labels import LabelSource
from voxtile.evaluation.inputs.units import limited, select_units
from voxtile.evaluation.kinds.zero_shot.scores import embed_prompts, multilabel_scores, singlelabel_scores
from voxtile.evaluation.tasks.file import load_task, parse_task


class Lookup:
    """A text encoder whose vectors are drawn once per text."""

    name, logit_scale = "lookup", 7.0

    def encode_texts(self, texts):
        rows = [np.random.default_rng(list(text.encode())).normal(size=5) for text in texts]
        return torch.tensor(np.array(rows))


def unit_length(vector):
    return vector / np.linalg.norm(vector)


def vector(text):
    return unit_length(Lookup().encode_texts([text])[0].numpy())


IMAGES = np.stack([unit_length(row) for row in np.random.default_rng(0).normal(size=(4, 5))])
PAIRS = {
    "kind": "zero-shot-multilabel",
    "templates": ["{}", "seen: {}"],
    "classes": {"a": {"wordings": [{"present": "p", "absent": "q"}, {"present": "r", "absent": "s"}]}},
}


def test_multilabel_score_is_the_mean_over_wordings_of_a_softmax_over_the_pair():
    task = parse_task(PAIRS, where="f", name="t")
    got = multilabel_scores(IMAGES, embed_prompts(Lookup(), task), task, 7.0)[:, 0]
    expected = np.zeros(4)
    for present, absent in (("p", "q"), ("r", "s")):
        sides = [unit_length(vector(x) + vector(f"seen: {x}")) for x in (present, absent)]
        logits = 7.0 * IMAGES @ np.stack(sides, axis=1)
        expected += np.exp(logits[:, 0]) / np.exp(logits).sum(axis=1) / 2
    np.testing.assert_allclose(got, expected, atol=1e-12)


def test_order_of_averaging_follows_the_task():
    change = {"averaging": {"templates": "scores", "wordings": "embeddings"}}
    task = parse_task(PAIRS | change, where="f", name="t")
    got = multilabel_scores(IMAGES, embed_prompts(Lookup(), task), task, 7.0)[:, 0]
    expected = np.zeros(4)
    for template in ("{}", "seen: {}"):
        means = [
            unit_length(vector(template.format(x)) + vector(template.format(y))) for x, y in (("p", "r"), ("q", "s"))
        ]
        expected += 1 / (1 + np.exp(-7.0 * IMAGES @ (means[0] - means[1]))) / 2
    np.testing.assert_allclose(got, expected, atol=1e-12)


def test_singlelabel_score_is_a_softmax_over_class_ensembles():
    spec = {
        "kind": "zero-shot-singlelabel",
        "templates": ["{}", "x {}"],
        "classes": {c: {"prompts": [c, c + c]} for c in "abc"},
    }
    task = parse_task(spec, where="f", name="t")
    got = singlelabel_scores(IMAGES, embed_prompts(Lookup(), task), task, 7.0)
    columns = []
    for name in "abc":
        prompts = [unit_length(vector(text) + vector(f"x {text}")) for text in (name, name + name)]
        columns.append(unit_length(np.sum(prompts, axis=0)))
    logits = 7.0 * IMAGES @ np.stack(columns, axis=1)
    np.testing.assert_allclose(got, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), atol=1e-12)


def test_a_prompt_whose_embedding_is_not_finite_is_named():
    class Broken(Lookup):
        def encode_texts(self, texts):
            return super().encode_texts(texts) * torch.tensor([[np.nan if t == "seen: r" else 1.0] for t in texts])

    with pytest.raises(EvaluationError, match="'seen: r'"):
        embed_prompts(Broken(), parse_task(PAIRS, where="f", name="t"))


@pytest.mark.parametrize(("uncertain", "value"), [("ignore", -1), ("positive", 1), ("negative", 0)])
def test_labels_follow_polarity_policy_and_scopes(tmp_path, make_corpus, task_path, uncertain, value):
    said = {0: "present", 1: "absent", 2: "uncertain", 3: None, 4: None}
    corpus = make_corpus(
        tmp_path / "c", n=8, polarity=lambda n, f, _: said.get(n, "absent") if f == "nodule" else "absent"
    )
    append_rows(
        corpus.roots[0],
        "scopes",
        "s",
        [
            {"uid": "00030", "vocabulary": "v", "closed": True, "concepts": ["nodule"]},
            {"uid": "00040", "vocabulary": "v", "closed": False, "concepts": ["nodule"]},
        ],
    )
    task = load_task(str(task_path))
    task = dataclasses.replace(task, labels=dataclasses.replace(task.labels, uncertain=uncertain))
    labels = {}
    for units in select_units(Corpus(tmp_path / "c"), task).values():
        found = LabelSource(Corpus(tmp_path / "c"), task).labels(units)[:, 0]
        labels |= dict(zip(units.names, found.tolist(), strict=True))
    assert [labels[f"000{k}0"] for k in range(5)] == [1, 0, value, 0, -1]


def test_a_closed_scope_says_nothing_of_other_concepts(tmp_path, make_corpus, task_path):
    corpus = make_corpus(tmp_path / "c", n=8, polarity=lambda n, f, _: None if n == 3 else "absent")
    scope = {"uid": "00030", "vocabulary": "v", "closed": True, "concepts": ["effusion"]}
    append_rows(corpus.roots[0], "scopes", "s", [scope])
    task, corpus = load_task(str(task_path)), Corpus(tmp_path / "c")
    names = [item.concept for item in task.classes]
    for units in select_units(corpus, task).values():
        for name, found in zip(units.names, LabelSource(corpus, task).labels(units).tolist(), strict=True):
            if name == "00030":
                assert dict(zip(names, found, strict=True)) == {"nodule": -1, "effusion": 0, "fracture": -1}
                return
    raise AssertionError("the sample is in no split")


@pytest.mark.parametrize(("writer", "value"), [("masks/normal-range@1", -1), ("labels@1", 0)])
def test_what_others_looked_for_says_nothing_of_a_silent_source(tmp_path, make_corpus, task_path, writer, value):
    """A spleen that was measured in a mask is not absent from a report that does not name it."""
    corpus = make_corpus(tmp_path / "c", n=8, polarity=lambda n, f, _: None if n == 3 else "absent")
    scopes = [{"uid": "00030", "vocabulary": "sizes", "closed": True, "concepts": ["effusion"]}]
    facts = [{"uid": "00000", "concept": "effusion", "polarity": "absent", "source": writer}]
    append_rows(corpus.roots[0], "scopes", "run", scopes)
    append_rows(corpus.roots[0], "facts", "run", facts)
    task, corpus = load_task(str(task_path)), Corpus(tmp_path / "c")
    place = [item.concept for item in task.classes].index("effusion")
    known = {
        name: found[place]
        for units in select_units(corpus, task).values()
        for name, found in zip(units.names, LabelSource(corpus, task).labels(units).tolist(), strict=True)
    }
    assert known["00030"] == value


def test_a_study_is_positive_if_any_of_its_samples_is_and_other_sources_do_not_count(tmp_path, make_corpus, task_path):
    corpus = make_corpus(tmp_path / "c", n=8, series=2, polarity=lambda *_: "absent")
    stated = [("00001", "labels@1"), ("00011", "reports@1")]
    rows = [{"uid": uid, "concept": "nodule", "polarity": "present", "source": source} for uid, source in stated]
    append_rows(corpus.roots[0], "facts", "more", rows)
    task, corpus = load_task(str(task_path)), Corpus(tmp_path / "c")
    units = select_units(corpus, task)["test"]
    assert units.owner.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    labels = LabelSource(corpus, task).labels(units)[:, 0]
    assert dict(zip(units.subjects.tolist(), labels.tolist(), strict=True)) == {"p0": 1, "p2": 0, "p4": 0, "p6": 0}
    val = select_units(corpus, task)["val"]
    assert LabelSource(corpus, task).labels(val)[:, 0].tolist() == [
        0,
        0,
    ]  # the report's fact about p1 is not of the source


def table_of(labels, subjects=None, exclusive=False):
    subjects = np.arange(len(labels)).astype(str) if subjects is None else subjects
    names = [f"c{k}" for k in range(labels.shape[1])]
    return FigureTable(
        "t", names, labels, subjects, SubjectBootstrap(subjects, replicates=100, seed=0), exclusive=exclusive
    )


def figures(rows):
    return {(row.metric, row.average, row.class_name): row for row in rows}


def test_rows_equal_scikit_learn_per_class_macro_and_micro():
    rng = np.random.default_rng(1)
    labels = (rng.random((120, 3)) < 0.4).astype(np.int8)
    labels[rng.random(labels.shape) < 0.1] = -1
    scores = rng.random((120, 3)) + 0.4 * labels
    called = scores > 0.6
    rows = figures(table_of(labels).rows(Scores("m", "model", scores[None], called[None])))
    known = labels >= 0
    functions = {
        "auroc": lambda y, s, _: sk.roc_auc_score(y, s),
        "average_precision": lambda y, s, _: sk.average_precision_score(y, s),
        "balanced_accuracy": lambda y, _, c: sk.balanced_accuracy_score(y, c),
        "sensitivity": lambda y, _, c: sk.recall_score(y, c),
        "specificity": lambda y, _, c: sk.recall_score(y, c, pos_label=0),
    }
    for metric, function in functions.items():
        each = [function(labels[m, k], scores[m, k], called[m, k]) for k, m in enumerate(known.T)]
        for k, value in enumerate(each):
            row = rows[metric, "none", f"c{k}"]
            assert row.value == pytest.approx(value, abs=1e-9)
            assert row.low < row.value < row.high
            assert (row.n, row.positives) == (known[:, k].sum(), (labels[:, k] == 1).sum())
        assert rows[metric, "macro", None].value == pytest.approx(np.mean(each), abs=1e-9)
        pooled = function(labels[known], scores[known], called[known])
        assert rows[metric, "micro", None].value == pytest.approx(pooled, abs=1e-9)


def test_exclusive_classes_have_the_mean_recall_as_balanced_accuracy():
    rng = np.random.default_rng(2)
    truth = rng.integers(0, 3, 90)
    scores = rng.random((90, 3)) + 0.5 * np.eye(3)[truth]
    decisions = decide(scores, None, ("c0", "c1", "c2"), exclusive=True)
    labels = np.eye(3, dtype=np.int8)[truth]
    rows = figures(table_of(labels, exclusive=True).rows(Scores("m", "model", scores[None], decisions.called[None])))
    expected = sk.balanced_accuracy_score(truth, scores.argmax(axis=1))
    assert rows["balanced_accuracy", "macro", None].value == pytest.approx(expected, abs=1e-9)
    assert ("balanced_accuracy", "none", "c0") not in rows
    expected = sk.roc_auc_score(truth, scores / scores.sum(axis=1, keepdims=True), multi_class="ovr")
    normal = scores / scores.sum(axis=1, keepdims=True)
    rows = figures(table_of(labels, exclusive=True).rows(Scores("m", "model", normal[None], decisions.called[None])))
    assert rows["auroc", "macro", None].value == pytest.approx(expected, abs=1e-9)


def test_a_class_with_nine_positives_or_nine_positive_subjects_is_refused_and_left_out():
    labels = np.zeros((60, 3), dtype=np.int8)
    labels[:9, 0], labels[:20, 1], labels[:30, 2] = 1, 1, 1
    subjects = np.r_[np.repeat([f"p{k}" for k in range(9)], 2), ["p8", "p8"], [f"n{k}" for k in range(40)]]
    scores = np.random.default_rng(0).random((60, 3))
    table = table_of(labels, subjects)
    assert table.reported == ("c2",)
    rows = figures(table.rows(Scores("m", "model", scores[None], scores[None] > 0.5)))
    for name in ("c0", "c1"):
        row = rows["auroc", "none", name]
        assert (row.value, row.low, row.high) == (None, None, None)
    assert rows["auroc", "macro", None].value == rows["auroc", "none", "c2"].value
    json.dumps([row.to_json() for row in rows.values()], allow_nan=False)


def test_thresholds_come_from_validation():
    validation = np.array([[0.1], [0.2], [0.6], [0.7]]), np.array([[0], [0], [1], [1]], dtype=np.int8)
    decisions = decide(np.array([[0.3], [0.45]]), validation, ("a",), exclusive=False)
    assert decisions.thresholds == {"a": pytest.approx(0.4)}
    assert decisions.called.tolist() == [[False], [True]]
    without = decide(np.array([[0.3]]), None, ("a",), exclusive=False)
    assert without.undecided == {"a"}


def test_shuffling_never_keeps_an_image_with_its_subject():
    subjects = np.repeat([f"p{k}" for k in range(30)], 2)
    for order in permutations(subjects, seed=3):
        assert sorted(order.tolist()) == list(range(60))
        assert not (subjects[order] == subjects).any()
    assert not np.array_equal(permutations(subjects, seed=3)[0], permutations(subjects, seed=4)[0])


def test_simple_features_are_a_histogram_and_block_means():
    images = torch.rand(3, 2, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    features = SimpleFeatures(images)(images)
    assert features.shape == (3, 2 * (64 + 512))
    counts, _ = np.histogram(
        images[1, 0].numpy(), bins=64, range=(float(images[:, 0].min()), float(images[:, 0].max()))
    )
    np.testing.assert_allclose(features[1, :64], counts / 4096, atol=2e-3)  # values on an edge may fall either way
    blocks = images[1, 0].reshape(8, 2, 8, 2, 8, 2).mean(dim=(1, 3, 5)).flatten()
    np.testing.assert_allclose(features[1, 128:640], blocks, atol=1e-6)
    assert SimpleFeatures(images[:, :, 0])(images[:, :, 0]).shape == (3, 2 * (64 + 64))


def test_channels_that_are_the_same_in_every_image_are_left_out_of_the_features():
    images = torch.rand(4, 3, 16, 16)
    images[:, 2] = torch.linspace(-1, 1, 16)
    assert SimpleFeatures(images)(images).shape == (4, 2 * (64 + 64))


@pytest.mark.parametrize("penalty", [1e-3, 1e-1, 1.0])
def test_logistic_regressions_equal_scikit_learns(penalty):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(200, 30)).astype(np.float32)
    labels = (features[:, :2] + rng.normal(size=(200, 2)) > 0.5).astype(np.int8)
    labels[:40, 1] = -1
    weights = fit_logistic(
        torch.from_numpy(features), torch.from_numpy(labels), penalty, torch.zeros(31, 2), tolerance=1e-7
    ).numpy()
    for k in range(2):
        known = labels[:, k] >= 0
        peer = LogisticRegression(C=penalty, tol=1e-8, max_iter=1000).fit(features[known], labels[known, k])
        np.testing.assert_allclose(weights[1:, k], peer.coef_[0], atol=2e-3)
        assert weights[0, k] == pytest.approx(peer.intercept_[0], abs=2e-3)


def test_a_limited_choice_of_units_keeps_their_samples_together(tmp_path, make_corpus, task_path):
    corpus = make_corpus(tmp_path / "c", n=40, series=2)
    units = select_units(corpus, load_task(str(task_path)))["test"]
    part = limited(units, 5, seed=0)
    assert len(part) == 5
    assert part.owner.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert all(uid[:4] == part.names[owner][:4] for uid, owner in zip(part.uids, part.owner, strict=True))
    assert set(part.uids) <= set(units.uids)

"""Probes, few labels and image retrieval: against scikit-learn, by hand, and from pixels to the page."""

import io
import json

import numpy as np
import pytest
import yaml
from rich.console import Console
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from voxtile.errors import ConfigError, EvaluationError
from voxtile.evaluation.inputs.embedded import embed_units
from voxtile.evaluation.inputs.labels import label_source
from voxtile.evaluation.inputs.units import Units, select_units
from voxtile.evaluation.kinds.probe.abmil import Bags, fit_attention
from voxtile.evaluation.kinds.probe.regression import PENALTIES, WITHOUT_VALIDATION, Split, fit_probe
from voxtile.evaluation.kinds.probe.subsets import share_of_subjects, shots_of_classes
from voxtile.evaluation.options import Options
from voxtile.evaluation.run import evaluate_model, report
from voxtile.evaluation.tasks.file import load_task

QUICK = Options(batch_size=16, replicates=100)


def test_a_smaller_share_lies_within_a_larger_one_and_subjects_stay_whole():
    subjects = np.repeat([f"p{i}" for i in range(200)], 3)
    small, large = (share_of_subjects(subjects, share, (0, 1)) for share in (1, 10))
    assert (len(small), len(large)) == (6, 60)
    assert set(small) < set(large)
    assert set(np.unique(subjects[large], return_counts=True)[1]) == {3}
    assert len(share_of_subjects(subjects, 0.01, (0, 1))) == 3, "at least one subject"
    assert not np.array_equal(large, share_of_subjects(subjects, 10, (0, 2)))


def test_shots_are_of_each_class_and_of_different_subjects():
    rng = np.random.default_rng(0)
    labels = rng.integers(-1, 2, (300, 2)).astype(np.int8)
    subjects = np.repeat([f"p{i}" for i in range(100)], 3)
    few = shots_of_classes(labels, subjects, 4, (0,), exclusive=False)
    more = shots_of_classes(labels, subjects, 8, (0,), exclusive=False)
    for column, units in enumerate(few):
        found = labels[units, column]
        assert sorted(found.tolist()) == [0] * 4 + [1] * 4
        for side in (0, 1):
            assert len(set(subjects[units[found == side]])) == 4
        assert set(units) < set(more[column])
    single = np.eye(3, dtype=np.int8)[rng.integers(0, 3, 300)]
    shared = shots_of_classes(single, subjects, 5, (0,), exclusive=True)
    assert single[shared[0]].sum(axis=0).tolist() == [5, 5, 5]
    assert all(np.array_equal(units, shared[0]) for units in shared)
    scarce = np.where(np.arange(300)[:, None] < 2, 1, 0).astype(np.int8)
    assert (scarce[shots_of_classes(scarce, subjects, 16, (0,), exclusive=False)[0]] == 1).sum() == 2, (
        "as many as exist"
    )


def problem(seed, count=90, width=12):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, count)
    features = (rng.normal(size=(count, width)) + 1.2 * np.eye(3, width)[truth]).astype(np.float32)
    return Split(features, np.eye(3, dtype=np.int8)[truth])


@pytest.mark.parametrize("exclusive", [False, True])
def test_it_is_scikit_learns_regression_with_the_penalty_that_validation_likes_best(exclusive):
    train, validation, reported = (problem(seed) for seed in (0, 1, 2))
    every = [np.arange(len(train.features))] * 3
    found = fit_probe(train, every, validation, reported, exclusive=exclusive)

    def scores(penalty, part):
        if exclusive:
            peer = LogisticRegression(C=penalty, max_iter=300).fit(train.features, train.labels.argmax(axis=1))
            return peer.predict_proba(part.features)
        peers = [LogisticRegression(C=penalty, max_iter=300).fit(train.features, y) for y in train.labels.T]
        return np.stack([peer.predict_proba(part.features)[:, 1] for peer in peers], axis=1)

    quality = [
        np.mean([roc_auc_score(y, s) for y, s in zip(validation.labels.T, scores(c, validation).T, strict=True)])
        for c in PENALTIES
    ]
    assert found.penalty == PENALTIES[int(np.argmax(quality))]
    np.testing.assert_allclose(found.reported, scores(found.penalty, reported), atol=1e-12)
    other = Split(reported.features, 1 - reported.labels)
    again = fit_probe(train, every, validation, other, exclusive=exclusive)
    np.testing.assert_array_equal(found.reported, again.reported, "the reported labels decide nothing")
    none = Split(np.zeros((0, 12), np.float32), np.zeros((0, 3), np.int8))
    assert fit_probe(train, every, none, reported, exclusive=exclusive).penalty == WITHOUT_VALIDATION


def test_labels_that_are_not_chosen_or_not_known_decide_nothing_and_a_class_of_one_side_is_at_chance():
    train, validation, reported = (problem(seed) for seed in (0, 1, 2))
    labels = train.labels.copy()
    labels[60:] = 1 - labels[60:]
    labels[:5] = -1
    labels[:60, 2] = 0
    half = [np.arange(60)] * 3
    found = fit_probe(Split(train.features, labels), half, validation, reported, exclusive=False)
    clean = Split(train.features[5:60], labels[5:60])
    same = fit_probe(clean, [np.arange(55)] * 3, validation, reported, exclusive=False)
    np.testing.assert_allclose(found.reported, same.reported, atol=1e-12)
    assert set(found.reported[:, 2]) == {0.5}


def bags(seed, count=80, width=8):
    """Units of 4 to 12 samples; in positive ones one sample points along the first axis."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(4, 13, count)
    owner = np.repeat(np.arange(count), sizes)
    truth = rng.random(count) < 0.5
    vectors = rng.normal(size=(len(owner), width)).astype(np.float32)
    first = np.cumsum(sizes) - sizes
    vectors[first[truth], 0] += 6
    names = tuple(f"u{i}" for i in range(count))
    units = Units(tuple(f"s{i}" for i in range(len(owner))), owner, np.array(names), names)
    return Bags(vectors, units, truth[:, None].astype(np.int8))


def test_attention_finds_the_one_sample_that_the_mean_drowns():
    train, validation, reported = bags(0, 120), bags(1, 60), bags(2, 60)
    found = fit_attention(train, [np.arange(120)], validation, reported, exclusive=False, seed=0)
    truth = reported.labels[:, 0]

    def means(part):
        return np.stack([part.vectors[part.units.owner == n].mean(axis=0) for n in range(len(part.units))])

    mean = LogisticRegression().fit(means(train), train.labels[:, 0]).predict_proba(means(reported))[:, 1]
    assert roc_auc_score(truth, found.reported[:, 0]) > max(0.93, roc_auc_score(truth, mean))


def evaluated(corpus, model, folder, base, **task):
    path = folder / "probe.yaml"
    path.write_text(yaml.safe_dump({"of": str(base)} | task))
    evaluation = evaluate_model(model, "m", corpus, [str(path)], QUICK)
    return evaluation, path


def printed(evaluation, folder):
    console = Console(file=io.StringIO(), width=200)
    report(evaluation, folder, console)
    return (
        json.loads((folder / "results.json").read_text()),
        (folder / "index.html").read_text(),
        console.file.getvalue(),
    )


def test_a_linear_probe_from_pixels_to_the_page(block_corpus, make_model, task_path, tmp_path):
    evaluation, _ = evaluated(
        block_corpus, make_model(), tmp_path, task_path, kind="linear-probe", shares=[100, 25], title="Probe it"
    )
    written, page, table = printed(evaluation, tmp_path)
    rows = {(r["model"], r["kind"], r["metric"], r["class"], r["average"]): r for r in written["rows"]}
    full = rows["blocks+linear-probe@100%", "model", "auroc", None, "macro"]
    part = rows["blocks+linear-probe@25%", "model", "auroc", None, "macro"]
    chance = rows["blocks+linear-probe@100%", "shuffled", "auroc", None, "macro"]
    assert full["value"] > 0.9 > 0.6 > chance["value"]
    assert full["low"] < full["value"] < full["high"]
    assert part["value"] <= full["value"] + 0.02
    assert ("histogram-and-blocks+linear-probe@25%", "trivial", "auroc", None, "macro") in rows
    assert rows["blocks+linear-probe@100%", "model", "balanced_accuracy", "nodule", "none"]["value"] > 0.8
    stated = written["provenance"]["tasks"]["probe"]
    assert stated["labelled_units"] == {"linear-probe@100%": 40, "linear-probe@25%": 10}
    assert len(stated["penalties"]["blocks+linear-probe@25%"]) == 3
    assert written["differences"][0]["baseline"] == "histogram-and-blocks+linear-probe@100%"
    for text in (page, table):
        assert f"{full['value']:.3f}" in text
    assert "25 % of the labels" in page
    assert "Probe it" in page


def test_few_shots_and_a_study_of_several_samples(tmp_path, make_corpus, make_model, task_path):
    corpus = make_corpus(tmp_path / "c", n=120, series=2)
    evaluation, _ = evaluated(corpus, make_model(), tmp_path, task_path, kind="few-shot", shots=[4, 1], repeats=2)
    rows = {(r.model, r.kind, r.metric, r.class_name): r for r in evaluation.rows}
    assert rows["blocks+few-shot@4", "model", "auroc", None].value > 0.75
    assert evaluation.results[0].labelled["few-shot@1"] <= 6, "one on each side of three findings"
    assert evaluation.results[0].headlines("blocks")["auroc"].model == "blocks+few-shot@4"
    assert len({r.model for r in evaluation.rows if r.kind == "model"}) == 2
    for pooling in ("max", "abmil"):
        other, _ = evaluated(
            corpus, make_model(), tmp_path, task_path, kind="linear-probe", shares=[100], pooling=pooling
        )
        auroc = next(r for r in other.rows if r.metric == "auroc" and r.average == "macro")
        assert auroc.value > 0.8


def test_images_find_their_like_from_pixels_to_the_page(block_corpus, make_model, task_path, tmp_path):
    evaluation, _ = evaluated(block_corpus, make_model(), tmp_path, task_path, kind="image-retrieval", cutoffs=[3, 10])
    written, page, table = printed(evaluation, tmp_path)
    rows = {(r["kind"], r["metric"]): r for r in written["rows"]}
    assert len(rows) == len(written["rows"]) == 3 * 7
    model, chance = rows["model", "map@3"], rows["shuffled", "map@3"]
    assert model["low"] > chance["value"]
    assert rows["model", "ndcg@10"]["value"] <= 1
    assert f"{model['value']:.3f}" in page
    assert f"{model['value']:.3f}" in table
    assert written["provenance"]["tasks"]["probe"]["queries"] == model["n"] < 80, "studies of no finding do not ask"


def test_images_that_nobody_labelled_are_no_wrong_neighbours(make_corpus, make_model, task_path, tmp_path):
    """Those of which nothing is known that the query shows: the figures are those of a corpus without these studies."""
    silent = {number for number in range(160) if number % 6 == 0}
    said = {True: "present", False: "absent"}
    corpus = make_corpus(
        tmp_path / "corpus", polarity=lambda number, _, truth: None if number in silent else said[truth]
    )
    task = {"kind": "image-retrieval", "cutoffs": [1, 5]}
    whole, _ = evaluated(corpus, make_model(), tmp_path, task_path, **task)
    others = ", ".join(f"'p{number}'" for number in sorted(silent))
    without, _ = evaluated(corpus, make_model(), tmp_path, task_path, where=f"subject NOT IN ({others})", **task)
    figures = [{r.metric: r.value for r in made.rows if r.kind == "model"} for made in (whole, without)]
    assert figures[0] == pytest.approx(figures[1])
    assert "27 of 80 have no label" in " ".join(whole.results[0].notes)
    assert "have no label" not in " ".join(without.results[0].notes)


def test_a_finding_that_nobody_looked_for_makes_no_wrong_neighbour(make_corpus, make_model, task_path, tmp_path):
    """Of a study whose nodules are unknown only the other findings can be held against a query."""
    corpus = make_corpus(
        tmp_path / "corpus",
        polarity=lambda number, name, truth: (
            None if name == "nodule" and number % 3 == 0 else "present" if truth else "absent"
        ),
    )
    evaluation, path = evaluated(corpus, make_model(), tmp_path, task_path, kind="image-retrieval", cutoffs=[1])
    task = load_task(str(path))
    units = select_units(corpus, task)["test"]
    labels = label_source(corpus, task.of)[1].labels(units)
    vectors = embed_units(make_model(), corpus, task, units, batch_size=16).embeddings
    right = []
    for number, query in enumerate(labels):
        shown = query == 1
        gallery = [n for n in range(len(labels)) if n != number and (labels[n, shown] >= 0).any()]
        if any((labels[n, shown] == 1).any() for n in gallery):
            nearest = max(gallery, key=lambda n: vectors[n] @ vectors[number])
            right.append((labels[nearest, shown] == 1).any())
    figure = next(r for r in evaluation.rows if (r.kind, r.metric) == ("model", "precision@1"))
    assert (figure.value, figure.n) == (pytest.approx(np.mean(right)), len(right))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"of": None}, "needs the key 'of'"),
        ({"of": "nowhere/at-all"}, "nowhere/at-all"),
        ({"shares": [0]}, r"at shares: expected a list of percentages such as \[100, 10, 1\], found \[0\]"),
        ({"shots": [1]}, "at shots: a task of the kind linear-probe takes 'shares'"),
        ({"kind": "few-shot", "shots": [True]}, "at shots: expected a list of whole numbers"),
        ({"repeats": 0}, "at repeats: expected a whole number above 0, found 0"),
        ({"pooling": "abmi"}, r"at pooling: 'abmi' is not a choice; did you mean 'abmil'\?"),
        ({"pooling": "abmil", "unit": "sample"}, "at pooling: 'abmil' pools the samples of a study"),
        ({"kind": "image-retrieval", "cutoffs": [0]}, "at cutoffs: expected a list of whole numbers above 0"),
        ({"kind": "image-retrieval", "shots": [1]}, "unknown key 'shots'"),
        ({"kind": "zero-shot-singlelabel"}, "is of the kind zero-shot-multilabel"),
        ({"kind": "zero-shot-multilabel", "averaging": {"samples": "topk"}}, r"did you mean 'top-k'\?"),
        ({"kind": "zero-shot-multilabel", "averaging": {"samples": "scores", "top_k": [3]}}, "goes with"),
        ({"kind": "zero-shot-multilabel", "averaging": {"samples": "top-k", "top_k": [0]}}, "whole numbers above 0"),
    ],
)
def test_what_is_wrong_in_a_file(tmp_path, task_path, change, said):
    path = tmp_path / "t.yaml"
    path.write_text(yaml.safe_dump({"kind": "linear-probe", "of": str(task_path)} | change))
    with pytest.raises(ConfigError, match=said):
        load_task(str(path))


def test_a_probe_on_the_split_that_it_is_fitted_on_is_refused(block_corpus, make_model, task_path, tmp_path):
    with pytest.raises(EvaluationError, match="is fitted on the split 'train' and cannot be reported on it"):
        evaluated(block_corpus, make_model(), tmp_path, task_path, kind="linear-probe", split="train")


def test_a_probe_without_a_usable_label_gives_no_figure(tmp_path, make_corpus, make_model, task_path):
    def denied_in_training(number, name, truth):
        return "present" if truth and (name != "nodule" or number % 4 != 3) else "absent"

    corpus = make_corpus(tmp_path / "c", polarity=denied_in_training)
    evaluation, _ = evaluated(corpus, make_model(), tmp_path, task_path, kind="linear-probe", shares=[100, 1])
    written, page, table = printed(evaluation, tmp_path)
    rows = {(r["model"], r["kind"], r["metric"], r["class"]): r for r in written["rows"] if r["average"] != "micro"}
    for model, kind in (("blocks", "model"), ("blocks", "shuffled"), ("histogram-and-blocks", "trivial")):
        for metric in ("auroc", "average_precision", "sensitivity", "specificity"):
            row = rows[f"{model}+linear-probe@100%", kind, metric, "nodule"]
            assert (row["value"], row["low"], row["high"]) == (None, None, None)
    whole = [rows["blocks+linear-probe@100%", "model", "auroc", name]["value"] for name in ("effusion", "fracture")]
    macro = rows["blocks+linear-probe@100%", "model", "auroc", None]["value"]
    assert macro == pytest.approx(np.mean(whole)), "of the classes that have one"
    assert "100 % of the labels: a draw shows no positive or no negative of nodule: no figure for it" in table
    nothing = rows["blocks+linear-probe@1%", "model", "auroc", None]
    assert nothing["value"] is None, "one subject of 40 shows one side of each class"
    assert "0.500 (.500" not in table
    (line,) = [line for line in table.splitlines() if line.strip().startswith("1 % of the labels") and ":" not in line]
    assert "refused" in line
    assert "refused" in page

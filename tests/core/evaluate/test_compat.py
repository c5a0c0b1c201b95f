"""Published rules: what they choose is what their own code chooses, and a model without skill gains by them."""

import math

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, precision_score
from tests.benchmark_script import benchmark_script

from voxtile.errors import ConfigError
from voxtile.evaluation.compat import clip_benchmark, ct_clip, plip, pooling
from voxtile.evaluation.figures.metrics import average_precision
from voxtile.evaluation.tasks.choices import checked_protocols as checked


def test_the_corner_threshold_is_the_one_that_the_published_loop_finds():
    """`find_threshold` of CT-CLIP's bootstrap_values.py, written out as it is there."""
    rng = np.random.default_rng(0)
    for n in (12, 40):
        labels, scores = rng.random(n) < 0.4, np.round(rng.random(n), 2)
        best, at = 10_000.0, 0.0
        for threshold in np.linspace(0, 1, 100):
            called = scores > threshold
            tp, fn = (labels & called).sum(), (labels & ~called).sum()
            fp, tn = (~labels & called).sum(), (~labels & ~called).sum()
            distance = math.sqrt((1 - tp / (tp + fn)) ** 2 + (fp / (fp + tn)) ** 2)
            if distance <= best:
                best, at = distance, threshold
        assert ct_clip.nearest_corner(labels, scores) == at


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_decisions_are_measured_as_scikit_learn_does(share):
    rng = np.random.default_rng(7)
    labels, called = rng.random(50) < 0.3, rng.random(50) < share
    found = ct_clip.decision_figures(labels, called)
    assert found["weighted_f1"] == pytest.approx(f1_score(labels, called, average="weighted", zero_division=0))
    assert found["accuracy"] == pytest.approx(accuracy_score(labels, called))
    assert found["precision"] == pytest.approx(precision_score(labels, called, zero_division=0))
    assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, called))


def test_a_threshold_from_the_reported_scans_flatters_a_model_without_skill():
    rng = np.random.default_rng(1)
    gains = []
    for _ in range(10):
        parts = [((rng.random((80, 4)) < 0.3).astype(np.int8), rng.random((80, 4))) for _ in range(2)]
        found = {part.metric: part for part in ct_clip.threshold_flattery(*parts)}
        gains.append(found["balanced_accuracy"].gain)
    assert np.mean(gains) > 0.03


def test_a_query_in_its_own_gallery_answers_itself():
    rng = np.random.default_rng(2)
    labels = (rng.random((120, 6)) < 0.2).astype(np.int8)
    embeddings = rng.normal(size=(120, 8))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    first, fifth = ct_clip.retrieval_flattery(embeddings, labels, (1, 5))
    ill = (labels == 1).any(axis=1)
    assert first.published == pytest.approx(ill.mean())  # itself for those that have a finding, nothing for others
    pairs = [_jaccard(labels[i], labels[j]) for i in range(120) for j in np.flatnonzero(ill) if i != j]
    assert first.honest == pytest.approx(np.mean(pairs), abs=0.08)
    own_fifth = _agreement_at(embeddings, labels, 5)
    assert fifth.published == pytest.approx((first.published + own_fifth) / 2)  # figures of several k run together
    unlabelled = np.concatenate([labels, np.full_like(labels[:30], -1)]), np.concatenate([embeddings, -embeddings[:30]])
    again = ct_clip.retrieval_flattery(unlabelled[1], unlabelled[0], (1, 5))
    assert again == [first, fifth], "scans of which nothing is known do not ask"


def _jaccard(one, other):
    return (one & other).sum() / max(1, (one | other).sum())


def _agreement_at(embeddings, labels, cutoff):
    gallery = np.flatnonzero((labels == 1).any(axis=1))
    found = []
    for query in range(len(labels)):
        best = gallery[np.argsort(-(embeddings[gallery] @ embeddings[query]), kind="stable")[:cutoff]]
        found.append(np.mean([_jaccard(labels[query], labels[other]) for other in best]))
    return np.mean(found)


def test_pooling_takes_the_highest_patches_and_all_where_there_are_fewer():
    bag = np.array([[1.0, 9.0], [3.0, 2.0], [2.0, 1.0]])
    np.testing.assert_allclose(pooling.pooled([bag], 2), [[2.5, 5.5]])
    np.testing.assert_allclose(pooling.pooled([bag], 50), [bag.mean(axis=0)])


def test_the_best_number_of_patches_is_taken_where_it_is_reported_and_where_it_is_validated():
    rng = np.random.default_rng(3)
    sides = []
    for _ in range(2):
        classes = rng.integers(0, 3, 40)
        sides.append((classes, [[rng.normal(size=(60, 3)) for _ in classes]]))
    found = pooling.best_top_flattery(pooling.CONCH, *sides, pooling.CONCH_TOP)
    figures = {
        top: balanced_accuracy_score(sides[0][0], pooling.pooled(sides[0][1][0], top).argmax(axis=1))
        for top in pooling.CONCH_TOP
    }
    assert found.published == pytest.approx(max(figures.values()))
    chosen, _ = pooling.best_top(*sides[1], pooling.CONCH_TOP)
    assert found.honest == pytest.approx(figures[chosen])
    assert found.chosen.endswith(f"by validation {chosen}")
    assert found.gain >= 0


def test_mi_zero_takes_the_median_over_prompts():
    rng = np.random.default_rng(4)
    classes = np.arange(30) % 2
    prompts = [[rng.normal(size=(8, 2)) for _ in classes] for _ in range(3)]
    _, figure = pooling.best_top(classes, prompts, (1,))
    assert figure == pytest.approx(np.median([pooling.balanced(classes, bags, 1) for bags in prompts]))


def test_the_penalty_of_a_probe_chosen_on_test_is_never_worse_there():
    rng = np.random.default_rng(5)
    parts = [(rng.normal(size=(n, 16)), rng.integers(0, 2, n)) for n in (60, 40, 40)]
    found = plip.probe_flattery(*parts)
    assert found.gain >= 0
    assert found.metric == "macro_f1"
    again = plip.probe_flattery(parts[0], parts[2], parts[2])
    assert again.gain == 0  # both choices on the same units
    assert again.published == found.published


def test_equal_scores_in_the_order_of_the_table_can_be_worth_everything_or_nothing():
    labels = np.array([True] * 10 + [False] * 30)
    blind = np.full(40, 0.5)
    assert clip_benchmark.table_order_precision(labels, blind) == 1.0
    assert clip_benchmark.table_order_precision(labels[::-1], blind) < 0.25
    assert average_precision(labels, blind)[0] == pytest.approx(0.25)
    found = clip_benchmark.precision_flattery(labels[:, None].astype(np.int8), blind[:, None])
    assert found is not None
    assert found.gain == pytest.approx(0.75)


def test_five_captions_are_five_chances_among_five_times_as_many_texts():
    rng = np.random.default_rng(6)
    images = rng.normal(size=(300, 16))
    texts, owner = rng.normal(size=(1500, 16)), np.repeat(np.arange(300), 5)
    found = clip_benchmark.caption_flattery(images, texts, owner, 5)
    assert found.honest == pytest.approx(5 / 300, abs=0.008)
    assert found.published == pytest.approx(1 - (1 - 5 / 1500) ** 5, abs=0.012)  # 5 of 1500 places, five tries
    single = clip_benchmark.caption_flattery(images, texts[:300], np.arange(300), 5)
    assert single.gain == 0


@pytest.fixture(scope="module")
def flattery():
    return benchmark_script("flattery")


@pytest.mark.parametrize(
    ("rule", "metric", "low", "high"),
    [
        ("thresholds on the reported scans", "balanced_accuracy", 0.02, 0.1),
        ("the query in its own gallery", "agreement@1", 0.75, 0.9),
        ("best j of five on the reported slides", "balanced_accuracy", 0, 0.15),
        ("best j of three, median of eight prompts", "balanced_accuracy", 0, 0.15),
        ("best penalty of four on the reported images", "macro_f1", 0, 0.15),
        ("equal scores in the order of the table", "mean_average_precision", 0.7, 0.9),
        ("any of five captions", "image-to-text recall@10", -0.06, 0.06),
    ],
)
def test_what_each_rule_adds_to_a_model_without_skill(flattery, rule, metric, low, high):
    n = 40 if "j of" in rule else 100
    found = {row.metric: row for row in flattery.measured(rule, n, 2, 0)}
    assert low <= found[metric].gain <= high
    assert found[metric].gain == pytest.approx(found[metric].published - found[metric].honest)


def test_an_unknown_protocol_is_refused():
    with pytest.raises(ConfigError, match="did you mean 'ct-clip'"):
        checked(["ctclip"])

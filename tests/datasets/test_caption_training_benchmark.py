"""What benchmarks/caption_training says of sources of captions: its figures, its changed texts, that it learns."""

import sys
from types import ModuleType

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from tests.benchmark_script import BENCHMARKS, benchmark_script

FOLDER = "caption_training"


@pytest.fixture
def part(monkeypatch):
    """A module of the benchmark, which finds its neighbours by their names."""
    monkeypatch.syspath_prepend(str(BENCHMARKS / FOLDER))
    before = set(sys.modules)

    def loaded(name: str) -> ModuleType:
        return benchmark_script(f"{FOLDER}/{name}")

    yield loaded
    for name in set(sys.modules) - before:
        if name in {"training", "corpora", "texts", "judging", "figures", "reasons"}:
            del sys.modules[name]


def test_the_mean_area_is_that_of_scikit_learn(part):
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(-1, 2, 60).astype(np.int8), rng.integers(0, 9, (60, 5)).astype(float)
    drawn = rng.integers(0, 3, (60, 4)).astype(np.float32)
    found, known = part("judging").mean_area(labels, scores, drawn), labels >= 0
    for column in range(4):
        weight = drawn[known, column]
        areas = [roc_auc_score(labels[known], score[known], sample_weight=weight) for score in scores.T]
        assert found[column] == pytest.approx(np.mean(areas))


def test_few_texts_are_of_the_samples_own_facts(part):
    stated = {f"u{i}": frozenset({("lake" if i % 2 else "forest", "present")}) for i in range(40)}
    pool = {uid: [f"{next(iter(facts))[0]} {uid}"] for uid, facts in stated.items()}
    found = part("reasons").few(pool, stated, 3)
    assert set(found) == set(pool)
    assert all(text.startswith(next(iter(stated[uid]))[0]) for uid, texts in found.items() for text in texts)
    assert len({text for texts in found.values() for text in texts}) == 6


def test_texts_of_one_name_use_the_concepts_own(part):
    stated = {"a": frozenset({("forest", "present")}), "b": frozenset({("river_or_lake", "present")})}
    pool = {"a": ["A Forest is seen.", "Woodland is seen."], "b": ["Water is seen.", "A river or lake."]}
    assert part("reasons").of_one_name(pool, stated) == {"a": ["A Forest is seen."], "b": ["A river or lake."]}


def test_what_a_model_wrote_is_shared_where_it_is_as_true(part):
    """Whole texts by all facts, sentences by those of the findings that they name, numbers where they are said."""
    texts = part("texts")

    def fact(concept, side, size):
        return (concept, "present", f'{{"laterality": "{side}"}}', str(size))

    exactly = {
        "a": {fact("pleural_effusion", "left", None), fact("pulmonary_nodule", "left", 8)},
        "b": {fact("pleural_effusion", "left", None), fact("pulmonary_nodule", "left", 5)},
        "c": {fact("pleural_effusion", "right", None), fact("pulmonary_nodule", "left", 8)},
    }
    facts = texts.Known(list(exactly), {}, {uid: frozenset(rows) for uid, rows in exactly.items()})
    effusion, nodule, sized = "A left pleural effusion.", "There is a lung nodule.", "A lung nodule of 8 mm."
    own = {"a": [" ".join([effusion, nodule, sized])]}
    assert texts.shared(own, facts, "medical") == {
        "a": [effusion, nodule, sized],
        "b": [effusion, nodule],
        "c": [nodule, sized],
    }
    assert texts.shared({"a": [effusion]}, facts) == {"a": [effusion], "b": [effusion]}
    assert texts.shared(own, facts) == own


def test_wrong_texts_are_of_other_facts_and_as_many_as_said(part):
    stated = {f"u{i}": i % 4 for i in range(1000)}
    pool = {uid: [f"text {number}"] for uid, number in stated.items()}
    found = part("reasons").wrong(pool, stated, 0.3)
    assert 0.25 < np.mean([found[uid] != pool[uid] for uid in pool]) < 0.35


@pytest.mark.parametrize("tower", ["bag", "order"])
def test_a_training_learns_which_text_goes_with_which_vectors(part, tower):
    training = part("training")
    rng, classes = np.random.default_rng(0), np.repeat([0, 1], 40)
    centre = rng.normal(size=(2, 16))
    vectors = {f"u{i}": (centre[c] + 0.3 * rng.normal(size=16)).astype(np.float32) for i, c in enumerate(classes)}
    texts = {f"u{i}": [["a lake", "water in view"], ["a forest", "trees in view"]][c] for i, c in enumerate(classes)}
    stated = {f"u{i}": int(c) for i, c in enumerate(classes)}
    model = training.train(vectors, [texts], stated, tower=tower, seed=0, settings=training.Settings(steps=60))
    seen = model.encode_images(training.torch.from_numpy(np.stack(list(vectors.values()))))
    best = (seen @ model.encode_texts(["a lake", "trees in view"]).T).argmax(1).numpy()
    assert (best == classes).mean() > 0.95

"""Approximate search against the exact one: on clusters and on vectors with little order, with and without filters."""

import numpy as np
import pytest

pytest.importorskip("faiss", reason="the extra serve is not installed")
from voxtile.serve.search.meaning import MeaningSearch
from voxtile.serve.search.nearest import Nearest, Recall
from voxtile.serve.search.nearest_build import build
from voxtile.serve.search.vectors import VectorFile

COUNT, WIDTH = 12_000, 12


def clustered(rng):
    centres = rng.normal(size=(60, WIDTH))
    return centres[rng.integers(0, 60, COUNT)] + 0.4 * rng.normal(size=(COUNT, WIDTH))


def without_order(rng):
    return rng.normal(size=(COUNT, WIDTH))


@pytest.fixture(scope="module", params=[clustered, without_order], ids=["clustered", "without order"])
def lists(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lists")
    vectors = request.param(np.random.default_rng(3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    present = np.random.default_rng(4).random(COUNT) < 0.95
    vectors[~present] = 0
    (folder / "vectors.f16").write_bytes(vectors.astype(np.float16).tobytes())
    np.save(folder / "present.npy", present)
    told = []
    texts = np.random.default_rng(5).normal(size=(24, WIDTH)).astype(np.float32)
    recall = build(folder, WIDTH, texts, folder, lambda done, total: told.append((done, total)))
    assert told[-1] == (present.sum(), present.sum()), "it tells how far it is"
    file = VectorFile(folder / "vectors.f16", present, WIDTH)
    yield Nearest(folder, file), file, recall
    file.close()


def recall_at_10(nearest, file, queries, allowed=None):
    shares = []
    for query in queries:
        truth = file.best(query, 10, allowed).numbers
        found = nearest.best(query, 1000, allowed)
        found = file.best(query, 1000, allowed) if found is None else found
        shares.append(np.isin(truth, found.numbers[:10]).mean())
    return np.mean(shares)


@pytest.mark.cases(1)
def test_its_recall_is_what_it_says_and_high(lists):
    nearest, file, said = lists
    assert nearest.recall == said, "what was measured is read again"
    assert said.least >= 0.99
    rng = np.random.default_rng(6)
    own = file.vectors(rng.choice(np.flatnonzero(file.present), 40, replace=False))
    queries = own + 0.05 * rng.normal(size=own.shape).astype(np.float32)
    assert recall_at_10(nearest, file, queries) >= 0.99


@pytest.mark.cases(1)
def test_few_neighbours_are_found_as_well_as_many(lists):
    nearest, file, _ = lists
    shares = []
    for number in np.random.default_rng(11).choice(np.flatnonzero(file.present), 40, replace=False).tolist():
        query = file.vectors(np.array([number]))[0]
        shares.append(np.isin(file.best(query, 5).numbers, nearest.best(query, 5).numbers).mean())
    assert np.mean(shares) >= 0.99


def test_cosines_are_exact_and_samples_without_a_vector_are_not_found(lists):
    nearest, file, _ = lists
    query = np.random.default_rng(7).normal(size=WIDTH).astype(np.float32)
    found = nearest.best(query, 200)
    assert not found.is_exact
    assert file.present[found.numbers].all()
    unit = query.astype(np.float64) / np.linalg.norm(query)
    assert np.allclose(found.cosines, file.vectors(found.numbers).astype(np.float64) @ unit, atol=1e-6)
    assert (np.diff(found.cosines) <= 0).all()


@pytest.mark.parametrize("share", [0.5, 0.1, 0.01, 0.0005])
def test_filters_hold_and_lose_nothing(lists, share):
    """Where few are left it leaves the search to the exact one; in between it looks further."""
    nearest, file, _ = lists
    rng = np.random.default_rng(8)
    allowed = rng.random(COUNT) < share
    queries = rng.normal(size=(12, WIDTH)).astype(np.float32)
    for query in queries:
        found = nearest.best(query, 1000, allowed)
        assert found is None or allowed[found.numbers].all()
    assert recall_at_10(nearest, file, queries, allowed) >= 0.99


@pytest.mark.parametrize("left", [1000, 6000])
def test_a_filter_far_from_the_query_is_not_lost(lists, left):
    """The samples that are furthest from the query, of which the lists near to it hold none."""
    nearest, file, _ = lists
    query = np.random.default_rng(9).normal(size=WIDTH).astype(np.float32)
    order = file.best(query, COUNT).numbers
    allowed = np.zeros(COUNT, bool)
    allowed[order[-left:]] = True
    assert recall_at_10(nearest, file, [query], allowed) == 1.0


def test_lists_that_find_too_little_or_are_all_read_are_not_searched_by(lists, monkeypatch):
    nearest, file, _ = lists
    meaning = MeaningSearch(None, file, nearest)
    query = np.random.default_rng(10).normal(size=WIDTH).astype(np.float32)
    assert not meaning.by_vector(query, 10, None).is_exact
    monkeypatch.setattr(nearest, "recall", Recall(images=0.995, words=0.98, looked_at=1000))
    assert meaning.by_vector(query, 10, None).is_exact
    assert not meaning.is_approximate
    monkeypatch.setattr(nearest, "recall", Recall(images=1.0, words=1.0, looked_at=COUNT * 2 // 3))
    assert not meaning.is_approximate

"""Pictures and vectors: near-duplicates against all pairs, SemDeDup and clusters against plain loops."""

import numpy as np
import pytest

from voxtile.data.epoch_order import EpochOrder, WeightedOrder
from voxtile_datasets.curation.pictures import alike_pictures, differing_bits, joined_hashes
from voxtile_datasets.curation.scores.image import image_scores
from voxtile_datasets.curation.vectors import (
    alike_vectors,
    clusters_of,
    nearest_of_clusters,
    semantic_duplicates,
)


def greedy(alike):
    """By priority: what stays, from a [n, n] matrix of likeness."""
    kept = []
    for item in range(len(alike)):
        if not any(alike[item, other] for other in kept):
            kept.append(item)
    return kept


@pytest.mark.parametrize("bits", [0, 1, 3, 6])
def test_no_pair_of_pictures_is_missed_or_invented(bits):
    rng = np.random.default_rng(bits)
    hashes = rng.integers(0, 1 << 63, 400, np.uint64)
    for copy in range(200, 400):
        flips = rng.permutation(63)[: rng.integers(0, 9)]
        hashes[copy] = hashes[rng.integers(0, 200)] ^ np.uint64(sum(1 << int(bit) for bit in flips))
    ones = np.unpackbits(hashes.view(np.uint8).reshape(-1, 8), axis=1).astype(bool)
    distances = (ones[:, None] != ones[None]).sum(-1)
    by = alike_pictures(hashes, bits, np.arange(400), np.zeros(400, bool))
    assert np.flatnonzero(by == -1).tolist() == greedy(distances <= bits)
    gone = np.flatnonzero(by >= 0)
    assert (differing_bits(hashes[gone], hashes[by[gone]]) <= bits).all()
    assert (distances[gone, by[gone]] <= bits).all()


def test_held_out_pictures_stay_and_take_their_copies_away():
    hashes = np.array([7, 7, 7, 1 << 40], np.uint64)
    by = alike_pictures(hashes, 3, np.array([2, 1, 0, 3]), np.array([False, True, True, False]))
    assert by[1:].tolist() == [-1, -1, -1]
    assert by[0] == 2


def test_a_picture_saved_again_has_nearly_the_same_hash():
    rng = np.random.default_rng(0)
    smooth = np.kron(rng.integers(0, 255, (6, 6)), np.ones((16, 16))).astype(np.uint8)
    again = np.clip(smooth.astype(int) + rng.integers(-1, 2, smooth.shape), 0, 255).astype(np.uint8)
    other = np.kron(rng.integers(0, 255, (6, 6)), np.ones((16, 16))).astype(np.uint8)
    words = []
    for picture in (smooth, again, other):
        scores = image_scores(picture)
        words.append(joined_hashes(np.array([scores["phash_high"]]), np.array([scores["phash_low"]])))
    assert differing_bits(words[0], words[1])[0] <= 4
    assert differing_bits(words[0], words[2])[0] > 15
    flat = image_scores(np.full((40, 40), 255, np.uint8))
    assert flat == {"sharpness": 0.0, "contrast": 0.0, "entropy": 0.0, "clipped": 1.0}  # and no hash
    chequered = (np.indices((40, 40)).sum(0) % 2 * 255).astype(np.uint8)
    assert image_scores(chequered)["entropy"] == pytest.approx(1)


@pytest.fixture(scope="module")
def vectors():
    """300 unit vectors round 20 directions, near and less near."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(20, 16))
    points = centres[rng.integers(0, 20, 300)] + rng.normal(size=(300, 16)) * rng.choice([0.03, 0.4], (300, 1))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float16)


def cosines(vectors):
    wide = vectors.astype(np.float32)
    return wide @ wide.T


def test_alike_vectors_are_those_of_all_pairs(vectors, monkeypatch):
    monkeypatch.setattr("voxtile_datasets.curation.vectors._BLOCK", 64)
    by = alike_vectors(vectors, 0.95, np.arange(300), np.zeros(300, bool))
    assert np.flatnonzero(by == -1).tolist() == greedy(cosines(vectors) >= 0.95)
    assert (by >= 0).sum() > 50


def test_semdedup_is_its_published_rule_in_each_cluster(vectors, monkeypatch):
    monkeypatch.setattr("voxtile_datasets.curation.vectors._BLOCK", 32)
    by = semantic_duplicates(vectors, 0.05, 5, np.zeros(300, bool), seed=0)
    labels, nearness = clusters_of(vectors, 5, 0)
    alike = cosines(vectors)
    expected = set()
    for cluster in range(5):  # in order of rising similarity to the centre, as the paper's code with hard examples kept
        members = sorted(np.flatnonzero(labels == cluster), key=lambda i: (nearness[i], i))
        for place, item in enumerate(members):
            if place and max(alike[item, other] for other in members[:place]) > 0.95:
                expected.add(int(item))
    assert set(np.flatnonzero(by >= 0).tolist()) == expected
    assert len(expected) > 50


def test_clusters_give_their_budget_nearest_to_the_centre(vectors):
    chosen = nearest_of_clusters(vectors, 8, 3, seed=0)
    labels, nearness = clusters_of(vectors, 8, 0)
    for cluster in np.unique(labels):
        own = np.flatnonzero(labels == cluster)
        assert chosen[own].sum() == min(3, len(own))
        assert nearness[own[chosen[own]]].min() >= np.sort(nearness[own])[-min(3, len(own))]


@pytest.mark.parametrize("size", [50, 1000])
def test_weighted_draws_follow_the_weights_and_are_a_function_of_the_position(size):
    weights = np.random.default_rng(size).exponential(size=size) * (np.arange(size) % 4 > 0)
    order = WeightedOrder(EpochOrder.automatic(size, 3), np.concatenate([[0], np.cumsum(weights)]))
    epochs = np.stack([order.rows(epoch, np.arange(size)) for epoch in range(200)])
    expected = size * weights / weights.sum()
    for drawn in epochs[:5]:
        counts = np.bincount(drawn, minlength=size)
        assert (counts >= np.floor(expected - 1e-9)).all()
        assert (counts <= np.ceil(expected + 1e-9)).all()
        assert not counts[weights == 0].any()
    mean = np.bincount(epochs.ravel(), minlength=size) / 200
    assert np.abs(mean - expected).max() < 5 * 0.5 / np.sqrt(200)
    assert not np.array_equal(epochs[0], epochs[1])
    some = np.array([7, 3, 41])
    np.testing.assert_array_equal(order.rows(1, some), epochs[1][some])

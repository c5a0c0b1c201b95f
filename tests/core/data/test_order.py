"""The order of an epoch: a bijection, unbiased, local, and a pure function of its arguments."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from voxtile.data import epoch_order as order
from voxtile.data.batches.dataset import OrderedDraws
from voxtile.data.cursor import Cursor
from voxtile.data.epoch_order import EpochOrder, WeightedOrder, permute
from voxtile.data.handing_out import by_place
from voxtile.data.loader import TrainingDraws


@settings(max_examples=60, deadline=None)
@given(size=st.integers(1, 4000), key=st.integers(0, 2**64 - 1))
def test_sorted_permutation_is_a_bijection(size, key):
    assert np.array_equal(np.sort(permute(np.arange(size), size, key)), np.arange(size))


@settings(max_examples=60, deadline=None)
@given(size=st.integers(1, 4000), key=st.integers(0, 2**64 - 1))
def test_feistel_is_a_bijection(size, key):
    assert np.array_equal(np.sort(order._feistel(np.arange(size), size, key)), np.arange(size))


@settings(max_examples=60, deadline=None)
@given(
    size=st.integers(1, 3000),
    seed=st.integers(0, 2**31),
    epoch=st.integers(0, 50),
    block=st.integers(1, 40),
    window=st.integers(1, 9),
)
def test_every_epoch_draws_each_row_once(size, seed, epoch, block, window):
    rows = EpochOrder(size, seed, block=block, window=window).rows(epoch, np.arange(size))
    assert np.array_equal(np.sort(rows), np.arange(size))


@settings(max_examples=20, deadline=None)
@given(size=st.integers(2, 3000), block=st.integers(1, 8), cut=st.integers(1, 2999))
def test_a_position_does_not_depend_on_what_is_asked_with_it(size, block, cut):
    shuffle = EpochOrder(size, 7, block=block, window=5)
    whole = shuffle.rows(3, np.arange(size))
    part = shuffle.rows(3, np.arange(cut % size, size))
    assert np.array_equal(whole[cut % size :], part)


def test_a_large_domain_needs_no_memory_and_stays_a_bijection():
    shuffle = EpochOrder.automatic(10**12 + 7, 1)
    rows = shuffle.rows(0, np.arange(5_000_000, 5_100_000))
    assert len(np.unique(rows)) == len(rows)
    assert rows.min() >= 0
    assert rows.max() < 10**12 + 7


@pytest.mark.parametrize("block", [1, 4])
def test_first_rows_are_uniform_over_seeds(block):
    # Where a fixed position lands, over many seeds: chi-square against uniform, threshold at p = 1e-4.
    size, trials = 40, 4000
    for position in (0, 17, size - 1):
        landed = [
            int(EpochOrder(size, s, block=block, window=3).rows(0, np.array([position]))[0]) for s in range(trials)
        ]
        assert stats.chisquare(np.bincount(landed, minlength=size)).pvalue > 1e-4


@pytest.mark.sweep(ci=True)
def test_feistel_pairs_are_uniform_over_keys():
    # Joint law of two images, 20·19 ordered pairs: catches correlations that single positions cannot show.
    size, trials = 20, 8_000
    pairs = np.zeros((size, size))
    for key in range(trials):
        a, b = order._feistel(np.array([3, 4]), size, order.derive_key(key))
        pairs[a, b] += 1
    assert np.all(np.diag(pairs) == 0)
    assert stats.chisquare(pairs[~np.eye(size, dtype=bool)]).pvalue > 1e-4


def test_seeds_and_epochs_give_unrelated_orders():
    base = EpochOrder(2000, 0).rows(0, np.arange(2000))
    for other in (EpochOrder(2000, 1).rows(0, np.arange(2000)), EpochOrder(2000, 0).rows(1, np.arange(2000))):
        assert np.count_nonzero(base == other) < 15  # one expected; Poisson(1) exceeds 14 with p < 1e-11
        assert abs(np.corrcoef(base, other)[0, 1]) < 0.12


def test_reads_stay_local_in_blocks():
    shuffle = EpochOrder(100_000, 0, block=32, window=64)
    rows = shuffle.rows(0, np.arange(64 * 32))
    assert len(np.unique(rows // 32)) <= 2 * 64  # rotation can split each block over two aligned ones


def test_the_order_is_frozen():
    # A changed order would break every resumed run: a new function needs a new name, not new values.
    assert EpochOrder(10, 0).rows(0, np.arange(10)).tolist() == FROZEN_SMALL
    assert EpochOrder.automatic(10**8, 5).rows(2, np.arange(4)).tolist() == FROZEN_LARGE


FROZEN_SMALL = [9, 2, 5, 6, 1, 4, 8, 7, 0, 3]
FROZEN_LARGE = [33206294, 44435434, 40077809, 57845439]


def test_weights_hold_in_every_epoch_and_over_epochs():
    """Madow and Madow 1944: ⌊n·w⌋ or ⌈n·w⌉ draws an epoch, n·w on average; a rare row comes at last, too."""
    weights = np.array([5.0, 0.05, 2.0, 0.0, 1.0, 1.95])
    order = WeightedOrder(EpochOrder(6, seed=3), np.concatenate([[0.0], np.cumsum(weights)]))
    counts = np.array([np.bincount(order.rows(epoch, np.arange(6)), minlength=6) for epoch in range(4000)])
    expected = 6 * weights / weights.sum()
    assert (counts >= np.floor(expected - 1e-9)).all()
    assert (counts <= np.ceil(expected + 1e-9)).all()
    np.testing.assert_allclose(counts.mean(0), expected, atol=4 * 0.5 / np.sqrt(4000))
    assert counts[:, 1].sum() > 60
    assert counts[:, 3].sum() == 0


def drawn(shuffle, batch, rank, ranks, steps=2):
    """(rows, numbers) of one rank's first steps."""
    draws = iter(TrainingDraws(shuffle, Cursor(0, "", epoch=1), batch, rank, ranks))
    parts = [next(draws) for _ in range(steps)]
    return [(part.items, part.numbers) for part in parts]


@pytest.mark.parametrize("weighted", [False, True])
def test_a_batch_read_by_blocks_is_the_same_by_any_number_of_ranks(weighted):
    size, batch = 50_000, 480
    shuffle = EpochOrder(size, 7, block=32, window=40)
    if weighted:
        weights = np.linspace(1, 3, size)
        shuffle = WeightedOrder(shuffle, np.concatenate([[0.0], np.cumsum(weights)]))
    alone = drawn(shuffle, batch, 0, 1)
    for step, (rows, numbers) in enumerate(alone):
        drawn_there = np.arange(step * batch, (step + 1) * batch)
        assert np.array_equal(np.sort(numbers), size + drawn_there)  # the draws of an epoch before count on
        assert np.array_equal(rows, shuffle.rows(1, numbers - size))  # each with its own item
    for ranks in (2, 3, 16):
        by_rank = [drawn(shuffle, batch, rank, ranks) for rank in range(ranks)]
        for step, whole in enumerate(alone):
            for what in (0, 1):
                assert np.array_equal(np.concatenate([own[step][what] for own in by_rank]), whole[what])


def test_a_thousand_ranks_read_neighbours_of_a_few_shards():
    """100 million samples in shards of ten thousand, 32 for each rank: as drawn, nearly each of them is of another."""
    shuffle, ranks, share, shard = EpochOrder.automatic(10**8, 0), 1000, 32, 10_000
    positions = np.arange(ranks * share)
    rows = shuffle.rows(0, positions)
    assert np.median([len(np.unique(own)) for own in (rows // shard).reshape(ranks, share)]) > 30
    rows = rows[by_place(rows)]
    assert np.array_equal(np.sort(rows), np.sort(shuffle.rows(0, positions)))
    shards = (rows // shard).reshape(ranks, share)
    assert max(len(np.unique(own)) for own in shards) <= 14
    assert np.mean([len(np.unique(own)) for own in shards]) < 8
    readers = np.unique(np.stack([shards.ravel(), np.repeat(np.arange(ranks), share)], 1), axis=0)
    assert np.bincount(readers[:, 0]).max() <= 20
    # A quarter of each rank's samples is of each quarter of the corpus, so that large and small halves are shared.
    assert (np.abs((rows.reshape(ranks, 4, 8) / 10**8).mean((0, 2)) - [0.125, 0.375, 0.625, 0.875]) < 0.02).all()
    shuffled = iter(TrainingDraws(shuffle, Cursor(0, ""), ranks * share, 417, ranks))
    assert np.array_equal(next(shuffled).items, rows[417 * share : 418 * share])


@settings(max_examples=60, deadline=None)
@given(size=st.integers(1, 50), batch=st.integers(1, 20), ranks=st.integers(1, 6))
def test_ranks_share_a_held_out_split_without_repeating_an_item(size, batch, ranks):
    """One after the other their parts are the batches of one process, also where a batch has fewer items than ranks."""
    parts = [list(OrderedDraws(size, batch, rank, ranks)) for rank in range(ranks)]
    whole = [draws.items for draws in OrderedDraws(size, batch)]
    for expected, *shared in zip(whole, *parts, strict=True):
        assert all(len(part.items) for part in shared)  # all go through the towers
        counted = [part.items for part in shared if not part.is_filler]
        assert np.array_equal(np.concatenate(counted), expected)

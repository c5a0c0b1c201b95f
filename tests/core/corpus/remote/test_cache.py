"""The cache on the disk: what was put there is what is read; what was read ahead is not pushed out by what follows."""

from collections import deque

import numpy as np
import pytest

from voxtile.corpus.remote.block_cache import CacheSpace
from voxtile.corpus.remote.extents import BLOCK, ObjectBlocks, extent_bytes
from voxtile.corpus.remote.filling import missing_blocks

SIZE = (24 << 20) + 12345


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VOXTILE_CACHE", str(tmp_path))
    (tmp_path / "remote/id/blocks").mkdir(parents=True)
    return tmp_path / "remote"


@pytest.fixture(scope="module")
def content():
    return np.random.default_rng(0).integers(0, 256, SIZE, dtype=np.uint8).tobytes()


def put(space, blocks, content, first, count):
    data = content[first * BLOCK : (first + count) * BLOCK]
    space.make_room(len(data))
    space.on_disk(lambda: blocks.write(first, data))


def test_ranges_across_extents_are_those_of_the_object(cache, content):
    blocks, space = ObjectBlocks(cache / "id/blocks/object", SIZE), CacheSpace(cache)
    assert 1 < SIZE // extent_bytes(SIZE) < 256
    total = -(-SIZE // BLOCK)
    assert blocks.missing(0, SIZE).tolist() == list(range(total))
    assert blocks.view(0, 10) is None
    rng = np.random.default_rng(1)
    kept = sorted(set(range(total)) - set(rng.choice(total, 9, replace=False).tolist()))
    for first in kept:
        put(space, blocks, content, first, 1)
    assert blocks.missing(0, SIZE).tolist() == sorted(set(range(total)) - set(kept))
    for start in [*rng.integers(0, SIZE - 1, 60).tolist(), SIZE - 5]:
        stop = min(SIZE, start + int(rng.integers(1, 3 << 20)))
        found = blocks.view(start, stop - start)
        if blocks.missing(start, stop).size:
            assert found is None
        else:
            assert found == content[start:stop]


def test_what_is_missing_of_many_ranges_is_what_is_missing_of_each(cache, content):
    blocks, space = ObjectBlocks(cache / "id/blocks/object", SIZE), CacheSpace(cache)
    rng = np.random.default_rng(3)
    for first in rng.choice(SIZE // BLOCK, 700, replace=False).tolist():
        put(space, blocks, content, first, 1)
    for most in (1 << 10, 1 << 15, 4 << 20):
        for _ in range(20):
            starts = rng.integers(0, SIZE - 1, rng.integers(1, 60)).tolist()
            ranges = [(start, min(SIZE, start + int(rng.integers(1, most)))) for start in starts]
            each = {block for start, stop in ranges for block in blocks.missing(start, stop).tolist()}
            assert missing_blocks(blocks, ranges) == sorted(each)
    assert missing_blocks(blocks, []) == []


def test_what_was_read_ahead_is_there_when_a_cache_of_a_quarter_turns_over(cache, content, monkeypatch):
    limit = SIZE // 4
    monkeypatch.setenv("VOXTILE_REMOTE_CACHE_GB", str(limit / 1e9))
    shards = [ObjectBlocks(cache / f"id/blocks/shard-{n}", SIZE // 6) for n in range(6)]
    space, rng = CacheSpace(cache), np.random.default_rng(2)
    ahead: deque = deque()
    for _ in range(600):  # as an epoch in random order reads, an eighth of the cache ahead
        shard, first = shards[rng.integers(6)], int(rng.integers(0, SIZE // 6 // BLOCK - 3))
        put(space, shard, content, first, 3)
        ahead.append((shard, first))
        if len(ahead) * 3 * BLOCK > limit // 8:
            shard, first = ahead.popleft()
            assert shard.view(first * BLOCK, 3 * BLOCK) == content[first * BLOCK : (first + 3) * BLOCK]
        assert sum(p.stat().st_blocks * 512 for p in (cache / "id/blocks").iterdir()) <= limit

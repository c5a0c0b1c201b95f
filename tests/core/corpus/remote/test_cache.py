"""The cache on the disk: what was put there is what is read; what was read ahead is not pushed out by what follows."""

import os
import time
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


def test_a_damaged_block_and_a_file_that_was_cut_are_missing_and_can_be_written_again(cache, content):
    blocks, space = ObjectBlocks(cache / "id/blocks/object", SIZE), CacheSpace(cache)
    put(space, blocks, content, 0, 8)
    first = min((cache / "id/blocks").iterdir())
    with first.open("r+b") as file:
        file.seek(3 * BLOCK + 5)
        file.write(bytes([content[3 * BLOCK + 5] ^ 1]))
    assert blocks.view(0, 3 * BLOCK) == content[: 3 * BLOCK]
    assert blocks.view(3 * BLOCK - 1, 2) is None
    assert blocks.missing(0, 8 * BLOCK).tolist() == [3]
    put(space, blocks, content, 3, 1)
    assert blocks.view(0, 8 * BLOCK) == content[: 8 * BLOCK]
    for length in (0, BLOCK, extent_bytes(SIZE) + 4, first.stat().st_size - 8):
        os.truncate(first, length)
        assert (blocks.view(0, 8 * BLOCK) is None) == (length < extent_bytes(SIZE) + 8 * 8)
        put(space, blocks, content, 0, 8)
        assert blocks.view(0, 8 * BLOCK) == content[: 8 * BLOCK]
        assert blocks.missing(0, 10 * BLOCK).tolist() == [8, 9]
    total = extent_bytes(SIZE) // BLOCK
    os.truncate(first, 3 * BLOCK)
    assert blocks.missing(0, total * BLOCK).tolist() == list(range(total))


def test_what_is_read_counts_as_used(cache, content):
    blocks, space = ObjectBlocks(cache / "id/blocks/object", SIZE), CacheSpace(cache)
    put(space, blocks, content, 0, 2)
    [file] = (cache / "id/blocks").iterdir()
    for shift in (-5, -3600, 3600):  # a clock may have been set back
        os.utime(file, (then := time.time() + shift, then))
        assert blocks.view(0, BLOCK) == content[:BLOCK]
        assert abs(time.time() - file.stat().st_mtime) < 60
        assert (abs(file.stat().st_mtime - then) < 1e-3) == (shift == -5)


def test_a_file_that_is_removed_and_made_again_is_read_as_it_is_now(cache, content):
    blocks, space = ObjectBlocks(cache / "id/blocks/object", SIZE), CacheSpace(cache)
    put(space, blocks, content, 0, 2)
    held = blocks.view(0, 2 * BLOCK)
    [file] = (cache / "id/blocks").iterdir()
    file.unlink()
    assert blocks.view(0, BLOCK) is None
    put(space, blocks, content, 1, 1)
    os.utime(file, (1e9, 1e9))
    assert blocks.view(0, BLOCK) is None
    assert file.stat().st_mtime == 1e9, "nothing is written of a block that another may be writing"
    assert blocks.view(BLOCK, BLOCK) == content[BLOCK : 2 * BLOCK]
    assert held == content[: 2 * BLOCK], "whoever read it keeps what was in it"

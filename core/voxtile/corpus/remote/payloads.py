"""Bytes of shards of remote corpora, for whoever reads a shard: in place, in the cache."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from voxtile.corpus.remote.address import marker
from voxtile.corpus.remote.block_cache import LIMIT_VARIABLE
from voxtile.corpus.remote.client import fill, leave_fetcher
from voxtile.corpus.remote.extents import ObjectBlocks
from voxtile.corpus.remote.mirror import Mirror
from voxtile.corpus.remote.referenced import forget_copies
from voxtile.errors import StoreError

_ATTEMPTS = 8  # a block may be removed from a small cache before whoever waited for it has read it


def see_anew() -> None:
    """Have this process see remote corpora as they are now; it otherwise sees them as they were at its first look.

    Corpora and views that are open go on with what they know.
    """
    leave_fetcher()
    _mirror.cache_clear()
    _shard.cache_clear()
    forget_copies()


def remote_address(root: Path) -> str | None:
    """Address of the corpus that a folder is the mirror of; None where it is none."""
    mirror = _mirror(os.fspath(root))
    return None if mirror is None else mirror.address.url


def remote_size(path: Path) -> int | None:
    """Size in bytes of a shard of a remote corpus; None where the path is none."""
    shard = _shard(os.fspath(path))
    return None if shard is None else shard.blocks.size


def remote_shards(root: Path) -> dict[str, int]:
    """Names and sizes of the shards of a remote corpus; none where the folder is no mirror."""
    mirror = _mirror(os.fspath(root))
    return {} if mirror is None else {name: known.size for name, known in sorted(mirror.shards.items())}


def remote_payload(path: Path, offset: int, nbytes: int) -> memoryview | None:
    """Bytes of a shard of a remote corpus, fetched if the cache has them not; None where the path is none.

    Args:
        path: of the shard, in the corpus's mirror.
        offset: of the first byte.
        nbytes: how many there are; the range lies inside the shard.

    Raises:
        StoreError: they cannot be read, or the cache is too small for them.
    """
    shard = _shard(os.fspath(path))
    if shard is None:
        return None
    [found] = _parts(shard, [(offset, offset + nbytes)], follow=True)
    return found


def remote_parts(path: Path, ranges: Sequence[tuple[int, int]]) -> list[memoryview]:
    """Ranges of a shard of a remote corpus, fetched side by side; nothing behind them is read along.

    Args:
        path: of the shard, in the corpus's mirror.
        ranges: first byte and the one behind the last, of each, inside the shard.

    Raises:
        StoreError: they cannot be read, or the cache is too small for them.
    """
    shard = _shard(os.fspath(path))
    if shard is None:
        raise StoreError(f"'{path}' is no shard of a remote corpus")
    return _parts(shard, ranges, follow=False)


def forget_cached(path: Path, start: int, stop: int) -> bool:
    """Have a range of a shard fetched again at its next read, since the cache's bytes are not what the corpus records.

    The network may have changed them, the object may have been mended since, or somebody wrote into the cache.

    Args:
        path: of the shard, in the corpus's mirror.
        start: first byte.
        stop: the one behind the last.

    Returns:
        Whether the path is that of a remote corpus's shard, and the cache can be written to.
    """
    shard = _shard(os.fspath(path))
    if shard is None:
        return False
    try:
        shard.blocks.forget(max(0, start), min(shard.blocks.size, stop))
    except OSError:
        return False
    return True


class _Shard(NamedTuple):
    """A shard of a remote corpus: the corpus's mirror, its name in it, and its blocks."""

    mirror: Mirror
    name: str
    blocks: ObjectBlocks


def _parts(shard: _Shard, ranges: Sequence[tuple[int, int]], *, follow: bool) -> list[memoryview]:
    for _ in range(_ATTEMPTS):
        found = [shard.blocks.view(start, stop - start) for start, stop in ranges]
        there = [part for part in found if part is not None]
        if len(there) == len(found):
            return there
        fill(shard.mirror.root, shard.name, ranges, follow=follow)
    raise StoreError(
        f"the cache of remote corpora is too small: what was read of '{shard.name}' was removed before it was used; "
        f"raise {LIMIT_VARIABLE}"
    )


@lru_cache(maxsize=1 << 12)  # asked for every sample: names and digests would take longer than reading a picture
def _shard(path: str) -> _Shard | None:
    """What is known of a shard; None where the path is none."""
    folder, name = os.path.split(path)
    root, shards = os.path.split(folder)
    mirror, name = (_mirror(root) if shards == "shards" else None), f"{shards}/{name}"
    if mirror is None or name not in mirror.shards:
        return None
    return _Shard(mirror, name, ObjectBlocks(mirror.block_path(name), mirror.shards[name].size))


@lru_cache(maxsize=64)
def _mirror(root: str) -> Mirror | None:
    """As it was when this process first asked: a run sees a corpus at one time."""
    return Mirror.read(Path(root)) if marker(Path(root)).is_file() else None

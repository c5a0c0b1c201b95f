"""Memory-mapped shards, kept open per process, with a bounded number of them."""

from __future__ import annotations

import mmap
import os
from collections import OrderedDict
from pathlib import Path
from threading import Lock

from voxtile.errors import CorpusError
from voxtile.file_edges import open_ordinary

MAX_OPEN = 128  # each map holds a file descriptor; the usual limit is 1,024 a process


class _Maps:
    """Least recently used maps; one that falls out closes when its last view is dropped."""

    def __init__(self) -> None:
        self._maps: OrderedDict[str, tuple[tuple[int, int, int], memoryview]] = OrderedDict()
        self._lock = Lock()

    def view(self, path: str) -> memoryview:
        stat = os.stat(path)
        identity = (stat.st_dev, stat.st_ino, stat.st_size)
        with self._lock:
            held = self._maps.get(path)
            if held is None or held[0] != identity:
                with open_ordinary(path) as file:
                    mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
                held = self._maps[path] = (identity, mapped)
                while len(self._maps) > MAX_OPEN:
                    self._maps.popitem(last=False)
            self._maps.move_to_end(path)
            return held[1]


_MAPS = _Maps()


def map_payload(path: Path, offset: int, nbytes: int) -> memoryview:
    """Return the bytes [offset, offset + nbytes) of a file, in place; those of a remote corpus are fetched first.

    Raises:
        CorpusError: the file is missing, unreadable, or ends before the payload does.
    """
    try:
        view = _MAPS.view(os.fspath(path))
    except FileNotFoundError as error:
        return _remote_payload(path, offset, nbytes, error)
    except (OSError, ValueError) as error:
        raise CorpusError(f"cannot read '{path}': {error}") from error
    _check_range(path, offset, nbytes, len(view))
    return view[offset : offset + nbytes]


def map_shard(path: Path) -> memoryview:
    """All of a shard, in place.

    Raises:
        FileNotFoundError: it is missing.
        CorpusError: it cannot be read.
    """
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        from voxtile.corpus.remote.payloads import remote_size  # late: local corpora do without

        found = remote_size(path)
        if found is None:
            raise
        size = found
    return map_payload(path, 0, size)


def shard_sizes(root: Path) -> dict[str, int]:
    """Names of the shards of a corpus, such as `shards/x.tar`, in order, with their sizes in bytes."""
    from voxtile.corpus.remote.payloads import remote_shards  # late: local corpora do without

    local = {f"shards/{path.name}": path.stat().st_size for path in sorted((root / "shards").glob("*.tar"))}
    return dict(sorted((remote_shards(root) | local).items()))  # a draft of a remote corpus has both


def _remote_payload(path: Path, offset: int, nbytes: int, missing: FileNotFoundError) -> memoryview:
    """The same of a shard that is no file here, because its corpus is remote."""
    from voxtile.corpus.remote.payloads import remote_payload, remote_size

    size = remote_size(path)
    if size is None:
        raise CorpusError(f"'{path}' is missing; run 'voxtile verify' on the corpus to see what else is") from missing
    _check_range(path, offset, nbytes, size)
    payload = remote_payload(path, offset, nbytes)
    assert payload is not None
    return payload


def _check_range(path: Path, offset: int, nbytes: int, size: int) -> None:
    if offset < 0 or nbytes < 0 or offset + nbytes > size:
        raise CorpusError(
            f"'{path}' has {size} bytes but a payload is said to lie at {offset}–{offset + nbytes}; "
            "the shard is cut short or the table belongs to another one: run 'voxtile verify' on the corpus"
        )

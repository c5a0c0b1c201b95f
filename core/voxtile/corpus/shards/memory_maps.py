"""Memory-mapped shards, kept open per process, with a bounded number of them."""

from __future__ import annotations

import mmap
import os
from collections import OrderedDict
from pathlib import Path
from threading import Lock

from voxtile.errors import CorpusError

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
                with open(path, "rb") as file:
                    mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
                held = self._maps[path] = (identity, mapped)
                while len(self._maps) > MAX_OPEN:
                    self._maps.popitem(last=False)
            self._maps.move_to_end(path)
            return held[1]


_MAPS = _Maps()


def map_payload(path: Path, offset: int, nbytes: int) -> memoryview:
    """Return the bytes [offset, offset + nbytes) of a file, in place.

    Raises:
        CorpusError: the file is missing, unreadable, or ends before the payload does.
    """
    try:
        view = _MAPS.view(os.fspath(path))
    except FileNotFoundError as error:
        raise CorpusError(f"'{path}' is missing; run 'voxtile verify' on the corpus to see what else is") from error
    except (OSError, ValueError) as error:
        raise CorpusError(f"cannot read '{path}': {error}") from error
    if offset < 0 or nbytes < 0 or offset + nbytes > len(view):
        raise CorpusError(
            f"'{path}' has {len(view)} bytes but a payload is said to lie at {offset}–{offset + nbytes}; "
            "the shard is cut short or the table belongs to another one: run 'voxtile verify' on the corpus"
        )
    return view[offset : offset + nbytes]

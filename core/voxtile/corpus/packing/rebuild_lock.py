"""Who may write into a corpus without its lock: reviews and curated views, which come while other commands run.

A corpus that is built anew (`forget`, `migrate`) must not lose any of them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from voxtile.corpus.drafts import try_lock
from voxtile.errors import CorpusError

PATIENCE_S = 60.0


class RebuildHeldError(CorpusError):
    """Another process builds a corpus anew, or writes reviews or a view of it."""


@contextmanager
def rebuild_lock(root: Path, patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Hold a corpus against others who write without its lock, or build it anew.

    Servers take it for a verdict, `curate` for its view, `forget` and `migrate` for all their time. The lock is on the
    folder of the corpus itself, which needs no file and is let go however its holder ends; where the file system knows
    no locks there is none.

    Args:
        root: folder of the corpus.
        patience_s: seconds to wait for another holder.

    Raises:
        RebuildHeldError: another process held it all that time.
        OSError: there is no such folder.
    """
    deadline = time.monotonic() + patience_s
    while True:
        handle = os.open(root, os.O_RDONLY)
        try:
            if try_lock(handle):
                if os.path.samestat(os.fstat(handle), root.stat()):  # else another folder has taken its place meanwhile
                    yield
                    return
            elif time.monotonic() > deadline:
                raise RebuildHeldError(
                    f"another process builds '{root}' anew, or writes into it; wait until it ends, then run the "
                    "command again"
                )
            else:
                time.sleep(0.01)
        finally:
            os.close(handle)

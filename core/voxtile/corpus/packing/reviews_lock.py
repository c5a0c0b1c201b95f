"""Who may write reviews now: servers do while other commands run, and a corpus that is built anew must not lose any."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from voxtile.corpus.drafts import try_lock
from voxtile.errors import CorpusError

PATIENCE_S = 60.0


class ReviewsHeldError(CorpusError):
    """Another process writes the reviews of a corpus, or builds it anew."""


@contextmanager
def reviews_lock(root: Path, patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Keep others from writing the table `reviews`: servers for a verdict, `forget` and `migrate` for all their time.

    The lock is on the folder of the corpus itself, which needs no file and is let go however its holder ends; where the
    file system knows no locks there is none.

    Args:
        root: folder of the corpus.
        patience_s: seconds to wait for another holder.

    Raises:
        ReviewsHeldError: another process held it all that time.
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
                raise ReviewsHeldError(
                    f"the reviews of '{root}' are being written by another process; wait until it ends"
                )
            else:
                time.sleep(0.01)
        finally:
            os.close(handle)

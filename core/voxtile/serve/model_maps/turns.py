"""One computation of the model at a time, and few that wait for it, so that pictures are served meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from voxtile.errors import ConfigError

_MOST_WAITING = 6  # requests, of the 40 that the server works on at once
_PATIENCE_S = 120.0


class Turns:
    """Who may compute.

    Args:
        most_waiting: requests that wait for the one that computes; further ones are told to come again.
        patience_s: how long they wait.
    """

    def __init__(self, most_waiting: int = _MOST_WAITING, patience_s: float = _PATIENCE_S) -> None:
        self._computing = threading.Lock()
        self._places = threading.BoundedSemaphore(most_waiting + 1)
        self._patience_s = patience_s

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Within this block no other computes.

        Raises:
            ConfigError: too many wait already, or the wait was too long.
        """
        busy = ConfigError("the model is busy with what others asked; ask again in a moment")
        if not self._places.acquire(blocking=False):
            raise busy
        try:
            if not self._computing.acquire(timeout=self._patience_s):
                raise busy
            try:
                yield
            finally:
                self._computing.release()
        finally:
            self._places.release()

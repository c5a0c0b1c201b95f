"""What runs on a node of a Ray cluster: the actor of a slot, which holds an object and answers calls of its methods."""

from __future__ import annotations

import contextvars
import os
import pickle
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from voxtile.engine.ray_cluster.connection import wrong_version
from voxtile.engine.worker_process import workers_kept
from voxtile.errors import ConfigError, VoxtileError


def like_the_program(paths: Sequence[str], folder: str) -> None:
    """Import from where the program imports, and work where it works, as far as this node has these folders."""
    sys.path += [path for path in paths if path not in sys.path]
    with suppress(OSError):
        os.chdir(folder)  # what the command calls `corpus` is that here too


class OnNode:
    """What runs on a node. Worker processes of what it held before work for what it holds next, as in a local run.

    Args:
        paths: where the program that started it imports from.
        folder: where that program works.
    """

    def __init__(self, paths: Sequence[str], folder: str) -> None:
        like_the_program(paths, folder)
        self._held: Any = None
        self._kept = contextvars.copy_context()
        self._keeping = workers_kept()
        self._kept.run(self._keeping.__enter__)

    def close(self) -> None:
        """End what is held and its processes, which end with this one too."""
        if hasattr(self._held, "close"):
            self._held.close()
        self._held = None
        self._kept.run(self._keeping.__exit__, None, None, None)

    def open(self, expected: Mapping[str, str], made: bytes | None) -> tuple[str, str] | None:
        """See that the node suits, and make the object to hold; what is wrong, if anything."""
        try:
            self._open(expected, made)
        except VoxtileError as error:
            return type(error).__name__, str(error)
        return None

    def call(self, method: str, arguments: tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
        """Call a method: ('part', element) for each element that it yields, then ('done', what it returned).

        Or ('raised', (class, sentence)): the program that waits says it, from where it can be seen.
        """
        try:
            result = getattr(self._held, method)(*arguments)
            if isinstance(result, Iterator):
                for part in result:
                    yield "part", part
                result = None
            yield "done", result
        except VoxtileError as error:
            yield "raised", (type(error).__name__, str(error))
        except Exception as error:
            yield "raised", ("", f"{type(error).__name__}: {error}")

    def _open(self, expected: Mapping[str, str], made: bytes | None) -> None:
        if wrong := wrong_version(expected):
            raise ConfigError(wrong)
        if hasattr(self._held, "close"):
            self._held.close()
        self._held = None
        if made is None:
            return
        try:
            make, arguments = pickle.loads(made)  # our own program's
        except (ImportError, AttributeError) as error:
            raise ConfigError(
                f"node '{socket.gethostname()}' cannot load the task ({error}); install the same packages there"
            ) from error
        self._held = self._kept.run(make, *arguments)

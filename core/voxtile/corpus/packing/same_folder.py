"""Whether a corpus was built anew while a command was under way (`forget`, `migrate`), which puts another folder there.

What the command has read before is of the old one: rows of a subject that is forgotten by now, places in shards that
have moved.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from voxtile.errors import CorpusError

_NOTED: ContextVar[dict[str, int]] = ContextVar("noted")


class BuiltAnewError(CorpusError):
    """A corpus was built anew by another command."""


@contextmanager
def noted_folders(roots: Iterable[Path]) -> Iterator[None]:
    """Note which folders corpora are now, for `require_same_folder` within the block; one that is not there is not.

    They are held open, so that no other folder gets the same number meanwhile. What was noted before stays.

    Raises:
        BuiltAnewError: the block failed, and one of them was built anew meanwhile.
    """
    with ExitStack() as opened:
        handles = dict(_NOTED.get({}))
        for root in roots:
            with suppress(OSError):
                if _place(root) not in handles:
                    handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
                    opened.callback(os.close, handle)
                    handles[_place(root)] = handle
        token = _NOTED.set(handles)
        opened.callback(_NOTED.reset, token)
        try:
            yield
        except BuiltAnewError:
            raise
        except Exception:
            require_same_folder(*map(Path, handles))  # a file that was there before is the lesser news
            raise


def built_anew(root: Path) -> None:
    """Say that this command itself has put another folder there."""
    _NOTED.get({}).pop(_place(root), None)


def _place(root: Path) -> str:
    return os.path.realpath(root)  # which takes links that lead round, too


def require_same_folder(*roots: Path) -> None:
    """Refuse to go on where a corpus was built anew since it was noted.

    Raises:
        BuiltAnewError: it was, by another command.
    """
    for root in roots:
        handle = _NOTED.get({}).get(_place(root))
        if handle is None:
            continue
        try:
            is_same = os.path.samestat(os.fstat(handle), root.stat())
        except OSError:
            is_same = False
        if not is_same:
            raise BuiltAnewError(
                f"the corpus '{root}' was built anew by another command (forget, migrate) since this one read it; run "
                "the same command again"
            )

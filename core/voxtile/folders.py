"""Folders outside any corpus: where files are written, and where things are kept that can be made again."""

from __future__ import annotations

import itertools
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Annotated, TypeAlias

from voxtile.errors import ConfigError

OUTPUT_ROOT = "VOXTILE_OUTPUT_ROOT"
"""Variable of the environment that names the folder under which outputs lie."""
TO_WRITE = "to write"
OutputFile: TypeAlias = Annotated[Path, TO_WRITE]
"""A parameter of a command that names a file to write: that it can be is looked at before the command begins."""


def cache_folder(name: str) -> Path:
    """A folder for what can be made again, of this user alone: under VOXTILE_CACHE, else under the user's cache folder.

    What lies there is read without further question, so that nobody else may have put it there.

    Args:
        name: of the folder, e.g. `phantoms`; it is made, and where it cannot be, whoever writes into it says so.

    Raises:
        ConfigError: it belongs to another user than this one and VOXTILE_CACHE_OWNER (which is for containers, where a
            mounted folder has the number of a user outside), or others can write into it.
    """
    root = os.environ.get("VOXTILE_CACHE") or os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "voxtile")
    folder = Path(root).expanduser() / name
    with suppress(OSError):
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    with suppress(FileNotFoundError, NotADirectoryError, PermissionError):
        for status in (folder.lstat(), folder.stat()):  # a link, and what it leads to
            _refuse_others(folder, status)
    return folder


def _refuse_others(folder: Path, status: os.stat_result) -> None:
    if status.st_uid not in (os.getuid(), 0) and os.environ.get("VOXTILE_CACHE_OWNER") != str(status.st_uid):
        raise ConfigError(
            f"the cache folder '{folder}' belongs to another user, who could put anything there; name one of your own "
            f"by VOXTILE_CACHE or, where that user is you outside this container, set VOXTILE_CACHE_OWNER="
            f"{status.st_uid}"
        )
    if not stat.S_ISLNK(status.st_mode) and status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(
            f"others can write into the cache folder '{folder}'; remove it, or name another by VOXTILE_CACHE"
        )


def under_output_root(path: Path) -> Path:
    """A path to write to: a relative one lies under VOXTILE_OUTPUT_ROOT, else in the working folder."""
    return Path(os.environ.get(OUTPUT_ROOT) or ".").expanduser() / path


def unused_folder(name: str) -> Path:
    """Where a command writes that was told no folder: one of this name under the output root, or with the next number.

    >>> import tempfile, contextlib
    >>> with tempfile.TemporaryDirectory() as here, contextlib.chdir(here):
    ...     Path("report").mkdir()
    ...     print(unused_folder("report"))
    report-2
    """
    named = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    return next(path for path in map(under_output_root, map(Path, named)) if not os.path.lexists(path))

"""Folders outside any corpus: where files are written, and where things are kept that can be made again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, TypeAlias

OUTPUT_ROOT = "VOXTILE_OUTPUT_ROOT"
"""Variable of the environment that names the folder under which outputs lie."""
TO_WRITE = "to write"
OutputFile: TypeAlias = Annotated[Path, TO_WRITE]
"""A parameter of a command that names a file to write: that it can be is looked at before the command begins."""


def cache_folder(name: str) -> Path:
    """A folder for what can be made again: under VOXTILE_CACHE, else under the user's cache folder.

    Args:
        name: of the folder, e.g. `phantoms`; it may not exist yet.
    """
    root = os.environ.get("VOXTILE_CACHE") or os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "voxtile")
    return Path(root).expanduser() / name


def under_output_root(path: Path) -> Path:
    """A path to write to: a relative one lies under VOXTILE_OUTPUT_ROOT, else in the working folder."""
    return Path(os.environ.get(OUTPUT_ROOT) or ".").expanduser() / path

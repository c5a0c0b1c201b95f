"""Sums by which a compiled view is known to be what was written, since training takes what it says as it is.

`view.json` states the size and the XXH3-64 of each file beside it, and its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xxhash

from voxtile.bounded_text import read_json

ABOUT = "view.json"
CHECKED_BYTES = 1 << 26  # at most so much is read when a view is opened, which takes milliseconds; verify reads all
_FILES, _OWN = "files", "sum"
_UNSUMMED = {ABOUT, "stamp.json"}  # a stamp only spares computing the key
_BLOCK = 1 << 20


def with_sums(folder: Path, about: Mapping[str, Any]) -> dict[str, Any]:
    """What `view.json` holds: `about`, and the sums of the folder's files and of itself.

    Args:
        folder: holds all files of the view but `view.json`.
        about: what is said of the view.
    """
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and path.name not in _UNSUMMED)
    stated = {**about, _FILES: {name: [(folder / name).stat().st_size, _sum(folder / name)] for name in names}}
    return {**stated, _OWN: _own_sum(stated)}


def damage(folder: Path, *, at_most: int | None = CHECKED_BYTES) -> str | None:
    """What is wrong with a view of today's layout, or None.

    Args:
        folder: of the compiled view.
        at_most: bytes that are read, of the smallest files first; the sizes of all are compared. None reads all.
    """
    try:
        about = read_json(folder / ABOUT)
        if about.get(_OWN) != _own_sum({name: value for name, value in about.items() if name != _OWN}):
            return f"{ABOUT} differs from what was written"
        for name, (size, found) in sorted(about[_FILES].items(), key=lambda item: item[1][0]):
            if (folder / name).stat().st_size != size:
                return f"{name} has another size than was written"
            at_most = None if at_most is None else at_most - size
            if (at_most is None or at_most >= 0) and _sum(folder / name) != found:
                return f"{name} differs from what was written"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"a file cannot be read ({type(error).__name__})"
    return None


def _own_sum(about: Mapping[str, Any]) -> str:
    return xxhash.xxh3_64_hexdigest(json.dumps(about, sort_keys=True).encode())


def _sum(path: Path) -> str:
    digest = xxhash.xxh3_64()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()

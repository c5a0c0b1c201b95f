"""Where in a store a reference leads, and a local copy of what lies there (`voxtile.corpus.references`).

A path in a corpus that lies in a store counts from the corpus's address, as it counts from the folder of a local one:
`../scenes/a.tif` of `s3://bucket/ct` is `s3://bucket/scenes/a.tif`. Readers open files, and many of them only files of
this machine, so that an object is fetched whole, once, into the cache of remote corpora.
"""

from __future__ import annotations

import os
import posixpath
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from voxtile.corpus.remote.address import Address, parse_address
from voxtile.corpus.remote.announcing import is_mirror
from voxtile.errors import CorpusError

MOVED_VARIABLE = "VOXTILE_REFERENCES_MOVED"
_OBJECT = re.compile(r"((?:s3|gs|https?)://[^/]+)/(.+)", re.DOTALL)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://")
_BETWEEN = re.compile(r":(?!//)")  # os.pathsep, where it is not that of an address
_USED_EVERY_S = 20.0  # a copy that is read counts as used so often, not at every read
_MOST_REMEMBERED = 1 << 14

_copies: dict[tuple[Any, ...], tuple[Path, float]] = {}  # of this process: where each is, and when that was told


def moved(place: str) -> tuple[str, bool]:
    """A place where the user says that it is now, and whether they do.

    `VOXTILE_REFERENCES_MOVED` has pairs OLD=NEW with `:` between them: what a path or an address begins with, and what
    it begins with now. The first pair that fits counts.
    """
    for pair in _BETWEEN.split(os.environ.get(MOVED_VARIABLE, "")):
        old, _, new = (part.rstrip("/") for part in pair.partition("="))
        if old and new and (place == old or place.startswith(f"{old}/")):
            return new + place[len(old) :], True
    return place, False


def home_of(root: Path) -> Address | None:
    """Address of a corpus; None where it is a folder."""
    return _address(os.fspath(root)) if is_mirror(root) else None


def stored_place(home: Address | None, uid: str, place: str) -> str | None:
    """Address of the object that a reference means; None where it means a file of this machine.

    Args:
        home: address of the corpus; None where it is a folder.
        uid: of the sample, for messages.
        place: path or address; a path that is not absolute counts from the corpus.

    Raises:
        CorpusError: it is no address, or leads out of the bucket.
    """
    if not _ADDRESS.match(place):
        if home is None or os.path.isabs(place):
            return None
        place = joined(home, uid, place)
    found = _OBJECT.fullmatch(place)
    if found is None or parse_address(found[1]) is None or ".." in found[2].split("/"):
        raise CorpusError(f"the sample {uid} refers to '{place}', which names no object of a store; convert it again")
    return found[0]


def local_copy(url: str, known: Mapping[str, Any]) -> Path:
    """A copy of an object on this machine, fetched if the cache has none.

    Args:
        url: of the object.
        known: `bytes`, `edges` and the first digits of `sha256` of the file that was converted, as far as they are
            known.

    Raises:
        CorpusError: there is none, or it is another one than was converted.
        StoreError: the store refuses or does not answer, or the cache is too small.
    """
    record = {"bytes": known.get("bytes"), "edges": known.get("edges"), "sha256": known.get("sha256")}
    key = (os.getpid(), url, *record.values())
    path, used = _copies.get(key, (None, 0.0))
    if path is not None and path.exists():
        if time.monotonic() - used > _USED_EVERY_S:
            with suppress(OSError):
                os.utime(path)
            _copies[key] = path, time.monotonic()
        return path
    from voxtile.corpus.remote.client import fetch_object  # late: for references into stores alone

    path = fetch_object(url, record)
    if len(_copies) >= _MOST_REMEMBERED:
        _copies.clear()
    _copies[key] = path, time.monotonic()
    return path


def forget_copies() -> None:
    """Ask the fetcher again where copies are: it may be another one, with another cache."""
    _copies.clear()


def joined(folder: Address, uid: str, name: str) -> str:
    """Address of a path from a folder of a store.

    Args:
        folder: of the store.
        uid: of the sample that has the path, for the message.
        name: the path.

    Raises:
        CorpusError: it leads out of the bucket.
    """
    scheme, _, rest = folder.url.partition("://")
    bucket, _, prefix = rest.partition("/")
    path = posixpath.normpath(posixpath.join(prefix, name))
    if os.path.isabs(name) or path in ("", ".", "..") or path.startswith("../"):
        raise CorpusError(
            f"the sample {uid} refers to '{name}', which from '{folder.url}' leads out of '{bucket}'; say where the "
            f"file is now in {MOVED_VARIABLE}, or convert it again"
        )
    return f"{scheme}://{bucket}/{path}"


@lru_cache(maxsize=64)
def _address(root: str) -> Address:
    from voxtile.corpus.remote.mirror import Mirror  # late: for remote corpora alone

    return Mirror.read(Path(root)).address

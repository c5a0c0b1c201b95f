"""Samples whose pixels stay in a file outside the corpus (`codec: ref`), read through what a domain registers.

The column `ref` is JSON. `uri` says where the file is: a path, absolute or from the corpus, which may lie in a store;
`file:///…`; the address of an object (`s3://…`, `gs://…`, `https://…`); or `source:HASH`, where HASH is the
de-identified name of an input and the key map outside the corpus knows its path.
`reader` names the entry of a domain's `readers` that opens the file; without it the file is a JPEG, a PNG or a `.b2nd`
frame. `box` is the part that is the sample, in array index order: min corner, then max corner. `bytes` and `edges`, if
they are there, are the file's size and `edge_digest`. Whatever else the reader needs may follow.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, Protocol, TypeAlias
from urllib.parse import unquote, urlsplit

import numpy.typing as npt

from voxtile.bounded_text import load_json
from voxtile.corpus.identity import KeyMap, file_edges, key_map_path
from voxtile.corpus.integrity import HASH_DIGITS
from voxtile.corpus.reference_roots import allowed_roots, check_reference, check_stored_reference, only_references_in
from voxtile.corpus.remote.address import SCHEMES, Address
from voxtile.corpus.remote.referenced import MOVED_VARIABLE, home_of, joined, local_copy, moved, stored_place
from voxtile.domain import discover
from voxtile.errors import CorpusError, VoxtileError

SOURCE_SCHEME = "source"
KEY_FILE_VARIABLE = "VOXTILE_KEY_FILE"
MAX_OPEN = 16  # files a process; a whole slide with its decoded tiles may hold 64 MB


class ReferencedFile(Protocol):
    """A file that samples refer to, opened by a domain's reader; never used by two threads at a time."""

    def read(self, reference: Mapping[str, Any], selection: tuple[slice, ...]) -> npt.NDArray[Any]:
        """Stored values of a sample in the order of its `axes`.

        Args:
            reference: the fields of the sample's `ref`.
            selection: slices along the sample's leading axes; empty for all of it.

        Raises:
            VoxtileError: the file cannot be read.
        """

    def close(self) -> None:
        """Release the file."""


def parse_reference(row: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a sample's `ref`.

    Raises:
        CorpusError: it is not JSON with a `uri`.
    """
    try:
        fields = dict(load_json(row["ref"]))
        fields["uri"] = str(fields["uri"])
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise CorpusError(f"the reference of sample {row['uid']} is damaged; convert its source again") from error
    return fields


def reference_path(root: Path, uid: str, reference: Mapping[str, Any]) -> Path:
    """Local file or folder of a reference; an object of a store is copied into the cache first.

    Args:
        root: the corpus.
        uid: of the sample, for messages.
        reference: its fields; `uri`, and of an object also `bytes`, `edges` and `sha256`, as far as they are known.

    Raises:
        CorpusError: the file is elsewhere, the key map does not know it, or it must not be copied
            (`voxtile.corpus.reference_roots`).
    """
    path, url, _ = _located(root, uid, str(reference["uri"]))
    if url is None:
        return path
    sha256 = reference.get("sha256")
    return local_copy(url, {**reference, "sha256": str(sha256)[:HASH_DIGITS] if sha256 else None})  # as in training


def read_reference(root: Path, row: Mapping[str, Any], selection: tuple[slice, ...]) -> npt.NDArray[Any]:
    """Pixels of a sample whose reference names a reader.

    Raises:
        CorpusError: no installed domain has the reader, or the file is gone, changed or damaged.
    """
    reference, uid = parse_reference(row), str(row["uid"])
    path, url, is_named = _located(root, uid, reference["uri"])
    allowed = allowed_roots(root)
    if url is None:
        for name, *_ in reference.get("layers", ()):  # further files, beside the first
            check_reference(root, uid, path.parent / str(name))
    else:
        path = local_copy(url, reference)
        layers: list[tuple[Path, Any]] = []
        for name, *rest in reference.get("layers", ()):
            other = joined(Address(url.rpartition("/")[0]), uid, str(name))
            check_stored_reference(home_of(root), uid, other, is_named=is_named)
            layers.append((path if other == url else local_copy(other, {}), *rest))
        reference |= {"layers": [(layer.name, *rest) for layer, *rest in layers]} if layers else {}
        allowed = None if allowed is None else (*allowed, path, *(layer for layer, *_ in layers))
    check_unchanged(path, reference)
    with nullcontext() if allowed is None else only_references_in(allowed):
        return _HANDLES.read(str(reference["reader"]), path, reference, selection, allowed)


def _located(root: Path, uid: str, uri: str) -> tuple[Path, str | None, bool]:
    """Where a reference leads: a path of this machine, or the address of an object, and whether the user named it."""
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        raise CorpusError(f"the sample {uid} refers to '{uri}', which is no place; convert it again") from error
    if parts.scheme == SOURCE_SCHEME:
        place = _hidden_path(root, uid, parts.path)
    elif parts.scheme == "file":
        place = unquote(parts.path)
    elif parts.scheme in {"", *SCHEMES}:
        place = uri
    else:
        raise CorpusError(f"the sample {uid} refers to '{uri}'; copy the file and import it again")
    place, is_named = moved(place)
    home = home_of(root)
    url = stored_place(home, uid, place)
    if url is not None:
        check_stored_reference(home, uid, url, is_named=is_named)
        return Path(), url, is_named
    path = check_reference(root, uid, root / place)
    if home is not None and not path.exists():
        raise CorpusError(
            f"the sample {uid} refers to '{path}' on the machine where its corpus was made; have the file there on "
            f"this one too, or say in {MOVED_VARIABLE} where it is now (docs/remote-corpora.md)"
        )
    return path, None, is_named


def check_unchanged(path: Path, reference: Mapping[str, Any]) -> None:
    """Raise CorpusError where a referenced file is gone or has another size than when it was converted."""
    try:
        size = path.stat().st_size
    except (OSError, ValueError) as error:  # a name with characters that no file's has is a ValueError
        raise CorpusError(f"the referenced file '{path}' cannot be read; put it back or drop the sample") from error
    known = reference.get("bytes")
    if known is not None and path.is_file() and size != known:
        raise CorpusError(
            f"the referenced file '{path}' has {size} bytes instead of {known}; "
            "put the old one back, or convert it again"
        )


def _hidden_path(root: Path, uid: str, source: str) -> str:
    key_file = os.environ.get(KEY_FILE_VARIABLE)
    map_path = key_map_path(root, Path(key_file) if key_file else None)
    try:
        path = _key_map(map_path, map_path.stat().st_mtime_ns).path_of(source)
    except FileNotFoundError:
        path = None
    if path is None:
        raise CorpusError(
            f"'{map_path}' does not say which file the sample {uid} refers to; "
            f"put the corpus's key map there, or name it in {KEY_FILE_VARIABLE}"
        )
    return path


@lru_cache(maxsize=8)
def _key_map(path: Path, changed: int) -> KeyMap:
    return KeyMap(path)


_Key: TypeAlias = tuple[str, str, tuple[Path, ...] | None]  # reader, file, folders that it may take pixels from


class _Handle:
    """An opened file and the lock of whoever reads it."""

    def __init__(self, file: ReferencedFile) -> None:
        self.file = file
        self.lock = Lock()


class _Handles:
    """Opened files of this process, the least recently used closed first. A forked child opens its own."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._process = os.getpid()
        self._lock = Lock()
        self._open: OrderedDict[_Key, _Handle] = OrderedDict()

    def read(
        self,
        reader: str,
        path: Path,
        reference: Mapping[str, Any],
        selection: tuple[slice, ...],
        allowed: tuple[Path, ...] | None,
    ) -> npt.NDArray[Any]:
        key = (reader, str(path), allowed)  # what was opened where more was allowed is not used where less is
        if self._process != os.getpid():
            self._forget()
        while True:
            handle = self._handle(key, path, reference)
            with handle.lock:
                if self._open.get(key) is handle:  # it was not closed meanwhile
                    return handle.file.read(reference, selection)

    def _handle(self, key: _Key, path: Path, reference: Mapping[str, Any]) -> _Handle:
        with self._lock:
            handle = self._open.get(key)
            if handle is None:
                _check_edges(path, reference)
                handle = self._open[key] = _Handle(_open(key[0], path))
            self._open.move_to_end(key)
            dropped = [self._open.popitem(last=False)[1] for _ in range(len(self._open) - MAX_OPEN)]
        for old in dropped:
            with old.lock, suppress(OSError):
                old.file.close()
        return handle


_HANDLES = _Handles()


def _check_edges(path: Path, reference: Mapping[str, Any]) -> None:
    """Raise CorpusError where a file that is about to be opened has another head or tail than when it was converted."""
    edges = reference.get("edges")
    if edges and path.is_file() and file_edges(path)[1] != edges:
        raise CorpusError(f"the referenced file '{path}' has changed; put the old one back, or convert it again")


def _open(reader: str, path: Path) -> ReferencedFile:
    domains, broken = discover()
    readers = {name: command for domain in domains.values() for name, command in domain.readers.items()}
    if reader not in readers:
        note = "".join(f"; plugin '{b.name}' failed to load ({b.reason})" for b in broken)
        raise CorpusError(f"no installed domain reads '{reader}' references such as '{path}'; install its extra{note}")
    try:
        opened: ReferencedFile = readers[reader].load()(path)
    except VoxtileError:
        raise
    except OSError as error:
        raise CorpusError(f"the referenced file '{path}' cannot be read ({error.strerror or error})") from error
    return opened

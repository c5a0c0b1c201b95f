"""The key of a compiled view: a hash of everything that it is made from."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from voxtile.corpus.packing.reading import locate
from voxtile.corpus.parts import part_bytes, part_paths, uncommitted_stems
from voxtile.corpus.schema import SCHEMA_VERSION
from voxtile.errors import CorpusError

VIEW_VERSION = "8"  # bumped whenever the same tables give other items, or in another order: no run resumes across it
LAYOUT = 5  # bumped whenever only the files change: views are then compiled again, and runs go on
# The format's version may rise while the same tables give the same items, and a run must not end for that: the number
# that keys began with stays in them.
_KEYED_SCHEMA = "1.0"
INPUT_TABLES = ("samples", "captions", "verdicts", "facts", "scopes", "splits")

_WHOLE_FILE_BYTES = (
    1 << 20
)  # smaller parts are hashed entirely; of larger ones the footer, which holds counts and statistics
_TAIL_BYTES = 8  # length of the footer and the magic number


@dataclass(frozen=True)
class ViewChoice:
    """What a view takes from its corpora.

    Attributes:
        scheme: split scheme.
        where: SQL condition on samples, or None for all.
        facts_source: only facts whose source begins so (several with commas), or None for all.
        closed_facts: concepts that are absent where nothing is said of them, see `compile_view`.
        selection: hash of a curated selection.
    """

    scheme: str
    where: str | None
    facts_source: str | None = None
    closed_facts: tuple[str, ...] = ()
    selection: str | None = None


def view_stamp(roots: Sequence[Path], chosen: ViewChoice) -> str:
    """Hash names, sizes and modification times of all table parts: equal stamps spare the reading that a key needs.

    The arguments are those of `view_key`.

    Returns:
        32 hexadecimal digits.
    """
    begin = [
        VIEW_VERSION,
        LAYOUT,
        SCHEMA_VERSION,
        chosen.scheme,
        chosen.where,
        chosen.facts_source,
        len(roots),
        *([chosen.selection] if chosen.selection else []),
        *([list(chosen.closed_facts)] if chosen.closed_facts else []),
    ]
    digest = hashlib.sha256(json.dumps(begin).encode())
    for root in roots:
        if hidden := uncommitted_stems(root):  # once they are committed, other rows count of the same files
            digest.update(f"\0hidden\0{sorted(hidden)}".encode())
        for table in INPUT_TABLES:
            entries = sorted((e.name, e.stat()) for e in _entries(root / "tables" / table) if _is_part(e.name))
            digest.update(f"\0{table}".encode())
            for name, stat in entries:
                digest.update(f"\0{name}\0{stat.st_size}\0{stat.st_mtime_ns}".encode())
    return digest.hexdigest()[:32]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []


def _is_part(name: str) -> bool:
    return name.endswith(".parquet") and not name.startswith(".")


def view_key(roots: Sequence[Path], chosen: ViewChoice) -> str:
    """Hash the names, sizes and contents of all table parts, the selection and the versions.

    The places of the corpora do not count, so a corpus can be moved or copied without losing its views.

    Args:
        roots: folders of the corpora.
        chosen: what is taken from them.

    Returns:
        32 hexadecimal digits.

    Raises:
        CorpusError: a part cannot be read.
    """
    inputs = [
        [
            [table, part.name, part_bytes(part), part_fingerprint(part)]
            for table in INPUT_TABLES
            for part in part_paths(root, table)
        ]
        for root in roots
    ]
    description: dict[str, object] = {
        "view": VIEW_VERSION,
        "schema": _KEYED_SCHEMA,
        "scheme": chosen.scheme,
        "where": chosen.where,
        "facts_source": chosen.facts_source,
        "inputs": inputs,
    }
    if chosen.selection is not None:
        description["selection"] = chosen.selection
    if chosen.closed_facts:
        description["closed_facts"] = list(chosen.closed_facts)
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()[:32]


def part_fingerprint(part: Path) -> str:
    """SHA-256 of a small part, or of a large part's footer, as a file of its own.

    Raises:
        CorpusError: the part cannot be read.
    """
    place = locate(part)
    if place.member is not None:
        return place.member.fingerprint
    try:
        with part.open("rb") as file:
            size = file.seek(0, 2)
            if size <= _WHOLE_FILE_BYTES:
                file.seek(0)
                return hashlib.sha256(file.read()).hexdigest()
            file.seek(size - _TAIL_BYTES)
            tail = file.read(_TAIL_BYTES)
            footer = int.from_bytes(tail[:4], "little") + _TAIL_BYTES
            if tail[4:] != b"PAR1" or footer > size:
                raise CorpusError(f"'{part}' is not a complete Parquet file; run `voxtile verify` on its corpus")
            file.seek(size - footer)
            return hashlib.sha256(file.read()).hexdigest()
    except OSError as error:
        raise CorpusError(f"cannot read '{part}' ({error.strerror}); check the disk and the permissions") from error

"""`voxtile migrate`: a corpus of an older format version becomes one as it is written today."""

from __future__ import annotations

import hashlib
import json
import shutil
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from voxtile.bounded_text import read_json
from voxtile.console import output
from voxtile.corpus.drafts import draft_folder
from voxtile.corpus.header import CORPUS_FILE, check_corpus, corpus_version, header_bytes
from voxtile.corpus.packing.reading import is_packed_name, packed_members
from voxtile.corpus.packing.rebuild_lock import rebuild_lock
from voxtile.corpus.packing.whole_folder import (
    aside_of,
    corpus_files,
    exchange,
    left_beside,
    link_file,
    put_back,
    sync_folder,
)
from voxtile.corpus.parts import part_table
from voxtile.corpus.records import Hashes, recorded_files, require_as_written
from voxtile.corpus.remote.address import refuse_remote
from voxtile.corpus.schema import SCHEMA_VERSION, VERSION_KEY
from voxtile.corpus.shards.codecs import array_in, encode_array
from voxtile.corpus.shards.tar import DeterministicTar
from voxtile.corpus.storage import storage_errors
from voxtile.corpus.view.selection import SUFFIX
from voxtile.engine.commit import DONE, remove_leftovers
from voxtile.engine.lock import corpus_lock
from voxtile.engine.manifest import write_manifest
from voxtile.engine.plan import TaskIdentity
from voxtile.errors import CorpusError
from voxtile.file_edges import file_sha256

NAME, VERSION = "migrate", "1"
_ARRAY = ".b2nd"

Places: TypeAlias = dict[int, tuple[int, int, str]]
"""Offset of a member's bytes in the old shard → its offset, size and sha-256 (hex) in the new one."""


def migrate_corpus(corpus: Path, *, dry_run: bool = False) -> None:
    """Bring a corpus of an older format version to the one that is written today.

    Every version is read as it is; nothing needs to be migrated in order to be used. From 1.x, arrays get the checksums
    by which a read notices a damaged disk. Values, texts, splits, uids and the names of files stay; compiled views are
    made again, and a training run that was begun before does not resume. The corpus is built again beside itself, which
    takes the room of its shards, and takes its own place at once: whoever looks sees the old one or the new one.

    Args:
        corpus: folder of the corpus.
        dry_run: say what would be done, and write nothing.

    Raises:
        CorpusError: the corpus is in use, damaged, newer, remote, or cannot be written again beside itself.
    """
    refuse_remote(corpus, "rewritten")
    root = corpus.resolve()
    put_back(root)
    check_corpus(root)
    version = corpus_version(root)
    if _major(version) >= _major(SCHEMA_VERSION) and not _was_packed_before(root, version):
        if left_beside(root) and not dry_run:  # a run that was killed after its end
            with storage_errors(root), corpus_lock(root), draft_folder(root):
                pass
        _print(f"'{corpus}' is of format version {version}: there is nothing to migrate")
        return
    if dry_run:
        shards = [path for path in sorted((root / "shards").glob("*.tar")) if _has_bare_arrays(path)]
        size = sum(path.stat().st_size for path in shards)
        _print(
            f"'{corpus}' is of format version {version} and would be of {_newer(version)}: {len(shards):,} shards of "
            f"{size:,} bytes would be written again, with checksums in their arrays"
        )
        return
    with storage_errors(root), corpus_lock(root), rebuild_lock(root):
        changes = _migrate(root)
    _print(
        f"'{corpus}' is of format version {_newer(version)} now, it was of {version}: {changes.arrays:,} arrays of "
        f"{len(changes.places):,} shards have checksums, their values are the same"
    )
    if changes.unpacked:
        _print("  the parts that say where these are lie alone again; 'voxtile compact' packs them")
    for view in changes.views:
        _print(f"  '{view}' is removed, because places in shards have moved; the next training makes it again")


@dataclass
class _Changes:
    places: dict[str, Places] = field(default_factory=dict)
    files: Hashes = field(default_factory=dict)
    views: list[str] = field(default_factory=list)
    unpacked: list[str] = field(default_factory=list)  # packed files that are gone
    arrays: int = 0


def _migrate(root: Path) -> _Changes:
    left = aside_of(root)
    if left is not None:
        shutil.rmtree(left)
    started = time.monotonic()
    try:
        with draft_folder(root) as building:
            remove_leftovers(root)
            changes = _build(root, building)
            write_manifest(
                building,
                TaskIdentity(NAME, VERSION, "{}"),
                [],
                counts={"arrays": changes.arrays, "shards": len(changes.places)},
                reasons={},
                files=changes.files,
                removed=changes.unpacked,
                seconds=time.monotonic() - started,
            )
            sync_folder(building)
            exchange(building, root)
    except OSError as error:
        raise CorpusError(
            f"'{root}' cannot be written again beside itself ({error.strerror or error}); make room and let the folder "
            f"'{root.parent}' be written, then run the same command again: the corpus is as it was"
        ) from error
    return changes


def _build(root: Path, target: Path) -> _Changes:
    """Fill a folder with the corpus as it is written today; what stays is linked."""
    changes = _Changes()
    known = recorded_files(root)
    files = [path.relative_to(root).as_posix() for path in corpus_files(root)]
    for name in [*(n for n in files if n.startswith("shards/")), *(n for n in files if not n.startswith("shards/"))]:
        if _is_of_compiled_view(name):
            view = "/".join(name.split("/")[:2])
            changes.views += [] if view in changes.views else [view]
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        if name != CORPUS_FILE and not _written_again(root, target, name, known, changes):
            link_file(root / name, target / name)
    (target / CORPUS_FILE).write_bytes(header_bytes(_newer(corpus_version(root))))
    _note(target, CORPUS_FILE, changes)
    _done_again(root, target, changes)
    return changes


def _written_again(root: Path, target: Path, name: str, known: Hashes, changes: _Changes) -> bool:
    folder, _, file = name.rpartition("/")
    if folder == "shards" and file.endswith(".tar") and _has_bare_arrays(root / name):
        require_as_written(root, name, known, "migrated")
        changes.places[name] = _sealed_shard(root / name, target / name)
        changes.arrays += sum(1 for place in changes.places[name].values() if place[2])
    elif folder in ("tables/samples", "tables/regions") and file.endswith(".parquet"):
        require_as_written(root, name, known, "migrated")
        if is_packed_name(file):
            return _unpacked(root, target, name, changes)
        if not _moved_part(pq.ParquetFile(root / name).read(), target / name, changes):
            return False
    else:
        return False
    _note(target, name, changes)
    return True


def _was_packed_before(root: Path, version: str) -> bool:
    """Whether the corpus was packed with arrays of 1.x in it; a shard is all of one version, as its first array is."""
    return _major(version) > _major(SCHEMA_VERSION) and any(
        not array_in(memoryview(data), name).is_sealed
        for shard in sorted((root / "shards").glob("*.tar"))
        for name, data, _ in islice((member for member in _members(shard) if _is_array(member[0])), 1)
    )


def _has_bare_arrays(shard: Path) -> bool:
    return any(not array_in(memoryview(data), name).is_sealed for name, data, _ in _members(shard) if _is_array(name))


def _sealed_shard(old: Path, new: Path) -> Places:
    """Write a shard again with checksums in its arrays; the places of all members, with a hash where it is new."""
    places: Places = {}
    with new.open("wb") as stream:
        tar = DeterministicTar(stream)
        for name, data, offset in _members(old):
            sealed, digest = data, ""
            if _is_array(name) and not array_in(memoryview(data), name).is_sealed:
                values = array_in(memoryview(data), f"'{old}', {name}")[()]
                sealed = encode_array(values)
                again = array_in(memoryview(sealed), name)[()]
                if again.dtype != values.dtype or not np.array_equal(again.view(np.uint8), values.view(np.uint8)):
                    raise CorpusError(
                        f"'{name}' of '{old}' cannot be written again without change; nothing was migrated"
                    )
                digest = hashlib.sha256(sealed).hexdigest()
            places[offset] = (tar.add(name, sealed), len(sealed), digest)
        tar.finish()
    return places


def _members(shard: Path) -> Iterator[tuple[str, bytes, int]]:
    """Name, bytes and offset of the bytes of each member."""
    try:
        with tarfile.open(shard, "r:") as tar, shard.open("rb") as source:
            for member in tar:
                source.seek(member.offset_data)
                yield member.name, source.read(member.size), member.offset_data
    except (OSError, tarfile.TarError) as error:
        raise CorpusError(f"'{shard}' is damaged ({error}); run 'voxtile verify' on the corpus") from error


def _unpacked(root: Path, target: Path, name: str, changes: _Changes) -> bool:
    """Write the parts of a packed file alone, where any of their rows has moved; whether one has.

    What a packed file says of its parts is of the files that they were, which these are no more.
    """
    folder = (root / name).parent
    parts = [folder / f"{stem}.parquet" for stem, at in packed_members(folder).items() if at.path == root / name]
    parts = [part for part in parts if not part.is_file()]
    shard = "shard" if folder.name == "samples" else "mask_shard"
    if not any(changes.places.keys() & set(part_table(part, [shard])[shard].to_pylist()) for part in parts):
        return False
    for part in parts:
        own = part.relative_to(root).as_posix()
        if not _moved_part(part_table(part), target / own, changes):
            pq.write_table(part_table(part), target / own, compression="zstd")
        _note(target, own, changes)
    changes.unpacked.append(name)
    return True


def _moved_part(table: pa.Table, new: Path, changes: _Changes) -> bool:
    """Write a part of `samples` or `regions` again with the new places; whether any changes."""
    columns = ("mask_shard", "mask_offset", "mask_nbytes", None)
    if new.parent.name == "samples":
        columns = ("shard", "offset", "nbytes", "sha256")  # type: ignore[assignment]
    shard, offset, nbytes, sha256 = columns
    rows = table.select([name for name in columns if name]).to_pylist()
    moved = False
    for row in rows:
        place = changes.places.get(row[shard], {}).get(row[offset])
        if place is not None:
            moved = True
            row[offset], row[nbytes] = place[:2]
            if sha256 and place[2]:
                row[sha256] = place[2]
    if moved:
        for name in (name for name in columns[1:] if name):
            column = pa.array([row[name] for row in rows], table.field(name).type)
            table = table.set_column(table.column_names.index(name), table.field(name), column)
        metadata = dict(table.schema.metadata or {}) | {VERSION_KEY: SCHEMA_VERSION.encode()}
        pq.write_table(table.replace_schema_metadata(metadata), new, compression="zstd")
    return moved


def _done_again(root: Path, target: Path, changes: _Changes) -> None:
    """Done files, which state hashes of what was written again."""
    for path in sorted((root / DONE).glob("*.json")):
        content: dict[str, Any] = read_json(path)
        files = dict(content["files"])
        for name in files.keys() & changes.files.keys():
            files[name] = dict(zip(("sha256", "bytes"), changes.files[name], strict=True))
        if files != content["files"]:
            name = path.relative_to(root).as_posix()
            (target / name).unlink()  # a link to the old one
            (target / name).write_text(json.dumps({**content, "files": files}, sort_keys=True, indent=1), "utf-8")
            _note(target, name, changes)


def _note(target: Path, name: str, changes: _Changes) -> None:
    changes.files[name] = (file_sha256(target / name), (target / name).stat().st_size)


def _is_of_compiled_view(name: str) -> bool:
    parts = name.split("/")
    return parts[0] == "views" and len(parts) > 2 and not parts[1].endswith(SUFFIX)


def _is_array(name: str) -> bool:
    return name.endswith(_ARRAY)


def _newer(version: str) -> str:
    """What a corpus of this version is of when it is migrated: packed files need theirs."""
    return max(version, SCHEMA_VERSION, key=_major)


def _major(version: str) -> int:
    return int(version.partition(".")[0])


def _print(line: str) -> None:
    output().print(line, markup=False, highlight=False, soft_wrap=True)

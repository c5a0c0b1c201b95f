"""`voxtile gc`: what killed runs and earlier states of a corpus have left, listed and removed."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxtile.bounded_text import read_json
from voxtile.console import note, output
from voxtile.corpus.drafts import BUILDING_SUFFIX, TEMPORARY_SUFFIX, remove_dead_draft, remove_dead_folder
from voxtile.corpus.header import check_corpus
from voxtile.corpus.packing.whole_folder import left_beside
from voxtile.corpus.parts import read_parts, table_schema, uncommitted_stems
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import read_record, record_paths, recorded_files
from voxtile.corpus.remote.address import refuse_remote
from voxtile.corpus.storage import storage_errors
from voxtile.corpus.view.key import LAYOUT, VIEW_VERSION, ViewChoice, view_key
from voxtile.corpus.view.selection import SUFFIX, Selection
from voxtile.corpus.view.view import view_lock
from voxtile.engine.commit import DONE, files_of
from voxtile.engine.lock import corpus_lock
from voxtile.engine.lock import release_lock as released
from voxtile.errors import ConfigError

_HOUR, _DAY = 3600.0, 86400.0
_SHOWN = 20


def collect_garbage(
    corpus: Path,
    *,
    dry_run: bool = False,
    older_than_hours: float = 1.0,
    views_unused_days: float = 7.0,
    release_lock: bool = False,
) -> None:
    """Remove what nothing in a corpus names: files of runs that were killed, shards without rows, outdated views.

    A part of a table that can be read is never removed, whoever wrote it; nor are curated selections and replies of
    language models. Beside the corpus, what `forget` and `migrate` left when they were killed goes, and nothing else.
    The corpus is held for writing meanwhile, so that nothing of a running command goes.

    Args:
        corpus: folder of the corpus.
        dry_run: list what would go, with its size, and remove nothing.
        older_than_hours: leave files alone that were written later than so many hours ago.
        views_unused_days: leave outdated compiled views alone that were read within so many days: a training may hold
            them. Those that are up to date stay in any case.
        release_lock: first take the corpus from a process of another machine that shows no sign of life for a minute
            (where the file system knows no locks).

    Raises:
        ConfigError: a time is below 0.
        CorpusError: the corpus is in use, damaged, newer, remote, or cannot be written to; nothing is removed.
    """
    for name, value in (("older_than_hours", older_than_hours), ("views_unused_days", views_unused_days)):
        if not value >= 0:
            raise ConfigError(f"'{name}' must be 0 or more, not {value}")
    refuse_remote(corpus, "written to")
    check_corpus(corpus)
    if release_lock and (holder := released(corpus)):
        note(f"'{corpus}' is no longer held by {holder}")
    ages = Ages(older_than_hours * _HOUR, views_unused_days * _DAY)
    if dry_run:
        _say(corpus, list(find_garbage(corpus, ages)), "would go")
        return
    with storage_errors(corpus), corpus_lock(corpus):
        found = list(find_garbage(corpus, ages))
        for one in found:
            if one.kept is None:
                _remove(corpus, one, ages)
    _say(corpus, found, "gone")


@dataclass(frozen=True)
class Ages:
    """How old, in seconds, a file and an unused view must be."""

    files_s: float
    views_s: float


@dataclass(frozen=True)
class Garbage:
    """Something that nothing needs.

    Attributes:
        path: a file or a folder.
        what: it is.
        nbytes: size of it, all together.
        kept: why it stays all the same, or None.
    """

    path: Path
    what: str
    nbytes: int
    kept: str | None = None


def find_garbage(root: Path, ages: Ages) -> Iterator[Garbage]:
    """What can go from a corpus.

    Raises:
        CorpusError: a record or a table is damaged, so that nobody can say what it names.
    """
    named = _named_shards(root)
    for group in (*_leftovers(root), *_interrupted(root), *_orphans(root, named)):
        young = any(time.time() - path.lstat().st_mtime < ages.files_s for path, _ in group)
        for path, what in group:
            yield Garbage(path, what, _size(path), "it was written a short time ago" if young else None)
    for path, what in _outdated_views(root):
        used = time.time() - _last_use(path) < ages.views_s
        yield Garbage(path, what, _size(path), "it was read a short time ago" if used else None)


def _leftovers(root: Path) -> Iterator[list[tuple[Path, str]]]:
    """Drafts, and folders under construction."""
    folders = [root, *(root / name for name in (DONE, "ledger", "manifests", "shards", "views")), *_tables(root)]
    for folder in folders:
        for path in sorted(folder.glob(f".*{TEMPORARY_SUFFIX}")):
            yield [(path, "a half-written file")]
    for path in sorted((root / "views").glob(f".*{BUILDING_SUFFIX}")):
        yield [(path, "a half-made view")]
    for path in left_beside(root.resolve()):
        yield [(path, "the corpus as it was, or half built again, of a command that was killed")]
    if (root / ".scratch").is_dir():
        yield [(root / ".scratch", "the scratch folder of a run")]


def _interrupted(root: Path) -> Iterator[list[tuple[Path, str]]]:
    """Jobs that were announced and never committed: their files, then the mark that hides these."""
    for mark in sorted((root / DONE).glob("*.pending")):
        committed = mark.with_suffix(".json").exists()
        files = [] if committed else [path for path in files_of(root, mark.read_text("utf-8")) if path.is_file()]
        own = [(path, "a file of a job that was interrupted") for path in files]
        yield [*own, (mark, "the mark of a job that was interrupted")]


def _named_shards(root: Path) -> set[str]:
    """Shards that a row, a committed job or a manifest names."""
    corpus = Corpus(root)
    named = {name for name in recorded_files(root) if name.startswith("shards/")}
    done, _ = record_paths(root)
    for record in (read_record(root, path) for path in done):
        named.update(record.files)
    named -= _exchanged(root)
    for table, column in (("samples", "shard"), ("regions", "mask_shard")):
        rows = read_parts(corpus.parts(table), table_schema(table), [column])
        named.update(rows[column].drop_null().unique().to_pylist())
    return named


def _exchanged(root: Path) -> set[str]:
    """Shards that manifests say were replaced: what their jobs once wrote is in others."""
    _, manifests = record_paths(root)
    gone: set[str] = set()
    for record in (read_record(root, path) for path in manifests):
        gone = (gone | record.removed) - record.files.keys()
    return gone


def _orphans(root: Path, named: set[str]) -> Iterator[list[tuple[Path, str]]]:
    hidden = uncommitted_stems(root)
    for path in sorted((root / "shards").glob("*.tar")):
        if path.relative_to(root).as_posix() not in named and path.stem not in hidden and not path.name.startswith("."):
            yield [(path, "a shard that no row and no job names")]


def _outdated_views(root: Path) -> Iterator[tuple[Path, str]]:
    """Compiled views that the next training would make again in any case."""
    for path in sorted((root / "views").glob("*")):
        if path.is_dir() and not path.name.startswith(".") and not path.name.endswith(SUFFIX):
            why = _why_outdated(root, path)
            if why is not None:
                yield path, why


def _why_outdated(root: Path, view: Path) -> str | None:
    try:
        about: dict[str, Any] = read_json(view / "view.json")
        if (about["view_version"], about["layout"]) != (VIEW_VERSION, LAYOUT):
            return "a compiled view of another version"
        if "@" in view.name:  # of several corpora, which are not here
            return None
        selection = view.with_name(f"{view.name}{SUFFIX}")
        key = Selection(selection).key if selection.is_dir() else None
        closed = tuple(about.get("closed_facts", ()))
        chosen = ViewChoice(about["scheme"], about["where"], about.get("facts_source"), closed, key)
        return None if view_key([root], chosen) == about["key"] else "a compiled view of what the corpus was before"
    except (OSError, ValueError, KeyError, TypeError):
        return "a compiled view that cannot be read"


def _last_use(folder: Path) -> float:
    times = [path.stat() for path in folder.rglob("*") if path.is_file()]
    return max((max(stat.st_mtime, stat.st_atime) for stat in times), default=0.0)


def _remove(root: Path, one: Garbage, ages: Ages) -> None:
    if one.path.name.endswith(BUILDING_SUFFIX):
        remove_dead_folder(one.path)  # unless whoever makes it lives
    elif one.path.parent.name == "views" and one.path.is_dir():
        with view_lock(one.path):
            used = time.time() - _last_use(one.path) < ages.views_s
            if not used and _why_outdated(root, one.path) is not None:  # else it was compiled again since it was found
                shutil.rmtree(one.path)
    elif one.path.is_dir():
        shutil.rmtree(one.path)
    elif one.path.name.endswith(TEMPORARY_SUFFIX):
        with suppress(FileNotFoundError):
            remove_dead_draft(one.path)  # a server may write its verdict just now
    else:
        one.path.unlink(missing_ok=True)


def _tables(root: Path) -> list[Path]:
    return sorted(path for path in (root / "tables").glob("*") if path.is_dir())


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(one.stat().st_size for one in path.rglob("*") if one.is_file())
    return path.lstat().st_size


def _say(root: Path, found: list[Garbage], what: str) -> None:
    gone = [one for one in found if one.kept is None]
    kept = [one for one in found if one.kept is not None]
    for one in gone[:_SHOWN]:
        _print(f"  {_shown(root, one.path)}: {one.what}, {one.nbytes:,} bytes")
    if len(gone) > _SHOWN:
        _print(f"  and {len(gone) - _SHOWN:,} more")
    for one in kept[:_SHOWN]:
        _print(f"  {_shown(root, one.path)} stays: {one.what}, but {one.kept}")
    size = sum(one.nbytes for one in gone)
    total = f"{len(gone):,} files and folders of {size:,} bytes {what}" if gone else "nothing to remove"
    _print(f"'{root}': {total}")


def _shown(root: Path, path: Path) -> Path:
    return path.relative_to(root) if path.is_relative_to(root) else path


def _print(line: str) -> None:
    output().print(line, markup=False, highlight=False, soft_wrap=True)

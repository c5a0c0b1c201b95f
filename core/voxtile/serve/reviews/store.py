"""The reviews of a corpus, and the only thing that a server writes: one part of the table `reviews` a sitting.

A part is written anew, whole and under a temporary name, with each verdict, and renamed before the verdict is
acknowledged: a server that is killed loses at most the verdict that it had not acknowledged. Two servers on one corpus
write parts of their own, one after the other, and see each other's. A command that builds the corpus anew
keeps them out meanwhile (`voxtile.corpus.packing.rebuild_lock`).
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from voxtile.corpus.drafts import remove_dead_drafts
from voxtile.corpus.forgotten import ForgottenSubjects
from voxtile.corpus.header import check_corpus
from voxtile.corpus.packing.rebuild_lock import RebuildHeldError, rebuild_lock
from voxtile.corpus.parts import part_table, table_folder
from voxtile.corpus.reader import Corpus
from voxtile.corpus.schema import REVIEWS, SCHEMA_VERSION, VERSION_KEY
from voxtile.corpus.storage import StorageError, write_atomically
from voxtile.errors import ConfigError, CorpusError
from voxtile.serve.reviews.verdicts import Drawn, Verdict, latest, target_of

_NOT_WRITTEN = "the verdict could not be written; make room on the disk, and send it again"
_REBUILT = (
    "the corpus is being built anew by another command, or another server on it was stopped while it wrote; send the "
    "verdict again when that has ended"
)
_AWAY = (
    "the corpus is not in its place just now (its folder was moved, or its disk is not mounted): the verdict was not "
    "stored; send it again when the corpus is back"
)
_FORGOTTEN = "the corpus has forgotten the subject of this image; the verdict was not stored"
_PATIENCE_S = 5.0  # of a reader, for who holds the corpus
_MOST_ROWS = 500  # of a part, which is written anew with each verdict; then a further one begins
_TABLE = "reviews"
_Stamp = tuple[int, int, int]  # what changes with a file's content


class Reviews:
    """All reviews of a corpus, those of other servers on it included.

    Args:
        corpus: its first folder gets the verdicts on its own samples, and so on.

    Raises:
        CorpusError: a part is damaged.
    """

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus
        self._rows: dict[str, dict[str, Any]] = {}
        self._known: dict[Path, _Stamp] = {}
        self._own: dict[int, tuple[Path, list[dict[str, Any]]]] = {}
        self._lock = threading.Lock()
        for root in corpus.roots:
            remove_dead_drafts(table_folder(root, _TABLE), "reviews-*.parquet")
        self._look()

    def add(self, root: int, row: Mapping[str, Any], subject: str | None) -> None:
        """Store a verdict; one that was stored already, of the same `review_id`, is not stored again.

        Args:
            root: index of the corpus whose sample it is of.
            row: of the table `reviews`, without `created`.
            subject: whose sample it is.

        Raises:
            ConfigError: it cannot be written, the corpus is not in its place or has forgotten the subject; nothing is
                counted.
            CorpusError: a part of another server is damaged.
        """
        place = self._corpus.roots[root]
        full = {**row, "created": datetime.now(UTC).isoformat(timespec="milliseconds")}
        with self._lock:
            try:
                with rebuild_lock(place, _PATIENCE_S):
                    _require_corpus(place)
                    if subject in ForgottenSubjects.of(place):  # what is served may be older
                        raise ConfigError(_FORGOTTEN)
                    table_folder(place, _TABLE).mkdir(parents=True, exist_ok=True)
                    self._look()
                    if row["review_id"] in self._rows:
                        return
                    path, held = self._part(root)
                    write_atomically(path, _as_parquet([*held, full]))
                    self._known[path] = _stamp(path.stat())
            except RebuildHeldError as error:
                raise ConfigError(_REBUILT) from error
            except (FileNotFoundError, NotADirectoryError) as error:
                raise ConfigError(_AWAY) from error
            except (StorageError, OSError) as error:
                raise ConfigError(_NOT_WRITTEN) from error
            held.append(full)
            self._rows[str(row["review_id"])] = full

    def latest(self) -> list[dict[str, Any]]:
        """The last verdict of each reader on each target and claim, in the order in which they were given."""
        with self._lock:
            self._look()
            rows = list(self._rows.values())
        return latest(rows)

    def drawn(self, reader: str, target: tuple[str, str, str]) -> Drawn | None:
        """How a target came to a reader first; None where it did not. Who judges it again changes nothing of that."""
        with self._lock:
            self._look()
            own = (r for r in self._rows.values() if r["reader"] == reader and target_of(r) == target)
            first = min(own, key=lambda r: str(r["created"]), default=None)
        return cast(Drawn, first["drawn"]) if first else None

    def said(self, reader: str, target: tuple[str, str, str], claim: str | None) -> Verdict | None:
        """The last verdict of a reader on a target or a claim of it; None where there is none."""
        with self._lock:
            self._look()
            rows = list(self._rows.values())
        own = (r for r in latest(rows) if r["reader"] == reader and target_of(r) == target and r["claim"] == claim)
        return next((cast(Verdict, row["verdict"]) for row in own), None)

    def judged_by(self, reader: str) -> set[tuple[str, str, str]]:
        """Targets that a reader has judged as a whole."""
        with self._lock:
            self._look()
            return {target_of(r) for r in self._rows.values() if r["reader"] == reader and r["claim"] is None}

    def table(self, root: int) -> pa.Table:
        """All rows of one corpus as they stand now, for conditions.

        Raises:
            CorpusError: the table cannot be read.
        """
        schema = REVIEWS.remove_metadata()
        while True:
            before = self.stamp()
            try:
                parts = [part_table(path, schema.names).cast(schema) for path in self._corpus.parts(_TABLE, root)]
                return pa.concat_tables([schema.empty_table(), *parts])
            except (CorpusError, OSError, pa.ArrowException) as error:
                if self.stamp() == before:
                    raise CorpusError(
                        f"the table {_TABLE} cannot be read; run 'voxtile verify' on the corpus"
                    ) from error
                # else a part was replaced between its footer and its rows

    def stamp(self) -> dict[Path, _Stamp]:
        """The files of the table as they are now: another value whenever one was written, by whomever."""
        found: dict[Path, _Stamp] = {}
        for root in self._corpus.roots:
            with suppress(FileNotFoundError), os.scandir(table_folder(root, _TABLE)) as entries:
                for entry in entries:
                    if entry.name.endswith(".parquet") and not entry.name.startswith("."):
                        found[Path(entry.path)] = _stamp(entry.stat())
        return found

    def _look(self) -> None:
        """See what others wrote or took away: another server, `voxtile forget`, packing."""
        now = self.stamp()
        if now == self._known:
            return
        # A part of our own that another hand wrote again is theirs: what it lacks now must not come back.
        self._own = {n: own for n, own in self._own.items() if now.get(own[0]) == self._known.get(own[0])}
        rows = (row for root in range(len(self._corpus.roots)) for row in self.table(root).to_pylist())
        self._rows = {row["review_id"]: row for row in rows}
        self._known = now

    def _part(self, root: int) -> tuple[Path, list[dict[str, Any]]]:
        """The part that the sitting writes to now, with its rows."""
        if root not in self._own or len(self._own[root][1]) >= _MOST_ROWS:
            name = f"reviews-{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}.parquet"
            self._own[root] = (table_folder(self._corpus.roots[root], _TABLE) / name, [])
        return self._own[root]


def _require_corpus(place: Path) -> None:
    """Refuse the empty folder that a disk is mounted at: what is written there is hidden when it is mounted again."""
    try:
        check_corpus(place)
    except CorpusError as error:
        raise ConfigError(_AWAY) from error


def _stamp(found: os.stat_result) -> _Stamp:
    return found.st_ino, found.st_size, found.st_mtime_ns


def _as_parquet(rows: list[dict[str, Any]]) -> bytes:
    sink = pa.BufferOutputStream()
    schema = REVIEWS.with_metadata({VERSION_KEY: SCHEMA_VERSION.encode()})
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content

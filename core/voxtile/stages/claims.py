"""Who puts samples into a corpus in a store just now, so that of two who put the same ones at once one is refused.

Before its first job counts, a push puts what it brings (`pushes/HASH.parquet`: uids of samples, splits of subjects) and
claims it: `pushes/NUMBER.json` names all that is claimed and does not count yet, and is put where there is no object of
that number. So claims have an order, and each push has compared its own with all before it. Readers pass over them.

A claim of a push that never goes on is released by a number that does not name it. One that goes on all the same sees
that before it lets a job count (`Claimed.require`), so that no row is there twice.
"""

from __future__ import annotations

import json
import math
import os
import re
import socket
import tempfile
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from voxtile.bounded_text import read_json
from voxtile.console import note
from voxtile.corpus.parts import part_paths, part_sha256, part_table
from voxtile.corpus.reader import Corpus
from voxtile.corpus.remote.address import Address, draft_marker
from voxtile.corpus.remote.client import create, fetch_object, stored_digest, stored_names, synchronise
from voxtile.errors import ConfigError, CorpusError
from voxtile.file_edges import file_sha256

_FOLDER = "pushes"
_NUMBERED = re.compile(rf"{_FOLDER}/(\d+)\.json")
_TRIES = 20  # for a number, while others claim theirs
_ABOUT_TO_PUT_S = 30.0  # a push has seen that its claim holds, and its put is under way
_UNKNOWN = {"bytes": None, "edges": None, "sha256": None}
_COLUMNS = {"samples": ["uid"], "splits": ["scheme", "subject", "split"]}
_UNIQUE = tuple(_COLUMNS)  # tables in which two runs must not say different things of a key
_SCHEMA = pa.schema([(name, pa.string()) for name in ("part", "key", "value")])


class ClashError(CorpusError):
    """Two runs bring the same sample, or put a subject into different splits.

    Attributes:
        parts: names of the parts of tables here that do.
    """

    def __init__(self, message: str, parts: set[str]) -> None:
        super().__init__(message)
        self.parts = parts


@dataclass
class Claimed:
    """The claim of a push.

    Attributes:
        address: of the corpus in the store.
        name: of the object that holds what is claimed.
        number: the newest one by which it was.
    """

    address: Address
    name: str
    number: int

    def require(self) -> None:
        """Nobody has released the claim.

        Raises:
            CorpusError: somebody has.
            StoreError: the store refuses or does not answer.
        """
        newest = self.number
        while stored_digest(self.address, _numbered(newest + 1)) is not None:
            newest += 1
        if newest != self.number and self.name not in _read(self.address, newest).open:
            raise CorpusError(
                f"another push took this one into '{self.address.url}' for ended (--release-claims); jobs that it has "
                "put there count, and the same command again brings the others where nobody else has their samples"
            )
        self.number = newest


def claim(
    root: Path, address: Address, names: Collection[str], settled: Collection[str], *, dry_run: bool
) -> Claimed | None:
    """Claim the samples and splits of a corpus that go into a store, when no other push and no run there has them.

    Args:
        root: of the local corpus.
        address: of the one in the store, which has its header.
        names: of all objects there, which were listed before.
        settled: names of files of the local corpus that the store has.
        dry_run: only compare.

    Returns:
        The claim; None where there is nothing to claim.

    Raises:
        ClashError: another run has them.
        StoreError: the store refuses or does not answer.
    """
    paths = {
        table: [path for path in part_paths(root, table) if _name(table, path) not in settled] for table in _UNIQUE
    }
    own = {_name(table, path): part_sha256(path) for table in _UNIQUE for path in paths[table]}
    if not own:
        return None
    claims = _Claims(address, names)  # of before the corpus is opened: what counted by then is seen there
    brought = {table: _keys_of(table, paths[table]) for table in _UNIQUE}

    whose = "this run" if draft_marker(root).is_file() else f"'{root}'"

    def compare(table: str, others: pa.Table, has: str) -> None:
        count, first, parts = _first_clash(brought[table], others)
        what = f"samples of {whose} from another run, such as {first}"
        if table == "splits":
            what = f"subjects of {whose} in another split by another run, such as '{first.partition(' ')[2]}'"
        if count:
            ended = f" ({claims.said()}; --release-claims of 'voxtile push' is for pushes that will never go on)"
            raise ClashError(f"'{address.url}' {has} {count} {what}{ended * ('just now' in has)}", parts)

    visible: set[str] = set()
    if any(name.startswith("tables/samples/") for name in names):
        synchronise(address, anew=True)
        stored = Corpus(address.url)
        for table in _UNIQUE:
            others = [path for path in stored.parts(table) if _name(table, path) not in own]
            visible |= {_name(table, path) for path in others}
            compare(table, _keys_of(table, others), "has")
    while True:
        theirs = claims.others(own)
        for table in _UNIQUE:
            compare(table, theirs, "is just now given")
        if dry_run:
            return None
        if (claimed := claims.claim(pa.concat_tables(brought.values()), own, visible)) is not None:
            return claimed


def release_old_claims(address: Address, hours: float, *, dry_run: bool) -> None:
    """Release what was claimed so long ago by pushes that have not ended, and say whose it was.

    One that goes on all the same ends before its next job counts. What it was just about to put then is waited for.

    Args:
        address: of the corpus.
        hours: since the claim; those of versions that noted no time are taken for as old.
        dry_run: release nothing.

    Raises:
        ConfigError: the hours are none.
        CorpusError: others claim all the while.
        StoreError: the store refuses or does not answer.
    """
    if not hours >= 0:
        raise ConfigError(f"--release-claims takes a number of hours, 0 or more, not {hours}")
    number = _newest(stored_names(address))
    for _ in range(_TRIES):
        found = _read(address, number)
        old = [name for name in found.open if found.age(name) >= hours * 3600]
        if dry_run or not old or _put_claims(address, number + 1, found.without(old)):
            break
        number += 1
    else:
        raise CorpusError(f"others push to '{address.url}' all the while; try again when they are done")
    for name in old:
        note(f"what {found.said(name)} claimed {'would be' if dry_run else 'is'} free for other pushes")
    if old and not dry_run:
        time.sleep(_ABOUT_TO_PUT_S)


def _name(table: str, path: Path) -> str:
    return f"tables/{table}/{path.name}"


@dataclass(frozen=True)
class _Open:
    """All that is claimed and does not count yet.

    Attributes:
        open: object that holds what is claimed → its parts of tables and their hashes.
        by: the same → `who` claimed it, and since `when`; versions of before noted neither.
    """

    open: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    by: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def without(self, names: Collection[str]) -> _Open:
        """Of the others alone."""
        return _Open(
            {name: parts for name, parts in self.open.items() if name not in names},
            {name: who for name, who in self.by.items() if name not in names},
        )

    def said(self, name: str) -> str:
        """Who claims, for people."""
        known = self.by.get(name)
        return f"{known['who']} since {known['when']}" if known else "a push that did not say whose it is"

    def age(self, name: str) -> float:
        """Seconds since the claim; for ever where it was not noted."""
        try:
            return (datetime.now(UTC) - datetime.fromisoformat(self.by[name]["when"])).total_seconds()
        except (KeyError, ValueError):
            return math.inf


class _Claims:
    """The claims of a corpus in a store, as one push sees them.

    Args:
        address: of the corpus.
        names: of all objects there, which were listed before the corpus was opened.
    """

    def __init__(self, address: Address, names: Collection[str]) -> None:
        self._address = address
        self._number = _newest(names)
        self._found = _read(address, self._number)

    def said(self) -> str:
        """Who claims something."""
        return ", ".join(self._found.said(name) for name in self._found.open)

    def others(self, own: Mapping[str, str]) -> pa.Table:
        """What others bring that does not count yet.

        Args:
            own: names of the parts of this push and their hashes; equal ones are no others.
        """
        claimed = self._found.open.items()
        brought = [self._brought(name) for name, parts in claimed if not parts.items() <= own.items()]
        found = pa.concat_tables([_SCHEMA.empty_table(), *(table for table in brought if table is not None)])
        return found.filter(pc.invert(pc.is_in(found["part"], pa.array(own, pa.string()))))

    def claim(self, brought: pa.Table, own: Mapping[str, str], visible: Collection[str]) -> Claimed | None:
        """Claim what a push brings; None where another one has claimed meanwhile, so that it is to be compared too.

        Args:
            brought: by this push.
            own: names of its parts and their hashes.
            visible: names of parts that count by now, with which all who come later compare.

        Raises:
            StoreError: the store refuses or does not answer.
        """
        for name, parts in self._found.open.items():
            if own.items() <= parts.items():  # by the same push before it was stopped
                return Claimed(self._address, name, self._number)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "brought.parquet")
            pq.write_table(brought, path, compression="zstd")
            name = f"{_FOLDER}/{file_sha256(path)[:32]}.parquet"
            create(self._address, name, path)
        counted = [name for name, parts in self._found.open.items() if parts.keys() <= set(visible)]
        going_on = self._found.without(counted)
        when = datetime.now(UTC).isoformat(timespec="seconds")
        mine = {"who": f"process {os.getpid()} on {socket.gethostname()}", "when": when}
        all_of_them = _Open({**going_on.open, name: dict(own)}, {**going_on.by, name: mine})
        self._number += 1
        if _put_claims(self._address, self._number, all_of_them):
            return Claimed(self._address, name, self._number)
        self._found = _read(self._address, self._number)
        return None

    def _brought(self, name: str) -> pa.Table | None:
        """None where somebody has removed it, since that push will never go on."""
        if stored_digest(self._address, name) is None:
            return None
        return pq.read_table(fetch_object(f"{self._address.url}/{name}", _UNKNOWN), schema=_SCHEMA)


def _numbered(number: int) -> str:
    return f"{_FOLDER}/{number:04d}.json"


def _newest(names: Collection[str]) -> int:
    return max((int(found[1]) for name in names if (found := _NUMBERED.fullmatch(name))), default=0)


def _read(address: Address, number: int) -> _Open:
    if not number:
        return _Open()
    read = read_json(fetch_object(f"{address.url}/{_numbered(number)}", _UNKNOWN))
    return _Open({str(name): dict(parts) for name, parts in read["open"].items()}, dict(read.get("by", {})))


def _put_claims(address: Address, number: int, claims: _Open) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "claims.json")
        path.write_text(json.dumps({"open": claims.open, "by": claims.by}, sort_keys=True, indent=1))
        return create(address, _numbered(number), path)


def _keys_of(table: str, parts: Collection[Path]) -> pa.Table:
    """What parts of a table bring: `part` is their name in the corpus, and no two may give a `key` another `value`.

    Args:
        table: `samples`, of which each uid has its part for a value, or `splits`.
        parts: of it.
    """
    found = [_SCHEMA.empty_table()]
    for path in parts:
        rows = part_table(path, _COLUMNS[table])
        name = pa.array([_name(table, path)] * len(rows), pa.string())
        if table == "samples":
            key, value = rows["uid"].cast(pa.string()), name
        else:
            words = [rows[column].cast(pa.string()) for column in _COLUMNS[table]]
            key, value = pc.binary_join_element_wise(*words[:2], " "), words[2]
        found.append(pa.Table.from_arrays([name, key, value], schema=_SCHEMA))
    return pa.concat_tables(found)


def _first_clash(own: pa.Table, others: pa.Table) -> tuple[int, str, set[str]]:
    """How many keys two tables of `_keys_of` give other values, the first of these keys, and the parts of `own`."""
    theirs = others.group_by(["key", "value"]).aggregate([]).rename_columns(["key", "other"])
    both = own.join(theirs, "key", join_type="inner")
    both = both.filter(pc.not_equal(both["value"], both["other"]))
    keys = sorted(set(both["key"].to_pylist()))
    return len(keys), keys[0] if keys else "", set(both["part"].to_pylist())

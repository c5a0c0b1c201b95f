"""Who puts samples into a corpus in a store just now, so that of two who put the same ones at once one is refused.

Before its first job counts, a push puts what it brings (`pushes/HASH.parquet`: uids of samples, splits of subjects) and
claims it: `pushes/NUMBER.json` names all that is claimed and does not count yet, and is put where there is no object of
that number. So claims have an order, and each push has compared its own with all before it. Readers pass over them.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from voxtile.bounded_text import read_json
from voxtile.corpus.parts import part_paths, part_sha256, part_table
from voxtile.corpus.reader import Corpus
from voxtile.corpus.remote.address import Address, draft_marker
from voxtile.corpus.remote.client import create, fetch_object, stored_digest, synchronise
from voxtile.errors import CorpusError
from voxtile.file_edges import file_sha256

_FOLDER = "pushes"
_NUMBERED = re.compile(rf"{_FOLDER}/(\d+)\.json")
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


def claim(root: Path, address: Address, names: Collection[str], settled: Collection[str], *, dry_run: bool) -> None:
    """Claim the samples and splits of a corpus that go into a store, when no other push and no run there has them.

    Args:
        root: of the local corpus.
        address: of the one in the store, which has its header.
        names: of all objects there, which were listed before.
        settled: names of files of the local corpus that the store has.
        dry_run: only compare.

    Raises:
        ClashError: another run has them.
        StoreError: the store refuses or does not answer.
    """
    paths = {
        table: [path for path in part_paths(root, table) if _name(table, path) not in settled] for table in _UNIQUE
    }
    own = {_name(table, path): part_sha256(path) for table in _UNIQUE for path in paths[table]}
    if not own:
        return
    claims = _Claims(address, names)  # of before the corpus is opened: what counted by then is seen there
    brought = {table: _keys_of(table, paths[table]) for table in _UNIQUE}

    whose = "this run" if draft_marker(root).is_file() else f"'{root}'"

    def compare(table: str, others: pa.Table, has: str) -> None:
        count, first, parts = _first_clash(brought[table], others)
        what = f"samples of {whose} from another run, such as {first}"
        if table == "splits":
            what = f"subjects of {whose} in another split by another run, such as '{first.partition(' ')[2]}'"
        if count:
            raise ClashError(f"'{address.url}' {has} {count} {what}", parts)

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
        if dry_run or claims.claim(pa.concat_tables(brought.values()), own, visible):
            return


def _name(table: str, path: Path) -> str:
    return f"tables/{table}/{path.name}"


class _Claims:
    """The claims of a corpus in a store, as one push sees them.

    Args:
        address: of the corpus.
        names: of all objects there, which were listed before the corpus was opened.
    """

    def __init__(self, address: Address, names: Collection[str]) -> None:
        self._address = address
        self._number = max((int(found[1]) for name in names if (found := _NUMBERED.fullmatch(name))), default=0)
        self._open = self._read()

    def others(self, own: Mapping[str, str]) -> pa.Table:
        """What others bring that does not count yet.

        Args:
            own: names of the parts of this push and their hashes; equal ones are no others.
        """
        brought = [self._brought(name) for name, parts in self._open.items() if not parts.items() <= own.items()]
        found = pa.concat_tables([_SCHEMA.empty_table(), *(table for table in brought if table is not None)])
        return found.filter(pc.invert(pc.is_in(found["part"], pa.array(own, pa.string()))))

    def claim(self, brought: pa.Table, own: Mapping[str, str], visible: Collection[str]) -> bool:
        """Claim what a push brings; False where another one has claimed meanwhile, so that it is to be compared too.

        Args:
            brought: by this push.
            own: names of its parts and their hashes.
            visible: names of parts that count by now, with which all who come later compare.

        Raises:
            StoreError: the store refuses or does not answer.
        """
        if any(own.items() <= parts.items() for parts in self._open.values()):
            return True  # by the same push before it was stopped
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "brought.parquet")
            pq.write_table(brought, path, compression="zstd")
            name = f"{_FOLDER}/{file_sha256(path)[:32]}.parquet"
            create(self._address, name, path)
            going_on = {n: parts for n, parts in self._open.items() if not parts.keys() <= set(visible)}
            path = Path(folder, "claim.json")
            path.write_text(json.dumps({"open": {**going_on, name: dict(own)}}, sort_keys=True, indent=1))
            if create(self._address, f"{_FOLDER}/{self._number + 1:04d}.json", path):
                return True
        self._number += 1
        self._open = self._read()
        return False

    def _read(self) -> dict[str, dict[str, str]]:
        if not self._number:
            return {}
        url = f"{self._address.url}/{_FOLDER}/{self._number:04d}.json"
        return {str(name): dict(parts) for name, parts in read_json(fetch_object(url, _UNKNOWN))["open"].items()}

    def _brought(self, name: str) -> pa.Table | None:
        """None where somebody has removed it, since that push will never go on."""
        if stored_digest(self._address, name) is None:
            return None
        return pq.read_table(fetch_object(f"{self._address.url}/{name}", _UNKNOWN), schema=_SCHEMA)


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

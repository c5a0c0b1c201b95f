"""Reading a corpus, or several as one.

Nothing here writes, and nothing but Parquet footers is read until rows are asked for.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from voxtile.corpus.header import corpus_root
from voxtile.corpus.integrity import read_sound
from voxtile.corpus.parts import (
    check_part,
    held_dataset,
    part_dataset,
    part_paths,
    read_parts,
    sql_schema,
    table_schema,
)
from voxtile.corpus.records import Hashes, check_parts, recorded_files
from voxtile.corpus.schema import TABLES
from voxtile.corpus.shards.blosc2_frame import full_selection
from voxtile.corpus.shards.codecs import StoredArray, open_array
from voxtile.corpus.source import StoredSample
from voxtile.errors import CorpusError

ROOT_COLUMN = "corpus"
_SAMPLES = "samples"


class Corpus:
    """One corpus, or the union of several.

    Args:
        roots: corpus folders, or addresses of remote ones (`corpus_root`); in tables, the column `corpus` is an index
            into them.

    Attributes:
        roots: the folders; of remote corpora those of their mirrors.

    Raises:
        CorpusError: a folder is not a corpus, or was made by a newer version, or a remote one cannot be reached.
    """

    def __init__(self, *roots: str | os.PathLike[str]) -> None:
        if not roots:
            raise CorpusError("no corpus was given; name at least one folder")
        self.roots: tuple[Path, ...] = tuple(corpus_root(root) for root in roots)
        self._checked: set[Path] = set()
        self._records: dict[int, Hashes] = {}

    def parts(self, name: str, root: int = 0) -> list[Path]:
        """Parts of a table, each checked for version and columns once.

        Raises:
            CorpusError: there is no such table, or a part is missing, damaged, newer, or lacks a column.
        """
        schema = table_schema(name)
        paths = part_paths(self.roots[root], name)
        try:
            check_parts(self.roots[root], [name], self._recorded(root))
        except CorpusError:  # perhaps they were packed since the records were read, or went with a subject
            self._records.pop(root, None)
            paths = part_paths(self.roots[root], name)
            check_parts(self.roots[root], [name], self._recorded(root))
        for path in paths:
            if path not in self._checked:
                check_part(path, schema)
                self._checked.add(path)
        return paths

    def _recorded(self, root: int) -> Hashes:
        if root not in self._records:
            self._records[root] = recorded_files(self.roots[root])
        return self._records[root]

    def table(self, name: str, columns: Sequence[str] | None = None, *, with_root: bool = False) -> pa.Table:
        """Rows of a table over all roots, in the order of roots and parts.

        Args:
            name: a name in `schema.TABLES`.
            columns: those to read; all by default.
            with_root: add the column `corpus`, the index of the root (int32).

        Raises:
            CorpusError: no such table or column, or a part is damaged.
        """
        schema = table_schema(name)
        unknown = [column for column in columns or () if column not in schema.names]
        if unknown:
            raise CorpusError(f"the table '{name}' has no column '{unknown[0]}'; it has: {', '.join(schema.names)}")
        wanted = list(columns) if columns is not None else schema.names
        tables = []
        for index in range(len(self.roots)):
            table = read_parts(self.parts(name, index), schema, wanted)
            tables.append(_with_root(table, index) if with_root else table)
        return pa.concat_tables(tables)

    def ledger(self) -> pa.Table:
        """Rows of the last attempt at each source, per root; a rerun replaces what an earlier attempt said."""
        schema = table_schema("ledger")
        roots = [read_parts(self.parts("ledger", i), schema, schema.names) for i in range(len(self.roots))]
        return pa.concat_tables([_last_attempts(table) for table in roots])

    def splits(self, scheme: str = "default") -> dict[str, str]:
        """Split of each subject.

        Args:
            scheme: which partition; a corpus may hold several.

        Raises:
            CorpusError: a subject is in two splits, which would leak from training into test.
        """
        table = self.table("splits")
        rows = table.filter(pc.equal(table["scheme"], scheme)).select(["subject", "split"])
        splits: dict[str, str] = {}
        for subject, split in zip(rows["subject"].to_pylist(), rows["split"].to_pylist(), strict=True):
            known = splits.setdefault(subject, split)
            if known != split:
                raise CorpusError(
                    f"subject '{subject}' is in two splits of scheme '{scheme}', {known} and {split}; "
                    "keep one of the rows in tables/splits"
                )
        return splits

    def connection(self) -> duckdb.DuckDBPyConnection:
        """In-memory DuckDB with one view a table, and `ledger` (last attempts); it can reach no file and no network.

        Every view has the column `corpus`, the index of the root. Close the connection after use.
        """
        connection = duckdb.connect(":memory:", config={"python_enable_replacements": "false"})
        for name in TABLES:
            pieces = []
            for index in range(len(self.roots)):
                source = f"__{name}_{index}"
                paths, schema = self.parts(name, index), sql_schema(name)
                connection.register(source, held_dataset(paths, schema) if paths else schema.empty_table())
                pieces.append(f'SELECT *, {index}::INTEGER AS {ROOT_COLUMN} FROM "{source}"')
            connection.execute(f'CREATE VIEW "{name}" AS {" UNION ALL ".join(pieces)}')
        connection.register("ledger", self.ledger())
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        return connection

    def row(self, uid: str) -> dict[str, Any]:
        """The row of a sample, with the index of its root in `corpus`.

        Raises:
            CorpusError: no sample or more than one has this uid, or it is no text.
        """
        if not isinstance(uid, str):
            raise CorpusError(
                f"a sample is named by its uid, a text, not by {uid!r:.80}; a loop over the corpus gives all"
            )
        found: list[dict[str, Any]] = []
        for index in range(len(self.roots)):
            paths = self.parts(_SAMPLES, index)
            if paths:
                rows = part_dataset(paths, table_schema(_SAMPLES)).to_table(filter=pc.field("uid") == uid)
                found += _with_root(rows, index).to_pylist()
        if not found:
            raise CorpusError(f"no sample has the uid '{uid}' in {', '.join(str(root) for root in self.roots)}")
        if len(found) > 1:
            raise CorpusError(f"{len(found)} samples have the uid '{uid}'; run 'voxtile verify' on the corpus")
        return found[0]

    def source(self, row: Mapping[str, Any]) -> StoredSample:
        """Pixels of a sample.

        Args:
            row: of the table `samples`; in a union with the column `corpus`.
        """
        return StoredSample(self._root_of(row), row)

    def mask(self, region: Mapping[str, Any]) -> npt.NDArray[np.bool_] | npt.NDArray[np.uint8] | None:
        """Mask of a region over its sample's spatial axes, at the sample's grid or a coarser one; None without a mask.

        Args:
            region: a row of the table `regions`; in a union with the column `corpus`.

        Raises:
            CorpusError: the shard is missing or the mask is damaged.
        """
        if (address := self._mask_address(region)) is None:
            return None

        def read() -> npt.NDArray[Any]:
            stored = open_array(*address)
            return stored[full_selection(stored.shape)]

        return read_sound(*address, read, lambda: None)

    def stored_mask(self, region: Mapping[str, Any]) -> StoredArray | None:
        """The mask in place, for reading its shape or a box of it; None without a mask.

        Args:
            region: as for `mask`.

        Raises:
            CorpusError: the shard is missing or the mask's header is damaged.
        """
        address = self._mask_address(region)
        return None if address is None else read_sound(*address, lambda: open_array(*address), lambda: None)

    def _mask_address(self, region: Mapping[str, Any]) -> tuple[Path, int, int] | None:
        """Shard, first byte and length of a mask; None without one.

        Raises:
            CorpusError: it lies outside the corpus.
        """
        shard, offset, nbytes = (region.get(f"mask_{part}") for part in ("shard", "offset", "nbytes"))
        if shard is None:
            return None
        path = Path(str(shard))
        if offset is None or nbytes is None or path.is_absolute() or ".." in path.parts:
            raise CorpusError(
                f"the mask of region {region['region_id']} has no address inside the corpus; "
                "run 'voxtile verify' on the corpus"
            )
        return self._root_of(region) / path, int(offset), int(nbytes)

    def shard_path(self, row: Mapping[str, Any]) -> Path:
        """Shard that holds a sample.

        Raises:
            CorpusError: the sample is a reference and lies in no shard.
        """
        if row.get("shard") is None:
            raise CorpusError(f"the sample {row['uid']} is a reference and lies in no shard")
        return self._root_of(row) / str(row["shard"])

    def _root_of(self, row: Mapping[str, Any]) -> Path:
        index = row.get(ROOT_COLUMN)
        if index is None and len(self.roots) > 1:
            raise CorpusError(
                f"the row of sample {row.get('uid')} does not say which corpus it is of; read it with_root"
            )
        return self.roots[int(index or 0)]


def _with_root(table: pa.Table, index: int) -> pa.Table:
    return table.append_column(ROOT_COLUMN, pa.array([index] * table.num_rows, pa.int32()))


def _last_attempts(table: pa.Table) -> pa.Table:
    last = table.group_by("source").aggregate([("attempt", "max")])
    latest = dict(zip(last["source"].to_pylist(), last["attempt_max"].to_pylist(), strict=True))
    # A part (`slide#00012`) that failed is not told again where its whole was done again without a fault.
    wholes = {source: max(latest[source], latest.get(source.partition("#")[0], 0)) for source in latest}
    pairs = zip(table["source"].to_pylist(), table["attempt"].to_pylist(), strict=True)
    return table.filter(pa.array([wholes[source] == attempt for source, attempt in pairs], pa.bool_()))

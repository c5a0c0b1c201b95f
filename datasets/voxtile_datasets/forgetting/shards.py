"""Shards and tables again, without what is of a subject."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from voxtile.corpus.geoparquet import GEO_KEY, geo_metadata
from voxtile.corpus.packing.reading import MEMBERS_KEY, read_members
from voxtile.corpus.parts import find_part, part_table
from voxtile.corpus.schema import SCHEMA_VERSION, VERSION_KEY
from voxtile.corpus.shards.tar import DeterministicTar
from voxtile.errors import CorpusError
from voxtile.stages.upkeep.packing import Pack, write_packed
from voxtile_datasets.forgetting.belongings import Belongings, names_any

Moves: TypeAlias = dict[int, int]
"""Offset of a member's bytes in the old shard → in the new one."""

# Table column → the column of the offset that goes with it.
_ADDRESSES = {"shard": "offset", "mask_shard": "mask_offset"}


def shard_without(old: Path, new: Path, names: Collection[str]) -> Moves:
    """Write a shard again without some members; what stays has the same bytes in the same order.

    Args:
        old: the shard.
        new: where it is written; no file where no member stays.
        names: uids of samples and ids of regions: a member's name up to its first dot.

    Raises:
        CorpusError: the shard is damaged.
    """
    moves: Moves = {}
    try:
        with tarfile.open(old, "r:") as tar, old.open("rb") as source, new.open("wb") as target:
            writer = DeterministicTar(target)
            for member in tar:
                if member.name.partition(".")[0] not in names:
                    source.seek(member.offset_data)
                    moves[member.offset_data] = writer.add(member.name, source.read(member.size))
            writer.finish()
    except (FileNotFoundError, tarfile.TarError) as error:
        raise CorpusError(f"'{old}' is missing or damaged ({error}); run 'voxtile verify' on the corpus") from error
    if not moves:
        new.unlink()
    return moves


def part_without(
    old: Path, new: Path, gone: Belongings, moves: Mapping[str, Moves], *, keep_empty: bool = False
) -> bool:
    """Write a Parquet part again without a subject's rows, and with the new places of pixels that moved.

    Args:
        old: the part, of any table, of the ledger or of a selection.
        new: where it is written; no file where no row stays or nothing changes.
        gone: what is to go.
        moves: shard → places of its members.
        keep_empty: write the part also where no row stays.

    Returns:
        Whether anything changes.

    Raises:
        CorpusError: the part is damaged.
    """
    try:
        with pq.ParquetFile(old) as file:
            table = file.read()
    except (OSError, pa.ArrowException) as error:
        raise CorpusError(f"'{old}' is damaged ({error}); run 'voxtile verify' on the corpus") from error
    kept = _moved(_kept(table, gone), moves)
    if kept.equals(table):
        return False
    if kept.num_rows or keep_empty:
        pq.write_table(_described(kept), new, compression="zstd")
    return True


def packed_without(root: Path, old: Path, new: Path, gone: Belongings, moves: Mapping[str, Moves]) -> bool:
    """Write a packed file again, part by part; parts in it that were written again elsewhere go.

    Args:
        root: the corpus.
        old: the packed file, of one of its tables or of the ledger.
        new: where it is written; no file where no part stays or nothing changes.
        gone: what is to go.
        moves: shard → places of its members.

    Returns:
        Whether anything changes.

    Raises:
        CorpusError: the file is damaged.
    """
    table, changed, parts = old.parent.name, False, list[Path]()
    with tempfile.TemporaryDirectory(dir=new.parent) as scratch:
        for stem in read_members(old):
            part = find_part(root, table, stem)
            if part is None or part.is_file():
                changed = True
                continue
            again = Path(scratch) / part.name
            rows = _read_member(part)
            kept = _moved(_kept(rows, gone), moves)
            if kept.equals(rows):
                parts.append(part)
                continue
            changed = True
            if kept.num_rows:
                pq.write_table(_described(kept), again, compression="zstd")
                parts.append(again)
        if changed and parts:
            write_packed(new, Pack(table, tuple(parts), new.name))
    return changed


def _read_member(part: Path) -> pa.Table:
    try:
        table = part_table(part)
    except (OSError, pa.ArrowException) as error:
        raise CorpusError(f"'{part}' is damaged ({error}); run 'voxtile verify' on the corpus") from error
    metadata = {key: value for key, value in (table.schema.metadata or {}).items() if key != MEMBERS_KEY}
    return table.replace_schema_metadata(metadata | {VERSION_KEY: SCHEMA_VERSION.encode()})


def _kept(table: pa.Table, gone: Belongings) -> pa.Table:
    columns = {
        "uid": gone.uids | gone.captions,  # scores name captions in this column
        "caption_id": gone.captions,
        "region_id": gone.regions,
        "subject": gone.subjects,
    }
    if "attempt" in table.column_names:
        return _ledger(table, gone)
    for name, values in columns.items():
        if name in table.column_names:
            found = pc.is_in(table[name], value_set=pa.array(sorted(values), table[name].type))
            table = table.filter(pc.invert(found))
    if "uids" in table.column_names:  # what is said of several samples goes with any of them
        table = table.filter(pc.invert(names_any(table["uids"], gone.uids)))
    return table


def _ledger(table: pa.Table, gone: Belongings) -> pa.Table:
    """Without rows of the subject's own inputs; an input of several subjects loses the name of the sample alone."""
    sources, uids = table["source"].to_pylist(), table["uid"].to_pylist()
    keep = [not gone.owns_source(source) for source in sources]
    named = pa.array([None if uid in gone.uids else uid for uid in uids], table["uid"].type)
    return table.set_column(table.column_names.index("uid"), table.field("uid"), named).filter(pa.array(keep))


def _moved(table: pa.Table, moves: Mapping[str, Moves]) -> pa.Table:
    for shard, offset in _ADDRESSES.items():
        if shard not in table.column_names or not moves:
            continue
        pairs = zip(table[shard].to_pylist(), table[offset].to_pylist(), strict=True)
        places = [moves[name].get(place, place) if name in moves else place for name, place in pairs]
        table = table.set_column(
            table.column_names.index(offset), table.field(offset), pa.array(places, table.field(offset).type)
        )
    return table


def _described(table: pa.Table) -> pa.Table:
    """With the box of the geometries that are left in its metadata."""
    metadata = dict(table.schema.metadata or {})
    if GEO_KEY not in metadata:
        return table
    geometries = table["geometry"].drop_null().to_pylist()
    described = metadata | {GEO_KEY: geo_metadata(geometries)} if geometries else metadata
    if not geometries:
        del described[GEO_KEY]
    return table.replace_schema_metadata(described)

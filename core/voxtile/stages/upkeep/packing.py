"""Writing packed files of tables: which parts go together, and the file that holds them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from voxtile.corpus.geoparquet import GEO_KEY, GeometryColumn
from voxtile.corpus.packing.reading import PREFIX, Member, locate, members_metadata, read_members
from voxtile.corpus.parts import check_part, part_bytes, part_rows, part_sha256, part_table, table_folder, table_schema
from voxtile.corpus.schema import PACKED_VERSION, VERSION_KEY
from voxtile.corpus.storage import storage_errors, sync, temporary_path
from voxtile.corpus.view.key import part_fingerprint
from voxtile.errors import CorpusError

_FEWEST = 2  # parts that are worth a packed file


@dataclass(frozen=True)
class Pack:
    """Parts of one table that are to lie in one file.

    Attributes:
        table: its name; `ledger` is one.
        parts: their paths, in the order of their names.
        name: of the file; it follows from what is in it.
    """

    table: str
    parts: tuple[Path, ...]
    name: str


def group_parts(table: str, parts: Iterable[Path], most_bytes: int) -> Iterator[Pack]:
    """Put neighbours together, up to so many bytes a file; one that is alone stays as it is, a file or packed.

    Args:
        table: name of the table.
        parts: in the order of their names, those that may be packed.
        most_bytes: size of the parts of one file, together.
    """
    group: list[Path] = []
    total = 0
    for part in parts:
        size = part_bytes(part)
        if group and total + size > most_bytes:
            yield from _pack(table, group)
            group, total = [], 0
        group.append(part)
        total += size
    yield from _pack(table, group)


def _pack(table: str, parts: Sequence[Path]) -> Iterator[Pack]:
    if len(parts) >= _FEWEST or (parts and not parts[0].is_file()):
        yield Pack(table, tuple(parts), packed_name(parts))


def packed_name(parts: Iterable[Path]) -> str:
    """Name of the file that holds some parts; it follows from their names and hashes."""
    named = "\n".join(f"{part.stem} {part_sha256(part)}" for part in parts)
    return f"{PREFIX}{sha256(named.encode()).hexdigest()[:16]}.parquet"


def can_be_packed(table: str, part: Path) -> bool:
    """Whether nothing of a part would be lost: it has the columns of its table in their types and no others.

    Raises:
        CorpusError: it is damaged or newer.
    """
    schema = table_schema(table)
    check_part(part, schema)
    if locate(part).member is not None:
        return True
    return bool(pq.read_schema(part).remove_metadata().equals(schema.remove_metadata()))


@contextmanager
def exchange_drafts() -> Iterator[dict[Path, Path]]:
    """Files that are ready → the names that an exchange gives them; they go where it is not begun."""
    ready: dict[Path, Path] = {}
    try:
        yield ready
    except BaseException:
        for draft in ready:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
        raise


def draft_packed(root: Path, pack: Pack, ready: dict[Path, Path]) -> None:
    """Write a packed file beside its place, and note it in `ready`.

    Raises:
        CorpusError: a part is damaged, or the file cannot be written.
    """
    target = table_folder(root, pack.table) / pack.name
    draft = temporary_path(target)
    ready[draft] = target
    with storage_errors(target):
        write_packed(draft, pack)
        sync(draft)


def write_packed(target: Path, pack: Pack) -> list[Member]:
    """Write a packed file and read it again; the members that it has.

    Raises:
        CorpusError: a part is damaged, or what was written is not what was read.
        OSError: the file cannot be written.
    """
    members = list(_members(pack.parts))
    schema = table_schema(pack.table).remove_metadata()
    about = {VERSION_KEY: PACKED_VERSION.encode(), **members_metadata(members)}
    footprints = GeometryColumn()
    with pq.ParquetWriter(target, schema.with_metadata(about), compression="zstd") as writer:
        for part, member in zip(pack.parts, members, strict=True):
            table = _rows(part, member)
            if "geometry" in schema.names:
                for wkb in table["geometry"].drop_null().to_pylist():
                    footprints.add(wkb)
            if member.groups:
                writer.write_table(table.replace_schema_metadata(None), row_group_size=max(1, member.rows))
        if footprints.types:
            writer.add_key_value_metadata({GEO_KEY: footprints.metadata()})
    _compare(target, pack, members)
    return members


def _members(parts: Sequence[Path]) -> Iterator[Member]:
    group = 0
    for part in parts:
        rows = part_rows(part)
        groups = 1 if rows else 0
        yield Member(part.stem, group, groups, rows, part_bytes(part), part_sha256(part), part_fingerprint(part))
        group += groups


def _rows(part: Path, member: Member) -> pa.Table:
    try:
        table = part_table(part)
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise CorpusError(f"'{part}' is damaged ({error}); run 'voxtile verify' on the corpus") from error
    if table.num_rows != member.rows:
        raise CorpusError(f"'{part}' changed while it was read; run the same command again")
    return table


def _compare(target: Path, pack: Pack, members: Sequence[Member]) -> None:
    """What was written must say what its parts say, before these may go."""
    if list(read_members(target).values()) != list(members):
        raise CorpusError(f"'{target}' does not name the parts that were put into it; nothing was changed")
    with pq.ParquetFile(target) as file:
        for part, member in zip(pack.parts, members, strict=True):
            if not file.read_row_groups(member.row_groups).equals(part_table(part)):
                raise CorpusError(f"'{target}' does not hold what '{part}' does; nothing was changed")

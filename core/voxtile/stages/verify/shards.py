"""Shards against the rows that point into them.

Payloads are hashed, tar headers carry checksums, padding is zero; previews are covered by the hash of the whole file.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxtile.corpus.shards.blosc2_frame import full_selection, inspect_frame
from voxtile.corpus.shards.codecs import picture_codec
from voxtile.corpus.shards.memory_maps import map_shard
from voxtile.corpus.writer import MASK_SUFFIX, MASK_TYPES
from voxtile.errors import CorpusError, StoreError
from voxtile.stages.verify.files import checked_anew, out_of_reach
from voxtile.stages.verify.verification import Problem

_BLOCK = tarfile.BLOCKSIZE
_PREVIEW = ".preview.jpg"


@dataclass(frozen=True)
class Member:
    """A file inside a shard: offset and size of its content, in bytes."""

    name: str
    offset: int
    size: int


class _DamagedShardError(Exception):
    """The archive cannot be read beyond some point."""


def check_shard(
    root: Path, shard: str, rows: Sequence[Mapping[str, Any]], repair: str, regions: Sequence[Mapping[str, Any]] = ()
) -> list[Problem]:
    """Compare a shard with the rows of the `samples` and `regions` tables that name it.

    Args:
        root: the corpus.
        shard: path relative to the corpus.
        rows: uid, codec, offset, nbytes, sha256, shape and dtype of each sample.
        repair: what to advise for a damaged shard.
        regions: region_id, mask_offset and mask_nbytes of each mask.
    """
    return checked_anew(root / shard, lambda: _check_shard(root, shard, rows, repair, regions))


def _check_shard(
    root: Path, shard: str, rows: Sequence[Mapping[str, Any]], repair: str, regions: Sequence[Mapping[str, Any]]
) -> list[Problem]:
    try:
        view = map_shard(root / shard)
    except FileNotFoundError:
        return [Problem(shard, f"the shard of {len(rows)} samples{_and_masks(regions)} is missing", repair)]
    except StoreError as error:
        return [out_of_reach(shard, error, repair)]
    except (OSError, CorpusError) as error:
        return [Problem(shard, f"the shard cannot be read ({error})", repair)]
    problems: list[Problem] = []
    members: dict[int, Member] = {}
    try:
        for member in walk_tar(view):
            members[member.offset] = member
    except _DamagedShardError as error:
        problems.append(Problem(shard, str(error), repair))
    whole = not problems
    for row in rows:
        problems += _check_sample(view, shard, row, members if whole else None, repair)
    for region in regions:
        problems += _check_mask(view, shard, region, members if whole else None, repair)
    if whole:
        problems += _orphans(shard, rows, regions, members.values())
    return problems


def walk_tar(view: memoryview) -> Iterator[Member]:
    """List the members of an archive as our writer makes them, checking header checksums and padding."""
    position = 0
    while True:
        block = bytes(view[position : position + _BLOCK])
        if len(block) == _BLOCK and not any(block):
            break
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            cut = "the archive is cut short" if len(block) < _BLOCK else "a member's header is damaged"
            raise _DamagedShardError(f"{cut} at byte {position} ({error})") from error
        start = position + _BLOCK
        end = start + info.size
        position = end + -info.size % _BLOCK
        if info.type != tarfile.REGTYPE or position > len(view):
            raise _DamagedShardError(f"the archive is cut short inside '{info.name}' at byte {start}")
        yield Member(info.name, start, info.size)
        if any(view[end:position]):
            raise _DamagedShardError(f"there are bytes between the members, at {end}")
    if len(view) - position != 2 * _BLOCK or any(view[position:]):
        raise _DamagedShardError(f"the archive's end, at byte {position}, is damaged or cut short")


def _misplaced(
    view: memoryview, name: str, offset: int | None, nbytes: int | None, members: Mapping[int, Member] | None
) -> str:
    """What is wrong with the place of a member that a row states; empty where nothing is."""
    if offset is None or nbytes is None or offset < 0 or nbytes <= 0 or offset + nbytes > len(view):
        return f"its row says bytes {offset} to {(offset or 0) + (nbytes or 0)} of a shard of {len(view)} bytes"
    member = members.get(offset) if members is not None else None
    if members is not None and member != Member(name, offset, nbytes):
        found = f"'{member.name}' of {member.size} bytes" if member else "no member"
        return f"its row points at byte {offset}, where {found} starts"
    return ""


def _check_sample(
    view: memoryview, shard: str, row: Mapping[str, Any], members: Mapping[int, Member] | None, repair: str
) -> Iterator[Problem]:
    where = f"{shard}, sample {row['uid']}"
    offset, nbytes = row["offset"], row["nbytes"]
    if what := _misplaced(view, f"{row['uid']}.{row['codec']}", offset, nbytes, members):
        yield Problem(where, what, repair)
        return
    payload = view[offset : offset + nbytes]
    if hashlib.sha256(payload).hexdigest() != row["sha256"]:
        yield Problem(where, "the payload differs from its hash", repair)
        return
    reason = _unreadable(payload, row)
    if reason:
        yield Problem(where, reason, "delete the sample's part from tables/samples, or convert its source again")


def _check_mask(
    view: memoryview, shard: str, region: Mapping[str, Any], members: Mapping[int, Member] | None, repair: str
) -> Iterator[Problem]:
    where = f"{shard}, mask of region {region['region_id']}"
    offset, nbytes = region["mask_offset"], region["mask_nbytes"]
    if what := _misplaced(view, f"{region['region_id']}.{MASK_SUFFIX}", offset, nbytes, members):
        yield Problem(where, what, repair)
        return
    try:
        frame = inspect_frame(view[offset : offset + nbytes])
        frame.check_chunks(full_selection(frame.shape))
        reason = None if frame.dtype.name in MASK_TYPES else f"the mask is {frame.dtype}, neither bool nor uint8"
    except CorpusError as error:
        reason = str(error)
    if reason:
        yield Problem(where, reason, repair)


def _and_masks(regions: Sequence[Mapping[str, Any]]) -> str:
    return f" and {len(regions)} mask{'s' if len(regions) > 1 else ''}" if regions else ""


def _unreadable(payload: memoryview, row: Mapping[str, Any]) -> str | None:
    """Why a payload with the right hash cannot be used: somebody may have written both."""
    try:
        if row["codec"] == "b2nd":
            frame = inspect_frame(payload)
            frame.check_chunks(full_selection(frame.shape))
            if list(frame.shape) != row["shape"] or frame.dtype.name != row["dtype"]:
                return f"the array is {frame.dtype} {frame.shape}, its row says {row['dtype']} {row['shape']}"
        elif picture_codec(payload) != row["codec"]:
            return f"the picture is {picture_codec(payload)}, its row says {row['codec']}"
    except CorpusError as error:
        return str(error)
    return None


def _orphans(
    shard: str, rows: Sequence[Mapping[str, Any]], regions: Sequence[Mapping[str, Any]], members: Iterable[Member]
) -> Iterator[Problem]:
    known = {f"{row['uid']}.{row['codec']}" for row in rows} | {f"{row['uid']}{_PREVIEW}" for row in rows}
    known |= {f"{region['region_id']}.{MASK_SUFFIX}" for region in regions}
    unknown = [member.name for member in members if member.name not in known]
    if unknown:
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        table = "regions" if unknown[0].endswith(f".{MASK_SUFFIX}") else "samples"
        advice = f"restore the part of tables/{table} that names it; training ignores it until then"
        yield Problem(shard, f"the member '{unknown[0]}'{more} has no row in the {table} table", advice)

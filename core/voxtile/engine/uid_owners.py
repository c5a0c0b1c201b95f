"""Which job stores a uid that several inputs give: the first in the plan, whichever ends first.

Inputs with the same content have the same uid, and a corpus holds a uid once. Jobs run in any order, so a job that
stored a uid which an earlier one of the plan also gives is done again without it: the corpus is the same for any order.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import overload

import pyarrow as pa

from voxtile.corpus.parts import all_parts, find_part, part_table


class KnownUids:
    """The sorted uids of samples that other conversions have stored, memory-mapped from a file."""

    def __init__(self, path: Path) -> None:
        self._uids = pa.ipc.open_file(pa.memory_map(str(path))).read_all().column("uid")

    def __len__(self) -> int:
        return len(self._uids)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [str(uid.as_py()) for uid in self._uids[index]]
        return str(self._uids[index].as_py())

    def __contains__(self, uid: object) -> bool:
        index = bisect_left(self, str(uid))
        return index < len(self) and self[index] == uid


def save_known_uids(root: Path, own_stems: set[str], path: Path) -> Path | None:
    """Write the uids of all samples but those of the jobs `own_stems`; None when there are none."""
    parts = [part for part in all_parts(root, "samples") if part.stem not in own_stems]
    if not parts:
        return None
    write_sorted(pa.chunked_array([_uids_of(part) for part in parts]).sort(), path)
    return path


def write_sorted(values: pa.ChunkedArray, path: Path) -> None:
    """Write sorted texts for `KnownUids`."""
    table = pa.Table.from_arrays([values], ["uid"])
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())


def stored_uids(root: Path, stem: str) -> list[str]:
    """Uids of a committed job's samples."""
    part = find_part(root, "samples", stem)
    uids: list[str] = [] if part is None else _uids_of(part).to_pylist()
    return uids


class Claims:
    """Who owns each uid of a run.

    Args:
        order: ids of the run's jobs, in the plan's order.
    """

    def __init__(self, order: Sequence[str]) -> None:
        self._position = {job: index for index, job in enumerate(order)}
        self._order = list(order)
        self._owner: dict[str, int] = {}
        self._taken: dict[str, set[str]] = {}

    def settle(self, job: str, uids: Iterable[str]) -> dict[str, frozenset[str]]:
        """Enter what a committed job stored.

        Returns:
            Jobs to do again, each with all the uids that it must leave to others.
        """
        mine = self._position[job]
        again: set[str] = set()
        for uid in uids:
            owner = self._owner.setdefault(uid, mine)
            if owner == mine:
                continue
            loser = self._order[max(owner, mine)]
            self._owner[uid] = min(owner, mine)
            self._taken.setdefault(loser, set()).add(uid)
            again.add(loser)
        return {name: frozenset(self._taken[name]) for name in again}


def _uids_of(part: Path) -> pa.StringArray:
    return part_table(part, ["uid"]).column("uid").combine_chunks()

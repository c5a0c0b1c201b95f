"""Which series a damaged file was a part of: without its first or last slice a volume is shorter and looks whole.

By the SeriesInstanceUID that can still be read; else by the file's name, where it is one of a numbered row (`IM0019`)
whose neighbours are slices; and a damaged member of an archive that neither tells is of any series of the archive.
"""

from __future__ import annotations

import math
import re
from bisect import bisect
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import PurePosixPath
from statistics import median

from voxtile_medical.archives.entries import DAMAGED, archive_of
from voxtile_medical.dicom_header.headers import FileHeader, NotUsable

_NEVER_SLICES = frozenset({"dicomdir", "unreadable-name"})
_NUMBER = re.compile(r"\d+")
_MOST_GAPS = 2  # between numbers of a row, in its usual ones
_FEWEST = 3  # slices of one pattern of names, from which a row of numbers is taken for one


def damaged_slices(groups: Sequence[Sequence[FileHeader]], others: Iterable[NotUsable]) -> dict[int, list[NotUsable]]:
    """Damaged files by the index of the series that they may have been a part of.

    Args:
        groups: files of each series; none of those that are no volumes.
        others: files that cannot be used.
    """
    damaged = [other for other in others if other.reason not in _NEVER_SLICES]
    if not damaged:
        return {}
    of_uid: dict[str, list[int]] = defaultdict(list)
    rows: dict[tuple[str, ...], list[tuple[tuple[int, ...], int]]] = defaultdict(list)
    for index, group in enumerate(groups):
        if not group:
            continue
        of_uid[group[0].text("SeriesInstanceUID")].append(index)
        for header in group:
            rows[_pattern(header.path)].append((_numbers(header.path), index))
    for row in rows.values():
        row.sort()
    found: dict[int, list[NotUsable]] = defaultdict(list)
    for other in damaged:
        indices = of_uid.get(other.series, []) if other.series else _by_name(other.path, rows, groups)
        if not indices and other.reason == DAMAGED:  # its name may be what is damaged: it may be of any series there
            archive = archive_of(other.path)
            indices = [k for k, group in enumerate(groups) if any(archive_of(h.path) == archive for h in group)]
        for index in indices:
            found[index].append(other)
    return found


def _by_name(
    path: str,
    rows: Mapping[tuple[str, ...], Sequence[tuple[tuple[int, ...], int]]],
    groups: Sequence[Sequence[FileHeader]],
) -> list[int]:
    """Series of the files before and after it in a numbered row of names."""
    row = rows.get(_pattern(path), ())
    numbers = _numbers(path)
    if not numbers or len(row) < _FEWEST:
        return []
    place = bisect(row, (numbers, -1))
    near = _MOST_GAPS * max(1, _usual_gap(row))
    before = row[place - 1][1] if place and _gap(row[place - 1][0], numbers) <= near else None
    after = row[place][1] if place < len(row) and _gap(numbers, row[place][0]) <= near else None
    if before is not None and after is not None and before != after and _first_number(groups[after]) == 1:
        after = None  # the series that follows has its first image
    return sorted({index for index in (before, after) if index is not None})


def _gap(before: tuple[int, ...], after: tuple[int, ...]) -> float:
    """How far two names are from each other by their last numbers; infinite where the others differ."""
    return after[-1] - before[-1] if before[:-1] == after[:-1] else math.inf


def _usual_gap(row: Sequence[tuple[tuple[int, ...], int]]) -> float:
    gaps = [_gap(before[0], after[0]) for before, after in pairwise(row)]
    return median([gap for gap in gaps if gap < math.inf] or [1])


def _first_number(group: Sequence[FileHeader]) -> float:
    numbers = [header.values.get("InstanceNumber") or (0,) for header in group]
    return min(float(number[0]) for number in numbers)


def _pattern(path: str) -> tuple[str, ...]:
    return (str(PurePosixPath(path).parent), *_NUMBER.split(PurePosixPath(path).name))


def _numbers(path: str) -> tuple[int, ...]:
    return tuple(int(number[:18]) for number in _NUMBER.findall(PurePosixPath(path).name))

"""Files that repeat an instance of their series: copies where their pixels are equal, else a conflict."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from voxtile.engine.parallel import PlanReader
from voxtile_medical.archives.stored import same_bytes
from voxtile_medical.dicom.series_kinds import kind_of
from voxtile_medical.dicom_header.headers import FileHeader
from voxtile_medical.dicom_planes.frames import CLASSIC_KEYS
from voxtile_medical.dicom_planes.pixels import layout_of, read_frames
from voxtile_medical.verdicts import Verdict

CONFLICT = "conflicting-copies"
COPY = "a copy of an instance that is used"
SAME_PLANE = "the same plane as another file of its series, under another UID"
# What must be equal beside the pixels: what they mean, and where they lie.
_MEANING = (
    "RescaleSlope", "RescaleIntercept", "PixelPaddingValue", "PhotometricInterpretation", "PixelSpacing",
    "ImageOrientationPatient",
)  # fmt: skip
Pair = tuple[FileHeader, FileHeader]


@dataclass(frozen=True)
class Repeats:
    """What of a series is there more than once.

    Attributes:
        kept: files without their copies.
        copies: files whose pixels another file has, and what their rows say.
        conflicts: files that share an instance's UID, place and number but not its pixels, with those they contradict.
    """

    kept: tuple[FileHeader, ...]
    copies: tuple[tuple[FileHeader, str], ...] = ()
    conflicts: tuple[FileHeader, ...] = ()


def find_repeats(groups: Sequence[Sequence[FileHeader]], root: Path, reader: PlanReader) -> list[Repeats]:
    """Set apart what each series holds more than once.

    Pixels are read of files that may be copies, and of no others.

    Args:
        groups: files of each series.
        root: the source folder.
        reader: reads the pixels, in supervised processes.
    """
    by_uid = [_same_instance(group) for group in groups]
    equal = _equal([pair for pairs in by_uid for pair in pairs], root, reader)
    found = [_without(group, pairs, equal) for group, pairs in zip(groups, by_uid, strict=True)]
    by_place = [[] if repeats.conflicts else _same_place(repeats.kept) for repeats in found]
    # Volumes that nothing in their headers tells apart repeat every place: one pair shows it.
    first = _equal([pairs[0] for pairs in by_place if pairs], root, reader)
    likely = [pairs if pairs and first[_name(pairs[0])] else [] for pairs in by_place]
    same = first | _equal([pair for pairs in likely for pair in pairs[1:]], root, reader)
    return [
        _without_planes(repeats, pairs) if pairs and all(same[_name(pair)] for pair in pairs) else repeats
        for repeats, pairs in zip(found, likely, strict=True)
    ]


def same_pixels(root: Path, pair: Pair) -> bool:
    """Two files hold the same image, however it is compressed: for a supervised process."""
    one, other = pair
    try:
        kind_of(one)
    except Verdict:  # nothing of it is used, for a reason that its row names
        return True
    if one.size == other.size and same_bytes(root / one.path, root / other.path):
        return True
    if any(one.values.get(name) != other.values.get(name) for name in _MEANING):
        return False
    try:
        layouts = layout_of(one), layout_of(other)
        if layouts[0] != layouts[1]:
            return False
        return np.array_equal(read_frames(root, one, layouts[0]), read_frames(root, other, layouts[1]))
    except Verdict:  # what cannot be decoded is not known to be equal
        return False


def _same_instance(group: Sequence[FileHeader]) -> list[Pair]:
    """Pairs of files with the same SOPInstanceUID, place and number: the first of its kind, and each that follows."""
    seen: dict[Hashable, FileHeader] = {}
    pairs: list[Pair] = []
    for header in group:
        uid = header.text("SOPInstanceUID")
        key = (uid, header.values.get("ImagePositionPatient"), header.values.get("InstanceNumber"))
        if uid and key in seen:
            pairs.append((seen[key], header))
        else:
            seen[key] = header
    return pairs


def _same_place(group: Sequence[FileHeader]) -> list[Pair]:
    """Pairs of single planes at the same place that no header value tells apart."""
    places: dict[Hashable, list[FileHeader]] = defaultdict(list)
    for header in group:
        position = header.values.get("ImagePositionPatient")
        if position and "NumberOfFrames" not in header.values:
            told = tuple(header.values.get(name) for name in ("ImageOrientationPatient", "ImageType", *CLASSIC_KEYS))
            places[position, told].append(header)
    return [(same[0], other) for same in places.values() for other in same[1:]]


def _equal(pairs: Sequence[Pair], root: Path, reader: PlanReader) -> dict[tuple[str, str], bool]:
    results = reader.map(partial(same_pixels, root), list(pairs), title="comparing copies")
    return {_name(pair): result is True for pair, result in zip(pairs, results, strict=True)}


def _name(pair: Pair) -> tuple[str, str]:
    return pair[0].path, pair[1].path


def _without(group: Sequence[FileHeader], pairs: Sequence[Pair], equal: dict[tuple[str, str], bool]) -> Repeats:
    copies = {other.path: other for one, other in pairs if equal[one.path, other.path]}
    conflicts = {header.path: header for pair in pairs if not equal[_name(pair)] for header in pair}
    kept = tuple(header for header in group if header.path not in copies)
    return Repeats(
        kept,
        tuple((copy, COPY) for copy in copies.values()),
        tuple(header for header in group if header.path in conflicts),
    )


def _without_planes(repeats: Repeats, pairs: Sequence[Pair]) -> Repeats:
    repeated = {other.path for _, other in pairs}
    kept = tuple(header for header in repeats.kept if header.path not in repeated)
    more = tuple((header, SAME_PLANE) for header in repeats.kept if header.path in repeated)
    return Repeats(kept, repeats.copies + more)

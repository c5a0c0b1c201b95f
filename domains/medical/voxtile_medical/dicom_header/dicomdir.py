"""The index of a DICOM medium (DICOMDIR, PS3.3 annex F): which files it lists, and which of them are not there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from voxtile.engine.failure import Failure, how_lost
from voxtile.engine.parallel import PlanReader
from voxtile_medical.archives.stored import stored
from voxtile_medical.dicom_header.headers import FileHeader, NotUsable
from voxtile_medical.dicom_header.pydicom_warnings import quiet_pydicom

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

NAME = "DICOMDIR"
MISSING = "missing-file"


@dataclass(frozen=True, slots=True)
class Listed:
    """A file that an index lists.

    Attributes:
        path: relative to the index's folder.
        instance: its SOPInstanceUID; empty where the index does not say.
        series: SeriesInstanceUID of the record above it; likewise.
    """

    path: str
    instance: str
    series: str

    @property
    def leaves(self) -> bool:
        """The path is not below the index's folder."""
        path = PurePosixPath(self.path)
        return path.is_absolute() or ".." in path.parts


def is_index_name(path: str) -> bool:
    """The name is that of an index (PS3.10 8.6)."""
    return PurePosixPath(path).name.upper() == NAME


def listed_files(path: Path) -> list[Listed]:
    """The files that an index lists: for a supervised process.

    Raises:
        Exception: what a parser on hostile bytes raises.
    """
    import pydicom

    with quiet_pydicom():
        dataset = pydicom.dcmread(stored(path), force=True)
        records = {int(record.seq_item_tell): record for record in dataset.get("DirectoryRecordSequence") or ()}
        series = _series_of(records, int(dataset.get("OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity") or 0))
        return [listed for offset, record in records.items() if (listed := _listed(record, series.get(offset, "")))]


def missing_files(
    root: Path, indices: Sequence[str], usable: Sequence[FileHeader], paths: Sequence[str], reader: PlanReader
) -> Iterator[NotUsable]:
    """What the indices of a tree list and the tree does not have, neither there nor elsewhere under its SOPInstanceUID.

    Args:
        root: the source folder.
        indices: paths of the indices.
        usable: headers of the tree.
        paths: of all its files.
        reader: reads the indices.
    """
    if not indices:
        return
    instances = {header.text("SOPInstanceUID") for header in usable}
    there = {path.lower() for path in paths}
    found = reader.map(partial(_listed_of, root), list(indices), title="reading DICOMDIR")
    for index, listed in zip(indices, found, strict=True):
        if isinstance(listed, Failure):
            detail = f"reading what it lists {how_lost(listed)}, so that missing files cannot be told"
            yield NotUsable(index, -1, "unreadable-index", detail)
            continue
        folder = PurePosixPath(index).parent
        lost = [
            file
            for file in listed
            if file.instance not in instances and (file.leaves or str(folder / file.path).lower() not in there)
        ]
        if len(lost) == len(listed) > 1:
            yield NotUsable(index, -1, MISSING, f"none of the {len(lost)} files that it lists is there; copy them")
            continue
        for file in lost:
            yield _lost(str(folder / file.path), file)


def only_listed(source: Path, paths: Sequence[str], reader: PlanReader) -> list[str]:
    """Of the files of a folder, an index itself and those that it lists, whatever the case of their names.

    Args:
        source: the index.
        paths: of all files of its folder, relative to it.
        reader: reads the index.
    """
    listed = reader.read(listed_files, source, title="reading DICOMDIR")
    if isinstance(listed, Failure):
        return [source.name]
    wanted = {file.path.lower() for file in listed if not file.leaves}
    return [path for path in paths if path == source.name or path.lower() in wanted]


def _listed_of(root: Path, index: str) -> list[Listed]:
    return listed_files(root / index)


def _lost(path: str, file: Listed) -> NotUsable:
    if file.leaves:
        return NotUsable(
            path, -1, "unsafe-name", "the DICOMDIR lists a file outside its folder; it is not read", file.series
        )
    detail = "the DICOMDIR lists the file and it is not there; copy the medium again"
    return NotUsable(path, -1, MISSING, detail, file.series)


def _listed(record: Dataset, series: str) -> Listed | None:
    """The file of a record; None where it has none or is not in use."""
    parts = record.get("ReferencedFileID")
    if not parts or record.get("RecordInUseFlag") == 0:
        return None
    path = "/".join([parts] if isinstance(parts, str) else [str(part) for part in parts]).replace("\\", "/")
    return Listed(path, str(record.get("ReferencedSOPInstanceUIDInFile") or ""), series)


def _series_of(records: dict[int, Dataset], first: int) -> dict[int, str]:
    """SeriesInstanceUID by the offset of each record, as the links from level to level say."""
    found: dict[int, str] = {}
    left = [(first, "")]
    while left:
        offset, series = left.pop()
        record = records.get(offset)
        if record is None or offset in found:
            continue
        found[offset] = own = str(record.get("SeriesInstanceUID") or "") or series
        left.append((int(record.get("OffsetOfTheNextDirectoryRecord") or 0), series))
        left.append((int(record.get("OffsetOfReferencedLowerLevelDirectoryEntity") or 0), own))
    return found

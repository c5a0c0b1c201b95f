"""The DICOM files of a folder tree: images, objects that mark regions in them, and files that cannot be used."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from voxtile.corpus.identity import printable
from voxtile.engine.failure import LOST, Failure, how_lost
from voxtile.engine.parallel import PlanReader
from voxtile_medical.archives.entries import is_archive_name, runs_through
from voxtile_medical.archives.stored import list_archive
from voxtile_medical.dicom_header.dicomdir import is_index_name, missing_files, only_listed
from voxtile_medical.dicom_header.headers import FileHeader, NotUsable, glance, read_header
from voxtile_medical.dicom_header.scan import LINK_TO_NOTHING, ODD_NAME, list_files, root_of

PARALLEL_FROM = 1 << 15  # files; below, starting processes and sending headers takes longer than reading
SEGMENTATION_CLASSES = frozenset({"1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"})  # SEG, label map SEG
STRUCTURE_SET_CLASS = "1.2.840.10008.5.1.4.1.1.481.3"


@dataclass(frozen=True)
class DicomTree:
    """Headers of a folder tree, in the order of their paths.

    Attributes:
        root: the folder.
        usable: headers of DICOM files.
        others: files that are not DICOM, or damaged.
    """

    root: Path
    usable: tuple[FileHeader, ...]
    others: tuple[NotUsable, ...]

    @property
    def masks(self) -> tuple[FileHeader, ...]:
        """Segmentations and structure sets."""
        return tuple(header for header in self.usable if is_mask(header))


def is_mask(header: FileHeader) -> bool:
    """The object marks regions of images: a segmentation or a structure set."""
    storage = header.text("SOPClassUID")
    return storage in SEGMENTATION_CLASSES or storage == STRUCTURE_SET_CLASS


def read_tree(source: Path, reader: PlanReader) -> DicomTree:
    """Read the header of every file of a tree.

    Args:
        source: a folder, or one file.
        reader: reads the headers that are long or odd.

    Raises:
        InputError: the source does not exist or cannot be listed.
    """
    root = root_of(source)
    lost: list[str] = []
    if source.is_file() and is_index_name(source.name):
        files = only_listed(source, list_files(root)[1], reader)
    else:
        files = list_files(source, lost)[1]
    found, others = with_members(root, files, reader)
    others += [NotUsable(printable(path), 0, "missing-file", LINK_TO_NOTHING) for path in lost]
    paths = [path for path in found if path == printable(path)]
    headers = _read_headers(root, paths, reader)
    others += [header for header in headers if isinstance(header, NotUsable)]
    others += [NotUsable(printable(path), 0, "unreadable-name", ODD_NAME) for path in found if path != printable(path)]
    usable = tuple(header for header in headers if isinstance(header, FileHeader))
    indices = [other.path for other in others if other.reason == "dicomdir"]
    missing = list(missing_files(root, indices, usable, paths, reader))
    told = {other.path for other in missing}
    others = [other for other in others if other.path not in told] + missing
    return DicomTree(root, usable, tuple(others))


def with_members(root: Path, files: list[str], reader: PlanReader) -> tuple[list[str], list[NotUsable]]:
    """The paths of a tree, those of the members of archives in place of the archives, and what of these is not read."""
    archives = [path for path in files if is_archive_name(path)]
    own = {path: "" if root.name == path and root.is_file() else path for path in archives}
    listed = reader.map(list_archive, [root / own[path] for path in archives], title="listing archives")
    found = [path for path in files if path not in own]
    refused: list[NotUsable] = []
    for path, result in zip(archives, listed, strict=True):
        if isinstance(result, Failure):
            refused.append(NotUsable(path, -1, result.reason, f"listing the archive {how_lost(result)}; unpack it"))
            continue
        entries = list(result)
        if not entries:
            refused.append(NotUsable(path, (root / own[path]).stat().st_size, "not-dicom", "an archive without a file"))
        if entries and not entries[-1].path:  # what is missing behind the damage would be missing without a word
            refused.append(NotUsable(path, entries[-1].size, entries[-1].reason, entries[-1].detail))
            continue
        for entry in entries:
            member = f"{own[path]}/{entry.path}" if own[path] else entry.path
            if entry.reason:
                refused.append(NotUsable(printable(member), entry.size, entry.reason, entry.detail))
            else:
                found.append(member)
    return sorted(found), refused


def _read_headers(root: Path, paths: list[str], reader: PlanReader) -> list[FileHeader | NotUsable]:
    """Headers in the order of the paths: ordinary ones here, the others in supervised processes."""
    in_archive = root.is_file()
    if reader.workers > 1 and len(paths) >= PARALLEL_FROM:
        found: dict[str, FileHeader | NotUsable | None] = dict.fromkeys(paths)
    else:
        # What is unpacked is unpacked in processes that may be lost.
        found = {path: None if in_archive or runs_through(path) else glance(root, path) for path in paths}
    left = [path for path, header in found.items() if header is None]
    for path, result in zip(left, reader.map(partial(read_header, root), left, title="reading headers"), strict=True):
        found[path] = _lost(path, result) if isinstance(result, Failure) else result
    return [header for header in found.values() if header is not None]


def _lost(path: str, failure: Failure) -> NotUsable:
    if failure.reason in LOST:
        return NotUsable(path, -1, failure.reason, f"reading its header {how_lost(failure)}; check where it is from")
    return NotUsable(path, -1, "unreadable-header", "the header cannot be parsed; export the file again")

"""The DICOM files of a folder tree: images, objects that mark regions in them, and files that cannot be used."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from voxtile.corpus.identity import printable
from voxtile.engine.failure import LOST, Failure, how_lost
from voxtile.engine.parallel import PlanReader
from voxtile_medical.dicom_header.headers import FileHeader, NotUsable, glance, read_header
from voxtile_medical.dicom_header.scan import ODD_NAME, list_files

PARALLEL_FROM = 4096  # files; below, starting processes takes longer than reading
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
    root, found = list_files(source)
    paths = [path for path in found if path == printable(path)]
    headers = _read_headers(root, paths, reader)
    others = [header for header in headers if isinstance(header, NotUsable)]
    others += [NotUsable(printable(path), 0, "unreadable-name", ODD_NAME) for path in found if path != printable(path)]
    return DicomTree(root, tuple(header for header in headers if isinstance(header, FileHeader)), tuple(others))


def _read_headers(root: Path, paths: list[str], reader: PlanReader) -> list[FileHeader | NotUsable]:
    """Headers in the order of the paths: ordinary ones here, the others in supervised processes."""
    if reader.workers > 1 and len(paths) >= PARALLEL_FROM:
        found: dict[str, FileHeader | NotUsable | None] = dict.fromkeys(paths)
    else:
        found = {path: glance(root, path) for path in paths}
    left = [path for path, header in found.items() if header is None]
    for path, result in zip(left, reader.map(partial(read_header, root), left, title="reading headers"), strict=True):
        found[path] = _lost(path, result) if isinstance(result, Failure) else result
    return [header for header in found.values() if header is not None]


def _lost(path: str, failure: Failure) -> NotUsable:
    if failure.reason in LOST:
        return NotUsable(path, -1, failure.reason, f"reading its header {how_lost(failure)}; check where it is from")
    return NotUsable(path, -1, "unreadable-header", "the header cannot be parsed; export the file again")

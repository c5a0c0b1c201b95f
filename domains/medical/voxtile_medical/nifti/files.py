"""NIfTI files of a folder tree, and what their names say of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from voxtile.corpus.identity import printable
from voxtile.engine.parallel import PlanReader
from voxtile_medical.dicom_header.headers import NotUsable
from voxtile_medical.dicom_header.scan import LINK_TO_NOTHING, list_files, root_of
from voxtile_medical.dicom_header.tree import with_members

SUFFIXES = (".nii", ".nii.gz")
# BIDS suffixes (https://bids-specification.readthedocs.io) → DICOM modality.
_BIDS_MODALITY = {
    "t1w": "MR",
    "t2w": "MR",
    "t2starw": "MR",
    "pdw": "MR",
    "flair": "MR",
    "bold": "MR",
    "dwi": "MR",
    "epi": "MR",
    "ct": "CT",
    "mri": "MR",  # TotalSegmentator
    "pet": "PT",
}


def nifti_tree(source: Path, reader: PlanReader) -> tuple[Path, list[str], list[NotUsable]]:
    """Files of a tree, members of its archives among them.

    Args:
        source: a folder, an archive or a file.
        reader: lists the archives.

    Returns:
        What paths are relative to, the paths, and what is not read: of the archives, and links to nothing.

    Raises:
        InputError: the source does not exist, holds no file, or cannot be listed.
    """
    root = root_of(source)
    lost: list[str] = []
    found, refused = with_members(root, list_files(source, lost)[1], reader)
    refused += [NotUsable(printable(path), 0, "missing-file", LINK_TO_NOTHING) for path in lost if is_nifti_name(path)]
    return root, found, refused


def is_nifti_name(path: str) -> bool:
    """The name ends as NIfTI files do, and does not begin as what macOS leaves beside a file (AppleDouble)."""
    return path.lower().endswith(SUFFIXES) and not PurePosixPath(path).name.startswith("._")


def stem_of(path: str) -> str:
    """File name without folder and NIfTI suffix."""
    name = PurePosixPath(path).name
    return re.sub(r"\.nii(\.gz)?$", "", name, flags=re.IGNORECASE)


def subject_of(path: str) -> str:
    """The BIDS subject (`sub-01`) anywhere in the path, else the file's stem: each file is its own subject."""
    match = re.search(r"(?:^|[/_])(sub-[A-Za-z0-9]+)", path)
    return match[1] if match else stem_of(path)


def study_of(path: str) -> str:
    """The BIDS subject and session, else the file's stem."""
    session = re.search(r"(?:^|[/_])(ses-[A-Za-z0-9]+)", path)
    subject = subject_of(path)
    return f"{subject}/{session[1]}" if session else subject


def modality_of(path: str) -> str | None:
    """Modality by the BIDS suffix; None where the name does not say."""
    return _BIDS_MODALITY.get(stem_of(path).lower().rpartition("_")[2])


def is_label_name(path: str, patterns: Sequence[str]) -> bool:
    """The file's name matches one of the patterns for label maps; case does not matter."""
    name = PurePosixPath(path).name.lower()
    return any(fnmatch(name, pattern.lower()) for pattern in patterns)

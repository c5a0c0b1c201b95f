"""Reading a segmentation object, its header held against its content before memory is taken."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pydicom
from pydicom.dataset import Dataset

from voxtile_medical.archives.stored import stored
from voxtile_medical.verdicts import Verdict

if TYPE_CHECKING:
    from highdicom.seg import Segmentation

MAX_FRAME_PIXELS = 1 << 26


def read_object(path: Path) -> Segmentation:
    """Read a segmentation.

    Raises:
        Verdict: `unreadable-header`, `unreadable-segmentation`, `size-mismatch`, `pixel-data-too-short` or `too-large`.
    """
    dataset = _read(path)
    _check_size(dataset)
    return _as_segmentation(dataset)


def _read(path: Path) -> Dataset:
    try:
        return pydicom.dcmread(stored(path))
    except Exception as error:  # a parser on hostile bytes: anything can happen, and it is reported by name
        raise Verdict("unreadable-header", f"the segmentation cannot be parsed ({type(error).__name__})") from error


def _check_size(dataset: Dataset) -> None:
    """Hold what the header says of its size against what is there, before memory is taken.

    Raises:
        Verdict: `size-mismatch`, `pixel-data-too-short` or `too-large`.
    """
    try:
        rows, columns, frames = int(dataset.Rows), int(dataset.Columns), int(dataset.get("NumberOfFrames", 1) or 1)
        bits, described = int(dataset.BitsAllocated), len(dataset.PerFrameFunctionalGroupsSequence)
        nbytes, is_native = len(dataset.PixelData), not dataset.file_meta.TransferSyntaxUID.is_encapsulated
        known = bool(dataset.SegmentationType) and bool(dataset.SegmentSequence)
    except Exception as error:  # elements are parsed when they are asked for, and the parser raises many types
        raise Verdict(
            "unreadable-segmentation", "size, segments, frames or pixels are missing in the header"
        ) from error
    if min(rows, columns, frames) < 1 or not known:
        raise Verdict("unreadable-segmentation", f"the header claims {frames} frames of {rows} × {columns} pixels")
    if frames != described:
        raise Verdict("size-mismatch", f"the header claims {frames} frames and describes {described}; export it again")
    if rows * columns > MAX_FRAME_PIXELS:
        raise Verdict("too-large", f"the header claims frames of {rows} × {columns} pixels")
    expected = (rows * columns * frames * bits + 7) // 8
    if is_native and nbytes < expected:
        raise Verdict("pixel-data-too-short", f"the header claims {expected} bytes of pixels; the file has {nbytes}")
    if is_native and nbytes > expected + 1:
        raise Verdict("size-mismatch", f"the header claims {expected} bytes of pixels; the file has {nbytes}")


def _as_segmentation(dataset: Dataset) -> Segmentation:
    from highdicom.seg import Segmentation  # takes half a second, so only workers with a segmentation pay

    try:
        return Segmentation.from_dataset(dataset, copy=False)
    except Exception as error:  # a parser on hostile values: anything can happen, and it is reported by name
        raise Verdict(
            "unreadable-segmentation", f"not a valid DICOM segmentation ({type(error).__name__}); export it again"
        ) from error

"""What a SEG or RTSTRUCT object says of the images that it marks, read without its pixels or contours."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from voxtile_medical.archives.stored import stored, stream_of
from voxtile_medical.dicom_header.pydicom_warnings import quiet_pydicom
from voxtile_medical.verdicts import Verdict

MAX_INSTANCES = 4096  # of pictures; planes of volumes are found by their place
_SEQUENCES = (
    "ReferencedSeriesSequence",
    "StudiesContainingOtherReferencedInstancesSequence",
    "ReferencedFrameOfReferenceSequence",
    "StructureSetROISequence",
)


@dataclass(frozen=True)
class References:
    """UIDs as the object gives them.

    Attributes:
        series: of the images.
        instances: of the images, at most `MAX_INSTANCES`.
        roi_frames: (ROI number, its frame of reference) of a structure set.
        sha256: of the file, since its UID may stay where its content is corrected.
    """

    series: tuple[str, ...]
    instances: tuple[str, ...]
    roi_frames: tuple[tuple[str, str], ...]
    sha256: str


def read_references(path: Path) -> References:
    """Read an object's references.

    Raises:
        Verdict: `unreadable-header`.
    """
    try:
        with quiet_pydicom():
            dataset = pydicom.dcmread(stored(path), stop_before_pixels=True, specific_tags=list(_SEQUENCES))
            found = list(_series(dataset))
            with stream_of(path) as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            rois = [
                (str(item.ROINumber), str(item.get("ReferencedFrameOfReferenceUID") or ""))
                for item in dataset.get("StructureSetROISequence") or ()
            ]
    except Exception as error:  # a parser on hostile bytes: anything can happen, and it is reported by name
        raise Verdict("unreadable-header", f"its references cannot be parsed ({type(error).__name__})") from error
    series = dict.fromkeys(uid for uid, _ in found if uid)
    instances = dict.fromkeys(uid for _, uids in found for uid in uids[:MAX_INSTANCES])
    return References(tuple(series), tuple(instances)[:MAX_INSTANCES], tuple(rois), digest)


def referenced(path: Path) -> References | Verdict:
    """An object's references, or why they cannot be read: for a supervised process."""
    try:
        return read_references(path)
    except Verdict as verdict:
        return verdict


def _series(dataset: Dataset) -> Iterator[tuple[str, list[str]]]:
    """Series with their instances, of a segmentation (PS3.3 C.12.1.2) and of a structure set (C.8.8.5)."""
    for item in _nested(dataset, "ReferencedSeriesSequence"):
        yield _one(item, "ReferencedInstanceSequence")
    for item in _nested(dataset, "StudiesContainingOtherReferencedInstancesSequence", "ReferencedSeriesSequence"):
        yield _one(item, "ReferencedInstanceSequence")
    chain = ("ReferencedFrameOfReferenceSequence", "RTReferencedStudySequence", "RTReferencedSeriesSequence")
    for item in _nested(dataset, *chain):
        yield _one(item, "ContourImageSequence")


def _nested(dataset: Dataset, *keywords: str) -> Iterator[Dataset]:
    for item in dataset.get(keywords[0]) or ():
        if len(keywords) == 1:
            yield item
        else:
            yield from _nested(item, *keywords[1:])


def _one(item: Dataset, instances: str) -> tuple[str, list[str]]:
    uids = [str(instance.get("ReferencedSOPInstanceUID") or "") for instance in item.get(instances) or ()]
    return str(item.get("SeriesInstanceUID") or ""), [uid for uid in uids if uid]

"""DICOM segmentations (PS3.3 A.51, A.97): frames to structures on a sample's grid, through highdicom.

Binary, fractional, overlapping and label-map objects. Each frame says where it lies in the patient (or which picture it
is of), so frames may be left out, in any order, or cover a part of the image.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from voxtile_medical.dicom_header.pydicom_warnings import quiet_pydicom
from voxtile_medical.segmentations.coded import code_of, side_of
from voxtile_medical.segmentations.identifiers import identifiers_of
from voxtile_medical.segmentations.names import Structure, laterality_of, phrase_of
from voxtile_medical.segmentations.placement import Grid, Labels, Piece, cut
from voxtile_medical.segmentations.regions import Found
from voxtile_medical.segmentations.seg_object import read_object
from voxtile_medical.segmentations.seg_stack import FrameStack, SegmentFrame, segment_frames
from voxtile_medical.verdicts import Verdict

RULE = "dicom-seg@1"
SHARE = 255  # the value of a whole voxel in masks of shares
_BACKGROUND = "DCM:125040"


class SegmentationFile:
    """A DICOM segmentation, read once and placed on one grid or several.

    Args:
        path: the file.
        hides: remove identifiers from labels.
        known: identifiers that the images name, see `identifiers_of`.

    Raises:
        Verdict: the file is damaged, or its header contradicts its content.
    """

    def __init__(self, path: Path, hides: bool, known: Mapping[str, Sequence[str]]) -> None:
        with quiet_pydicom():
            self._object = read_object(path)
            try:
                self._identifiers = identifiers_of(self._object, hides, known)
            except NotImplementedError as error:  # pydicom reads an element when it is asked for
                raise Verdict("unreadable-header", f"an element of it is of no known kind: {error}") from error
            self.kind = str(self._object.SegmentationType)
            self.shape = (int(self._object.Rows), int(self._object.Columns))
            self._full = int(self._object.get("MaximumFractionalValue", SHARE) or SHARE)
            self._fraction = str(self._object.get("SegmentationFractionalType", ""))
            self.frames = segment_frames(self._object, self.kind)

    @cached_property
    def structures(self) -> Mapping[int, Structure]:
        """What each segment is, by number; without the background."""
        found: dict[int, Structure] = {}
        for item in self._object.SegmentSequence:
            number, code = (
                int(item.SegmentNumber),
                code_of(item, "SegmentedPropertyTypeCodeSequence", self._identifiers),
            )
            if number and not (code and str(code) == _BACKGROUND):
                found[number] = self._structure(item, number)
        return found

    def place(self, grid: Grid) -> list[Found]:
        """The segments of the file on a grid.

        Raises:
            Verdict: the frames do not fit the sample.
        """
        with quiet_pydicom():
            if grid.affine is None:
                return list(self._on_picture(grid))
            stack = FrameStack.of(self.frames, self.shape, grid)
            if self.kind == "LABELMAP":
                return list(self._label_map(stack, grid))
            return list(self._segments(stack, grid))

    def _structure(self, item: Dataset, number: int) -> Structure:
        code = code_of(item, "SegmentedPropertyTypeCodeSequence", self._identifiers)
        region = code_of(item, "AnatomicRegionSequence", self._identifiers)
        meanings = [code.meaning if code else None, region.meaning if region else None]
        phrase = phrase_of(item.get("SegmentLabel"), self._identifiers, meanings)
        side = side_of(item) or laterality_of(phrase)
        if phrase and side and not laterality_of(phrase):
            phrase = f"{side} {phrase}"
        known: dict[str, Any] = {"segment": number}
        category = code_of(item, "SegmentedPropertyCategoryCodeSequence", self._identifiers)
        known |= {"category": category.packed()} if category else {}
        known |= {"anatomic_region": region.packed()} if region else {}
        if item.get("SegmentAlgorithmType") in ("AUTOMATIC", "SEMIAUTOMATIC", "MANUAL"):
            known["algorithm"] = str(item.SegmentAlgorithmType)
        if self.kind == "FRACTIONAL":
            known["fraction_of"] = SHARE
            if self._fraction in ("PROBABILITY", "OCCUPANCY"):
                known["fraction"] = self._fraction
        return Structure(str(number), phrase, side, code, known)

    def _segments(self, stack: FrameStack, grid: Grid) -> Iterator[Found]:
        by_segment: dict[int, list[SegmentFrame]] = defaultdict(list)
        for frame in self.frames:
            by_segment[frame.segment].append(frame)
        for number in sorted(by_segment):
            structure = self.structures.get(number)
            if structure is None:
                raise Verdict("unreadable-segmentation", f"frames of segment {number}, which the header does not list")
            dtype = np.dtype(np.uint8 if self.kind == "FRACTIONAL" else np.bool_)
            volume, outside, absent = stack.fill(dtype, ((f, self._pixels(f)) for f in by_segment[number]))
            piece = cut(volume, (0, 0, 0), grid.shape, resampled=stack.is_resampled)
            if outside:
                yield _strayed(structure, outside, absent)
            elif piece is not None or stack.drew_something:
                yield Found(structure, piece)

    def _label_map(self, stack: FrameStack, grid: Grid) -> Iterator[Found]:
        dtype = np.dtype(np.uint16 if max(self.structures, default=0) > 255 else np.uint8)
        volume, outside, absent = stack.fill(dtype, ((frame, self._pixels(frame)) for frame in self.frames))
        from scipy.ndimage import find_objects  # late: most conversions have no masks, and scipy takes 0.2 s

        for number, box in enumerate(find_objects(volume), 1):
            structure = self.structures.get(number)
            if box is None or structure is None:
                continue
            low = tuple(part.start for part in box)
            yield Found(structure, cut(volume[box] == number, low, grid.shape, resampled=stack.is_resampled))
        if outside:
            yield _strayed(Structure("off the image", None), outside, absent)

    def _on_picture(self, grid: Grid) -> Iterator[Found]:
        """Frames of a picture: they have its rows and columns."""
        if self.shape != grid.shape[:2]:
            raise Verdict(
                "outside-image",
                f"a mask of {self.shape[0]} × {self.shape[1]} pixels on a picture of {grid.shape[0]} × {grid.shape[1]}",
            )
        for frame in self.frames:
            pixels = self._pixels(frame)
            numbers = sorted(set(np.unique(pixels)) - {0}) if self.kind == "LABELMAP" else [frame.segment]
            for number in numbers:
                structure = self.structures.get(int(number))
                mask = pixels == number if self.kind == "LABELMAP" else pixels
                piece = cut(mask, (0, 0), grid.shape[:2])
                if structure is not None and piece is not None:
                    yield Found(structure, piece)

    def _pixels(self, frame: SegmentFrame) -> Labels:
        """[rows, columns]: bool, shares of 255, or labels."""
        try:
            stored: npt.NDArray[Any] = self._object.get_stored_frame(frame.index + 1)
        except Exception as error:  # a decoder on hostile bytes: anything can happen, and it is reported by name
            raise Verdict("decode-error", f"frame {frame.index + 1} cannot be decoded; export it again") from error
        if stored.shape != self.shape:
            raise Verdict("size-mismatch", f"frame {frame.index + 1} is {stored.shape}, the header says {self.shape}")
        if self.kind == "BINARY":
            return stored.astype(bool)
        if self.kind == "FRACTIONAL" and self._full != SHARE:
            return np.minimum(np.rint(stored * (SHARE / self._full)), SHARE).astype(np.uint8)
        return stored


def _strayed(structure: Structure, outside: int, absent: bool) -> Found:
    return Found(structure, Piece(np.zeros((0, 0, 0), bool), (0, 0, 0), outside), missing_planes=absent)

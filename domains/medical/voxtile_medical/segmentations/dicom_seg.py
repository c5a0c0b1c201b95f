"""DICOM segmentations (PS3.3 A.51, A.97): frames to structures on a sample's grid, through highdicom.

Binary, fractional, overlapping and label-map objects. Each frame says where it lies in the patient (or which picture it
is of), so frames may be left out, in any order, or cover a part of the image.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset
from scipy.ndimage import find_objects

from voxtile_medical.dicom.enhanced import FrameGroups
from voxtile_medical.dicom.frames import floats
from voxtile_medical.dicom.quiet import quiet_pydicom
from voxtile_medical.orientation import LPS_TO_RAS, Affine
from voxtile_medical.segmentations.coded import code_of, side_of
from voxtile_medical.segmentations.identifiers import identifiers_of
from voxtile_medical.segmentations.names import Structure, laterality_of, phrase_of
from voxtile_medical.segmentations.placement import (
    Grid,
    Labels,
    Piece,
    count_outside,
    cut,
    lattice,
    paste,
    resample,
)
from voxtile_medical.segmentations.regions import Found
from voxtile_medical.verdicts import Verdict

if TYPE_CHECKING:
    from highdicom.seg import Segmentation

RULE = "dicom-seg@1"
SHARE = 255  # the value of a whole voxel in masks of shares
MAX_FRAME_PIXELS = 1 << 26
MAX_STACK_BYTES = 2 << 30
_STEP_TOLERANCE = 0.2  # of a step, as for series
_BACKGROUND = "DCM:125040"


@dataclass(frozen=True)
class SegmentFrame:
    """A frame of a segmentation.

    Attributes:
        index: from 0.
        segment: number; 0 in a label map, whose frames hold many.
        affine: [4, 4], pixel (column, row, 0, 1) → RAS+ mm, third column along the normal at the file's own step; None
            for a frame of a picture.
    """

    index: int
    segment: int
    affine: Affine | None


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
            dataset = _read(path)
            _check_size(dataset)
            self._object = _as_segmentation(dataset)
        self._identifiers = identifiers_of(dataset, hides, known)
        self.kind = str(dataset.SegmentationType)
        self.shape = (int(dataset.Rows), int(dataset.Columns))
        self._full = int(dataset.get("MaximumFractionalValue", SHARE) or SHARE)
        self._fraction = str(dataset.get("SegmentationFractionalType", ""))
        self.frames = _frames(dataset, self.kind)

    @cached_property
    def structures(self) -> Mapping[int, Structure]:
        """What each segment is, by number; without the background."""
        found: dict[int, Structure] = {}
        for item in self._object.SegmentSequence:
            number, code = int(item.SegmentNumber), code_of(item, "SegmentedPropertyTypeCodeSequence")
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
            stack = _Stack.of(self.frames, self.shape, grid)
            if self.kind == "LABELMAP":
                return list(self._label_map(stack, grid))
            return list(self._segments(stack, grid))

    def _structure(self, item: Dataset, number: int) -> Structure:
        code = code_of(item, "SegmentedPropertyTypeCodeSequence")
        region = code_of(item, "AnatomicRegionSequence")
        meanings = [code.meaning if code else None, region.meaning if region else None]
        phrase = phrase_of(item.get("SegmentLabel"), self._identifiers, meanings)
        side = side_of(item) or laterality_of(phrase)
        if phrase and side and not laterality_of(phrase):
            phrase = f"{side} {phrase}"
        known: dict[str, Any] = {"segment": number}
        category = code_of(item, "SegmentedPropertyCategoryCodeSequence")
        known |= {"category": category.packed()} if category else {}
        known |= {"anatomic_region": region.packed()} if region else {}
        if item.get("SegmentAlgorithmType") in ("AUTOMATIC", "SEMIAUTOMATIC", "MANUAL"):
            known["algorithm"] = str(item.SegmentAlgorithmType)
        if self.kind == "FRACTIONAL":
            known |= {"fraction_of": SHARE, "fraction": self._fraction}
        return Structure(str(number), phrase, side, code, known)

    def _segments(self, stack: _Stack, grid: Grid) -> Iterator[Found]:
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

    def _label_map(self, stack: _Stack, grid: Grid) -> Iterator[Found]:
        dtype = np.dtype(np.uint16 if max(self.structures, default=0) > 255 else np.uint8)
        volume, outside, absent = stack.fill(dtype, ((frame, self._pixels(frame)) for frame in self.frames))
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


@dataclass
class _Stack:
    """Frames on a grid, by copying or by resampling.

    Attributes:
        grid: the sample's.
        planes: frame index → plane of the file's own stack; empty where frames are copied.
        own: affine of the file's own stack; None where frames are copied.
        shape: (planes, rows, columns) of the file's own stack.
        drew_something: the last filled segment had a pixel.
    """

    grid: Grid
    planes: Mapping[int, int]
    own: Affine | None
    shape: tuple[int, int, int]
    drew_something: bool = False

    @classmethod
    def of(cls, frames: list[SegmentFrame], size: tuple[int, int], grid: Grid) -> _Stack:
        """Copy where every frame coincides with a plane of the grid, else resample."""
        places = {frame.index: frame.affine for frame in frames}
        if any(affine is None for affine in places.values()):
            raise Verdict("no-geometry", "frames without a place in the patient; such masks fit pictures only")
        known = {i: affine for i, affine in places.items() if affine is not None}
        if all(lattice(_on_step(affine, grid), (1, *size), grid) for affine in known.values()):
            return cls(grid, {}, None, (1, *size))
        planes, own = _own_stack(known)
        shape = (max(planes.values()) + 1, *size)
        if math.prod(shape) > MAX_STACK_BYTES:
            raise Verdict("too-large", f"the frames span {shape[0]} planes of {size[0]} × {size[1]}")
        return cls(grid, planes, own, shape)

    @property
    def is_resampled(self) -> bool:
        """The file's grid differs from the sample's."""
        return self.own is not None

    def fill(self, dtype: np.dtype[Any], frames: Iterator[tuple[SegmentFrame, Labels]]) -> tuple[Labels, int, bool]:
        """Frames as a volume.

        Returns:
            [Z, Y, X] on the grid, the number of voxels off the grid, and whether they are on planes beyond it.
        """
        self.drew_something = False
        if self.own is not None:
            stack = np.zeros(self.shape, dtype)
            for frame, pixels in frames:
                np.copyto(stack[self.planes[frame.index]], pixels, where=pixels != 0)
            self.drew_something = bool(stack.any())
            return resample(stack, self.own, self.grid), count_outside(stack, self.own, self.grid), False
        volume = np.zeros(self.grid.shape, dtype)
        outside, absent = 0, False
        for frame, pixels in frames:
            turned = lattice(_on_step(_place(frame), self.grid), (1, *pixels.shape), self.grid)
            if turned is None:
                raise Verdict("no-geometry", f"frame {frame.index + 1} does not lie on the image's grid")
            plane = turned.turn(pixels[None])
            strayed = paste(volume, plane, turned.corner)
            axis = turned.order.index(0)
            outside += strayed
            absent |= bool(strayed) and not 0 <= turned.corner[axis] < self.grid.shape[axis]
            self.drew_something |= bool(pixels.any())
        return volume, outside, absent


def _strayed(structure: Structure, outside: int, absent: bool) -> Found:
    return Found(structure, Piece(np.zeros((0, 0, 0), bool), (0, 0, 0), outside), missing_planes=absent)


def _place(frame: SegmentFrame) -> Affine:
    if frame.affine is None:
        raise Verdict("no-geometry", f"frame {frame.index + 1} lacks its place in the patient")
    return frame.affine


def _on_step(affine: Affine, grid: Grid) -> Affine:
    """The same plane with a third column of the grid's own step along the plane's normal: one plane has no step."""
    relative = grid.to_index[:3, :3] @ affine[:3, 2]
    largest = np.abs(relative).max()
    stepped = affine.copy()
    stepped[:3, 2] = affine[:3, 2] / largest if largest > 0 else affine[:3, 2]
    return stepped


def _own_stack(places: Mapping[int, Affine]) -> tuple[dict[int, int], Affine]:
    """Planes of a stack that frames make by themselves, and its affine.

    Raises:
        Verdict: `mixed-orientations` or `unequal-steps`.
    """
    first = next(iter(places.values()))
    if any(np.abs(affine[:3, :3] - first[:3, :3]).max() > 1e-3 for affine in places.values()):
        raise Verdict("mixed-orientations", "the frames point in different directions or differ in pixel size")
    normal = first[:3, 2] / np.linalg.norm(first[:3, 2])
    distances = {i: float(affine[:3, 3] @ normal) for i, affine in places.items()}
    lowest = min(distances, key=lambda i: distances[i])
    unique = np.unique(np.round(list(distances.values()), 3))
    step = float(np.linalg.norm(first[:3, 2]))
    if len(unique) > 1:
        step = min(step, float(np.diff(unique).min()))
    planes = {i: (distance - distances[lowest]) / step for i, distance in distances.items()}
    if max(abs(p - round(p)) for p in planes.values()) > _STEP_TOLERANCE:
        raise Verdict("unequal-steps", "the frames are not at equal steps, so they cannot be brought onto the image")
    affine = places[lowest].copy()
    affine[:3, 2] = normal * step
    return {i: round(p) for i, p in planes.items()}, affine


def _frames(dataset: Dataset, kind: str) -> list[SegmentFrame]:
    shared = dataset.get("SharedFunctionalGroupsSequence")
    groups = FrameGroups(shared[0] if shared else Dataset())
    frames = []
    for index, item in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        own = groups.of(item)
        segment = 0
        if kind != "LABELMAP":
            number = own.value("SegmentIdentificationSequence", "ReferencedSegmentNumber")
            if number is None:
                raise Verdict("unreadable-segmentation", f"frame {index + 1} does not say its segment")
            segment = int(number)
        frames.append(SegmentFrame(index, segment, _affine(own)))
    return frames


def _affine(groups: FrameGroups) -> Affine | None:
    position = groups.numbers("PlanePositionSequence", "ImagePositionPatient", 3)
    orientation = groups.numbers("PlaneOrientationSequence", "ImageOrientationPatient", 6)
    spacing = groups.numbers("PixelMeasuresSequence", "PixelSpacing", 2)
    if position is None or orientation is None or spacing is None or min(spacing) <= 0:
        return None
    step = (
        groups.numbers("PixelMeasuresSequence", "SpacingBetweenSlices", 1)
        or groups.numbers("PixelMeasuresSequence", "SliceThickness", 1)
        or floats((1.0,), 1)
    )
    columns_to, rows_to = np.array(orientation[:3]), np.array(orientation[3:])
    lps = np.eye(4)
    lps[:3, 0], lps[:3, 1] = columns_to * spacing[1], rows_to * spacing[0]
    lps[:3, 2] = np.cross(columns_to, rows_to) * (abs(step[0]) if step and step[0] else 1.0)
    lps[:3, 3] = position
    affine: Affine = LPS_TO_RAS @ lps
    return affine


def _read(path: Path) -> Dataset:
    try:
        return pydicom.dcmread(path)
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
    except (AttributeError, TypeError, ValueError) as error:
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

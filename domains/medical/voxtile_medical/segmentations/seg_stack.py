"""Frames of a segmentation on a sample's grid: copied where they coincide with its planes, else resampled."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from voxtile_medical.dicom_planes.enhanced import FrameGroups
from voxtile_medical.orientation import LPS_TO_RAS, Affine
from voxtile_medical.segmentations.placement import Grid, Labels, count_outside, lattice, paste, resample
from voxtile_medical.verdicts import Verdict

MAX_STACK_BYTES = 2 << 30
_STEP_TOLERANCE = 0.2  # of a step, as for series


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


@dataclass
class FrameStack:
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
    def of(cls, frames: Sequence[SegmentFrame], size: tuple[int, int], grid: Grid) -> FrameStack:
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
            return resample(stack, self.own, self.grid), sum(count_outside(stack, self.own, self.grid).values()), False
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


def segment_frames(dataset: Dataset, kind: str) -> list[SegmentFrame]:
    """The frames of a segmentation, in the file's order.

    Args:
        dataset: the object.
        kind: SegmentationType; frames of a label map have no segment of their own.

    Raises:
        Verdict: `unreadable-segmentation`, a frame does not say its segment.
    """
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
    step = groups.numbers("PixelMeasuresSequence", "SpacingBetweenSlices", 1) or groups.numbers(
        "PixelMeasuresSequence", "SliceThickness", 1
    )
    columns_to, rows_to = np.array(orientation[:3]), np.array(orientation[3:])
    lps = np.eye(4)
    lps[:3, 0], lps[:3, 1] = columns_to * spacing[1], rows_to * spacing[0]
    lps[:3, 2] = np.cross(columns_to, rows_to) * (abs(step[0]) if step and step[0] else 1.0)
    lps[:3, 3] = position
    affine: Affine = LPS_TO_RAS @ lps
    return affine


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

"""One plane of voxels and where it lies in the patient: what classic, enhanced and mosaic files have in common."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from voxtile_medical.dicom_header.element_values import Value, Values
from voxtile_medical.dicom_header.headers import FileHeader
from voxtile_medical.plausible import check_position, check_scale, check_spacing
from voxtile_medical.verdicts import Verdict

Vector: TypeAlias = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Frame:
    """A plane of a series.

    Attributes:
        file: index of its file in the series.
        index: frame number in the file, from 0.
        position: centre of the first transmitted voxel, LPS mm (ImagePositionPatient).
        orientation: direction cosines of increasing column and increasing row index (ImageOrientationPatient).
        spacing: mm between rows, mm between columns (PixelSpacing).
        slope: physical = stored · slope + intercept.
        intercept: as above.
        tile: (row, column) of the first voxel and (rows, columns) of a plane that is a part of a mosaic, else None.
        stack: an enhanced file's StackID; frames of different stacks are different volumes.
        keys: what may tell apart planes at the same place, by name: echo time, b-value, temporal position, …
        times: what may order planes at the same place in time where no key can.
        facts: acquisition facts that an enhanced file keeps in its functional groups, by keyword.
        thickness: of the slice, mm; None where it is not stated.
        number: InstanceNumber of a file that holds one plane.
        gradient: direction of the diffusion gradient, unit vector, LPS; None where there is none.
    """

    file: int
    index: int
    position: Vector
    orientation: tuple[float, ...]
    spacing: tuple[float, float]
    slope: float
    intercept: float
    tile: tuple[int, int, int, int] | None = None
    stack: str = ""
    keys: dict[str, Hashable] = field(default_factory=dict)
    times: dict[str, float] = field(default_factory=dict)
    facts: Values = field(default_factory=dict)
    thickness: float | None = None
    number: float | None = None
    gradient: Vector | None = None


CLASSIC_KEYS = (
    "EchoNumbers",
    "EchoTime",
    "InversionTime",
    "TemporalPositionIdentifier",
    "DiffusionBValue",
    "DiffusionGradientOrientation",
    "NominalPercentageOfCardiacPhase",
    "AcquisitionNumber",
    "TriggerTime",
    "FrameReferenceTime",
    "AcquisitionDateTime",
    "AcquisitionTime",
    "ComplexImageComponent",
    "ContrastBolusAgentPhase",
    "ContrastBolusAgent",
    "ConvolutionKernel",
    "KVP",
    "FlipAngle",
    "RepetitionTime",
)
TIME_KEYS = ("TriggerTime", "FrameReferenceTime", "AcquisitionDateTime", "AcquisitionTime", "ContentTime")


def classic_frame(header: FileHeader, file: int) -> Frame:
    """The plane of a file that holds one frame.

    Raises:
        Verdict: `no-geometry`, position, orientation or spacing is missing; `unreadable-value`, one is no number.
    """
    values = header.values
    position = stated(values, "ImagePositionPatient", 3)
    orientation = stated(values, "ImageOrientationPatient", 6)
    spacing = stated(values, "PixelSpacing", 2)
    if position is None or orientation is None or spacing is None:
        raise Verdict("no-geometry", "ImagePositionPatient, ImageOrientationPatient or PixelSpacing is missing")
    slope, intercept = scale_of(values)
    keys: dict[str, Hashable] = {"ImageType": values.get("ImageType", ())}
    keys.update({name: values[name] for name in CLASSIC_KEYS if name in values})
    return Frame(
        file=file,
        index=0,
        position=(position[0], position[1], position[2]),
        orientation=orientation,
        spacing=(spacing[0], spacing[1]),
        slope=slope,
        intercept=intercept,
        keys=keys,
        times=times_of(header),
        thickness=(floats(values.get("SliceThickness"), 1) or (None,))[0],
        number=(floats(values.get("InstanceNumber"), 1) or (None,))[0],
    )


def times_of(header: FileHeader) -> dict[str, float]:
    """Numbers that grow with acquisition time, by keyword."""
    found: dict[str, float] = {}
    for name in TIME_KEYS:
        try:
            time = float(header.values[name][0])
        except (KeyError, IndexError, ValueError):
            continue
        if math.isfinite(time):
            found[name] = time
    return found


def stated(values: Values, keyword: str, count: int) -> tuple[float, ...] | None:
    """The first `count` numbers of an element that decides where or what voxels are; None where it is absent.

    Raises:
        Verdict: `unreadable-value`, the element is there and holds something else, which no default may stand for.
    """
    given = values.get(keyword)
    if given is None:
        return None
    numbers = floats(given, count)
    if numbers is None:
        wanted = "a finite number" if count == 1 else f"{count} finite numbers"
        raise Verdict("unreadable-value", f"{keyword} is there, but it is not {wanted}; write the file again")
    return numbers


def scale_of(values: Values) -> tuple[float, float]:
    """RescaleSlope and RescaleIntercept; 1 and 0 where they are absent.

    Raises:
        Verdict: `unreadable-value`.
    """
    slope, intercept = stated(values, "RescaleSlope", 1), stated(values, "RescaleIntercept", 1)
    return slope[0] if slope else 1.0, intercept[0] if intercept else 0.0


def check_frame(frame: Frame, modality: str) -> None:
    """Refuse a plane whose scale, spacing or place cannot be.

    Raises:
        Verdict: `implausible-scale`, `implausible-spacing` or `implausible-position`.
    """
    check_scale(frame.slope, frame.intercept, modality)
    check_spacing(frame.spacing, modality)
    check_position(frame.position)


def floats(values: Sequence[Value] | None, count: int) -> tuple[float, ...] | None:
    """The first `count` values as finite numbers, or None."""
    if values is None or len(values) < count:
        return None
    try:
        numbers = tuple(map(float, values[:count]))
    except (TypeError, ValueError):
        return None
    return numbers if all(map(math.isfinite, numbers)) else None

"""Planes of enhanced multi-frame files (PS3.3 C.7.6.16): geometry and values by frame from functional groups."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxtile_medical.archives.stored import open_stored
from voxtile_medical.dicom_header.element_values import Value, Values
from voxtile_medical.dicom_header.headers import FileHeader
from voxtile_medical.dicom_header.pydicom_warnings import quiet_pydicom
from voxtile_medical.dicom_header.tags import PIXEL_DATA
from voxtile_medical.dicom_planes.frames import Frame, Vector, floats, stated, times_of
from voxtile_medical.verdicts import Verdict

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

ENHANCED_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.2.1": "Enhanced CT",
    "1.2.840.10008.5.1.4.1.1.2.2": "Legacy Converted Enhanced CT",
    "1.2.840.10008.5.1.4.1.1.4.1": "Enhanced MR",
    "1.2.840.10008.5.1.4.1.1.4.4": "Legacy Converted Enhanced MR",
    "1.2.840.10008.5.1.4.1.1.130": "Enhanced PET",
    "1.2.840.10008.5.1.4.1.1.128.1": "Legacy Converted Enhanced PET",
    "1.2.840.10008.5.1.4.1.1.13.1.1": "X-Ray 3D Angiographic",
    "1.2.840.10008.5.1.4.1.1.13.1.2": "X-Ray 3D Craniofacial",
    "1.2.840.10008.5.1.4.1.1.13.1.3": "Breast Tomosynthesis",
}
_OCT = "1.2.840.10008.5.1.4.1.1.77.1.5.4"  # Ophthalmic Tomography, whose frames may lie anywhere
_SEQUENCES = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "DimensionIndexSequence")
# Dimensions along which planes of one volume differ: StackID, InStackPositionNumber, ImagePositionPatient, and the
# dimension "slice location" that some writers add.
_SPATIAL = {0x00209056, 0x00209057, 0x00200032, 0x00201041}
_FRAME_TYPES = (
    "MRImageFrameTypeSequence",
    "CTImageFrameTypeSequence",
    "PETFrameTypeSequence",
    "XRay3DFrameTypeSequence",
)
# Values that tell volumes apart, as (functional group, element).
_KEYS = (
    ("MREchoSequence", "EffectiveEchoTime"),
    ("MRModifierSequence", "InversionTimes"),
    ("MRDiffusionSequence", "DiffusionBValue"),
    ("FrameContentSequence", "TemporalPositionIndex"),
    ("TemporalPositionSequence", "TemporalPositionTimeOffset"),
    ("CardiacSynchronizationSequence", "NominalPercentageOfCardiacPhase"),
    ("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime"),
    ("FrameContentSequence", "FrameAcquisitionNumber"),
    ("PixelValueTransformationSequence", "RescaleType"),
)


# Acquisition facts of a volume, as (functional group, element).
_FACTS = (
    ("CTXRayDetailsSequence", "KVP"),
    ("CTReconstructionSequence", "ConvolutionKernel"),
    ("PixelMeasuresSequence", "SliceThickness"),
    ("MRTimingAndRelatedParametersSequence", "RepetitionTime"),
    ("MRTimingAndRelatedParametersSequence", "FlipAngle"),
    ("MRImageFrameTypeSequence", "AcquisitionContrast"),
    ("ContrastBolusUsageSequence", "ContrastBolusAgentPhase"),
)


def is_enhanced(header: FileHeader) -> bool:
    """The file holds frames with functional groups, which lie in space."""
    storage = header.text("SOPClassUID")
    if storage == _OCT:
        return header.text("OphthalmicVolumetricPropertiesFlag") == "YES"
    return storage in ENHANCED_CLASSES


def enhanced_frames(root: Path, header: FileHeader, file: int) -> list[Frame]:
    """Planes of one enhanced file.

    Raises:
        Verdict: `no-geometry` or `unreadable-header`.
    """
    try:
        with quiet_pydicom():
            return _read_frames(root, header, file)
    except Verdict:
        raise
    except Exception as error:  # nested elements of unknown writers: anything can be wrong with them
        raise Verdict(
            "unreadable-header", f"the functional groups cannot be parsed ({type(error).__name__})"
        ) from error


def _read_frames(root: Path, header: FileHeader, file: int) -> list[Frame]:
    from pydicom.dataset import Dataset
    from pydicom.filereader import read_partial
    from pydicom.tag import Tag

    with open_stored(root / header.path) as opened, opened.stream() as stream:
        dataset = read_partial(
            stream,
            lambda tag, vr, length: tag in PIXEL_DATA,
            force=True,
            specific_tags=[Tag(name) for name in (*_SEQUENCES, "ContrastBolusAgentSequence")],
        )
    groups = dataset.get("PerFrameFunctionalGroupsSequence")
    count = int(float((header.values.get("NumberOfFrames") or (1,))[0]))
    if not groups or len(groups) < count:
        raise Verdict("no-geometry", f"{len(groups or ())} functional groups for {count} frames")
    shared_groups = dataset.get("SharedFunctionalGroupsSequence")
    shared = shared_groups[0] if shared_groups else Dataset()
    dimensions = [item.get("DimensionIndexPointer") for item in dataset.get("DimensionIndexSequence") or ()]
    of_file: dict[str, Hashable] = {
        name: header.values[name] for name in ("AcquisitionNumber",) if name in header.values
    }
    lookup = FrameGroups(shared)
    facts = _facts(lookup.of(groups[0]))
    if dataset.get("ContrastBolusAgentSequence"):
        facts["ContrastBolusAgent"] = ("given",)
    return [
        replace(_frame(lookup.of(groups[i]), header, file, i, dimensions, of_file), facts=facts) for i in range(count)
    ]


class FrameGroups:
    """Functional groups of a frame: its own, or those that all frames share.

    Looked up by tag number: a file has tens of elements for each of hundreds of frames.
    """

    def __init__(self, shared: Dataset) -> None:
        self._own: Dataset = shared
        self._shared = shared
        self._shared_values: dict[tuple[str, str], Any] = {}

    def of(self, own: Dataset) -> FrameGroups:
        """The same with another frame's own groups."""
        self._own = own
        return self

    def value(self, group: str, keyword: str) -> Any:  # noqa: ANN401  (an element's value)
        """An element of a functional group; None where absent."""
        found = _element(self._own, group, keyword)
        if found is None:
            key = (group, keyword)
            if key not in self._shared_values:
                self._shared_values[key] = _element(self._shared, group, keyword)
            found = self._shared_values[key]
        return found

    def numbers(self, group: str, keyword: str, count: int) -> tuple[float, ...] | None:
        """The first numbers of an element; None where it is absent.

        Raises:
            Verdict: `unreadable-value`, it holds something else.
        """
        value = self.value(group, keyword)
        return None if value is None else stated({keyword: value if count > 1 else (value,)}, keyword, count)


def _element(groups: Dataset, group: str, keyword: str) -> Any:  # noqa: ANN401  (an element's value)
    group_tag, tag = _tags(group, keyword)
    if group_tag not in groups.keys():  # noqa: SIM118  (a dictionary look-up; `in groups` parses the tag)
        return None
    items = groups[group_tag].value
    if not items or tag not in items[0].keys():  # noqa: SIM118
        return None
    value = items[0][tag].value
    return None if value == "" else value


@cache
def _tags(group: str, keyword: str) -> tuple[BaseTag, BaseTag]:
    from pydicom.tag import Tag

    return Tag(group), Tag(keyword)


def _frame(
    groups: FrameGroups, header: FileHeader, file: int, index: int, dimensions: list[Any], of_file: dict[str, Hashable]
) -> Frame:
    position = groups.numbers("PlanePositionSequence", "ImagePositionPatient", 3)
    orientation = groups.numbers("PlaneOrientationSequence", "ImageOrientationPatient", 6)
    spacing = groups.numbers("PixelMeasuresSequence", "PixelSpacing", 2)
    if position is None or orientation is None or spacing is None:
        raise Verdict("no-geometry", f"frame {index + 1} lacks its plane position, plane orientation or pixel spacing")
    slope = (groups.numbers("PixelValueTransformationSequence", "RescaleSlope", 1) or (1.0,))[0]
    intercept = (groups.numbers("PixelValueTransformationSequence", "RescaleIntercept", 1) or (0.0,))[0]
    stack = groups.value("FrameContentSequence", "StackID")
    return Frame(
        file=file,
        index=index,
        position=(position[0], position[1], position[2]),
        orientation=orientation,
        spacing=(spacing[0], spacing[1]),
        slope=slope,
        intercept=intercept,
        stack=str(stack) if stack is not None else "",
        keys={**_keys(groups, dimensions), **of_file, "Rescale": (slope, intercept)},
        times=_times(groups) or times_of(header),
        thickness=_thickness(groups),
        gradient=_direction(groups),
    )


def _keys(groups: FrameGroups, dimensions: list[Any]) -> dict[str, Hashable]:
    keys: dict[str, Hashable] = {}
    for name in _FRAME_TYPES:
        frame_type = groups.value(name, "FrameType")
        if frame_type is not None:
            keys["ImageType"] = tuple(str(part) for part in frame_type)
            component = groups.value(name, "ComplexImageComponent")
            keys["ComplexImageComponent"] = str(component) if component else None
    for group, keyword in _KEYS:
        value = groups.value(group, keyword)
        if value is not None:
            keys[keyword] = _plain(value)
    indices = groups.value("FrameContentSequence", "DimensionIndexValues")
    if indices is not None:
        listed = [indices] if isinstance(indices, int) else list(indices)
        for number, (pointer, index) in enumerate(zip(dimensions, listed, strict=False)):
            if pointer not in _SPATIAL:
                keys[f"Dimension{number + 1}"] = int(index)
    label = groups.value("MRArterialSpinLabelingSequence", "ASLContext")
    if label is not None:
        keys["ASLContext"] = str(label)
    return keys


def _facts(groups: FrameGroups) -> Values:
    found = {keyword: groups.value(group, keyword) for group, keyword in _FACTS}
    plain = {keyword: _plain(value) for keyword, value in found.items() if value is not None}
    return {keyword: value if isinstance(value, tuple) else (value,) for keyword, value in plain.items()}


def _thickness(groups: FrameGroups) -> float | None:
    """What only describes a slice does not refuse it."""
    try:
        found = groups.numbers("PixelMeasuresSequence", "SliceThickness", 1)
    except Verdict:
        return None
    return found[0] if found else None


def _direction(groups: FrameGroups) -> Vector | None:
    """Direction of the diffusion gradient (PS3.3 C.8.13.5.9); None of unweighted and isotropic frames."""
    b_value = groups.value("MRDiffusionSequence", "DiffusionBValue")
    nested = groups.value("MRDiffusionSequence", "DiffusionGradientDirectionSequence")
    if not b_value or not nested:
        return None
    vector = floats(nested[0].get("DiffusionGradientOrientation"), 3)
    length = math.hypot(*vector) if vector else 0.0
    return (vector[0] / length, vector[1] / length, vector[2] / length) if vector and length > 1e-3 else None


def _times(groups: FrameGroups) -> dict[str, float]:
    for keyword in ("FrameAcquisitionDateTime", "FrameReferenceDateTime"):
        text = groups.value("FrameContentSequence", keyword)
        if text is not None:
            try:
                time = float(str(text))  # YYYYMMDDHHMMSS.FFFFFF grows with time
            except ValueError:
                continue
            if math.isfinite(time):
                return {keyword: time}
    return {}


def _plain(value: float | str | Iterable[float | str]) -> Value | tuple[Value, ...]:
    if isinstance(value, int | float | str):
        return float(value) if isinstance(value, int | float) else str(value)
    return tuple(float(v) if isinstance(v, int | float) else str(v) for v in value)

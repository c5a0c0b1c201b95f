"""What the samples of a series share: identity, attributes, channels."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voxtile.corpus.records import Row
from voxtile_medical.burned_in.blank import TextChoice
from voxtile_medical.dicom_header.attributes import attributes_of
from voxtile_medical.dicom_header.element_values import Value, Values
from voxtile_medical.dicom_header.headers import FileHeader
from voxtile_medical.dicom_planes.frames import Frame
from voxtile_medical.dicom_planes.geometry import REFUSE, GridChoice
from voxtile_medical.dicom_planes.pixels import PixelLayout
from voxtile_medical.dicom_planes.stored import Scale, padding_range
from voxtile_medical.suv.compute import SuvChoice


@dataclass(frozen=True)
class SeriesContext:
    """What every sample of a series shares.

    Attributes:
        root: the source folder.
        headers: files of the series.
        content: identity of the series, hashed or not.
        row: columns that are the same for all its samples (subject, study, source, licence, datetime).
        min_slices: fewest planes of a volume.
        suv: which SUV PET volumes are made.
        marks: attributes that name the series and its frame of reference, hashed or not.
        instances: what stands for each file's instance; empty for volumes.
        film_frames: how many frames of a film become pictures.
        grid: what is made of planes on no right-angled, evenly spaced grid.
        find_text: whether text is looked for in the pixels, and what becomes of a picture in which there is some.
        deface: the face is taken off heads.
    """

    root: Path
    headers: Sequence[FileHeader]
    content: str
    row: Row
    min_slices: int
    suv: SuvChoice = "none"
    marks: Mapping[str, Any] = field(default_factory=dict)
    instances: tuple[str, ...] = ()
    film_frames: int = 1
    grid: GridChoice = REFUSE
    find_text: TextChoice = "no"
    deface: bool = False


def acquisition_attributes(header: FileHeader, layout: PixelLayout, frame: Frame | None = None) -> dict[str, Any]:
    """Facts of a header that may be kept, with what a frame of an enhanced file says better."""
    facts = attributes_of(header.values if frame is None else values_of(header, frame))
    padding = None if layout.is_colour else padding_range(header.values, layout)
    if padding:
        facts["padding"] = list(padding)
    facts["bits_stored"] = layout.bits_stored
    return facts


def values_of(header: FileHeader, frame: Frame) -> Values:
    """Elements of a file with what one of its frames says better."""
    own = {_OF_FRAME[name]: _tuple(value) for name, value in frame.keys.items() if name in _OF_FRAME}
    return header.values | frame.facts | own


# What a frame may say better than its file, by the element that means the same.
_OF_FRAME = {
    "ImageType": "ImageType",
    "EchoTime": "EchoTime",
    "EffectiveEchoTime": "EchoTime",
    "DiffusionBValue": "DiffusionBValue",
    "RescaleType": "RescaleType",
    "ComplexImageComponent": "ComplexImageComponent",
    "ASLContext": "ASLContext",
}


def _tuple(value: Hashable) -> tuple[Value, ...]:
    return value if isinstance(value, tuple) else (value,)


def channel(name: str, unit: str, scale: Scale) -> dict[str, Any]:
    """An entry of `channels`: physical = stored · scale + offset."""
    return {"name": name, "wavelength_nm": None, "unit": unit, "scale": scale.slope, "offset": scale.intercept}


def window_limits(window: tuple[float, float], scale: Scale) -> tuple[float, float]:
    """Stored values at the ends of a display window (centre and width in physical values)."""
    centre, width = window
    ends = [(centre + sign * width / 2 - scale.intercept) / scale.slope for sign in (-1, 1)]
    return ends[0], ends[1]


def as_json(attributes: Mapping[str, Any]) -> str:
    """Attributes as the table holds them.

    Raises:
        ValueError: a number is not finite, which JSON does not know.
    """
    return json.dumps(attributes, sort_keys=True, separators=(",", ":"), allow_nan=False)

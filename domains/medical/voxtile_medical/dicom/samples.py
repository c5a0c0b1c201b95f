"""Samples from a series: volumes with their affine, pictures with their window."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxtile.corpus.identity import sample_uid
from voxtile.engine.task import Row, Sample
from voxtile_medical.dicom.attributes import attributes_of
from voxtile_medical.dicom.enhanced import enhanced_frames, is_enhanced
from voxtile_medical.dicom.frames import Frame, classic_frame
from voxtile_medical.dicom.geometry import Stack, stack_frames
from voxtile_medical.dicom.headers import FileHeader, Value, Values
from voxtile_medical.dicom.kinds import modality_of
from voxtile_medical.dicom.mosaic import is_mosaic, mosaic_frames
from voxtile_medical.dicom.pixels import (
    PixelArray,
    PixelLayout,
    check_length,
    layout_of,
    read_frames,
    refuse_if_too_large,
)
from voxtile_medical.dicom.stored import (
    Scale,
    harmonise,
    invert,
    inverted_window,
    padding_mask,
    padding_range,
    units_of,
    window_of,
)
from voxtile_medical.dicom.volumes import VolumeFrames, split_volumes
from voxtile_medical.orientation import spacing_zyx, to_nearest_ras
from voxtile_medical.preview import CT_WINDOW, picture_preview, volume_preview
from voxtile_medical.verdicts import Verdict


@dataclass(frozen=True)
class SeriesContext:
    """What every sample of a series shares.

    Attributes:
        root: the source folder.
        headers: files of the series.
        content: identity of the series, hashed or not.
        row: columns that are the same for all its samples (subject, study, source, licence, datetime).
        min_slices: fewest planes of a volume.
    """

    root: Path
    headers: Sequence[FileHeader]
    content: str
    row: Row
    min_slices: int


def volume_samples(context: SeriesContext) -> tuple[list[Sample], list[Verdict]]:
    """The volumes of a series.

    Returns:
        A sample for each volume that is sound, and the verdicts on the others.

    Raises:
        Verdict: nothing of the series can be used.
    """
    layout, frames = _frames(context)
    volumes = split_volumes(frames)
    samples: list[Sample] = []
    verdicts: list[Verdict] = []
    reader = _FileReader(context, layout)
    for number, volume in enumerate(volumes):
        try:
            stack = stack_frames(volume.frames, context.min_slices)
            samples.append(_volume(context, layout, reader, volume, stack, number, len(volumes)))
        except Verdict as verdict:
            verdicts.append(verdict)
    if not samples:
        raise verdicts[0]
    return samples, verdicts


def picture_samples(context: SeriesContext) -> tuple[list[Sample], list[Verdict]]:
    """One picture a file.

    Raises:
        Verdict: no file of the series can be used.
    """
    samples: list[Sample] = []
    verdicts: list[Verdict] = []
    for number, header in enumerate(context.headers):
        try:
            samples.append(_picture(context, header, number))
        except Verdict as verdict:
            verdicts.append(verdict)
    if not samples:
        raise verdicts[0]
    return samples, verdicts


def _frames(context: SeriesContext) -> tuple[PixelLayout, list[Frame]]:
    layouts = [layout_of(header) for header in context.headers]
    first = layouts[0]
    if first.is_colour:
        raise Verdict("unsupported-pixels", "colour planes do not make a volume of measured values")
    for header, layout in zip(context.headers, layouts, strict=True):
        if (layout.rows, layout.columns, layout.dtype, layout.bits_stored) != (
            first.rows,
            first.columns,
            first.dtype,
            first.bits_stored,
        ):
            raise Verdict("inconsistent-size", "the planes differ in size or in number type")
        check_length(header, layout)
    refuse_if_too_large(sum(layout.nbytes for layout in layouts))
    frames: list[Frame] = []
    for file, (header, layout) in enumerate(zip(context.headers, layouts, strict=True)):
        if is_enhanced(header):
            frames += enhanced_frames(context.root, header, file)
        elif is_mosaic(header):
            frames += mosaic_frames(context.root, header, layout, file)
        elif layout.frames > 1:
            raise Verdict("no-geometry", "a multi-frame file that does not say where each frame lies")
        else:
            frames.append(classic_frame(header, file))
    return first, frames


class _FileReader:
    """Planes by frame; the last decoded multi-frame file is kept."""

    def __init__(self, context: SeriesContext, layout: PixelLayout) -> None:
        self._context = context
        self._layout = layout
        self._file = -1
        self._pixels: PixelArray = np.empty(0)

    def plane(self, frame: Frame) -> PixelArray:
        """[Y, X] stored values of a frame."""
        if frame.file != self._file:
            header = self._context.headers[frame.file]
            self._pixels = read_frames(self._context.root, header, layout_of(header))
            self._file = frame.file
        pixels: PixelArray = self._pixels[frame.index]
        if frame.tile is None:
            return pixels
        row, column, rows, columns = frame.tile
        return pixels[row : row + rows, column : column + columns]


def _volume(
    context: SeriesContext,
    layout: PixelLayout,
    reader: _FileReader,
    volume: VolumeFrames,
    stack: Stack,
    number: int,
    count: int,
) -> Sample:
    header = context.headers[stack.frames[0].file]
    first = reader.plane(stack.frames[0])
    planes = np.empty((len(stack.frames), *first.shape), dtype=layout.dtype)
    for k, frame in enumerate(stack.frames):
        planes[k] = reader.plane(frame)
    padding = padding_mask(header.values, layout, planes)
    values, scale, is_harmonised = harmonise(planes, stack.frames)
    array, affine = to_nearest_ras(values, stack.affine)
    modality = modality_of(header)
    attributes = _attributes(header, layout, stack.frames[0].keys) | _labels(volume.label)
    if count > 1:
        attributes |= {"volume": number, "volumes": count}
    if is_harmonised:
        attributes["scale_harmonised"] = True
    if layout.photometric == "MONOCHROME1":
        attributes["photometric"] = "MONOCHROME1"
    units = units_of(header.values, modality)
    row = context.row | {
        "uid": sample_uid(context.content, f"volume {number}" if count > 1 else ""),
        "kind": "volume",
        "modality": modality,
        "axes": "ZYX",
        "units": units,
        "channels": [_channel(modality, units, scale)],
        "affine": [float(v) for v in affine.reshape(-1)],
        "spacing": spacing_zyx(affine),
        "valid_fraction": 1.0 if padding is None else float(1 - padding.mean()),
        "attributes": _json(attributes),
    }
    limits = _ct_limits(scale) if units == "HU" else None
    return Sample(row=row, payload=array, preview=volume_preview(array, row["spacing"], limits))


def _picture(context: SeriesContext, header: FileHeader, number: int) -> Sample:
    layout = layout_of(header)
    if layout.frames > 1:
        raise Verdict("unsupported-modality", "a film of several frames; only single pictures are converted")
    check_length(header, layout)
    pixels = read_frames(context.root, header, layout)[0]
    attributes = _attributes(header, layout)
    slope = (header.values.get("RescaleSlope") or (1.0,))[0]
    intercept = (header.values.get("RescaleIntercept") or (0.0,))[0]
    scale = Scale(float(slope) or 1.0, float(intercept))
    window = window_of(header)
    padding = None if layout.is_colour else padding_mask(header.values, layout, pixels)
    if layout.photometric == "MONOCHROME1" and layout.dtype.kind != "f":
        pixels = invert(pixels, layout)
        window = inverted_window(window, layout, scale) if window else None
        attributes["inverted_from"] = "MONOCHROME1"
    if window:
        attributes["window"] = list(window)
    modality = modality_of(header)
    row = context.row | {
        "uid": sample_uid(context.content, f"picture {number}" if len(context.headers) > 1 else ""),
        "kind": "image",
        "modality": modality,
        "axes": "YXC" if layout.is_colour else "YX",
        "units": "a.u.",
        "channels": [_channel(name, "a.u.", scale) for name in (("R", "G", "B") if layout.is_colour else (modality,))],
        "spacing": _picture_spacing(header),
        "valid_fraction": 1.0 if padding is None else float(1 - padding.mean()),
        "attributes": _json(attributes),
    }
    return Sample(
        row=row, payload=np.ascontiguousarray(pixels), preview=picture_preview(pixels, _window_limits(window, scale))
    )


def _attributes(header: FileHeader, layout: PixelLayout, keys: Mapping[str, Hashable] | None = None) -> dict[str, Any]:
    own: Values = {_OF_FRAME[name]: _tuple(value) for name, value in (keys or {}).items() if name in _OF_FRAME}
    facts = attributes_of(header.values | own)
    padding = None if layout.is_colour else padding_range(header.values, layout)
    if padding:
        facts["padding"] = list(padding)
    facts["bits_stored"] = layout.bits_stored
    return facts


# What a frame may say better than its file, by the element that means the same.
_OF_FRAME = {
    "ImageType": "ImageType",
    "EchoTime": "EchoTime",
    "EffectiveEchoTime": "EchoTime",
    "DiffusionBValue": "DiffusionBValue",
}


def _tuple(value: Hashable) -> tuple[Value, ...]:
    return value if isinstance(value, tuple) else (value,)


def _labels(label: Mapping[str, Hashable]) -> dict[str, Any]:
    """Numbers that tell a volume apart; texts are left out, since a header's text may say anything."""
    numbers: dict[str, Any] = {}
    for name, value in label.items():
        flat = value if isinstance(value, tuple) else (value,)
        if name not in _TIMES and all(isinstance(v, int | float) for v in flat):
            numbers[name] = list(flat) if len(flat) > 1 else flat[0]
    return {"volume_key": numbers} if numbers else {}


_TIMES = frozenset({"AcquisitionDateTime", "AcquisitionTime"})


def _channel(name: str, unit: str, scale: Scale) -> dict[str, Any]:
    return {"name": name, "wavelength_nm": None, "unit": unit, "scale": scale.slope, "offset": scale.intercept}


def _picture_spacing(header: FileHeader) -> list[float] | None:
    """Spacing between rows and between columns; at the detector where the plane of the patient is not known (mm)."""
    for name in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        values = header.values.get(name)
        if values and len(values) == 2 and all(isinstance(v, float) and v > 0 for v in values):
            return [float(v) for v in values]
    return None


def _ct_limits(scale: Scale) -> tuple[float, float]:
    centre, width = CT_WINDOW
    ends = [(centre + sign * width / 2 - scale.intercept) / (scale.slope or 1.0) for sign in (-1, 1)]
    return ends[0], ends[1]


def _window_limits(window: tuple[float, float] | None, scale: Scale) -> tuple[float, float] | None:
    if window is None:
        return None
    ends = [(window[0] + sign * window[1] / 2 - scale.intercept) / scale.slope for sign in (-1, 1)]
    return ends[0], ends[1]


def _json(attributes: Mapping[str, Any]) -> str:
    return json.dumps(attributes, sort_keys=True, separators=(",", ":"))

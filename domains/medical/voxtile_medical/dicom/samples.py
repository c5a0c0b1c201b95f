"""Volumes from a series, each with its affine."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from voxtile.corpus.identity import sample_uid
from voxtile.corpus.records import Sample
from voxtile.engine.task import Part
from voxtile_medical.burned_in.blank import refuse_text_in_planes
from voxtile_medical.dicom.instances import instance_attributes
from voxtile_medical.dicom.sample_rows import (
    SeriesContext,
    acquisition_attributes,
    as_json,
    channel,
    values_of,
    window_limits,
)
from voxtile_medical.dicom.series_kinds import modality_of
from voxtile_medical.dicom_header.attributes import attributes_of
from voxtile_medical.dicom_header.element_values import Values
from voxtile_medical.dicom_planes.ct_numbers import CtNumbers, ct_numbers
from voxtile_medical.dicom_planes.diffusion import direction_ras, with_diffusion
from voxtile_medical.dicom_planes.enhanced import enhanced_frames, is_enhanced
from voxtile_medical.dicom_planes.frames import Frame, check_frame, classic_frame
from voxtile_medical.dicom_planes.geometry import Stack, stack_frames
from voxtile_medical.dicom_planes.mosaic import is_mosaic, mosaic_frames
from voxtile_medical.dicom_planes.nuclear import is_nuclear, nuclear_frames
from voxtile_medical.dicom_planes.philips import philips_scale
from voxtile_medical.dicom_planes.pixels import (
    PixelArray,
    PixelLayout,
    check_length,
    layout_of,
    read_frames,
    refuse_if_too_large,
)
from voxtile_medical.dicom_planes.regular_grid import on_regular_grid
from voxtile_medical.dicom_planes.stored import Scale, harmonise, padding_mask, padding_range
from voxtile_medical.dicom_planes.uih_grid import is_uih_grid, uih_frames
from voxtile_medical.dicom_planes.units import not_hu, units_of
from voxtile_medical.dicom_planes.volumes import VolumeFrames, split_volumes, unmerged
from voxtile_medical.orientation import Affine, spacing_zyx, to_nearest_ras
from voxtile_medical.plausible import check_spacing, is_finite
from voxtile_medical.preview import CT_WINDOW, volume_preview
from voxtile_medical.suv.series import PetValues, pet_values
from voxtile_medical.verdicts import Verdict

_ELSEWHERE = {"Direction", "StackID"}  # stacks of other places have planes of their own
_FEW = 10  # one in so many planes, or a single one, is missing rather than not meant


def volume_samples(context: SeriesContext) -> tuple[list[Sample], list[Verdict], list[Part]]:
    """The volumes of a series.

    Returns:
        A sample for each volume that is sound, the verdicts on the others, and the rows of what is not as was asked
        for: volumes that are not stored or lack a plane, values that are no SUV, and CT values that are not HU.

    Raises:
        Verdict: nothing of the series can be used.
    """
    layouts, frames = _frames(context)
    layout = layouts[0]
    volumes = [part for volume in split_volumes(frames) for part in unmerged(volume, context.min_slices, context.grid)]
    samples: list[Sample] = []
    verdicts: list[Verdict] = []
    refused: list[Part] = []
    reader = _FileReader(context, layouts)
    most = max(len(volume.frames) for volume in volumes)
    for number, volume in enumerate(volumes):
        try:
            stack = volume.stack or stack_frames(volume.frames, context.min_slices, context.grid)
            sample, refusal = _volume(context, layout, reader, volume, stack, number, len(volumes))
            samples.append(sample)
            if stack.irregular:
                verdicts.append(Verdict("resampled", f"{_irregular(stack)}; it is interpolated onto a regular grid"))
            elif stack.steps is not None:
                varies = f"the step between planes varies from {stack.steps[0]:.4g} to {stack.steps[1]:.4g} mm"
                verdicts.append(Verdict("uneven-steps", f"{varies}; the affine has their mean"))
            refused += [
                Part(sample.row["uid"], "dropped", r.reason, r.detail) for r in (refusal, _short(volume, most)) if r
            ]
        except Verdict as verdict:
            verdicts.append(verdict)
            uid = volume_uid(context, number, len(volumes))
            refused.append(
                Part(uid, "failed" if verdict.status == "failed" else "dropped", verdict.reason, str(verdict))
            )
    if not samples:
        raise verdicts[0]
    return samples, verdicts, refused


def _short(volume: VolumeFrames, most: int) -> Verdict | None:
    """What to know of a phase that lacks hardly a plane: its first or last did not arrive, or it covers less."""
    count = len(volume.frames)
    if not 0 < most - count <= max(1, most // _FEW) or _ELSEWHERE & volume.label.keys():
        return None
    return Verdict("planes-short", f"it has {count} planes, and another volume of its series {most}; is it whole?")


def volume_uid(context: SeriesContext, number: int, count: int, geometry: str = "") -> str:
    """Uid of one of the volumes of a series; `geometry` says what was made of its grid."""
    return sample_uid(context.content, f"volume {number}" if count > 1 else "", geometry)


def _irregular(stack: Stack) -> str:
    tilt = f"the planes are stacked {stack.tilt:.1f} degrees off their normal" if stack.tilt else ""
    steps = (
        f"the step between planes varies from {stack.steps[0]:.4g} to {stack.steps[1]:.4g} mm" if stack.steps else ""
    )
    return " and ".join(text for text in (tilt, steps) if text) or "the planes do not lie on a regular grid"


def _frames(context: SeriesContext) -> tuple[list[PixelLayout], list[Frame]]:
    layouts = [layout_of(header) for header in context.headers]
    first = layouts[0]
    if first.is_colour:
        raise Verdict("unsupported-pixels", "colour planes do not make a volume of measured values")
    for header, layout in zip(context.headers, layouts, strict=True):
        if (layout.rows, layout.columns) != (first.rows, first.columns):
            sizes = f"{first.rows} × {first.columns} and {layout.rows} × {layout.columns} pixels"
            raise Verdict("inconsistent-size", f"the planes differ in size, such as {sizes}")
        if (layout.dtype, layout.bits_stored) != (first.dtype, first.bits_stored):
            types = f"{first.dtype} of {first.bits_stored} bits and {layout.dtype} of {layout.bits_stored}"
            why = f"the planes differ in number type ({types}: PixelRepresentation, BitsAllocated or BitsStored)"
            raise Verdict("inconsistent-type", f"{why}; write them again alike (dcmdjpeg, gdcmconv or pydicom)")
        check_length(header, layout)
        if "ModalityLUTSequence" in header.values:
            why = "measured values are those of a table (ModalityLUTSequence), which is not applied"
            raise Verdict("modality-lut", f"{why}; write the files again with RescaleSlope and RescaleIntercept")
    refuse_if_too_large(sum(layout.nbytes for layout in layouts))
    frames: list[Frame] = []
    for file, (header, layout) in enumerate(zip(context.headers, layouts, strict=True)):
        if is_enhanced(header):
            frames += enhanced_frames(context.root, header, file)
        elif is_mosaic(header):
            frames += mosaic_frames(context.root, header, layout, file)
        elif is_uih_grid(header):
            frames += uih_frames(context.root, header, layout, file)
        elif is_nuclear(header):
            frames += nuclear_frames(context.root, header, layout, file)
        elif layout.frames > 1:
            raise Verdict("no-geometry", "a multi-frame file that does not say where each frame lies")
        else:
            frames.append(classic_frame(header, file))
    modality = modality_of(context.headers[0])
    for frame in frames:
        check_frame(frame, modality)
    if modality == "MR" and not is_enhanced(context.headers[0]):
        frames = with_diffusion(context.root, context.headers, frames)
    return layouts, frames


class _FileReader:
    """Planes by frame; the last decoded multi-frame file is kept."""

    def __init__(self, context: SeriesContext, layouts: Sequence[PixelLayout]) -> None:
        self._context = context
        self._layouts = layouts
        self._file = -1
        self._pixels: PixelArray = np.empty(0)

    def plane(self, frame: Frame) -> PixelArray:
        """[Y, X] stored values of a frame."""
        if frame.file != self._file:
            self._pixels = self._read(frame)
            self._file = frame.file
        pixels: PixelArray = self._pixels[frame.index]
        if frame.tile is None:
            return pixels
        row, column, rows, columns = frame.tile
        return pixels[row : row + rows, column : column + columns]

    def _read(self, frame: Frame) -> PixelArray:
        """Pixels of a frame's file. The row of a series has the name of its first file, so that which one is said."""
        header = self._context.headers[frame.file]
        try:
            return read_frames(self._context.root, header, self._layouts[frame.file])
        except Verdict as verdict:
            if len(self._context.headers) == 1 or frame.number is None:
                raise
            raise Verdict(
                verdict.reason, f"the file with InstanceNumber {frame.number:g}: {verdict.detail}"
            ) from verdict


def _volume(
    context: SeriesContext,
    layout: PixelLayout,
    reader: _FileReader,
    volume: VolumeFrames,
    stack: Stack,
    number: int,
    count: int,
) -> tuple[Sample, Verdict | None]:
    header = context.headers[stack.frames[0].file]
    modality = modality_of(header)
    check_spacing(spacing_zyx(stack.affine), modality, name="the distance between voxels")
    first = reader.plane(stack.frames[0])
    planes = np.empty((len(stack.frames), *first.shape), dtype=layout.dtype)
    for k, frame in enumerate(stack.frames):
        planes[k] = reader.plane(frame)
    if context.find_text != "no":
        refuse_text_in_planes(planes)
    padding = padding_mask(header.values, layout, planes)
    said = values_of(header, stack.frames[0])
    values, scale, is_harmonised, physical, refused = _measured(context, stack, planes, padding, said, modality)
    scanned = stack.affine
    if stack.irregular:
        low = padding_range(header.values, layout)
        regular = on_regular_grid(values, stack.frames, padding, low[0] if low and not is_harmonised else values.min())
        values, scanned = regular.values, regular.affine
        padding = regular.empty if padding is not None or regular.empty.any() else None
    array, affine = to_nearest_ras(values, scanned)
    if context.deface:
        from voxtile_medical.deface.peel import without_face

        part, linear = attributes_of(said).get("body_part"), (scale.slope, scale.intercept)
        array, faceless = without_face(array, spacing_zyx(affine), modality, physical.units, linear, part)
        physical.facts.update(faceless)
    attributes = acquisition_attributes(header, layout, stack.frames[0]) | _labels(volume.label) | physical.facts
    attributes |= _geometry_attributes(context, stack, affine)
    if count > 1:
        attributes |= {"volume": number, "volumes": count}
    if stack.steps is not None:
        attributes["steps_mm"] = [round(step, 4) for step in stack.steps]
    if is_harmonised:
        attributes["scale_harmonised"] = True
    if layout.photometric == "MONOCHROME1":
        attributes["photometric"] = "MONOCHROME1"
    row = context.row | {
        "uid": volume_uid(context, number, count, "resampled" if stack.irregular else ""),
        "kind": "volume",
        "modality": modality,
        "axes": "ZYX",
        "units": physical.units,
        "channels": [channel(modality, physical.units, scale)],
        "affine": [float(v) for v in affine.reshape(-1)],
        "spacing": spacing_zyx(affine),
        "valid_fraction": 1.0 if padding is None else float(1 - padding.mean()),
        "attributes": as_json(attributes),
    }
    limits = window_limits(CT_WINDOW, scale) if physical.units == "HU" else None
    return Sample(row=row, payload=array, preview=volume_preview(array, row["spacing"], limits)), refused


class _Measured(NamedTuple):
    """Planes of one scale, what makes physical values of them, and why these are not what was asked for."""

    values: PixelArray
    scale: Scale
    is_harmonised: bool
    physical: PetValues
    refused: Verdict | None


def _measured(
    context: SeriesContext,
    stack: Stack,
    planes: PixelArray,
    padding: npt.NDArray[np.bool_] | None,
    said: Values,
    modality: str,
) -> _Measured:
    """SUV of PET, the signal of MR as Philips scales it, HU of CT where it is HU."""
    units = units_of(said, modality)
    if modality == "PT":
        physical = pet_values(context.root, context.headers, stack.frames, units, context.suv)
    elif modality == "MR":
        signal = philips_scale(context.root, context.headers, stack.frames)
        physical = PetValues(signal.frames, units, signal.facts)
    else:
        physical = PetValues(stack.frames, units, {})
    values, scale, is_harmonised = harmonise(planes, physical.frames)
    refusal = physical.refusal
    refused = None if refusal is None else Verdict(f"suv-{refusal.reason}", refusal.detail)
    if modality == "CT":
        numbers = ct_numbers(values, scale, padding) if units == "HU" else CtNumbers(fault=not_hu(said))
        if numbers.fault:
            physical, refused = replace(physical, units="a.u."), Verdict("not-hu", numbers.fault)
        physical.facts.update({"not_hu": numbers.fault} if numbers.fault else {"ct_numbers": dict(numbers.peaks)})
    return _Measured(values, scale, is_harmonised, physical, refused)


def _geometry_attributes(context: SeriesContext, stack: Stack, affine: Affine) -> dict[str, Any]:
    """How the planes lay, and which instance each of them is from."""
    found: dict[str, Any] = {}
    if stack.frames[0].gradient is not None:
        found["diffusion_direction"] = direction_ras(stack.frames[0].gradient)
    found |= context.marks
    if stack.irregular:
        found["resampled"] = "linear"
    else:
        found |= instance_attributes(context.headers, stack.frames, np.linalg.inv(affine) @ stack.affine)
    if stack.tilt:
        found["stack_tilt_deg"] = round(stack.tilt, 3)
    return found


def _labels(label: Mapping[str, Hashable]) -> dict[str, Any]:
    """Numbers that tell a volume apart; texts are left out, since a header's text may say anything."""
    numbers: dict[str, Any] = {}
    for name, value in label.items():
        flat = value if isinstance(value, tuple) else (value,)
        if name not in _TIMES and all(is_finite(v) for v in flat):
            numbers[name] = list(flat) if len(flat) > 1 else flat[0]
    return {"volume_key": numbers} if numbers else {}


_TIMES = frozenset({"AcquisitionDateTime", "AcquisitionTime"})

"""Pictures from a series: radiographs, scintigraphies, frames of films, and captures where they are allowed."""

from __future__ import annotations

import json

import numpy as np
import numpy.typing as npt

from voxtile.corpus.identity import sample_uid
from voxtile.corpus.records import Sample
from voxtile.engine.task import Part
from voxtile_medical.burned_in.blank import blank_text, refuse_text
from voxtile_medical.burned_in.finder import TextRegion
from voxtile_medical.dicom.film_sign import film_sign, intent
from voxtile_medical.dicom.sample_rows import SeriesContext, acquisition_attributes, as_json, channel, window_limits
from voxtile_medical.dicom.series_kinds import PICTURE_MODALITIES, modality_of, states_text
from voxtile_medical.dicom_header.headers import FileHeader
from voxtile_medical.dicom_planes.frames import scale_of, stated
from voxtile_medical.dicom_planes.pixels import PixelArray, PixelLayout, check_length, layout_of, read_frames
from voxtile_medical.dicom_planes.stored import (
    Scale,
    invert,
    padding_mask,
    shown_scale,
    shown_window,
    window_of,
)
from voxtile_medical.plausible import check_scale, check_spacing
from voxtile_medical.preview import picture_preview
from voxtile_medical.verdicts import Verdict


def picture_samples(context: SeriesContext) -> tuple[list[Sample], list[Verdict], list[Part]]:
    """One picture a file, or some frames of a film.

    Returns:
        The samples, the verdicts on files that cannot be used, and the rows of pictures that may be the wrong way
        round, or of which text was blanked.

    Raises:
        Verdict: no file of the series can be used.
    """
    samples: list[Sample] = []
    verdicts: list[Verdict] = []
    parts: list[Part] = []
    for number, header in enumerate(context.headers):
        try:
            pictures = _pictures(context, header, number)
        except Verdict as verdict:
            verdicts.append(verdict)
            continue
        samples += [sample for sample, _ in pictures]
        parts += [said_of for sample, _ in pictures if (said_of := _said_of_text(sample))]
        faults = [(sample, fault) for sample, fault in pictures if fault]
        parts += [Part(sample.row["uid"], "dropped", "uncertain-polarity", fault) for sample, fault in faults]
        frames = layout_of(header).frames
        if len(pictures) < frames:
            said = f"{len(pictures)} of the {frames} frames of a film are stored; --film-frames says how many"
            verdicts.append(Verdict("film", said))
    if not samples:
        raise verdicts[0]
    return samples, verdicts, parts


def _pictures(context: SeriesContext, header: FileHeader, number: int) -> list[tuple[Sample, str | None]]:
    layout = layout_of(header)
    check_length(header, layout)
    chosen = chosen_frames(layout.frames, context.film_frames)
    pixels = read_frames(context.root, header, layout, chosen if layout.frames > 1 else None)
    return [
        _picture(context, header, layout, picture, number, frame) for frame, picture in zip(chosen, pixels, strict=True)
    ]


def _picture(
    context: SeriesContext, header: FileHeader, layout: PixelLayout, pixels: PixelArray, number: int, frame: int
) -> tuple[Sample, str | None]:
    attributes = {**acquisition_attributes(header, layout), **context.marks}
    name = f"picture {number}" if len(context.headers) > 1 else ""
    if layout.frames > 1:
        attributes |= {"frame": frame + 1, "frames": layout.frames}
        name = f"{name or 'picture 0'} frame {frame}"
    if context.instances:
        attributes["instance"] = context.instances[number]
    scale, spacing = check_picture(header)
    # Behind a table it is one of the table's values (PS3.3 C.11.2.1.2), and pixels are stored as they are before it.
    window = None if "ModalityLUTSequence" in header.values else window_of(header)
    padding = None if layout.is_colour else padding_mask(header.values, layout, pixels)
    modality = modality_of(header)
    fault = None
    if not layout.is_colour and layout.dtype.kind != "f" and modality in PICTURE_MODALITIES:
        sign = film_sign(context.root, header, scale.slope)
        fault, shown = sign.fault, shown_scale(scale, layout, sign.falls, sign.turned_by)
        pixels = invert(pixels, layout) if sign.falls else pixels
        window = shown_window(window, layout, scale, shown, sign.falls) if window else None
        scale = shown
        attributes |= {"inverted_from": " · ".join(sign.turned_by)} if sign.falls else {}
        attributes |= {"polarity": "uncertain"} if fault else {}
    elif layout.photometric == "MONOCHROME1" and layout.dtype.kind != "f":
        pixels = invert(pixels, layout)
        window = shown_window(window, layout, scale, scale, True) if window else None
        attributes["inverted_from"] = "MONOCHROME1"
    pixels, blanked = _without_text(context, header, pixels)
    if blanked is not None:
        attributes["blanked"] = [[r.top, r.left, r.bottom, r.right] for r in blanked]
    if modality in PICTURE_MODALITIES and (meant := intent(header)):
        attributes["presentation_intent"] = meant
    if window:
        attributes["window"] = list(window)
    limits = window_limits(window, scale) if window else None
    row = context.row | {
        "uid": sample_uid(context.content, name),
        "kind": "image",
        "modality": modality,
        "axes": "YXC" if layout.is_colour else "YX",
        "units": "a.u.",
        "channels": [channel(name, "a.u.", scale) for name in (("R", "G", "B") if layout.is_colour else (modality,))],
        "spacing": spacing,
        "valid_fraction": _valid_fraction(padding, blanked or [], pixels.shape),
        "attributes": as_json(attributes),
    }
    return Sample(row=row, payload=np.ascontiguousarray(pixels), preview=picture_preview(pixels, limits)), fault


def _without_text(
    context: SeriesContext, header: FileHeader, pixels: PixelArray
) -> tuple[PixelArray, list[TextRegion] | None]:
    """The picture as it may be kept, and what was blanked; None where text was not looked for."""
    if context.find_text == "no":
        return pixels, None
    if context.find_text == "refuse":
        refuse_text(pixels)
        blanked: list[TextRegion] = []
    else:
        pixels, blanked = blank_text(pixels)
    if states_text(header) and not blanked:
        raise Verdict("burned-in", "BurnedInAnnotation is YES, and no text was found that could be blanked")
    return pixels, blanked


def _said_of_text(sample: Sample) -> Part | None:
    places = len(json.loads(sample.row["attributes"]).get("blanked") or ())
    why = f"text was blanked in {places} places"
    return Part(sample.row["uid"], "dropped", "text-blanked", why) if places else None


def _valid_fraction(padding: npt.NDArray[np.bool_] | None, blanked: list[TextRegion], shape: tuple[int, ...]) -> float:
    valid = np.ones(shape[:2], dtype=bool) if padding is None else ~padding
    for region in blanked:
        valid[region.top : region.bottom, region.left : region.right] = False
    return float(valid.mean())


def check_picture(header: FileHeader) -> tuple[Scale, list[float] | None]:
    """Scale of a picture's values, and its spacing.

    Returns:
        The scale; mm between rows and between columns, at the detector where the plane of the patient is not known.

    Raises:
        Verdict: `unreadable-value`, `implausible-scale` or `implausible-spacing`.
    """
    modality = modality_of(header)
    scale = Scale(*scale_of(header.values))
    check_scale(scale.slope, scale.intercept, modality)
    for name in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        spacing = stated(header.values, name, 2)
        if spacing is not None and any(spacing):  # some writers give 0 for unknown
            check_spacing(spacing, modality, name=name)
            return scale, list(spacing)
    return scale, None


def chosen_frames(count: int, wanted: int) -> tuple[int, ...]:
    """Frames of a film (cine, multi-frame capture, planar scintigraphy), evenly spaced, each in the middle of its part.

    Args:
        count: frames of the film.
        wanted: how many pictures; all frames where there are fewer.

    >>> chosen_frames(60, 1), chosen_frames(60, 3), chosen_frames(2, 3)
    ((30,), (10, 30, 50), (0, 1))
    """
    if count <= wanted:
        return tuple(range(count))
    return tuple((2 * part + 1) * count // (2 * wanted) for part in range(wanted))

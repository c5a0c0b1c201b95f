"""Series that continue each other plane by plane: one volume, it may be, that was filed under two series UIDs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise

import numpy as np

from voxtile_medical.dicom.series_kinds import VOLUME_MODALITIES
from voxtile_medical.dicom_header.headers import FileHeader

_SAME_STEP = 0.02  # of a step: steps, and the gap between the two series, differ by less
_LEAST = 2  # planes that make a step
_ALIKE = ("StudyInstanceUID", "PatientID", "FrameOfReferenceUID", "Modality", "Rows", "Columns", "PixelSpacing")


def continued_series(headers: Iterable[FileHeader]) -> int:
    """How many series begin one step behind the last plane of another of their frame of reference.

    Such series have equal planes and steps in one line. Stations of a scan may be filed so on purpose.

    Args:
        headers: of a tree.
    """
    series: dict[tuple[object, ...], list[tuple[float, ...]]] = defaultdict(list)
    for header in headers:
        position, turned = header.values.get("ImagePositionPatient"), header.values.get("ImageOrientationPatient")
        if header.text("Modality") not in VOLUME_MODALITIES or not header.text("FrameOfReferenceUID"):
            continue
        try:
            place = tuple(float(value) for value in position or ())
            axes = tuple(round(float(value), 4) for value in turned or ())
        except (TypeError, ValueError):
            continue
        if len(place) == 3 and len(axes) == 6:
            alike = tuple(str(header.values.get(name)) for name in _ALIKE)
            series[(*alike, axes, header.text("SeriesInstanceUID"))].append(place)
    grouped: dict[tuple[object, ...], list[tuple[float, float, float]]] = defaultdict(list)
    for key, places in series.items():
        if len(places) >= _LEAST:
            turned_as = np.array(key[-2], dtype=np.float64).reshape(2, 3)
            along = np.array(places) @ np.cross(turned_as[0], turned_as[1])
            steps = np.diff(np.sort(along))
            if steps.min() > 0 and np.ptp(steps) <= _SAME_STEP * steps.max():
                beside = tuple(round(float(value), 1) for value in turned_as @ np.array(places[0]))
                grouped[(*key[:-1], beside)].append((float(along.min()), float(along.max()), float(np.median(steps))))
    found = 0
    for ranges in grouped.values():
        for (_, end, step), (start, _, other) in pairwise(sorted(ranges)):
            found += abs(step - other) <= _SAME_STEP * step and abs(start - end - step) <= _SAME_STEP * step
    return found

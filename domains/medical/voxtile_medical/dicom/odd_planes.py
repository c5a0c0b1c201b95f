"""Planes that do not belong to the volume of their series: a scout without its mark, a dose sheet among the slices.

A few planes of another direction or size, or without a place, cost a row each and not the series. A plane of another
size that lies where the stack goes on is a damaged slice, and then the series keeps its verdict.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from voxtile_medical.dicom.series_kinds import kind_of
from voxtile_medical.dicom_header.headers import FileHeader
from voxtile_medical.dicom_planes.enhanced import is_enhanced
from voxtile_medical.dicom_planes.frames import floats
from voxtile_medical.dicom_planes.geometry import ORIENTATION_TOLERANCE
from voxtile_medical.verdicts import Verdict

REASON = "odd-plane"
MOST_KINDS = 32  # of planes by direction and size; more are no volume with a few odd planes
MOST_SHARE = 1 / 3  # of the planes that make the volume
_NEAR_STEPS = 1.5


def odd_planes(headers: Sequence[FileHeader], min_slices: int) -> tuple[FileHeader, ...]:
    """Files of a series that are no planes of its volume; none where it is not clear which make the volume.

    Args:
        headers: files of the series.
        min_slices: fewest planes of a volume.
    """
    try:
        if kind_of(headers[0]) != "volume" or any(is_enhanced(header) for header in headers):
            return ()
    except Verdict:
        return ()
    alike: list[list[FileHeader]] = []
    for header in headers:
        group = next((group for group in alike if _are_alike(group[0], header)), None)
        if group is None:
            alike.append([header])
            if len(alike) > MOST_KINDS:
                return ()
        else:
            group.append(header)
    most = max(alike, key=len)
    odd = [header for group in alike if group is not most for header in group]
    if not odd or len(most) < min_slices or len(odd) > MOST_SHARE * len(most) or _place(most[0]) is None:
        return ()
    if any(len(group) >= min_slices for group in alike if group is not most):
        return ()
    return () if any(_continues(most, header) for header in odd) else tuple(odd)


def note(count: int) -> str:
    """What the row of such a plane says."""
    return f"of another direction or size than the {count} planes of its series, or without a place; they are used"


def _are_alike(one: FileHeader, other: FileHeader) -> bool:
    places = _place(one), _place(other)
    if places[0] is None or places[1] is None:
        return places[0] is None and places[1] is None
    return _same_direction(one, other) and all(
        one.values.get(name) == other.values.get(name) for name in ("Rows", "Columns", "SamplesPerPixel")
    )


def _same_direction(one: FileHeader, other: FileHeader) -> bool:
    directions = [floats(header.values.get("ImageOrientationPatient"), 6) for header in (one, other)]
    if directions[0] is None or directions[1] is None:
        return False
    if directions[0] == directions[1]:
        return True
    return bool(np.abs(np.subtract(directions[0], directions[1])).max() <= ORIENTATION_TOLERANCE)


def _place(header: FileHeader) -> tuple[float, ...] | None:
    if floats(header.values.get("ImageOrientationPatient"), 6) is None:
        return None
    return floats(header.values.get("ImagePositionPatient"), 3)


def _continues(volume: Sequence[FileHeader], header: FileHeader) -> bool:
    """The plane has the volume's direction and lies within it or a step from its ends."""
    place = _place(header)
    if place is None or not _same_direction(volume[0], header):
        return False
    orientation = np.array(floats(volume[0].values.get("ImageOrientationPatient"), 6))
    normal = np.cross(orientation[:3], orientation[3:])
    heights = np.sort(np.array([_place(other) for other in volume]) @ normal)
    step = max(float(np.median(np.diff(heights))), 1e-3)
    return bool(heights[0] - _NEAR_STEPS * step <= np.array(place) @ normal <= heights[-1] + _NEAR_STEPS * step)

"""Which slice of a stored volume is which image of its series, for reports that say "series 4, image 112"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtile_medical.dicom_header.headers import FileHeader
from voxtile_medical.dicom_planes.frames import Frame


def instance_attributes(
    headers: Sequence[FileHeader], frames: Sequence[Frame], to_array: npt.NDArray[np.float64]
) -> dict[str, Any]:
    """Series number and instance numbers, as entries of a sample's `attributes`.

    Args:
        headers: files of the series.
        frames: planes of the volume, in the order of the stack.
        to_array: [4, 4] from a voxel of the stack (x, y, z, 1) to the stored array's (x, y, z, 1).

    Returns:
        `series_number`, where there is one; `instances`: `axis` (0 z, 1 y, 2 x of the stored array), and the
        InstanceNumber of each slice along it (of a multi-frame file: the frame number from 1), as `first` and `step`
        where they are evenly spaced, else as `numbers`. No `instances` where slices have no distinct numbers.
    """
    found: dict[str, Any] = {}
    number = _whole(headers[frames[0].file], "SeriesNumber")
    if number is not None:
        found["series_number"] = number
    files = len({frame.file for frame in frames})
    numbers = [frame.index + 1 if files == 1 else _whole(headers[frame.file], "InstanceNumber") for frame in frames]
    if None in numbers or len(set(numbers)) < len(numbers):
        return found
    step = to_array[:3, 2]
    axis = int(np.argmax(np.abs(step)))
    if step[axis] < 0:
        numbers.reverse()
    whole = [number for number in numbers if number is not None]
    steps = {after - before for before, after in pairwise(whole)}
    spaced = {"first": whole[0], "step": steps.pop()} if len(steps) == 1 else {"numbers": whole}
    return found | {"instances": {"axis": 2 - axis, "count": len(whole), **spaced}}


def slice_of_instance(attributes: Mapping[str, Any], number: int) -> tuple[int, int] | None:
    """Axis and index of the slice with an instance number; None where the volume has none.

    >>> slice_of_instance({"instances": {"axis": 0, "count": 3, "first": 3, "step": -1}}, 2)
    (0, 1)
    """
    instances = attributes.get("instances")
    if not instances:
        return None
    numbers = instances.get("numbers") or range(
        instances["first"], instances["first"] + instances["step"] * instances["count"], instances["step"]
    )
    return (int(instances["axis"]), numbers.index(number)) if number in numbers else None


def _whole(header: FileHeader, keyword: str) -> int | None:
    value = (header.values.get(keyword) or (None,))[0]
    return int(value) if isinstance(value, int | float) and float(value).is_integer() else None

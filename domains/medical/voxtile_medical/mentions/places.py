"""From a slice that a sentence names to slices of the PET."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from voxtile_medical.dicom.instances import slice_of_instance
from voxtile_medical.mentions.sentences import SlicePlace


@dataclass(frozen=True)
class PetSlices:
    """Slices of the PET that a place may mean.

    Attributes:
        exact: indices along z.
        near: those beside them, where a reader may have named the next slice.
        is_named: the sentence names the series or the kind of picture.
    """

    exact: tuple[int, ...]
    near: tuple[int, ...]
    is_named: bool


class NoSuchPlaceError(Exception):
    """The study has no such slice."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def pet_slices(place: SlicePlace, pet: Mapping[str, Any], samples: Sequence[Mapping[str, Any]]) -> list[PetSlices]:
    """What a place may mean: one reading where the series or picture is named, else one a picture of the study.

    Args:
        place: as the sentence names it.
        pet: row of the PET.
        samples: rows of all volumes of the study, the PET among them.

    Raises:
        NoSuchPlaceError: `unknown-series`, `no-such-slice` or `not-axial`.
    """
    able = [row for row in samples if _attributes(row).get("instances")]
    if place.series is not None:
        able = [row for row in able if _attributes(row).get("series_number") == place.series]
        if not able:
            raise NoSuchPlaceError("unknown-series", f"the study has no series {place.series}")
    if place.picture is not None:
        able = [row for row in able if row["modality"] == place.picture]
        if not able:
            raise NoSuchPlaceError("unknown-series", f"that series of the study is no {place.picture}")
    is_named = place.series is not None or place.picture is not None
    readings = [reading for row in able if (reading := _reading(place, row, pet, is_named)) is not None]
    if not readings:
        raise NoSuchPlaceError("no-such-slice", f"no series of the study has an axial image {place.first}")
    return readings


def _reading(place: SlicePlace, row: Mapping[str, Any], pet: Mapping[str, Any], is_named: bool) -> PetSlices | None:
    found = [slice_of_instance(_attributes(row), number) for number in range(place.first, place.last + 1)]
    indices = [hit[1] for hit in found if hit is not None and hit[0] == 0]
    if not indices:
        return None
    depth = int(pet["shape"][0])
    heights = [_pet_height(index, row, pet) for index in indices]
    exact = sorted({round(height) for height in heights if -0.5 <= height <= depth - 0.5} & set(range(depth)))
    if not exact:
        return None
    near = sorted({z + step for z in exact for step in (-1, 1)} & set(range(depth)) - set(exact))
    return PetSlices(tuple(exact), tuple(near), is_named)


def _pet_height(index: int, row: Mapping[str, Any], pet: Mapping[str, Any]) -> float:
    """Index along the PET's z of the middle of a slice of another volume."""
    if row["uid"] == pet["uid"]:
        return float(index)
    shape = row["shape"]
    middle = np.array([(shape[2] - 1) / 2, (shape[1] - 1) / 2, index, 1.0])
    there = np.array(row["affine"]).reshape(4, 4) @ middle
    return float((np.linalg.inv(np.array(pet["affine"]).reshape(4, 4)) @ there)[2])


def _attributes(row: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(row["attributes"] or "{}")
    return found

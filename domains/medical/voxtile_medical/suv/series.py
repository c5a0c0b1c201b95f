"""A converted PET volume as SUV: frames with their factors, units, and what the sample's row says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from voxtile_medical.dicom_header.headers import FileHeader
from voxtile_medical.dicom_planes.enhanced import is_enhanced
from voxtile_medical.dicom_planes.frames import Frame
from voxtile_medical.dicom_planes.units import SUV_UNITS, pet_units
from voxtile_medical.suv.compute import WANTED, SuvChoice, suv_of
from voxtile_medical.suv.enhanced import enhanced_pet
from voxtile_medical.suv.header import read_pet_header
from voxtile_medical.suv.refused import SuvRefusedError


@dataclass(frozen=True)
class PetValues:
    """What becomes of a PET volume.

    Attributes:
        frames: with slopes that give the physical values in `units`.
        units: of the physical values.
        facts: entry `suv` of the sample's attributes: the evidence, or the refusal.
        refusal: why there is no SUV; None where there is one, or none was asked for.
    """

    frames: tuple[Frame, ...]
    units: str
    facts: dict[str, Any]
    refusal: SuvRefusedError | None = None


def pet_values(
    root: Path, headers: Sequence[FileHeader], frames: Sequence[Frame], units: str, choice: SuvChoice
) -> PetValues:
    """Make a PET volume an SUV, or leave it in its own units with the reason.

    Args:
        root: the source folder.
        headers: files of the series.
        frames: planes of the volume.
        units: of the values as they are stored.
        choice: which SUV, or none.
    """
    stated = str((headers[frames[0].file].values.get("SUVType") or ("",))[0])
    try:
        if is_enhanced(headers[0]):
            read = [enhanced_pet(root / headers[file].path, of_file) for file, of_file in _by_file(frames)]
            frames = [frame for part in read for frame in part.frames]
            pet = [header for part in read for header in part.headers]
            units, stated = pet_units(pet[0].text("Units"), pet[0].text("SUVType")), pet[0].text("SUVType")
        elif choice != "none":
            pet = [read_pet_header(root / headers[frame.file].path) for frame in frames]
        if choice == "none":
            return PetValues(tuple(frames), units, {"suv": {"stated_type": stated}} if _is_word(stated) else {})
        suv = suv_of(pet, WANTED[choice])
    except SuvRefusedError as refusal:
        facts = {"suv": {"refused": refusal.reason, "tag": refusal.tag, "why": refusal.detail}}
        return PetValues(tuple(frames), units, facts, refusal)
    scaled = tuple(
        replace(frame, slope=frame.slope * factor, intercept=frame.intercept * factor)
        for frame, factor in zip(frames, suv.factors, strict=True)
    )
    same = len(set(suv.factors)) == 1
    evidence = suv.evidence | ({"factor": suv.factors[0]} if same else {"factor_per_slice": True})
    return PetValues(scaled, suv.units, {"suv": evidence})


def _by_file(frames: Sequence[Frame]) -> list[tuple[int, list[Frame]]]:
    """Runs of frames of one file, in order."""
    return [(file, list(run)) for file, run in groupby(frames, key=lambda frame: frame.file)]


def _is_word(suv_type: str) -> bool:
    return suv_type.upper() in SUV_UNITS

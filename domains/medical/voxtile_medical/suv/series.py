"""A converted PET volume as SUV: frames with their factors, units, and what the sample's row says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from voxtile_medical.dicom_header.headers import FileHeader
from voxtile_medical.dicom_planes.enhanced import is_enhanced
from voxtile_medical.dicom_planes.frames import Frame
from voxtile_medical.suv.compute import WANTED, SuvChoice, suv_of
from voxtile_medical.suv.header import read_pet_header
from voxtile_medical.suv.refused import SuvRefusedError, named


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
    if choice == "none":
        return PetValues(tuple(frames), units, {})
    try:
        if is_enhanced(headers[0]):
            why = f"{named('SOPClassUID')} is Enhanced PET, whose SUV is not computed"
            raise SuvRefusedError("unsupported", named("SOPClassUID"), why)
        suv = suv_of([read_pet_header(root / headers[frame.file].path) for frame in frames], WANTED[choice])
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

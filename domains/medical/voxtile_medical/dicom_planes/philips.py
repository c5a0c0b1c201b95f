"""Philips' own scale of MR values: what is proportional to the signal, where the displayed value is not.

Philips scales each image to its display (RescaleSlope RS, RescaleIntercept RI) and keeps a private scale slope SS: the
signal is (stored · RS + RI) / (RS · SS) (Chenevert et al., Transl Oncol 7:65-71, 2014). Planes whose RS · SS differ
cannot be compared by their displayed values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from voxtile_medical.dicom_header.dataset import read_dataset
from voxtile_medical.dicom_header.headers import FileHeader
from voxtile_medical.dicom_header.pydicom_warnings import quiet_pydicom
from voxtile_medical.dicom_planes.frames import Frame

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_OWNER = "Philips MR Imaging DD 001"
_GROUP, _SCALE_SLOPE, _PER_FRAME = 0x2005, 0x0E, 0x140F
_FRAME_GROUPS = 0x52009230  # PerFrameFunctionalGroupsSequence
_SAME = 1e-5  # of RS · SS: single-precision numbers written as text


@dataclass(frozen=True)
class PhilipsScale:
    """Planes in one scale.

    Attributes:
        frames: with the scale of the signal where the displayed values of the planes cannot be compared.
        facts: for the sample's attributes: `philips_scale_slope`, and `values: signal` where they are.
    """

    frames: tuple[Frame, ...]
    facts: dict[str, Any]


def philips_scale(root: Path, headers: Sequence[FileHeader], frames: Sequence[Frame]) -> PhilipsScale:
    """Bring the planes of a volume of Philips MR to one scale; those of other makers are left as they are.

    Args:
        root: the source folder.
        headers: files of the series.
        frames: planes of the volume.
    """
    if not headers[frames[0].file].text("Manufacturer").upper().startswith("PHILIPS"):
        return PhilipsScale(tuple(frames), {})
    files = {file: _read(root / headers[file].path) for file in sorted({frame.file for frame in frames})}
    slopes = [_slope(files[frame.file], frame.index) for frame in frames]
    if not all(slopes) or not all(frame.slope for frame in frames):
        return PhilipsScale(tuple(frames), {})
    steps = [frame.slope * slope for frame, slope in zip(frames, slopes, strict=True)]
    if max(steps) - min(steps) <= _SAME * abs(steps[0]):
        facts = {"philips_scale_slope": slopes[0]} if len(set(slopes)) == 1 else {}
        return PhilipsScale(tuple(frames), facts)
    scaled = (
        replace(frame, slope=frame.slope / step, intercept=frame.intercept / step)
        for frame, step in zip(frames, steps, strict=True)
    )
    return PhilipsScale(tuple(scaled), {"values": "signal"})


def _read(path: Path) -> Dataset:
    """The private elements of a file; nothing where it cannot be parsed."""
    from pydicom.dataset import Dataset

    try:
        with quiet_pydicom():
            tags = [_GROUP << 16 | 0x10 + block for block in range(0x20)]
            tags += [_GROUP << 16 | (0x10 + block) << 8 | _SCALE_SLOPE for block in range(0x20)]
            wanted: list[int] = [*tags, _FRAME_GROUPS]
            return read_dataset(path, wanted)
    except MemoryError:
        raise
    except Exception:  # private elements decide nothing that could be guessed instead
        return Dataset()


def _slope(dataset: Dataset, frame: int) -> float:
    """The scale slope of a frame; 0 where there is none."""
    from pydicom.dataset import Dataset

    try:
        groups = dataset.get("PerFrameFunctionalGroupsSequence")
        if groups:
            own = groups[frame].get((_GROUP, _PER_FRAME))
            dataset = own.value[0] if own is not None and own.value else Dataset()
        element = dataset.private_block(_GROUP, _OWNER)[_SCALE_SLOPE]
        value = float(element.value if not isinstance(element.value, bytes) else element.value.decode("ascii"))
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        return 0.0
    return value if 0 < value < float("inf") else 0.0

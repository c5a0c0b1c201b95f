"""Planes of nuclear medicine images: slices that were reconstructed lie where their first one and their step say.

A reconstruction has one position, of its first frame, and the signed step along the normal of its planes
(PS3.3 C.8.4.15); vectors say which frame is which slice, energy window, heart phase and time.
"""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from voxtile_medical.dicom_header.dataset import read_dataset
from voxtile_medical.dicom_header.headers import FileHeader
from voxtile_medical.dicom_header.pydicom_warnings import quiet_pydicom
from voxtile_medical.dicom_planes.frames import Frame, floats, scale_of, stated
from voxtile_medical.dicom_planes.pixels import PixelLayout
from voxtile_medical.verdicts import Verdict

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_CLASS = "1.2.840.10008.5.1.4.1.1.20"
_RECONSTRUCTED = frozenset({"RECON TOMO", "RECON GATED TOMO"})
_PROJECTIONS = frozenset({"TOMO", "GATED TOMO"})
# What tells frames of one place apart (PS3.3 C.8.4.8).
_VECTORS = ("EnergyWindowVector", "DetectorVector", "RRIntervalVector", "TimeSlotVector", "TimeSliceVector")
_ELEMENTS = ["DetectorInformationSequence", "SliceVector", *_VECTORS]


def is_nuclear(header: FileHeader) -> bool:
    """The file is a nuclear medicine image."""
    return header.text("SOPClassUID") == _CLASS


def is_reconstruction(header: FileHeader) -> bool:
    """The frames are slices; those of other nuclear medicine images are pictures.

    Raises:
        Verdict: `projections`, they are what slices are reconstructed from.
    """
    if not is_nuclear(header):
        return False
    types = frozenset(str(word) for word in header.values.get("ImageType", ()))
    if types & _PROJECTIONS:
        raise Verdict("projections", "projections of a SPECT scan; its reconstruction (RECON TOMO) is converted")
    return bool(types & _RECONSTRUCTED)


def nuclear_frames(root: Path, header: FileHeader, layout: PixelLayout, file: int) -> list[Frame]:
    """Slices of a reconstructed nuclear medicine image.

    Raises:
        Verdict: `no-geometry`, the place of the first slice, the step or a vector is missing, or detectors differ;
            `unreadable-header`.
    """
    try:
        with quiet_pydicom():
            dataset = read_dataset(root / header.path, _ELEMENTS)
            detectors = [_place(item) for item in dataset.get("DetectorInformationSequence") or ()]
            vectors = {name: _vector(dataset.get(name)) for name in ("SliceVector", *_VECTORS)}
    except Exception as error:  # sequences of unknown writers: anything can be wrong with them
        raise Verdict("unreadable-header", f"its detectors cannot be parsed ({type(error).__name__})") from error
    places = {place for place in detectors if None not in place}
    step = stated(header.values, "SpacingBetweenSlices", 1)
    spacing = stated(header.values, "PixelSpacing", 2)
    slices = vectors["SliceVector"] or tuple(range(1, layout.frames + 1))
    if len(places) != 1 or step is None or spacing is None or len(slices) != layout.frames:
        missing = "one place of the first slice, SpacingBetweenSlices, PixelSpacing and a slice number of each frame"
        raise Verdict("no-geometry", f"a reconstruction needs {missing}; export it again from the reconstruction")
    ((position, orientation),) = places
    slope, intercept = scale_of(header.values)
    normal = np.cross(orientation[:3], orientation[3:])
    thickness = (floats(header.values.get("SliceThickness"), 1) or (None,))[0]
    frames = []
    for index, number in enumerate(slices):
        x, y, z = np.array(position) + (number - 1) * step[0] * normal
        keys: dict[str, Hashable] = {
            name: vector[index] for name, vector in vectors.items() if name in _VECTORS and len(vector) == len(slices)
        }
        place = (float(x), float(y), float(z))
        pixel = (spacing[0], spacing[1])
        frames.append(Frame(file, index, place, orientation, pixel, slope, intercept, keys=keys, thickness=thickness))
    return frames


def _place(item: Dataset) -> tuple[Any, Any]:
    position, orientation = item.get("ImagePositionPatient"), item.get("ImageOrientationPatient")
    return floats(tuple(position or ()), 3), floats(tuple(orientation or ()), 6)


def _vector(value: Any) -> tuple[int, ...]:  # noqa: ANN401  (an element's value)
    if value is None or value == "":
        return ()
    return tuple(int(v) for v in (value if not isinstance(value, int) else [value]))

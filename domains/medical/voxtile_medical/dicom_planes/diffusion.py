"""Diffusion weighting of MR planes: b-value and direction from the standard's elements or the makers' private ones.

Elements and frames of the makers as in dcm2niix (`nii_dicom.cpp`, `siemensPhilipsCorrectBvecs`, `geCorrectBvecs`),
which was validated on phantoms of each; our conversion is compared with it in `benchmarks/dicom_reference.py`.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from voxtile_medical.dicom_header.element_values import Values
from voxtile_medical.dicom_header.headers import FileHeader
from voxtile_medical.dicom_header.private_elements import PrivateElements, csa_reader, read_private
from voxtile_medical.dicom_planes.frames import Frame, Vector, floats
from voxtile_medical.orientation import LPS_TO_RAS

_PHILIPS_LABEL = "Philips MR Imaging DD 005"
_PHILIPS, _PHILIPS_MR = "Philips Imaging DD 001", "Philips MR Imaging DD 001"
_GE_ACQUISITION, _GE_PARAMETERS = "GEMS_ACQU_01", "GEMS_PARM_01"
_SIEMENS, _SIEMENS_CSA, _UIH = "SIEMENS MR HEADER", "SIEMENS CSA HEADER", "Image Private Header"
_GE_BIAS = 1_000_000_000  # that GE adds to some b-values
_SHORTEST = 1e-3  # of a direction; b = 0 and isotropic images have none
_TOLD = ("ComplexImageComponent", "ASLContext")
_LABELS = frozenset({"CONTROL", "LABEL"})
_GE_COMPONENTS = ("MAGNITUDE", "PHASE", "REAL", "IMAGINARY")


@dataclass(frozen=True)
class Gradient:
    """Diffusion weighting of a plane.

    Attributes:
        b_value: s/mm².
        direction: unit vector, LPS; None of an unweighted or an isotropic image.
    """

    b_value: float
    direction: Vector | None = None


def with_diffusion(root: Path, headers: Sequence[FileHeader], frames: Sequence[Frame]) -> list[Frame]:
    """Planes of an MR series of single planes or mosaics with what their files say of diffusion.

    A series none of whose images is weighted gets no b-values from private elements: some makers write 0 into all.

    Args:
        root: the source folder.
        headers: files of the series.
        frames: its planes.
    """
    private = {file: read_private(root, headers[file]) for file in sorted({frame.file for frame in frames})}
    ascends = _instances_ascend(headers, frames)
    found = [_gradient(headers[f.file], private[f.file], f, ascends) for f in frames]
    weighted = any(gradient is not None and gradient.b_value > 0 for gradient in found)
    if weighted:
        found = [g or _unstated(headers[f.file]) for g, f in zip(found, frames, strict=True)]
    told = [_told_apart(headers[frame.file], private[frame.file]) for frame in frames]
    varied = {name for name in _TOLD if len({values.get(name) for values in told}) > 1}
    return [
        _with(frame, gradient if weighted else None, {name: values.get(name) for name in sorted(varied)})
        for frame, gradient, values in zip(frames, found, told, strict=True)
    ]


def direction_ras(direction: Vector) -> list[float]:
    """A gradient direction in the axes of a sample's affine, rounded to six digits."""
    return [round(float(v), 6) + 0.0 for v in LPS_TO_RAS[:3, :3] @ np.array(direction)]


def _with(frame: Frame, gradient: Gradient | None, told: Mapping[str, str | None]) -> Frame:
    keys: dict[str, Hashable] = dict(frame.keys)
    for name, value in told.items():
        if value is not None:
            keys.setdefault(name, value)
    if gradient is None:
        return replace(frame, keys=keys)
    # Behind the other keys, so that series which those tell apart keep the order of their volumes.
    keys["DiffusionBValue"] = gradient.b_value
    keys.setdefault("DiffusionGradientOrientation", gradient.direction)
    return replace(frame, keys=keys, gradient=gradient.direction)


def _gradient(header: FileHeader, private: PrivateElements, frame: Frame, ascends: bool) -> Gradient | None:
    """The standard's elements; the makers' where they lack, as the direction does in files of GE."""
    stated = floats(header.values.get("DiffusionBValue"), 1)
    direction = floats(header.values.get("DiffusionGradientOrientation"), 3)
    if stated is not None and direction is not None:
        return _unit(stated[0], direction)
    own = _of_maker(header, private, frame, ascends)
    if stated is None or (own is not None and own.direction is not None):
        return own
    return _unit(stated[0], None)


def _of_maker(header: FileHeader, private: PrivateElements, frame: Frame, ascends: bool) -> Gradient | None:
    maker = header.text("Manufacturer").upper()
    if maker.startswith("SIEMENS"):
        return _siemens(private)
    if maker.startswith("PHILIPS"):
        return _philips(private)
    if maker.startswith("GE"):
        return _ge(header.values, private, frame, ascends)
    return _uih(private, frame) if maker.startswith(("UIH", "UNITED IMAGING")) else None


def _siemens(private: PrivateElements) -> Gradient | None:
    """(0019,xx0C) and (0019,xx0E), else the same in the CSA header (0029,xx10); in the patient."""
    b_value = private.decimals(_SIEMENS, 0x0019, 0x0C)
    if b_value:
        return _unit(b_value[0], private.binary(_SIEMENS, 0x0019, 0x0E, "d"))
    raw = private.raw(_SIEMENS_CSA, 0x0029, 0x10)
    if not raw:
        return None
    csareader = csa_reader()
    try:
        tags = csareader.read(raw)["tags"]
        numbers = [tuple(map(float, tags[name]["items"])) for name in ("B_value", "DiffusionGradientDirection")]
    except (csareader.CSAReadError, KeyError, ValueError, TypeError, IndexError):
        return None
    return _unit(numbers[0][0], numbers[1]) if numbers[0] else None


def _philips(private: PrivateElements) -> Gradient | None:
    """(2001,xx03) and (2005,xxB0) to (2005,xxB2): right to left, front to back, feet to head; in the patient."""
    b_value = private.binary(_PHILIPS, 0x2001, 0x03, "f")
    if not b_value:
        return None
    parts = [private.binary(_PHILIPS_MR, 0x2005, element, "f") for element in (0xB0, 0xB1, 0xB2)]
    isotropic = (private.raw(_PHILIPS, 0x2001, 0x04) or b"").strip(b" \0") == b"I"
    known = all(parts) and not isotropic
    return _unit(b_value[0], [part[0] for part in parts] if known else None)


def _uih(private: PrivateElements, frame: Frame) -> Gradient | None:
    """(0065,xx09) and (0065,xx37): along columns, rows and the normal of the image."""
    b_value = private.binary(_UIH, 0x0065, 0x09, "d")
    if not b_value:
        return None
    vector = private.binary(_UIH, 0x0065, 0x37, "d")
    return _unit(b_value[0], _in_patient(vector, frame) if len(vector) == 3 else None)


def _ge(values: Values, private: PrivateElements, frame: Frame, ascends: bool) -> Gradient | None:
    """(0043,xx39) and (0019,xxBB) to (0019,xxBD): along phase, frequency and slice.

    The slice direction is against the order of the instances; coronal images have the second axis reversed. GE scales
    the b-value of a shell by the square of the vector's length.
    """
    stated = private.decimals(_GE_PARAMETERS, 0x0043, 0x39)
    if not stated:
        return None
    b_value = math.fmod(stated[0], _GE_BIAS)
    parts = [private.decimals(_GE_ACQUISITION, 0x0019, element) for element in (0xBB, 0xBC, 0xBD)]
    phase = str((values.get("InPlanePhaseEncodingDirection") or ("",))[0])
    if not all(parts) or b_value <= 0 or phase not in ("COL", "ROW"):
        return Gradient(b_value)
    x, y, z = (part[0] for part in parts)
    length = math.sqrt(x * x + y * y + z * z)
    if 0.03 < length < 0.97:
        scaled = b_value * length * length
        b_value = 5.0 if 0 < scaled < 5 else 5.0 * math.floor((scaled + 2.5) / 5)
    if phase == "ROW":
        x, y = y, -x
    normal = np.cross(frame.orientation[:3], frame.orientation[3:])
    if int(np.argmax(np.abs(normal))) == 1:
        y = -y
    return _unit(b_value, _in_patient((x, y, -z if ascends else z), frame))


def _unstated(header: FileHeader) -> Gradient | None:
    """Canon leaves the b-value out of the unweighted images of a diffusion series."""
    return Gradient(0.0) if header.text("Manufacturer").upper().startswith(("CANON", "TOSHIBA")) else None


def _told_apart(header: FileHeader, private: PrivateElements) -> dict[str, str]:
    """What else tells images of one place apart: GE's part of a complex image, Philips' label of spins."""
    maker = header.text("Manufacturer").upper()
    if maker.startswith("GE"):
        found = private.binary(_GE_PARAMETERS, 0x0043, 0x2F, "h")
        return {_TOLD[0]: _GE_COMPONENTS[int(found[0])]} if found and 0 <= found[0] < len(_GE_COMPONENTS) else {}
    label = (private.raw(_PHILIPS_LABEL, 0x2005, 0x29) or b"").strip(b" \0").decode("latin-1")
    return {_TOLD[1]: label} if maker.startswith("PHILIPS") and label in _LABELS else {}


def _in_patient(vector: Sequence[float], frame: Frame) -> npt.NDArray[np.float64]:
    """From the axes of an image (columns, rows, normal) to LPS."""
    columns_to, rows_to = np.array(frame.orientation[:3]), np.array(frame.orientation[3:])
    axes = np.stack([columns_to, rows_to, np.cross(columns_to, rows_to)], axis=1)
    moved: npt.NDArray[np.float64] = axes @ np.array(vector, dtype=np.float64)
    return moved


def _unit(b_value: float, vector: Sequence[float] | npt.NDArray[np.float64] | None) -> Gradient | None:
    if not math.isfinite(b_value) or b_value < 0:
        return None
    if vector is None or len(vector) != 3 or b_value == 0:
        return Gradient(b_value)
    length = math.sqrt(sum(float(v) ** 2 for v in vector))
    if not math.isfinite(length) or length < _SHORTEST:
        return Gradient(b_value)
    x, y, z = (float(v) / length for v in vector)
    return Gradient(b_value, (x, y, z))


def _instances_ascend(headers: Sequence[FileHeader], frames: Sequence[Frame]) -> bool:
    """Instance numbers grow along the planes' normal."""
    numbered = [(floats(headers[frame.file].values.get("InstanceNumber"), 1), frame) for frame in frames]
    known = sorted((number[0], index) for index, (number, _) in enumerate(numbered) if number is not None)
    if len(known) < 2:
        return True
    places = np.array([frames[index].position for _, index in known])
    normal = np.cross(frames[0].orientation[:3], frames[0].orientation[3:])
    steps = np.diff(places @ normal)
    return float(np.sign(steps).sum()) >= 0

"""DICOM files whose headers hold what cannot be, and small ones that unpack to much: written byte by byte.

A writer of datasets would refuse most of these values, so that elements are raw: tag, value representation, bytes.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np

CT_CLASS = "1.2.840.10008.5.1.4.1.1.2"
DX_CLASS = "1.2.840.10008.5.1.4.1.1.1.1"
EXPLICIT, DEFLATED = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"
SIDE = 8

Elements = dict[tuple[int, int], tuple[str, bytes]]

TAGS = {
    "ImageType": (0x0008, 0x0008), "SOPClassUID": (0x0008, 0x0016), "SOPInstanceUID": (0x0008, 0x0018),
    "Modality": (0x0008, 0x0060), "PatientID": (0x0010, 0x0020), "SliceThickness": (0x0018, 0x0050),
    "KVP": (0x0018, 0x0060), "RepetitionTime": (0x0018, 0x0080), "EchoTime": (0x0018, 0x0081),
    "InversionTime": (0x0018, 0x0082), "MagneticFieldStrength": (0x0018, 0x0087),
    "SpacingBetweenSlices": (0x0018, 0x0088), "EchoTrainLength": (0x0018, 0x0091), "TriggerTime": (0x0018, 0x1060),
    "GantryDetectorTilt": (0x0018, 0x1120), "ImagerPixelSpacing": (0x0018, 0x1164), "FlipAngle": (0x0018, 0x1314),
    "DiffusionBValue": (0x0018, 0x9087), "StudyInstanceUID": (0x0020, 0x000D), "SeriesInstanceUID": (0x0020, 0x000E),
    "SeriesNumber": (0x0020, 0x0011), "AcquisitionNumber": (0x0020, 0x0012), "InstanceNumber": (0x0020, 0x0013),
    "ImagePositionPatient": (0x0020, 0x0032), "ImageOrientationPatient": (0x0020, 0x0037),
    "TemporalPositionIdentifier": (0x0020, 0x0100), "SamplesPerPixel": (0x0028, 0x0002),
    "PhotometricInterpretation": (0x0028, 0x0004), "NumberOfFrames": (0x0028, 0x0008), "Rows": (0x0028, 0x0010),
    "Columns": (0x0028, 0x0011), "PixelSpacing": (0x0028, 0x0030), "BitsAllocated": (0x0028, 0x0100),
    "BitsStored": (0x0028, 0x0101), "HighBit": (0x0028, 0x0102), "PixelRepresentation": (0x0028, 0x0103),
    "WindowCenter": (0x0028, 0x1050), "WindowWidth": (0x0028, 0x1051), "RescaleIntercept": (0x0028, 0x1052),
    "RescaleSlope": (0x0028, 0x1053), "FrameReferenceTime": (0x0054, 0x1300), "PixelData": (0x7FE0, 0x0010),
}  # fmt: skip
_REPRESENTATIONS = {
    "ImageType": "CS", "SOPClassUID": "UI", "SOPInstanceUID": "UI", "Modality": "CS", "PatientID": "LO",
    "StudyInstanceUID": "UI", "SeriesInstanceUID": "UI", "SeriesNumber": "IS", "AcquisitionNumber": "IS",
    "InstanceNumber": "IS", "TemporalPositionIdentifier": "IS", "EchoTrainLength": "IS", "NumberOfFrames": "IS",
    "PhotometricInterpretation": "CS", "PixelData": "OW", "DiffusionBValue": "FD",
    **dict.fromkeys(("SamplesPerPixel", "Rows", "Columns", "BitsAllocated", "BitsStored"), "US"),
    **dict.fromkeys(("HighBit", "PixelRepresentation"), "US"),
}  # fmt: skip

# Elements that decide what voxels are or where they lie: no default may stand for what is there.
NEEDED = (
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept",
    "NumberOfFrames",
)  # fmt: skip
# Elements that say more of an image; one that is no number is left out, and the image is used.
OTHERS = (
    "KVP", "SliceThickness", "SpacingBetweenSlices", "EchoTime", "RepetitionTime", "InversionTime", "TriggerTime",
    "MagneticFieldStrength", "EchoTrainLength", "GantryDetectorTilt", "FlipAngle", "SeriesNumber", "AcquisitionNumber",
    "InstanceNumber", "TemporalPositionIdentifier", "WindowCenter", "WindowWidth", "FrameReferenceTime",
    "DiffusionBValue",
)  # fmt: skip
NOT_FINITE = {"nan": "NaN", "infinite": "-Infinity", "overflow": "1e999"}


def element(tag: tuple[int, int], vr: str, value: bytes) -> bytes:
    """One element, explicit little endian; the value is padded to an even length."""
    value += b"\0" * (len(value) % 2) if vr in ("UI", "OB", "OW", "UN") else b" " * (len(value) % 2)
    head = struct.pack("<HH2s", *tag, vr.encode())
    if vr in ("OB", "OW", "UN", "SQ"):
        return head + struct.pack("<HI", 0, len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def ct(series: int, **values: str) -> Elements:
    """A sound CT slice of 8 × 8 pixels; values by keyword replace its own, as text."""
    pixels = np.random.default_rng(series).integers(0, 2000, (SIDE, SIDE)).astype("<u2")
    own = {
        "ImageType": "ORIGINAL\\PRIMARY\\AXIAL", "SOPClassUID": CT_CLASS, "SOPInstanceUID": f"1.2.3.{series}.1",
        "Modality": "CT", "PatientID": f"patient-{series}", "StudyInstanceUID": f"1.2.3.{series}",
        "SeriesInstanceUID": f"1.2.3.{series}.0", "ImagePositionPatient": "0\\0\\0",
        "ImageOrientationPatient": "1\\0\\0\\0\\1\\0", "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2",
        "Rows": SIDE, "Columns": SIDE, "PixelSpacing": "1\\1", "BitsAllocated": 16, "BitsStored": 16, "HighBit": 15,
        "PixelRepresentation": 0, "RescaleIntercept": "-1024", "RescaleSlope": "1",
    } | values  # fmt: skip
    elements: Elements = {}
    for keyword, value in own.items():
        vr = _REPRESENTATIONS.get(keyword, "DS")
        raw = struct.pack("<H", value) if vr == "US" else value.encode("latin-1")
        if vr == "FD":
            raw = struct.pack("<d", float(value))
        elements[TAGS[keyword]] = (vr, raw)
    elements[TAGS["PixelData"]] = ("OW", pixels.tobytes())
    return elements


def radiograph(series: int, **values: str) -> Elements:
    """A sound radiograph, whose spacing is known at the detector only."""
    made = ct(series, **{"SOPClassUID": DX_CLASS, "Modality": "DX", "ImagerPixelSpacing": "0.2\\0.2", **values})
    del made[TAGS["PixelSpacing"]]
    return made


def dataset(elements: Elements) -> bytes:
    """Elements in the order of their tags."""
    return b"".join(element(tag, vr, value) for tag, (vr, value) in sorted(elements.items()))


def meta(syntax: str = EXPLICIT, storage: str = CT_CLASS) -> bytes:
    """Preamble and file meta information (PS3.10 chapter 7)."""
    body = element((2, 2), "UI", storage.encode()) + element((2, 0x10), "UI", syntax.encode())
    return b"\0" * 128 + b"DICM" + element((2, 0), "UL", struct.pack("<I", len(body))) + body


def write(path: Path, elements: Elements) -> None:
    """An ordinary file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(meta() + dataset(elements))


def write_not_finite(folder: Path) -> dict[str, str]:
    """Each number of a header as NaN, infinite and overflowing, a series each: path → what its row must say."""
    expected = {}
    number = 1000
    for keyword in (*NEEDED, *OTHERS):
        for kind, text in NOT_FINITE.items():
            if keyword == "DiffusionBValue" and kind == "overflow":
                continue  # a double holds what it holds
            number += 1
            count = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}.get(keyword, 1)
            name = f"{keyword}-{kind}.dcm"
            write(folder / name, ct(number, **{keyword: "\\".join(["1"] * (count - 1) + [text])}))
            expected[name] = "unreadable-value" if keyword in NEEDED else "used"
    return expected


IMPOSSIBLE = {
    "slope-abc": ({"RescaleSlope": "abc"}, "unreadable-value"),
    "slope-nought": ({"RescaleSlope": "0"}, "implausible-scale"),
    "slope-negative": ({"RescaleSlope": "-1"}, "implausible-scale"),
    "slope-huge": ({"RescaleSlope": "1e308"}, "implausible-scale"),
    "intercept-huge": ({"RescaleIntercept": "-1e308"}, "implausible-scale"),
    "spacing-tiny": ({"PixelSpacing": "1e-30\\1e-30"}, "implausible-spacing"),
    "spacing-huge": ({"PixelSpacing": "1e30\\1e30"}, "implausible-spacing"),
    "spacing-negative": ({"PixelSpacing": "-1\\1"}, "implausible-spacing"),
    "spacing-of-one": ({"PixelSpacing": "1"}, "unreadable-value"),
    "position-far": ({"ImagePositionPatient": "0\\0\\1e30"}, "implausible-position"),
    "frames-many": ({"NumberOfFrames": "1e300"}, "too-large"),
}


def write_impossible(folder: Path) -> dict[str, str]:
    """Values that are numbers and cannot be: path → what its row must say."""
    for number, (name, (values, _)) in enumerate(IMPOSSIBLE.items(), start=2000):
        write(folder / f"{name}.dcm", ct(number, **values))
    return {f"{name}.dcm": reason for name, (_, reason) in IMPOSSIBLE.items()}


def write_radiographs(folder: Path) -> dict[str, str]:
    """Pictures of one series, of which one is impossible: the others are used under their own names."""
    uid = "1.2.3.3000.0"
    for number in range(3):
        spacing = {"ImagerPixelSpacing": "1e-30\\1e-30"} if number == 1 else {}
        values = {"SeriesInstanceUID": uid, "StudyInstanceUID": "1.2.3.3000", "PatientID": "patient-3000", **spacing}
        write(folder / f"film-{number}.dcm", radiograph(3000 + number, **values))
    return {"film-0.dcm": "used", "film-1.dcm": "implausible-spacing"}


def write_volume_with_one_bad_slice(folder: Path, slices: int = 5) -> dict[str, str]:
    """A series of which the last slice has no place: without it the volume would be shorter, and look whole."""
    for number in range(slices):
        position = "0\\0\\nan" if number == slices - 1 else f"0\\0\\{2 * number}"
        values = {
            "SeriesInstanceUID": "1.2.3.4000.0", "StudyInstanceUID": "1.2.3.4000", "PatientID": "patient-4000",
            "ImagePositionPatient": position,
        }  # fmt: skip
        write(folder / f"slice-{number}.dcm", ct(4000 + number, **values))
    return {"slice-0.dcm": "incomplete-series", f"slice-{slices - 1}.dcm": "unreadable-value"}


def zeros_deflated(total: int, chunk: int = 1 << 24) -> bytes:
    """A deflated stream that unpacks to `total` zeros, made of one block that is repeated: a thousandth of that."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    first = packer.compress(b"\0" * chunk) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(b"\0" * chunk) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + again * (total // chunk - 1)


def write_deflated_bomb(path: Path, total: int = 2 << 30) -> int:
    """A deflated file with a private element of 2 GiB of zeros before its pixels; bytes of the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = ct(5000)
    early = dataset({tag: value for tag, value in sound.items() if tag < (0x0021, 0)})
    head = element((0x0021, 0x0010), "LO", b"BOMB") + struct.pack("<HH2sHI", 0x0021, 0x1001, b"OB", 0, total)
    late = dataset({tag: value for tag, value in sound.items() if tag > (0x0021, 0xFFFF)})
    packer = zlib.compressobj(0, zlib.DEFLATED, -zlib.MAX_WBITS)
    before = packer.compress(early + head) + packer.flush(zlib.Z_FULL_FLUSH)
    last = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    path.write_bytes(meta(DEFLATED) + before + zeros_deflated(total) + last.compress(late) + last.flush())
    return path.stat().st_size


def write_empty_items(path: Path, items: int = 2_000_000) -> int:
    """A private sequence of two million empty items before the pixels; bytes of the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = ct(5001)
    early = dataset({tag: value for tag, value in sound.items() if tag < (0x0021, 0)})
    late = dataset({tag: value for tag, value in sound.items() if tag > (0x0021, 0xFFFF)})
    head = element((0x0021, 0x0010), "LO", b"BOMB") + struct.pack("<HH2sHI", 0x0021, 0x1001, b"SQ", 0, 0xFFFFFFFF)
    empty, end = struct.pack("<HHI", 0xFFFE, 0xE000, 0), struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    path.write_bytes(meta() + early + head + empty * items + end + late)
    return path.stat().st_size

"""DICOM files as byte templates: encode a data set once, then fill in fixed-width fields.

Encoding a data set element by element takes milliseconds; thousands of studies need microseconds. A field is a string
value that occurs nowhere else; filling replaces every occurrence (a SOP Instance UID is also in the file meta
information) with a string of the same width, so that no length changes.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.uid import UID

from voxtile.phantom.truth import UID_LENGTH
from voxtile_medical.dicom_header.headers import PHANTOM_WRITER

DECIMAL_WIDTH = 11
IMPLEMENTATION_UID = "2.25.193400227563298716004911760533380116472"


class Template:
    """Bytes with named holes.

    Attributes:
        fields: names that `fill` takes, with the marks that stand in the bytes.
    """

    def __init__(self, content: bytes, fields: Mapping[str, str]) -> None:
        self._content = content
        self._holes: dict[str, tuple[int, list[int]]] = {}
        for name, mark in fields.items():
            key, places, start = mark.encode(), [], content.find(mark.encode())
            while start >= 0:
                places.append(start)
                start = content.find(key, start + 1)
            if not places:
                raise ValueError(f"the template has no field '{name}'")
            self._holes[name] = (len(key), places)

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the holes."""
        return tuple(self._holes)

    def fill(self, values: Mapping[str, str]) -> bytearray:
        """Replace fields; a shorter value is padded with spaces, a longer one is a ValueError."""
        content = bytearray(self._content)
        for name, value in values.items():
            width, places = self._holes[name]
            data = value.encode("ascii").ljust(width)
            if len(data) != width:
                raise ValueError(f"'{value}' does not fit the {width} characters of field '{name}'")
            for place in places:
                content[place : place + width] = data
        return content


def decimal(value: float) -> str:
    """A number as a DICOM decimal string of fixed width."""
    return f"{value:{DECIMAL_WIDTH}.4f}"


def decimals(values: object) -> str:
    """Several numbers, separated by backslashes."""
    return "\\".join(decimal(float(v)) for v in values)  # type: ignore[attr-defined]


class Marks:
    """Hands out placeholder values that are valid for their value representation and occur once."""

    def __init__(self) -> None:
        self.fields: dict[str, str] = {}

    def uid(self, name: str) -> str:
        """A placeholder UID (no real one starts with digit 9: 2^128 has 39 digits and starts with 3)."""
        return self._keep(name, f"2.25.{9 * 10 ** (UID_LENGTH - 6) + len(self.fields)}")

    def text(self, name: str, width: int) -> str:
        """A placeholder text of a fixed width (at least 4)."""
        return self._keep(name, f"Q{len(self.fields):02d}".ljust(width, "Z"))

    def number(self, name: str, width: int = 4) -> str:
        """A placeholder integer string, `width` digits."""
        return self._keep(name, f"{73 * 10 ** (width - 2) + len(self.fields):0{width}d}")

    def date(self, name: str) -> str:
        """A placeholder date."""
        return self._keep(name, f"17{len(self.fields):02d}0101")

    def time(self, name: str) -> str:
        """A placeholder time of day."""
        return self._keep(name, f"0359{len(self.fields):02d}")

    def moment(self, name: str) -> str:
        """A placeholder date and time."""
        return self._keep(name, f"17{len(self.fields):02d}0202035959")

    def decimals(self, name: str, count: int) -> list[str]:
        """Placeholder decimal strings."""
        parts = [f"+{7_000_000_000 + 100 * len(self.fields) + k:0{DECIMAL_WIDTH - 1}d}" for k in range(count)]
        self._keep(name, "\\".join(parts))
        return parts

    def _keep(self, name: str, mark: str) -> str:
        self.fields[name] = mark
        return mark


def encode(dataset: Dataset, sop_class: str, sop_uid: str, transfer_syntax: str) -> bytes:
    """Write a data set without pixel data as a file whose data set is not compressed.

    Args:
        dataset: all elements but the pixel data.
        sop_class: SOP class UID.
        sop_uid: SOP instance UID (may be a mark).
        transfer_syntax: what the file meta information says; the caller deflates where that says so.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(sop_class)
    meta.MediaStorageSOPInstanceUID = UID(sop_uid)
    meta.TransferSyntaxUID = UID(transfer_syntax)
    meta.ImplementationClassUID = UID(IMPLEMENTATION_UID)
    meta.ImplementationVersionName = PHANTOM_WRITER
    dataset.SOPClassUID = UID(sop_class)
    dataset.SOPInstanceUID = UID(sop_uid)
    buffer = DicomBytesIO()
    buffer.write(b"\0" * 128 + b"DICM")
    write_file_meta_info(buffer, meta)
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_dataset(buffer, dataset)
    return bytes(buffer.getvalue())


def pixel_element(pixels: bytes, representation: bytes = b"OW") -> bytes:
    """The pixel data element, native, padded to even length."""
    padded = pixels + b"\0" * (len(pixels) % 2)
    return struct.pack("<HH2sHI", 0x7FE0, 0x0010, representation, 0, len(padded)) + padded


def sequence_element(group: int, element: int, items: list[bytes]) -> bytes:
    """A sequence of encoded items with defined lengths."""
    body = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item for item in items)
    return struct.pack("<HH2sHI", group, element, b"SQ", 0, len(body)) + body


def element(group: int, element_: int, representation: str, value: bytes) -> bytes:
    """A short element (two-byte length), value already padded to even length."""
    return struct.pack("<HH2sH", group, element_, representation.encode(), len(value)) + value

"""Private elements of a header, found by the name of their creator (PS3.5 7.8.1), as raw bytes."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from voxtile_medical.archives.stored import open_stored
from voxtile_medical.dicom_header.dataset import read_dataset
from voxtile_medical.dicom_header.headers import FileHeader
from voxtile_medical.dicom_header.pydicom_warnings import quiet_pydicom
from voxtile_medical.dicom_header.skim import MAX_ELEMENT_BYTES, PREFIX_BYTES, Skimmed, Unusual

_GROUPS = frozenset({0x0019, 0x0029, 0x0043, 0x0065, 0x2001, 0x2005})  # of the makers whose elements are read


class PrivateElements:
    """Raw values of one file's private elements.

    Args:
        values: raw value by tag, the creators' names among them.
    """

    def __init__(self, values: Mapping[int, bytes]) -> None:
        self._values = values
        self._blocks = {
            (tag >> 16, _text(raw)): tag & 0xFF for tag, raw in values.items() if 0x10 <= tag & 0xFFFF <= 0xFF
        }

    def raw(self, creator: str, group: int, element: int) -> bytes | None:
        """The value of an element; None where the file has none of that creator.

        Args:
            creator: name of the block, in any case.
            group: of the element.
            element: its last two digits, e.g. 0x0C of (0019,xx0C).
        """
        block = self._blocks.get((group, creator.casefold()))
        return None if block is None else self._values.get(group << 16 | block << 8 | element)

    def decimals(self, creator: str, group: int, element: int) -> tuple[float, ...]:
        """Numbers of an element that holds decimal or integer strings; none where it holds something else."""
        raw = self.raw(creator, group, element)
        try:
            return tuple(float(part) for part in (raw or b"").strip(b" \0").split(b"\\") if part.strip())
        except ValueError:
            return ()

    def binary(self, creator: str, group: int, element: int, code: str) -> tuple[float, ...]:
        """Numbers of an element that holds little-endian binary ones.

        Args:
            creator: as for `raw`.
            group: as for `raw`.
            element: as for `raw`.
            code: of one number, as of `struct`: d, f, h.
        """
        raw = self.raw(creator, group, element) or b""
        count = len(raw) // struct.calcsize(code)
        return struct.unpack(f"<{count}{code}", raw[: count * struct.calcsize(code)])


class _Wanted:
    def __contains__(self, tag: object) -> bool:
        return isinstance(tag, int) and tag >> 16 in _GROUPS


def read_private(root: Path, header: FileHeader) -> PrivateElements:
    """Private elements of a file; none of them where the file cannot be parsed, since nothing may be guessed from it.

    Args:
        root: the source folder.
        header: of the file.
    """
    path = root / header.path
    try:
        with open_stored(path) as file:
            for length in PREFIX_BYTES:
                try:
                    return PrivateElements(Skimmed(file.read(length), header.size, _Wanted()).elements)
                except Unusual:
                    continue
        return PrivateElements(_by_pydicom(path))
    except MemoryError:
        raise
    except Exception:  # a parser on unknown bytes; what it would have said decides nothing alone
        return PrivateElements({})


def _by_pydicom(path: Path) -> dict[int, bytes]:
    from pydicom.dataelem import RawDataElement

    found: dict[int, bytes] = {}
    with quiet_pydicom():
        dataset = read_dataset(path, defer_size=MAX_ELEMENT_BYTES)
        if not dataset.original_encoding[1]:
            return {}  # big endian: no scanner writes it
        for tag in dataset.keys():  # noqa: SIM118  (iterating a Dataset converts its elements)
            element = dataset.get_item(tag)
            if tag in _Wanted() and isinstance(element, RawDataElement) and isinstance(element.value, bytes):
                found[int(tag)] = element.value
    return found


def _text(raw: bytes) -> str:
    return raw.decode("latin-1").strip(" \0").casefold()


@cache
def csa_reader() -> Any:  # noqa: ANN401 - nibabel has no types here
    """Nibabel's reader of the private header of Siemens (CSA), imported when the first file has one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nibabel calls its DICOM readers experimental on import; our tests cover this
        from nibabel.nicom import csareader
    return csareader

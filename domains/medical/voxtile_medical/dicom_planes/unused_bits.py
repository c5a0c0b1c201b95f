"""Bits of a stored value that do not count: clear, or the sign, or an old overlay that the header names (PS3.5 8.1.1).

Anything else there says that BitsStored is not what the file holds, and then the bits that are said to count are not
its values either.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtile_medical.dicom_header.dataset import read_dataset
from voxtile_medical.dicom_header.headers import FileHeader
from voxtile_medical.dicom_header.pydicom_warnings import quiet_pydicom
from voxtile_medical.verdicts import Verdict

_OVERLAY_BIT_POSITIONS = [group << 16 | 0x0102 for group in range(0x6000, 0x6020, 2)]


def counting_bits(
    path: Path, header: FileHeader, values: npt.NDArray[Any], bits_stored: int, high_bit: int
) -> npt.NDArray[Any]:
    """Values without the bits that do not count: cleared (unsigned) or replaced by the sign (signed).

    Args:
        path: the file, which is opened only where such bits are set.
        header: of the file.
        values: integers as they are stored, any shape.
        bits_stored: how many bits count.
        high_bit: the highest of them.

    Raises:
        Verdict: `stray-bits`, bits that do not count hold something that no overlay and no padding explains.
    """
    bits = values.dtype.itemsize * 8
    above, below = bits - 1 - high_bit, high_bit + 1 - bits_stored
    counting: npt.NDArray[Any] = np.right_shift(np.left_shift(values, above), above + below)  # arithmetic where signed
    unsigned = np.dtype(f"u{values.dtype.itemsize}")
    raw, whole = values.view(unsigned), np.left_shift(counting, below).view(unsigned)
    unused = ((1 << bits) - 1) & ~(((1 << bits_stored) - 1) << below)
    stray = _stray(raw, whole, unsigned.type(unused))
    if not stray.any():
        return counting
    for position in _overlay_bits(path):
        unused &= ~(1 << position)
    stray = _stray(raw, whole, unsigned.type(unused))
    if padding := header.values.get("PixelPaddingValue"):
        stray &= raw != unsigned.type(int(padding[0]) & ((1 << bits) - 1))
    if stray.any():
        raise Verdict(
            "stray-bits",
            f"BitsStored is {bits_stored}, and {stray.mean():.1%} of the values hold more bits; correct BitsStored and "
            "HighBit",
        )
    return counting


def _stray(raw: npt.NDArray[Any], whole: npt.NDArray[Any], unused: np.unsignedinteger[Any]) -> npt.NDArray[np.bool_]:
    """Where unused bits are neither clear nor the sign's."""
    found = raw & unused
    stray: npt.NDArray[np.bool_] = (found != 0) & (found != whole & unused)
    return stray


def _overlay_bits(path: Path) -> list[int]:
    """Bits of the pixel data that hold overlays; none where overlays are stored apart."""
    try:
        with quiet_pydicom():
            tags: list[Any] = list(_OVERLAY_BIT_POSITIONS)
            found = read_dataset(path, tags)
            return [int(element.value) for element in found if element.tag in _OVERLAY_BIT_POSITIONS]
    except MemoryError:
        raise
    except Exception:  # what cannot be read explains nothing
        return []

"""Values of 12 bits without gaps, as ACR-NEMA and DICOM before 2005 store them: two in three bytes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

BITS = 12


def packed_bytes(count: int) -> int:
    """Bytes that `count` values take.

    >>> packed_bytes(2), packed_bytes(3)
    (3, 5)
    """
    return (count * BITS + 7) // 8


def unpack(data: bytes, count: int) -> npt.NDArray[np.uint16]:
    """Values from the lowest bit of the first byte on (PS3.5-2004 annex D, little endian).

    Args:
        data: at least `packed_bytes(count)` bytes.
        count: values.

    >>> unpack(bytes([0x23, 0x61, 0x45]), 2).tolist() == [0x123, 0x456]
    True
    """
    triples = np.frombuffer(data.ljust((count + 1) // 2 * 3, b"\0"), np.uint8, (count + 1) // 2 * 3).reshape(-1, 3)
    wide = triples.astype(np.uint16)
    pairs = np.stack((wide[:, 0] | (wide[:, 1] & 0xF) << 8, wide[:, 1] >> 4 | wide[:, 2] << 4), axis=1)
    return pairs.reshape(-1)[:count]

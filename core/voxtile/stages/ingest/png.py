"""PNGs whose channels do not have 8 bits, decoded to the values that are stored.

Pillow reads 16-bit grey exactly but reduces 16-bit colour to 8 bits without saying so, so that colour is decoded here
(PNG specification, third edition, sections 7 and 9).
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

_SIGNATURE_LENGTH = 8
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # PNG colour type → channels


def decode_deep_png(data: bytes) -> npt.NDArray[Any]:
    """Decode a PNG of 1, 2, 4 or 16 bits a channel.

    Args:
        data: the file. The caller has checked its size on the header.

    Returns:
        [Y, X] or [Y, X, C]: uint16 for 16 bits; for fewer bits uint8 at the full range 0…255 (a palette as RGB).

    Raises:
        ValueError: the file is damaged, or 16-bit colour is interlaced.
        OSError: Pillow cannot read it.
    """
    width, height, bits, colour, _, _, interlace = struct.unpack(">IIBBBBB", data[16:29])
    if bits == 16 and colour != 0:
        if interlace:
            raise ValueError("16-bit colour with Adam7 interlacing is not supported")
        return _decode_16_bit(data, height, width, _CHANNELS[colour])
    with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        if bits == 16:
            return np.asarray(image, dtype=np.uint16)
        return np.asarray(image.convert("RGB" if colour == 3 else "L"))


def _decode_16_bit(data: bytes, height: int, width: int, channels: int) -> npt.NDArray[np.uint16]:
    pixel = 2 * channels
    stride = width * pixel
    expected = height * (stride + 1)
    inflate = zlib.decompressobj()
    try:
        raw = inflate.decompress(b"".join(body for kind, body in _chunks(data) if kind == b"IDAT"), expected)
    except zlib.error as error:
        raise ValueError(f"damaged image data: {error}") from error
    if len(raw) < expected:
        raise ValueError(f"the image data ends after {len(raw)} of {expected} bytes")
    rows = np.frombuffer(raw, np.uint8).reshape(height, stride + 1)
    out = np.zeros((height, stride), np.uint8)
    above = np.zeros(stride, np.uint8)
    for y in range(height):
        above = out[y] = _unfilter(int(rows[y, 0]), rows[y, 1:], above, pixel)
    return out.reshape(height, width, pixel).view(">u2").astype(np.uint16)


def _unfilter(kind: int, row: npt.NDArray[np.uint8], above: npt.NDArray[np.uint8], pixel: int) -> npt.NDArray[np.uint8]:
    """Undo one row's filter (section 9.2); `pixel` is the number of bytes a pixel."""
    if kind == 0:
        return row.copy()
    if kind == 1:
        return np.cumsum(row.reshape(-1, pixel), axis=0, dtype=np.uint8).reshape(-1)
    if kind == 2:
        return row + above
    if kind not in (3, 4):
        raise ValueError(f"unknown row filter {kind}")
    out = bytearray(pixel) + bytearray(row.tobytes())
    up = bytes(pixel) + above.tobytes()
    for i in range(pixel, len(out)):
        a, b, c = out[i - pixel], up[i], up[i - pixel]
        if kind == 3:
            out[i] = (out[i] + (a + b) // 2) & 255
        else:
            to_a, to_b, to_c = abs(b - c), abs(a - c), abs(a + b - 2 * c)
            nearest = a if to_a <= to_b and to_a <= to_c else b if to_b <= to_c else c
            out[i] = (out[i] + nearest) & 255
    return np.frombuffer(bytes(out[pixel:]), np.uint8)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = _SIGNATURE_LENGTH
    while position + 12 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        kind = data[position + 4 : position + 8]
        body = data[position + 8 : position + 8 + length]
        check = data[position + 8 + length : position + 12 + length]
        if len(check) < 4 or zlib.crc32(kind + body) != int.from_bytes(check, "big"):
            raise ValueError(f"chunk {kind.decode('latin-1')} is cut off or fails its checksum")
        yield kind, body
        position += 12 + length

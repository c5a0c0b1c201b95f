"""Whether a JPEG 2000 codestream is whole.

Decoders return plausible pixels for a codestream that was cut or overwritten, so its structure is checked before.

What is left is damage inside the coded data that makes no marker: OpenJPEG, which decodes for OpenSlide and imagecodecs
alike, has a strict mode for streams that end early, but checks no code block (its open request 602), and slide writers
leave out the segmentation symbols by which that could be done. Such a tile decodes to wrong pixels.

Source: ITU-T T.800 annex A: SOC, main header, tile-parts (SOT … SOD … data) of stated lengths, EOC. In coded data a
byte 0xFF is never followed by one above 0x8F, except for the markers SOP and EPH.
"""

from __future__ import annotations

import re

_SOC, _SOT, _SOD, _EOC = b"\xff\x4f", b"\xff\x90", b"\xff\x93", b"\xff\xd9"
_FORBIDDEN = re.compile(rb"\xff[\x90\x93-\xff]")  # 91 and 92 are SOP and EPH
_BOX_START = b"\x00\x00\x00\x0cjP  "


class CodestreamError(ValueError):
    """The codestream is cut short or overwritten."""


def check_codestream(data: bytes) -> None:
    """Walk the markers of a codestream, bare or inside a JP2 file.

    Raises:
        CodestreamError: a marker is missing, a tile-part is cut short, or its data holds what no coder writes.
    """
    start = data.find(_SOC) if data.startswith(_BOX_START) else 0
    if start < 0 or data[start : start + 2] != _SOC:
        raise CodestreamError("it does not start as a JPEG 2000 codestream")
    position = _after_segments(data, start + 2, _SOT)
    while data[position : position + 2] == _SOT:
        length = int.from_bytes(data[position + 6 : position + 10], "big")
        end = position + length if length else max(data.rfind(_EOC), position)
        coded = _after_segments(data, position, _SOD) + 2
        if end > len(data) or end < coded:
            raise CodestreamError("a tile-part is cut short")
        if _FORBIDDEN.search(data, coded, end):
            raise CodestreamError("the coded data is overwritten")
        position = end
    # Some writers leave the end marker out; then the tile-parts fill the data exactly.
    if position != len(data) and data[position : position + 2] != _EOC:
        raise CodestreamError("the end is missing")


def _after_segments(data: bytes, position: int, wanted: bytes) -> int:
    """Where the marker `wanted` stands after segments with lengths."""
    while position + 4 <= len(data):
        marker = data[position : position + 2]
        if marker == wanted:
            return position
        if marker[0] != 0xFF:
            break
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    raise CodestreamError("a marker of the header is missing")

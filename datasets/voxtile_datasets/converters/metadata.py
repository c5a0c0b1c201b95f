"""Removes descriptive metadata from JPEG and PNG files without touching the compressed pixels.

EXIF, XMP, IPTC, comments and PNG text can hold names, dates and places. What decoders need stays: JFIF, ICC profiles,
Adobe's colour transform, gamma, palette, transparency.
"""

from __future__ import annotations

from voxtile.stages.ingest.picture import PictureError

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# PNG specification (third edition) section 11.3: these hold text, time or EXIF. Private chunks (second letter in lower
# case) can hold anything and go too.
_PNG_DESCRIPTIVE = frozenset({b"tEXt", b"zTXt", b"iTXt", b"tIME", b"eXIf"})
# ITU-T T.81 table B.1: APPn is FFE0…FFEF, COM is FFFE. Kept: APP0 (JFIF), APP2 (ICC), APP14 (Adobe).
_JPEG_KEPT_APP = frozenset({0xE0, 0xE2, 0xEE})
_JPEG_SCAN = 0xDA


def without_metadata(data: bytes) -> bytes:
    """Copy a JPEG or PNG without its descriptive metadata; the pixels' bytes are the same.

    An EXIF orientation goes too, so a viewer no longer turns the picture; decoders here never did.

    Args:
        data: the file.

    Raises:
        PictureError: reason `decode-error`: the file's structure is damaged.
    """
    if data.startswith(_PNG_SIGNATURE):
        return _clean_png(data)
    if data.startswith(b"\xff\xd8"):
        return _clean_jpeg(data)
    return data  # other formats are decoded and stored as new files, which carry nothing over


def _clean_png(data: bytes) -> bytes:
    kept = [_PNG_SIGNATURE]
    position = len(_PNG_SIGNATURE)
    while position + 12 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        kind = data[position + 4 : position + 8]
        end = position + 12 + length
        if kind not in _PNG_DESCRIPTIVE and not kind[1:2].islower():
            kept.append(data[position:end])
        position = end
        if kind == b"IEND":
            return b"".join(kept)
    raise PictureError("decode-error", "the PNG is cut off before its end chunk; replace the file")


def _clean_jpeg(data: bytes) -> bytes:
    kept = [data[:2]]
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker == _JPEG_SCAN:
            end = data.rfind(b"\xff\xd9")  # what follows the end of the image can be anything
            return b"".join([*kept, data[position : end + 2 if end > position else len(data)]])
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        is_descriptive = marker == 0xFE or (0xE0 <= marker <= 0xEF and marker not in _JPEG_KEPT_APP)
        if not is_descriptive:
            kept.append(data[position:end])
        position = end
    raise PictureError("decode-error", "the JPEG is cut off before its pixels; replace the file")

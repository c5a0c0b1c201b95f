"""Values of raw header elements by the dictionary's value representation.

They are interpreted once for each distinct encoding (`lru_cache`), since most are the same in all files of a series.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterable
from functools import lru_cache
from typing import TypeAlias

from voxtile_medical.dicom_header.tags import VRS
from voxtile_medical.series_roles.words import description_words

Value: TypeAlias = str | float | int
Values: TypeAlias = dict[str, tuple[Value, ...]]

MAX_VALUES = 256  # of an element; no wanted one has as many
MAX_CACHED_BYTES = 256  # longer values are not the same in all files of a series
_FREE_TEXT = "SeriesDescription"  # read as words of a closed list only
_TEXT = frozenset({"PN", "LO", "SH", "ST", "LT"})  # may use the file's character set
_ESCAPES = re.compile(r"\x1b\$?[()\-.]?[@-~]")  # of code extensions (PS3.3 table C.12-4)
_NUMERIC = {"US": ("H", int), "SS": ("h", int), "FD": ("d", float), "FL": ("f", float), "UL": ("I", int)}


def interpret(
    keyword: str, raw: bytes, charset: bytes | None = None, big_endian: bool = False
) -> tuple[Value, ...] | None:
    """Values of a raw element by the dictionary's value representation.

    Returns:
        The values, at most `MAX_VALUES` (of a sequence only that it is there); None where the element is blank; and an
        empty tuple where it is to hold numbers and one of them is none, or not finite: there is something, so that no
        default may stand for it.
    """
    read = _interpret_cached if len(raw) <= MAX_CACHED_BYTES else _interpret
    return read(keyword, raw, charset, big_endian)


def _interpret(keyword: str, raw: bytes, charset: bytes | None, big_endian: bool) -> tuple[Value, ...] | None:
    vr = VRS[keyword]
    if vr == "SQ":
        return (1,)
    if vr == "US or SS":
        vr = "US"
    if vr in _NUMERIC:
        code, kind = _NUMERIC[vr]
        count = min(len(raw) // struct.calcsize(code), MAX_VALUES)
        order = ">" if big_endian else "<"
        return _finite(kind(v) for v in struct.unpack(f"{order}{count}{code}", raw[: count * struct.calcsize(code)]))
    if vr in ("DS", "IS"):
        return _decimals(raw)
    text = _decode(raw, charset) if vr in _TEXT else raw.decode("latin-1")
    if keyword == _FREE_TEXT:
        return description_words(text) or None
    values = tuple(part.strip(" \0") for part in text.split("\\", MAX_VALUES)[:MAX_VALUES])
    return values if any(values) else None


_interpret_cached = lru_cache(maxsize=65536)(_interpret)


def _decimals(raw: bytes) -> tuple[float, ...] | None:
    """Decimal and integer strings (PS3.5 6.2); Python's own spellings, such as 1_000, are none."""
    text = raw.strip(b" \0")
    if not text:
        return None
    if b"_" in text:
        return ()
    try:
        return _finite(float(part) for part in text.split(b"\\", MAX_VALUES)[:MAX_VALUES])
    except ValueError:
        return ()


def _finite(numbers: Iterable[float]) -> tuple[float, ...]:
    found = tuple(numbers)
    return found if all(map(math.isfinite, found)) else ()


def _decode(raw: bytes, charset: bytes | None) -> str:
    names = [part.strip() for part in charset.decode("latin-1").rstrip(" \0").split("\\")] if charset else [""]
    if raw.isascii() and b"\x1b" not in raw:
        return raw.decode("ascii")  # the same in every character set that DICOM knows, unless a code extension begins
    from pydicom.charset import convert_encodings, decode_bytes

    text = str(decode_bytes(raw, convert_encodings(names), {ord(c) for c in "\\^="}))
    return _ESCAPES.sub("", text)  # pydicom leaves those of ISO 2022 IR 58 in the names

"""Encoded pictures from outside: which are stored byte for byte, and which become arrays.

8-bit JPEG and PNG are passed through untouched. WebP, which the corpus does not store, becomes a PNG with the same
pixels; PNGs of other bit depths become arrays of the source's own integers.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from voxtile.corpus.records import Row
from voxtile.corpus.shards.codecs import MAX_PICTURE_PIXELS, decode_picture
from voxtile.engine.task import Part
from voxtile.errors import InputError, VoxtileError
from voxtile.stages.ingest.png import decode_deep_png

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_JPEG_NO_LENGTH = frozenset({0x01, *range(0xD0, 0xD9)})  # ITU-T T.81 table B.1: TEM, RSTn, SOI stand alone
_EXIF_MARKS = (b"Exif\0\0", b"eXIf", b"EXIF")  # of JPEG, PNG and WebP
_ORIENTATION = 0x0112  # EXIF 2.3, table 4; 1 is as the picture lies in the file
TURNED = "turned-by-exif"
TOLD_OF_TURNED = (
    f"{TURNED}: EXIF asks viewers to turn or mirror these pictures; they are stored and trained on as they lie in the "
    "file, so turn the files (exiftran -a, ImageMagick's mogrify -auto-orient) and convert them into a new corpus"
)
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOFn without DHT, JPG, DAC


class PictureError(InputError):
    """A picture cannot be stored; `reason` is the ledger's name for it."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


@dataclass(frozen=True)
class Header:
    """What the first bytes of a picture say. `bits` a channel; `components` as stored (a palette counts as one)."""

    format: str
    height: int
    width: int
    bits: int
    components: int


@dataclass(frozen=True)
class Picture:
    """A picture ready to be stored.

    Attributes:
        payload: encoded JPEG or PNG bytes, or an array in the order of `axes`.
        axes: `YX` or `YXC`.
        shape: size along `axes`.
        dtype: `uint8` for encoded pictures.
        preview: 8-bit [Y, X] or [Y, X, 3] for arrays, None for encoded pictures.
    """

    payload: bytes | npt.NDArray[Any]
    axes: str
    shape: tuple[int, ...]
    dtype: str
    preview: npt.NDArray[np.uint8] | None = None

    def columns(self) -> Row:
        """The columns of `schema.SAMPLES` that the picture itself decides."""
        names = {1: ["grey"], 2: ["grey", "alpha"], 3: ["red", "green", "blue"], 4: ["red", "green", "blue", "alpha"]}
        count = self.shape[2] if self.axes == "YXC" else 1
        return {
            "axes": self.axes,
            "shape": list(self.shape),
            "dtype": self.dtype,
            "units": "a.u.",
            "channels": [{"name": n, "unit": "a.u.", "scale": 1.0, "offset": 0.0} for n in names[count]],
        }


def read_picture(data: bytes) -> Picture:
    """Check a picture by decoding it and choose how it is stored.

    Args:
        data: bytes of a JPEG, PNG or WebP file.

    Raises:
        PictureError: reasons `not-a-picture`, `too-large`, `bit-depth`, `decode-error`.
    """
    header = read_header(data)
    if header.height * header.width > MAX_PICTURE_PIXELS:
        raise PictureError(
            "too-large",
            f"the picture has {header.width} × {header.height} pixels, more than the {MAX_PICTURE_PIXELS:,} allowed; "
            "tile it first",
        )
    if header.format == "png" and header.bits != 8:
        return _deep_picture(data, header)
    if header.format == "jpg" and header.bits != 8:
        raise PictureError(
            "bit-depth", f"a JPEG with {header.bits} bits a channel cannot be stored; convert it to a 16-bit PNG"
        )
    payload = _webp_as_png(data) if header.format == "webp" else data
    try:
        pixels = decode_picture(payload)
    except (VoxtileError, ValueError, OSError, SyntaxError) as error:
        raise PictureError(
            "decode-error", f"the picture does not decode ({_one_line(error)}); replace the file"
        ) from error
    return Picture(payload, "YXC" if pixels.ndim == 3 else "YX", pixels.shape, "uint8")


def read_header(data: bytes) -> Header:
    """Read format, size and bit depth from the first bytes; nothing is decoded.

    Raises:
        PictureError: reason `not-a-picture`.
    """
    if data.startswith(_PNG_SIGNATURE) and len(data) >= 33 and data[12:16] == b"IHDR":
        width, height, bits, colour = struct.unpack(">IIBB", data[16:26])
        components = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}.get(colour, 0)
        if width and height and components:
            return Header("png", height, width, bits, components)
    elif data.startswith(b"\xff\xd8"):
        return _jpeg_header(data)
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        try:
            with Image.open(io.BytesIO(data), formats=["WEBP"]) as image:
                return Header("webp", image.height, image.width, 8, len(image.getbands()))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise PictureError(
                "not-a-picture", f"the WebP header is damaged ({_one_line(error)}); replace the file"
            ) from error
    what = "is empty" if not data else "is not a JPEG, PNG or WebP picture, whatever its name says"
    raise PictureError("not-a-picture", f"the file {what}; remove it or convert it")


def turned_by_exif(uid: str, data: bytes) -> list[Part]:
    """The row of a picture that viewers turn or mirror and decoders here do not; none of others.

    Args:
        uid: of its sample.
        data: of a picture that decodes.
    """
    if not any(mark in data for mark in _EXIF_MARKS):
        return []
    try:
        with Image.open(io.BytesIO(data)) as image:
            orientation = image.getexif().get(_ORIENTATION, 1)
    except (OSError, ValueError, SyntaxError, KeyError, struct.error, Image.DecompressionBombError):
        return []
    is_turned = isinstance(orientation, int) and 1 < orientation <= 8
    return [Part(uid, "dropped", TURNED, "EXIF turns it; it is stored as it lies in the file")] if is_turned else []


def scale_to_8_bit(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Stretch any real array to 0…255 between its 1st and 99th percentile, for people to look at.

    Args:
        values: any shape; not finite values become 0.
    """
    finite = np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = np.percentile(finite, [1.0, 99.0]) if finite.size else (0.0, 1.0)
    if high <= low:
        low, high = float(finite.min(initial=0.0)), float(finite.max(initial=1.0))
    scaled: npt.NDArray[np.uint8] = np.clip((finite - low) / max(high - low, 1e-12) * 255.0, 0, 255).astype(np.uint8)
    return scaled


def _jpeg_header(data: bytes) -> Header:
    position = 2
    while position + 10 <= len(data):
        if data[position] != 0xFF:
            break
        marker = data[position + 1]
        if marker == 0xFF or marker in _JPEG_NO_LENGTH:
            position += 1 if marker == 0xFF else 2
            continue
        if marker in _JPEG_FRAMES:
            bits, height, width, components = struct.unpack(">BHHB", data[position + 4 : position + 10])
            if height and width:
                return Header("jpg", height, width, bits, components)
            break
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    raise PictureError("not-a-picture", "the JPEG has no frame header, so it is cut off or damaged; replace the file")


def _deep_picture(data: bytes, header: Header) -> Picture:
    try:
        array = decode_deep_png(data)
    except (ValueError, OSError, SyntaxError) as error:
        raise _decode_error(error) from error
    axes = "YXC" if array.ndim == 3 else "YX"
    colour = (
        array[..., :3]
        if array.ndim == 3 and array.shape[2] >= 3
        else array.reshape(header.height, header.width, -1)[..., 0]
    )
    step = max(1, max(header.height, header.width) // 512)
    return Picture(array, axes, array.shape, array.dtype.name, scale_to_8_bit(colour[::step, ::step]))


def _webp_as_png(data: bytes) -> bytes:
    try:
        with Image.open(io.BytesIO(data), formats=["WEBP"]) as image:
            out = io.BytesIO()
            image.save(out, "PNG")  # the first frame; lossless, so the pixels are the WebP decoder's own
    except (OSError, ValueError, SyntaxError) as error:
        raise PictureError(
            "decode-error", f"the WebP does not decode ({_one_line(error)}); replace the file"
        ) from error
    return out.getvalue()


def _decode_error(error: Exception) -> PictureError:
    return PictureError("decode-error", f"the picture does not decode ({_one_line(error)}); replace the file")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__

"""Pictures from outside: bytes pass through, deep PNGs keep their values, damage is named."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from voxtile.stages.ingest.picture import PictureError, read_header, read_picture, scale_to_8_bit


def encoded(pixels, kind, **options):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png16(array, filters):
    """A 16-bit colour PNG whose rows use the given filters (PNG specification, section 9), written by its formulas."""
    height, width, channels = array.shape
    pixel = 2 * channels
    raw = array.astype(">u2").reshape(height, -1).view(np.uint8).astype(np.int64)
    rows = []
    for y in range(height):
        up = raw[y - 1] if y else np.zeros_like(raw[0])
        left = np.concatenate([np.zeros(pixel, np.int64), raw[y][:-pixel]])
        up_left = np.concatenate([np.zeros(pixel, np.int64), up[:-pixel]])
        p = left + up - up_left
        distances = np.stack([abs(p - left), abs(p - up), abs(p - up_left)])
        paeth = np.stack([left, up, up_left])[distances.argmin(0), np.arange(raw.shape[1])]
        predicted = [0, left, up, (left + up) // 2, paeth][filters[y % len(filters)]]
        rows.append(bytes([filters[y % len(filters)]]) + ((raw[y] - predicted) % 256).astype(np.uint8).tobytes())
    colour = {2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, 0)
    data = zlib.compress(b"".join(rows))
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", data[:40]), chunk(b"IDAT", data[40:]), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("shape", [(17, 23), (17, 23, 3)])
def test_8_bit_pictures_pass_through_untouched(kind, shape):
    data = encoded(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8), kind)
    picture = read_picture(data)
    assert picture.payload == data
    assert picture.shape == shape
    assert picture.axes == "YX" + "C" * (len(shape) - 2)
    assert [c["name"] for c in picture.columns()["channels"]] == (
        ["grey"] if len(shape) == 2 else ["red", "green", "blue"]
    )


def test_webp_becomes_a_png_with_the_same_pixels():
    data = encoded(np.random.default_rng(1).integers(0, 256, (16, 16, 3), dtype=np.uint8), "WEBP", quality=60)
    picture = read_picture(data)
    assert picture.payload.startswith(b"\x89PNG")
    with Image.open(io.BytesIO(data)) as original, Image.open(io.BytesIO(picture.payload)) as stored:
        np.testing.assert_array_equal(np.asarray(stored.convert("RGB")), np.asarray(original.convert("RGB")))


def test_16_bit_grey_becomes_an_array_of_its_own_values():
    values = np.random.default_rng(2).integers(0, 65536, (9, 11), dtype=np.uint16)
    picture = read_picture(encoded(values, "PNG"))
    np.testing.assert_array_equal(picture.payload, values)
    assert picture.dtype == "uint16"
    assert picture.preview.dtype == np.uint8


@pytest.mark.parametrize("channels", [2, 3, 4])
@pytest.mark.parametrize("filters", [(0,), (1,), (2,), (3,), (4,), (4, 3, 1, 2, 0)])
def test_16_bit_colour_keeps_all_its_bits_under_every_row_filter(channels, filters):
    values = np.random.default_rng(3).integers(0, 65536, (6, 7, channels), dtype=np.uint16)
    np.testing.assert_array_equal(read_picture(png16(values, filters)).payload, values)


def test_our_16_bit_encoder_agrees_with_pillow_in_the_high_bytes():
    # Pillow reduces 16-bit colour to its high bytes, which checks the encoder above independently.
    values = np.random.default_rng(4).integers(0, 65536, (6, 7, 3), dtype=np.uint16)
    with Image.open(io.BytesIO(png16(values, (4, 3, 1, 2, 0)))) as image:
        np.testing.assert_array_equal(np.asarray(image), (values >> 8).astype(np.uint8))


def test_1_bit_png_becomes_an_array_at_full_range():
    stream = io.BytesIO()
    Image.fromarray(np.eye(8, dtype=bool)).save(stream, "PNG")
    np.testing.assert_array_equal(read_picture(stream.getvalue()).payload, np.eye(8, dtype=np.uint8) * 255)


def damaged():
    rng = np.random.default_rng(5)
    jpeg = encoded(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8), "JPEG")
    png = encoded(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8), "PNG")
    deep = png16(rng.integers(0, 65536, (6, 7, 3), dtype=np.uint16), (0,))
    flipped = bytearray(deep)
    flipped[60] ^= 1
    bomb = bytearray(png)
    bomb[16:24] = struct.pack(">II", 2**31 - 1, 2**31 - 1)
    return {
        "empty": (b"", "not-a-picture"),
        "html": (b"<html>not found</html>", "not-a-picture"),
        "jpeg cut in its header": (jpeg[:20], "not-a-picture"),
        "jpeg cut in its pixels": (jpeg[: len(jpeg) // 2], "decode-error"),
        "png cut in its pixels": (png[: len(png) // 2], "decode-error"),
        "png that claims 4 exapixels": (bytes(bomb), "too-large"),
        "16-bit png cut": (deep[:-30], "decode-error"),
        "16-bit png with a flipped bit": (bytes(flipped), "decode-error"),
        "webp header only": (b"RIFF\x10\0\0\0WEBPVP8 ", "not-a-picture"),
    }


@pytest.mark.parametrize("case", damaged())
def test_damage_is_named_in_one_sentence(case):
    data, reason = damaged()[case]
    with pytest.raises(PictureError) as caught:
        read_picture(data)
    assert caught.value.reason == reason
    assert "\n" not in str(caught.value)


def test_header_is_read_without_decoding():
    pixels = np.zeros((12, 34, 3), np.uint8)
    assert (read_header(encoded(pixels, "JPEG")).height, read_header(encoded(pixels, "JPEG")).width) == (12, 34)
    assert read_header(encoded(pixels, "JPEG", progressive=True)).components == 3
    assert read_header(encoded(pixels, "WEBP")).width == 34


def test_stretching_is_monotonic_and_survives_constants_and_nan():
    ramp = scale_to_8_bit(np.linspace(-1000, 3000, 512))
    assert (np.diff(ramp.astype(int)) >= 0).all()
    assert (ramp[0], ramp[-1]) == (0, 255)
    assert scale_to_8_bit(np.full((4, 4), 7.0)).max() <= 255
    assert scale_to_8_bit(np.array([np.nan, np.inf, 0.0, 1.0])).dtype == np.uint8

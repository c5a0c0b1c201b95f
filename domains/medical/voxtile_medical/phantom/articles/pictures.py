"""Pictures of the invented articles: one bright or dark shape on a noisy ground, which the caption names."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from PIL import Image

_HEIGHT, _WIDTH = 112, 144  # pixels
_SHAPES = ("disc", "square", "cross", "ring")


@dataclass(frozen=True)
class Shown:
    """What a picture shows.

    Attributes:
        tone: bright or dark.
        shape: disc, square, cross or ring.
        side: left or right, of the picture.
    """

    tone: str
    shape: str
    side: str

    def __str__(self) -> str:
        return f"a {self.tone} {self.shape} on the {self.side} side"


def draw_shown(rng: np.random.Generator) -> Shown:
    """Any of the sixteen."""
    return Shown(
        str(rng.choice(["bright", "dark"])), str(rng.choice(list(_SHAPES))), str(rng.choice(["left", "right"]))
    )


def render(shown: Shown, rng: np.random.Generator, form: str = "JPEG") -> bytes:
    """The picture as a file.

    Args:
        shown: what it shows.
        rng: of the place, the size and the noise.
        form: JPEG, PNG, TIFF or GIF.
    """
    row, column = np.mgrid[:_HEIGHT, :_WIDTH]
    middle = _WIDTH * (0.27 if shown.side == "left" else 0.73) + rng.uniform(-8, 8)
    y, x = row - _HEIGHT / 2 - rng.uniform(-12, 12), column - middle
    size = rng.uniform(14, 22)
    distance = np.hypot(x, y)
    shapes = {
        "disc": distance < size,
        "square": np.maximum(abs(x), abs(y)) < size * 0.85,
        "cross": (np.minimum(abs(x), abs(y)) < size * 0.3) & (np.maximum(abs(x), abs(y)) < size),
        "ring": abs(distance - size) < size * 0.25,
    }
    level = 215 if shown.tone == "bright" else 35
    pixels = np.where(shapes[shown.shape], level, 125) + rng.normal(0, 8, (_HEIGHT, _WIDTH))
    return encoded(np.clip(pixels, 0, 255).astype(np.uint8), form)


def encoded(pixels: np.ndarray, form: str) -> bytes:
    """An array [Y, X] or [Y, X, 3] of 8 bits as a file."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, form, **({"quality": 88} if form == "JPEG" else {}))
    return out.getvalue()


def huge_png() -> bytes:
    """A PNG of some bytes that claims 40,000 × 40,000 pixels."""
    header = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 64)), (b"IEND", b"")]
    packed = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)

"""A slide of any size in a small file: its tiles are many, but they share a few stored pictures.

A tile's place in a TIFF is an offset, and nothing forbids that two tiles have the same one. So a slide of 100,000 by
80,000 pixels takes a few megabytes, nearly all of it offsets. Tissue comes in whole cells of CELL pixels, so that every
level shows it in the same places. Source: TIFF 6.0, sections 15 and 22; BigTIFF (https://www.awaresystems.be/imaging/tiff/bigtiff.html).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import simplejpeg
from scipy import ndimage

TILE = 256
DOWNSAMPLES = (1, 4, 16)
CELL = TILE * DOWNSAMPLES[-1]  # level-0 pixels along the side of a cell: one tile of the last level
_PICTURES = 8  # different tiles of tissue a level
_QUALITY = 85
_GLASS = (242, 240, 243)
_SHORT, _LONG, _RATIONAL, _LONG8 = 3, 4, 5, 16
_LETTER = {_SHORT: "H", _LONG: "I", _RATIONAL: "II", _LONG8: "Q"}


@dataclass(frozen=True)
class LargeSlide:
    """What was written.

    Attributes:
        size: width and height of level 0.
        tissue: [rows, columns] bool, the cells that hold tissue.
    """

    size: tuple[int, int]
    tissue: npt.NDArray[np.bool_]

    @property
    def tissue_tiles(self) -> int:
        """Tiles of level 0 that hold tissue and lie wholly on the slide."""
        rows, columns = (np.arange(side // TILE) * TILE // CELL for side in reversed(self.size))
        return int(self.tissue[np.ix_(rows, columns)].sum())


def write_large_slide(
    path: Path, size: tuple[int, int], *, tissue_share: float, mpp: float = 0.5, seed: int = 0
) -> LargeSlide:
    """Write a pyramid of 4:2:0 JPEG tiles.

    Args:
        path: the new file.
        size: width and height of level 0.
        tissue_share: share of the cells that hold tissue.
        mpp: micrometres a pixel of level 0.
        seed: another seed puts the tissue elsewhere.
    """
    rng = np.random.default_rng(seed)
    columns, rows = (-(-side // CELL) for side in size)
    order = rng.permutation(rows * columns)
    tissue = np.zeros(rows * columns, bool)
    tissue[order[: round(tissue_share * rows * columns)]] = True
    slide = LargeSlide(size, tissue.reshape(rows, columns))
    with path.open("wb") as file:
        file.write(struct.pack("<2sHHHQ", b"II", 43, 8, 0, 0))
        link = 8  # where the offset of the next directory is to be written
        for downsample in DOWNSAMPLES:
            link = _write_level(file, link, slide, downsample, mpp, rng)
    return slide


def _write_level(
    file: BinaryIO, link: int, slide: LargeSlide, downsample: int, mpp: float, rng: np.random.Generator
) -> int:
    """Append one level and link it; where the next link goes."""
    pictures = [_encoded(np.full((TILE, TILE, 3), _GLASS, np.uint8)), *(_tissue(rng) for _ in range(_PICTURES))]
    places = []
    for data in pictures:
        places.append((file.tell(), len(data)))
        file.write(data)
    width, height = (-(-side // downsample) for side in slide.size)
    across, down = -(-width // TILE), -(-height // TILE)
    per_cell = CELL // (TILE * downsample)
    cells = slide.tissue[np.ix_(np.arange(down) // per_cell, np.arange(across) // per_cell)]
    chosen = np.where(cells, rng.integers(1, len(pictures), (down, across)), 0).ravel()
    offsets, counts = (np.array(values)[chosen] for values in zip(*places, strict=True))
    offsets_at = _place(file, offsets.astype("<u8"))
    counts_at = _place(file, counts.astype("<u4"))
    per_centimetre = round(1e7 / (mpp * downsample))
    entries: list[tuple[int, int, int, Sequence[int]]] = [
        (254, _LONG, 1, [int(downsample > 1)]),
        (256, _LONG, 1, [width]),
        (257, _LONG, 1, [height]),
        (258, _SHORT, 3, [8, 8, 8]),
        (259, _SHORT, 1, [7]),
        (262, _SHORT, 1, [6]),
        (277, _SHORT, 1, [3]),
        (282, _RATIONAL, 1, [per_centimetre, 1000]),
        (283, _RATIONAL, 1, [per_centimetre, 1000]),
        (284, _SHORT, 1, [1]),
        (296, _SHORT, 1, [3]),
        (322, _SHORT, 1, [TILE]),
        (323, _SHORT, 1, [TILE]),
        (324, _LONG8, len(chosen), [offsets_at]),
        (325, _LONG, len(chosen), [counts_at]),
        (530, _SHORT, 2, [2, 2]),
    ]
    start = file.tell()
    file.write(struct.pack("<Q", len(entries)) + b"".join(_entry(*entry) for entry in entries) + bytes(8))
    end = file.tell()
    file.seek(link)
    file.write(struct.pack("<Q", start))
    file.seek(end)
    return end - 8


def _entry(tag: int, kind: int, count: int, values: Sequence[int]) -> bytes:
    if tag in (324, 325):
        return struct.pack("<HHQQ", tag, kind, count, values[0])
    packed = b"".join(struct.pack(f"<{_LETTER[kind]}", *group) for group in _grouped(kind, values))
    return struct.pack("<HHQ", tag, kind, count) + packed.ljust(8, b"\0")


def _grouped(kind: int, values: Sequence[int]) -> list[Sequence[int]]:
    return [values] if kind == _RATIONAL else [[value] for value in values]


def _place(file: BinaryIO, values: npt.NDArray[Any]) -> int:
    """Append values and say where; up to eight bytes of them stand in the directory itself."""
    data = values.tobytes()
    if len(data) <= 8:
        return int.from_bytes(data, "little")
    start = file.tell()
    file.write(data)
    return start


def _tissue(rng: np.random.Generator) -> bytes:
    texture = ndimage.gaussian_filter(rng.normal(size=(TILE, TILE)), 3, mode="wrap")
    picture = np.array([195.0, 130, 185]) + (texture / texture.std())[..., None] * np.array([18.0, 25, 12])
    return _encoded(np.clip(picture, 0, 255).astype(np.uint8))


def _encoded(picture: npt.NDArray[np.uint8]) -> bytes:
    data: bytes = simplejpeg.encode_jpeg(picture, quality=_QUALITY, colorsubsampling="420")
    return data

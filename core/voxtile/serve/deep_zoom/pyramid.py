"""Tiles of a large picture by the rules of Deep Zoom.

Source: the Deep Zoom file format (Microsoft, schemas.microsoft.com/deepzoom/2008): level n has 2^(top − n) pixels of
the picture a pixel, where the top level is the picture itself and level 0 a single pixel; tiles are squares of 256.
"""

from __future__ import annotations

import math
import threading

import numpy as np
from PIL import Image

from voxtile.errors import ConfigError
from voxtile.serve.deep_zoom.pixels import Box, Picture, Pixels

TILE = 256
_MOST_READ = (
    1 << 24
)  # pixels for one tile; coarser tiles of a picture without levels come from a small one of the whole
_SMALL = 2048  # pixels of a side of that small one
_SLAB = 1 << 24  # pixels that are read at a time to make it


class PyramidClosedError(Exception):
    """The picture was closed meanwhile; it is to be opened again."""


class Pyramid:
    """Tiles of one picture; one is made at a time.

    Args:
        pixels: of the picture.
    """

    def __init__(self, pixels: Pixels) -> None:
        self._pixels = pixels
        self._lock = threading.Lock()
        self._closed = False
        self._small: tuple[int, Image.Image] | None = None
        self.size = pixels.size

    @property
    def top(self) -> int:
        """Number of the finest level."""
        return math.ceil(math.log2(max(self.size)))

    @property
    def dzi(self) -> str:
        """The description that viewers of Deep Zoom open."""
        width, height = self.size
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n<Image xmlns="http://schemas.microsoft.com/deepzoom/2008" '
            f'TileSize="{TILE}" Overlap="0" Format="jpeg"><Size Width="{width}" Height="{height}"/></Image>\n'
        )

    def tile(self, level: int, column: int, line: int) -> Image.Image:
        """One tile; those at the right and lower edge are smaller.

        Raises:
            ConfigError: there is no such tile.
            VoxtileError: the pixels cannot be read.
            PyramidClosedError: it was closed.
        """
        if not 0 <= level <= self.top:
            raise ConfigError(f"there is no level {level}; levels are 0 to {self.top}")
        scale = 1 << (self.top - level)
        width, height = (math.ceil(side / scale) for side in self.size)
        x0, y0 = column * TILE, line * TILE
        if not (0 <= x0 < width and 0 <= y0 < height):
            raise ConfigError("there is no such tile at this level")
        x1, y1 = min(x0 + TILE, width), min(y0 + TILE, height)
        with self._lock:
            if self._closed:
                raise PyramidClosedError
            far = min(x1 * scale, self.size[0]), min(y1 * scale, self.size[1])
            return self._cut((x0 * scale, y0 * scale, *far), scale, (x1 - x0, y1 - y0))

    def close(self) -> None:
        """Give files back, once no tile is being made."""
        with self._lock:
            self._closed = True
            self._pixels.close()

    def _cut(self, part: Box, scale: int, size: tuple[int, int]) -> Image.Image:
        """A box of the finest level, made so many pixels large."""
        downsamples = self._pixels.downsamples
        level = max(n for n, down in enumerate(downsamples) if n == 0 or down <= scale * 1.01)
        down = downsamples[level]
        if (part[2] - part[0]) * (part[3] - part[1]) / down**2 > _MOST_READ:
            factor, small = self._whole()
            right, bottom = min(part[2] / factor, small.width), min(part[3] / factor, small.height)
            return small.resize(size, Image.Resampling.BOX, (part[0] / factor, part[1] / factor, right, bottom))
        x0, y0, x1, y1 = (edge / down for edge in part)
        outer = (math.floor(x0), math.floor(y0), math.ceil(x1), math.ceil(y1))
        found = Image.fromarray(self._pixels.read(level, outer))
        inner = (x0 - outer[0], y0 - outer[1], x1 - outer[0], y1 - outer[1])
        if found.size == size and inner == (0, 0, *size):
            return found
        return found.resize(size, Image.Resampling.BOX if scale > down else Image.Resampling.BILINEAR, inner)

    def _whole(self) -> tuple[int, Image.Image]:
        """The whole picture, so many times smaller, made once from its coarsest level."""
        if self._small is None:
            level = len(self._pixels.downsamples) - 1
            down = self._pixels.downsamples[level]
            width, height = (math.ceil(side / down) for side in self.size)
            factor = max(1, math.ceil(max(width, height) / _SMALL))
            lines = max(factor, _SLAB // max(1, width) // factor * factor)
            parts = [
                _shrunk(self._pixels.read(level, (0, y, width, min(y + lines, height))), factor)
                for y in range(0, height, lines)
            ]
            self._small = (round(factor * down), Image.fromarray(np.concatenate(parts)))
        return self._small


def _shrunk(picture: Picture, factor: int) -> Picture:
    """Means of squares of so many pixels."""
    if factor == 1:
        return picture
    return np.asarray(Image.fromarray(picture).reduce(factor))

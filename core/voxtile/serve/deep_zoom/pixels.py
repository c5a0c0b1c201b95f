"""A large picture that is read by boxes, whatever holds it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from voxtile.corpus.source import StoredSample
from voxtile.errors import ConfigError
from voxtile.formats.pictures.values import axes_of, box, size_along
from voxtile.formats.whole_slides import WholeSlide

Box: TypeAlias = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels, half-open."""
Picture: TypeAlias = npt.NDArray[np.uint8]
"""[Y, X, 3]."""


class Pixels(Protocol):
    """What tiles are cut from."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the finest level."""

    @property
    def downsamples(self) -> Sequence[float]:
        """Pixels of the finest level a pixel of each level, rising from 1."""

    def read(self, level: int, part: Box) -> Picture:
        """Pixels of a box of a level; what lies outside is white."""

    def close(self) -> None:
        """Give files back."""


class SlidePixels:
    """A slide from its file.

    Args:
        slide: open.
    """

    def __init__(self, slide: WholeSlide) -> None:
        self._slide = slide

    @property
    def size(self) -> tuple[int, int]:
        """Of level 0."""
        return self._slide.levels[0].size

    @property
    def downsamples(self) -> list[float]:
        """Of the file's levels."""
        return [max(level.downsample) for level in self._slide.levels]

    def read(self, level: int, part: Box) -> Picture:
        """By the file's reader."""
        return self._slide.read(level, part)

    def close(self) -> None:
        """Close the file."""
        self._slide.close()


class ArrayPixels:
    """A picture that is stored as an array, of which the chunks of a box are read.

    Args:
        source: the sample.

    Raises:
        ConfigError: it is no picture of 8 bits.
    """

    def __init__(self, source: StoredSample) -> None:
        meta = source.meta
        self._grey = axes_of(meta) == "YX"
        if axes_of(meta) not in ("YX", "YXC") or meta.get("dtype") != "uint8" or size_along(meta, "C") not in (1, 3):
            raise ConfigError("this sample is no picture of 8 bits; it has no tiles")
        self._source = source
        self.size = (size_along(meta, "X"), size_along(meta, "Y"))
        self.downsamples = (1.0,)

    def read(self, level: int, part: Box) -> Picture:
        """From the stored array."""
        x0, y0, x1, y1 = part
        rows, columns = (max(0, y0), min(y1, self.size[1])), (max(0, x0), min(x1, self.size[0]))
        stored = self._source.array(box(self._source.meta, Y=slice(*rows), X=slice(*columns)))
        values = stored.reshape(stored.shape[0], stored.shape[1], -1)
        out = np.full((y1 - y0, x1 - x0, 3), 255, np.uint8)
        out[rows[0] - y0 : rows[1] - y0, columns[0] - x0 : columns[1] - x0] = values
        return out

    def close(self) -> None:
        """Nothing is held open."""


class DecodedPixels:
    """A picture that had to be decoded whole: a JPEG or PNG gives no box of itself.

    Args:
        picture: [Y, X, 3].
    """

    def __init__(self, picture: Picture) -> None:
        self._picture = picture
        self.size = (picture.shape[1], picture.shape[0])
        self.downsamples = (1.0,)

    def read(self, level: int, part: Box) -> Picture:
        """A part of it."""
        x0, y0, x1, y1 = part
        out = np.full((y1 - y0, x1 - x0, 3), 255, np.uint8)
        found = self._picture[max(0, y0) : y1, max(0, x0) : x1]
        top, left = max(0, -y0), max(0, -x0)
        out[top : top + found.shape[0], left : left + found.shape[1]] = found
        return out

    def close(self) -> None:
        """Nothing is held open."""

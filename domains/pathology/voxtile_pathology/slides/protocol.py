"""What every slide reader offers, whatever the file is.

Coordinates are pixels (x to the right, y down) from the upper left corner of a level; boxes are half-open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from voxtile.errors import InputError

Box: TypeAlias = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels of one level; x1 and y1 are not included."""

Picture: TypeAlias = npt.NDArray[np.uint8]
"""[Y, X, 3] RGB."""

MAX_READ_PIXELS = 1 << 26  # 200 MB of RGB in one read; a patch is far smaller


class SlideError(InputError):
    """A slide, or a part of it, cannot be read."""


class UnsupportedSlideError(SlideError):
    """This reader does not know the file's structure, although another one may."""


@dataclass(frozen=True)
class SlideWarning:
    """Something about a slide that does not stop a run but belongs on record.

    Attributes:
        reason: short machine-readable name, e.g. `mpp-objective-mismatch`.
        detail: one sentence for people.
    """

    reason: str
    detail: str


@dataclass(frozen=True)
class Level:
    """One resolution of a pyramid.

    Attributes:
        size: width and height in pixels.
        downsample: level-0 pixels a pixel, along x and y; exact, not rounded to a whole number.
        tile: width and height of the file's own tiles, or None where there are none.
    """

    size: tuple[int, int]
    downsample: tuple[float, float]
    tile: tuple[int, int] | None = None


class TileGrid(Protocol):
    """The native JPEG tiles of a level.

    Attributes:
        tile: width and height of a tile in pixels; tiles on the right and lower edge are full size too and reach over
            the level's border.
        columns: tiles along x.
        rows: tiles along y.
    """

    @property
    def tile(self) -> tuple[int, int]: ...  # noqa: D102

    @property
    def columns(self) -> int: ...  # noqa: D102

    @property
    def rows(self) -> int: ...  # noqa: D102

    def encoded(self, column: int, row: int) -> bytes:
        """A tile as a complete JPEG file: tables merged, colour transform marked; no pixel is re-encoded.

        Raises:
            SlideError: there is no such tile, or its bytes are missing or damaged.
        """


@runtime_checkable
class Slide(Protocol):
    """An open slide. Not safe to share between threads or processes: each opens its own.

    A slide may also have an attribute `icc_profile` with the bytes of its profile; see `icc.icc_profile`.

    Attributes:
        path: the file.
        reader: name of the reader, e.g. `openslide`.
        levels: from full resolution downwards; `levels[0]` is level 0.
        mpp: micrometres a pixel of level 0 (x, y), from the vendor's tags; None where they are absent or impossible.
        objective: magnification of the objective, e.g. 40.0.
        properties: the vendor's tags as text. They may name a patient: not to be stored as they are.
        associated: names of associated images (label, macro, thumbnail, …).
        warnings: what is odd about this slide.
    """

    path: Path
    reader: str
    levels: tuple[Level, ...]
    mpp: tuple[float, float] | None
    objective: float | None
    properties: Mapping[str, str]
    associated: tuple[str, ...]
    warnings: tuple[SlideWarning, ...]

    def read(self, level: int, box: Box) -> Picture:
        """Pixels [Y, X, 3] of a box of a level; what lies outside the level is white.

        Raises:
            SlideError: the pixels cannot be decoded, or the box is empty or too large. The slide stays usable.
        """

    def tile_grid(self, level: int) -> TileGrid | None:
        """The native JPEG tiles of a level, or None where its pixels are stored in another way."""

    def associated_image(self, name: str) -> Picture:
        """An associated image.

        Raises:
            SlideError: there is no image of that name, or it cannot be decoded.
        """

    def close(self) -> None:
        """Give the file back."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class SlideReader(Protocol):
    """A class that opens one family of files. Registered by its name: see `open.SLIDE_READERS`."""

    @classmethod
    def recognises(cls, path: Path, head: bytes) -> int:
        """How well this reader suits a file: 0 not at all; of several readers the highest is asked to open it.

        Args:
            path: the file; its neighbours may be looked at.
            head: its first 4,096 bytes.
        """

    def __call__(self, path: Path) -> Slide:
        """Open a file.

        Raises:
            UnsupportedSlideError: the structure is not known here; the next reader is tried.
            SlideError: the file is damaged.
        """


def checked_box(path: Path, box: Box) -> tuple[int, int]:
    """Width and height of a box.

    Raises:
        SlideError: it is empty or larger than one read may be.
    """
    width, height = box[2] - box[0], box[3] - box[1]
    if width <= 0 or height <= 0 or width * height > MAX_READ_PIXELS:
        raise SlideError(
            f"{path.name}: a box of {width} x {height} pixels cannot be read; "
            f"ask for at least one and at most {MAX_READ_PIXELS:,} pixels"
        )
    return width, height


def true_downsample(full: tuple[int, int], size: tuple[int, int]) -> tuple[float, float]:
    """Level-0 pixels a pixel of a level, along x and y.

    A writer that halves a level drops or pads the odd row, so that the ratio of the sizes is a little off: 32914 / 8228
    is 4.0002 where each pixel stands for exactly four. Where one whole number explains both axes it is the truth,
    otherwise the ratios are.

    Args:
        full: width and height of level 0.
        size: width and height of the level.
    """
    ratios = (full[0] / size[0], full[1] / size[1])
    whole = round((ratios[0] * ratios[1]) ** 0.5)
    if whole and all(pixels in {side // whole, -(-side // whole)} for side, pixels in zip(full, size, strict=True)):
        return float(whole), float(whole)
    return ratios

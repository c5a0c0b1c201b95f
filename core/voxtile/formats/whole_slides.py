"""What a plugin offers of a whole slide, so that viewers can go over it at any magnification."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt


class SlideLevel(Protocol):
    """One resolution of a slide."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""

    @property
    def downsample(self) -> tuple[float, float]:
        """Level-0 pixels a pixel, along x and y."""


class WholeSlide(Protocol):
    """An open slide; never used by two threads at a time."""

    @property
    def levels(self) -> Sequence[SlideLevel]:
        """From full resolution downwards."""

    @property
    def mpp(self) -> tuple[float, float] | None:
        """Micrometres a pixel of level 0 (x, y)."""

    def read(self, level: int, box: tuple[int, int, int, int], /) -> npt.NDArray[np.uint8]:
        """[Y, X, 3] of a box x0, y0, x1, y1 of a level; what lies outside is white.

        Raises:
            VoxtileError: the pixels cannot be decoded.
        """

    def close(self) -> None:
        """Give the file back."""

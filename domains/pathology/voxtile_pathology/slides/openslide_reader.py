"""Slides through the OpenSlide library: Aperio, Hamamatsu, MIRAX, Philips, Leica, Ventana, Trestle, Sakura, Zeiss."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import openslide
from PIL import ImageCms

from voxtile.closing import Closing
from voxtile_pathology.slides.icc import damaged_profile
from voxtile_pathology.slides.protocol import (
    Box,
    Level,
    Picture,
    SlideError,
    SlideWarning,
    TileGrid,
    UnsupportedSlideError,
    checked_box,
    true_downsample,
)
from voxtile_pathology.slides.resolution import checked_mpp
from voxtile_pathology.slides.tiles import WHITE, check_grid

_PRIORITY = 50
_MOST_EXTRA = 64  # pixels read beside a box, so that it starts where OpenSlide need not interpolate
_SHARP = 0.01  # level-0 pixels


class OpenSlideReader(Closing):
    """A slide read by OpenSlide.

    Args:
        path: the slide's main file.

    Raises:
        UnsupportedSlideError: OpenSlide does not know the file.
        SlideError: the file is damaged.
    """

    reader = "openslide"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle = self._opened()
        handle = self._handle
        try:
            for index in range(handle.level_count):
                check_grid(path, handle.level_dimensions[index], _tile(handle, index) or (1, 1))
        except SlideError:
            handle.close()
            raise
        self.properties: Mapping[str, str] = handle.properties
        self.levels: tuple[Level, ...] = tuple(_level(handle, index) for index in range(handle.level_count))
        self.objective = _number(self.properties.get("openslide.objective-power"))
        self.mpp: tuple[float, float] | None
        self.warnings: tuple[SlideWarning, ...]
        self.mpp, self.warnings = checked_mpp(
            _number(self.properties.get("openslide.mpp-x")),
            _number(self.properties.get("openslide.mpp-y")),
            self.objective,
        )
        self.associated: tuple[str, ...] = tuple(sorted(handle.associated_images))

    @property
    def icc_profile(self) -> bytes | None:
        """The profile of the pixels.

        Raises:
            SlideError: it is damaged.
        """
        try:
            profile = self._handle.color_profile
        except (openslide.OpenSlideError, ImageCms.PyCMSError) as error:
            raise damaged_profile(error) from error
        return profile.tobytes() if profile is not None else None

    @classmethod
    def recognises(cls, path: Path, head: bytes) -> int:
        """OpenSlide's own opinion."""
        try:
            return _PRIORITY if openslide.OpenSlide.detect_format(str(path)) else 0
        except openslide.OpenSlideError:
            return 0

    def read(self, level: int, box: Box) -> Picture:
        """Pixels of a box; transparent and outside ones are white."""
        width, height = checked_box(self.path, box)
        full_width, full_height = self.levels[level].size
        inside = (max(box[0], 0), max(box[1], 0), min(box[2], full_width), min(box[3], full_height))
        if inside == box:
            return self._inside(level, box)
        result = np.full((height, width, 3), WHITE, np.uint8)
        if inside[2] > inside[0] and inside[3] > inside[1]:
            rows = slice(inside[1] - box[1], inside[3] - box[1])
            result[rows, inside[0] - box[0] : inside[2] - box[0]] = self._inside(level, inside)
        return result

    def tile_grid(self, level: int) -> TileGrid | None:
        """None: OpenSlide gives pixels only."""
        return None

    def associated_image(self, name: str) -> Picture:
        """An associated image on white."""
        if name not in self.associated:
            raise SlideError(f"{self.path.name} has no associated image '{name}'; it has: {', '.join(self.associated)}")
        try:
            return _on_white(np.asarray(self._handle.associated_images[name]))
        except openslide.OpenSlideError as error:
            self._reopen()
            raise SlideError(f"{self.path.name}: the image '{name}' cannot be decoded ({error})") from error

    def close(self) -> None:
        """Give the file back."""
        self._handle.close()

    def _inside(self, level: int, box: Box) -> Picture:
        downsample = self._handle.level_downsamples[level]
        left, top = _nearest_whole(box[0], downsample), _nearest_whole(box[1], downsample)
        corner, size = (round(left * downsample), round(top * downsample)), (box[2] - left, box[3] - top)
        try:
            with self._handle.read_region(corner, level, size) as image:
                return _on_white(np.asarray(image)[box[1] - top :, box[0] - left :])
        except openslide.OpenSlideError as error:
            self._reopen()
            raise SlideError(
                f"{self.path.name}: the pixels at {box[:2]} of level {level} cannot be decoded ({error})"
            ) from error

    def _opened(self) -> openslide.OpenSlide:
        try:
            return openslide.OpenSlide(str(self.path))
        except openslide.OpenSlideUnsupportedFormatError as error:
            raise UnsupportedSlideError(f"{self.path.name} is not a slide that OpenSlide knows") from error
        except openslide.OpenSlideError as error:
            raise SlideError(f"{self.path.name} cannot be opened as a slide: {error}") from error

    def _reopen(self) -> None:
        """After its first error an OpenSlide handle refuses everything, also sound parts of the slide."""
        with suppress(SlideError):
            fresh = self._opened()
            self._handle.close()
            self._handle = fresh


def _level(handle: openslide.OpenSlide, index: int) -> Level:
    size = handle.level_dimensions[index]
    downsample = true_downsample(handle.level_dimensions[0], size)
    stated = handle.level_downsamples[index]
    full = handle.level_dimensions[0]
    # A level wider than its ratio explains is padded; then the format itself says the factor (Philips).
    if any(abs(pixels * stated - whole) > 2 * stated for pixels, whole in zip(size, full, strict=True)):
        downsample = (stated, stated)
    return Level(size, downsample, _tile(handle, index))


def _tile(handle: openslide.OpenSlide, index: int) -> tuple[int, int] | None:
    width, height = (_number(handle.properties.get(f"openslide.level[{index}].tile-{s}")) for s in ("width", "height"))
    return (int(width), int(height)) if width and height else None


def _nearest_whole(start: int, downsample: float) -> int:
    """The pixel at or shortly before `start` whose place in level 0 is closest to a whole number.

    OpenSlide takes places in level 0, and between pixels it interpolates: at a downsample of 4.005 most places of a
    level would come out blurred.
    """

    def distance(pixel: int) -> float:
        return abs(round(pixel * downsample) - pixel * downsample)

    before = range(start, max(start - _MOST_EXTRA, -1), -1)
    sharp = next((pixel for pixel in before if distance(pixel) <= _SHARP), None)
    return min(before, key=distance) if sharp is None else sharp


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _on_white(pixels: Picture) -> Picture:
    """[Y, X, 4] straight alpha to [Y, X, 3] over white."""
    alpha = pixels[..., 3]
    if alpha.min(initial=255) == 255:
        return np.ascontiguousarray(pixels[..., :3])
    weight = alpha[..., None].astype(np.uint16)
    mixed = (pixels[..., :3] * weight + 255 * (255 - weight) + 127) // 255
    return mixed.astype(np.uint8)

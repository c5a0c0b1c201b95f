"""TIFF slides read natively: Aperio SVS, OME-TIFF, QPTIFF and plain pyramids.

Tiles are read by offset and decoded once, which is several times faster than OpenSlide and gives the same pixels.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Self

import imagecodecs  # noqa: F401 - tifffile decodes with it
import tifffile

from voxtile_pathology.slides.protocol import (
    Box,
    Level,
    Picture,
    SlideError,
    TileGrid,
    UnsupportedSlideError,
    checked_box,
    true_downsample,
)
from voxtile_pathology.slides.resolution import checked_mpp
from voxtile_pathology.slides.tiff_image import TiffImage
from voxtile_pathology.slides.tiff_layout import tiff_layout, tiff_vendor
from voxtile_pathology.slides.tiff_open import MAGIC, tiff_directories
from voxtile_pathology.slides.tiles import CACHE_BYTES, TileCache, read_box

_PRIORITY = 60  # above OpenSlide, which gives the same pixels more slowly


class TiffReader:
    """A slide in a TIFF file.

    Args:
        path: the file.
        cache_bytes: memory for decoded tiles.

    Raises:
        UnsupportedSlideError: the directories make no slide that is read here.
        SlideError: the file is damaged or cut short.
    """

    reader = "tiff"

    def __init__(self, path: Path, *, cache_bytes: int = CACHE_BYTES) -> None:
        self.path = path
        self._cache = TileCache(cache_bytes)
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise SlideError(f"{path.name} cannot be read: {error.strerror}") from error
        try:
            with tiff_directories(path) as file:
                self._describe(file)
        except SlideError:
            self.close()
            raise

    @classmethod
    def recognises(cls, path: Path, head: bytes) -> int:
        """TIFF files of the four kinds."""
        if head[:4] not in MAGIC:
            return 0
        try:
            with tiff_directories(path) as file:
                return _PRIORITY if tiff_vendor(file) else 0
        except SlideError:
            return 1  # let it be opened and refused with a reason, unless another reader knows better

    def read(self, level: int, box: Box) -> Picture:
        """Pixels of a box."""
        checked_box(self.path, box)
        return read_box(self._images[level], box, self._cache)

    def tile_grid(self, level: int) -> TileGrid | None:
        """The level's JPEG tiles, if that is what it is made of."""
        image = self._images[level]
        return image if image.jpeg and image.tiled else None

    def associated_image(self, name: str) -> Picture:
        """An associated image."""
        if name not in self._associated:
            there = ", ".join(self.associated) or "none"
            raise SlideError(f"{self.path.name} has no associated image '{name}'; it has: {there}")
        image = TiffImage(self.path, self._descriptor, self._associated[name])
        box = (0, 0, *image.size)
        checked_box(self.path, box)
        return read_box(image, box, TileCache(0))

    def close(self) -> None:
        """Give the file and the decoded tiles back."""
        self._cache.clear()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _describe(self, file: tifffile.TiffFile) -> None:
        layout = tiff_layout(self.path, file)
        self._images = [TiffImage(self.path, self._descriptor, pages) for pages in layout.levels]
        if layout.vendor == "aperio" and not all(image.jpeg and image.complete for image in self._images):
            # JPEG 2000 colour, and tiles that Aperio left out for the reader to derive, are OpenSlide's knowledge.
            raise UnsupportedSlideError(f"{self.path.name} holds JPEG 2000 or missing tiles; it is read by OpenSlide")
        full = self._images[0].size
        self.levels: tuple[Level, ...] = tuple(
            Level(image.size, true_downsample(full, image.size), image.tile if image.tiled else None)
            for image in self._images
        )
        self._associated = layout.associated
        self.associated: tuple[str, ...] = tuple(sorted(layout.associated))
        self.properties = layout.properties
        self.icc_profile = layout.icc_profile
        self.objective = layout.objective
        self.mpp, self.warnings = checked_mpp(*layout.mpp, layout.objective)

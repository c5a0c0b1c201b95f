"""TIFF slides read natively: Aperio SVS, OME-TIFF, QPTIFF and plain pyramids.

Tiles are read by offset and decoded once, which is several times faster than OpenSlide and gives the same pixels.
"""

from __future__ import annotations

import os
from pathlib import Path

import imagecodecs  # noqa: F401 - tifffile decodes with it
import tifffile

from voxtile_pathology.slides.protocol import Level, SlideError, TileGrid, UnsupportedSlideError
from voxtile_pathology.slides.resolution import checked_mpp
from voxtile_pathology.slides.tiff_image import TiffImage
from voxtile_pathology.slides.tiff_layout import tiff_layout, tiff_vendor
from voxtile_pathology.slides.tiff_open import MAGIC, open_descriptor, tiff_directories
from voxtile_pathology.slides.tiled_slide import TiledSlide, levels_of
from voxtile_pathology.slides.tiles import CACHE_BYTES, TileCache

_PRIORITY = 60  # above OpenSlide, which gives the same pixels more slowly


class TiffReader(TiledSlide):
    """A slide in a TIFF file.

    Args:
        path: the file.
        cache_bytes: memory for decoded tiles.

    Raises:
        UnsupportedSlideError: the directories make no slide that is read here.
        SlideError: the file is damaged or cut short.
    """

    reader = "tiff"
    _tiles: list[TiffImage]

    def __init__(self, path: Path, *, cache_bytes: int = CACHE_BYTES) -> None:
        self.path = path
        self._cache = TileCache(cache_bytes)
        self._descriptor = open_descriptor(path)
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

    def tile_grid(self, level: int) -> TileGrid | None:
        """The level's JPEG tiles, if that is what it is made of."""
        image = self._tiles[level]
        return image if image.jpeg and image.tiled else None

    def close(self) -> None:
        """Give the file and the decoded tiles back."""
        self._cache.clear()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _associated_tiles(self, name: str) -> TiffImage:
        return TiffImage(self.path, self._descriptor, self._associated[name])

    def _describe(self, file: tifffile.TiffFile) -> None:
        layout = tiff_layout(self.path, file)
        self._tiles = [TiffImage(self.path, self._descriptor, pages) for pages in layout.levels]
        known = all((image.jpeg or image.is_plain_jpeg_2000) and image.complete for image in self._tiles)
        if layout.vendor == "aperio" and not known:
            # Aperio's own JPEG 2000, and tiles that it left out for the reader to derive, are OpenSlide's knowledge.
            raise UnsupportedSlideError(f"{self.path.name} holds JPEG 2000 or missing tiles; it is read by OpenSlide")
        self.levels: tuple[Level, ...] = levels_of(self._tiles)
        self._associated = layout.associated
        self.associated = tuple(sorted(layout.associated))
        self.properties = layout.properties
        self.icc_profile = layout.icc_profile
        self.objective = layout.objective
        self.mpp, self.warnings = checked_mpp(*layout.mpp, layout.objective)

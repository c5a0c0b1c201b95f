"""Aperio slides with JPEG 2000 tiles: OpenSlide decodes them, after each codestream was found whole."""

from __future__ import annotations

import os
from pathlib import Path

from voxtile_pathology.slides.jpeg2000_stream import CodestreamError, check_codestream
from voxtile_pathology.slides.openslide_reader import OpenSlideReader
from voxtile_pathology.slides.protocol import Box, Picture, SlideError
from voxtile_pathology.slides.tiff_image import JPEG_2000, REGISTERED_JPEG_2000, TiffImage
from voxtile_pathology.slides.tiff_layout import tiff_layout
from voxtile_pathology.slides.tiff_open import MAGIC, open_descriptor, tiff_directories

_PRIORITY = 65
_DECODED = JPEG_2000 - {REGISTERED_JPEG_2000}


class AperioJpeg2000Reader(OpenSlideReader):
    """An SVS slide of compression 33003 or 33005.

    Args:
        path: the file.

    Raises:
        SlideError: the file is damaged or cut short.
    """

    reader = "aperio-jpeg2000"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        try:
            self._descriptor = open_descriptor(path)
        except SlideError:
            super().close()
            raise
        try:
            with tiff_directories(path) as file:
                levels = [TiffImage(path, self._descriptor, pages) for pages in tiff_layout(path, file).levels]
        except BaseException:
            self.close()
            raise
        self._by_size = {image.size: image for image in levels}

    @classmethod
    def recognises(cls, path: Path, head: bytes) -> int:
        """SVS files whose first level is JPEG 2000 as Aperio has it."""
        if head[:4] not in MAGIC:
            return 0
        try:
            with tiff_directories(path) as file:
                return _PRIORITY if file.is_svs and int(file.pages.first.compression) in _DECODED else 0
        except SlideError:
            return 0

    def read(self, level: int, box: Box) -> Picture:
        """Pixels of a box whose tiles are whole."""
        image = self._by_size.get(self.levels[level].size)
        if image is not None:
            _check_tiles(image, box)
        return super().read(level, box)

    def close(self) -> None:
        """Give the file back."""
        super().close()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _check_tiles(image: TiffImage, box: Box) -> None:
    left, top = max(box[0], 0), max(box[1], 0)
    right, bottom = min(box[2], image.size[0]), min(box[3], image.size[1])
    for row in range(top // image.tile[1], -(-bottom // image.tile[1])):
        for column in range(left // image.tile[0], -(-right // image.tile[0])):
            data = image.stored(column, row)
            if data is None:
                continue
            try:
                check_codestream(data)
            except CodestreamError as error:
                raise SlideError(f"{image.where(column, row)} is a damaged JPEG 2000 codestream: {error}") from error

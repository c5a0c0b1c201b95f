"""One image of a TIFF file as a grid of tiles, read by offset with `pread`.

Strips are tiles as wide as the image. JPEG tiles are decoded here; everything else that TIFF allows (LZW, deflate,
JPEG 2000, …) goes through tifffile and imagecodecs, which stay within the tile's own size.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import tifffile

from voxtile_pathology.slides.jpeg2000_stream import check_codestream
from voxtile_pathology.slides.jpeg_stream import JpegError, JpegFile, complete_jpeg, decode_jpeg
from voxtile_pathology.slides.protocol import Picture, SlideError, UnsupportedSlideError
from voxtile_pathology.slides.tiles import check_grid

_MAX_ENCODED_BYTES = 1 << 28
_JPEG = 7
REGISTERED_JPEG_2000 = 34712
JPEG_2000 = frozenset({33003, 33004, 33005, REGISTERED_JPEG_2000})  # Aperio's YCbCr, its lossy, its RGB


class TiffImage:
    """The pixels of one or, where colours are stored apart, three directories.

    Args:
        path: of the file.
        descriptor: the open file.
        pages: one directory with all colours, or one a colour.

    Raises:
        UnsupportedSlideError: the colours are stored in a way that OpenSlide may know.
        SlideError: the pixels are not of 8 bit, the directory claims what cannot be, or the file is cut short.
    """

    def __init__(self, path: Path, descriptor: int, pages: list[tifffile.TiffPage]) -> None:
        self._path, self._descriptor, self._pages = path, descriptor, pages
        page = pages[0]
        _check_kind(path, pages)
        self.size: tuple[int, int] = (page.imagewidth, page.imagelength)
        strip = min(page.rowsperstrip or page.imagelength, page.imagelength)
        self.tile: tuple[int, int] = (page.tilewidth, page.tilelength) if page.is_tiled else (page.imagewidth, strip)
        check_grid(path, self.size, self.tile)
        self.columns, self.rows = (-(-side // part) for side, part in zip(self.size, self.tile, strict=True))
        self.tiled = bool(page.is_tiled)
        self.jpeg = int(page.compression) == _JPEG and len(pages) == 1 and page.planarconfig == 1
        self._tables = bytes(page.jpegtables or b"") if self.jpeg else b""
        self._ycbcr = page.photometric == tifffile.PHOTOMETRIC.YCBCR
        self._planes = len(pages) if len(pages) > 1 else (page.samplesperpixel if page.planarconfig == 2 else 1)
        self._segments = [self._checked_segments(page) for page in pages]

    @property
    def is_plain_jpeg_2000(self) -> bool:
        """Codestreams of the registered code, whose colours are what they decode to."""
        return int(self._pages[0].compression) == REGISTERED_JPEG_2000 and not self._ycbcr

    @property
    def complete(self) -> bool:
        """Whether every tile has bytes of its own."""
        return all(bool((counts > 0).all()) for _, counts in self._segments)

    def stored(self, column: int, row: int) -> bytes | None:
        """A tile's bytes as they are in the file; None where it holds none there."""
        return self._bytes(column, row, 0, 0)

    def encoded(self, column: int, row: int) -> bytes:
        """A tile as a complete JPEG file; only where `jpeg` is true."""
        data = self.stored(column, row)
        if data is None:
            raise SlideError(f"{self.where(column, row)} is not in the file")
        return self._complete(data, column, row).data

    def decode(self, column: int, row: int) -> Picture | None:
        """Pixels of a tile, at most [tile height, tile width, 3]; None where the file holds none there."""
        if self.jpeg:
            data = self.stored(column, row)
            if data is None:
                return None
            try:
                return decode_jpeg(self._complete(data, column, row))
            except JpegError as error:
                raise SlideError(f"{self.where(column, row)} cannot be decoded ({error})") from error
        planes = [self._decode_plane(column, row, plane) for plane in range(self._planes)]
        present = [plane for plane in planes if plane is not None]
        if len(present) < len(planes):
            return None
        pixels = np.concatenate(present, axis=2) if len(present) > 1 else present[0]
        return pixels[..., :3] if pixels.shape[2] >= 3 else np.repeat(pixels[..., :1], 3, axis=2)

    def _decode_plane(self, column: int, row: int, plane: int) -> Picture | None:
        which, within = (plane, 0) if len(self._pages) > 1 else (0, plane)
        page = self._pages[which]
        data = self._bytes(column, row, which, within)
        if data is None:
            return None
        index = (within * self.rows + row) * self.columns + column
        try:
            if int(page.compression) in JPEG_2000:
                check_codestream(data)
            decoded, _, _ = page.decode(data, index, jpegtables=page.jpegtables, _fullsize=False)
        except Exception as error:  # imagecodecs raises an error class of its own for each codec
            raise SlideError(f"{self.where(column, row)} cannot be decoded ({error})") from error
        if decoded is None or decoded.ndim != 4 or decoded.dtype != np.uint8:
            raise SlideError(f"{self.where(column, row)} does not hold 8-bit pixels")
        if decoded.shape[1] > self.tile[1] or decoded.shape[2] > self.tile[0]:
            raise SlideError(f"{self.where(column, row)} holds more pixels than a tile has")
        pixels: Picture = decoded[0]
        return pixels

    def _complete(self, data: bytes, column: int, row: int) -> JpegFile:
        try:
            jpeg = complete_jpeg(data, self._tables, ycbcr=self._ycbcr)
        except JpegError as error:
            raise SlideError(f"{self.where(column, row)} is damaged ({error})") from error
        if jpeg.size[0] > self.tile[0] or jpeg.size[1] > self.tile[1]:
            raise SlideError(f"{self.where(column, row)} claims {jpeg.size[0]} x {jpeg.size[1]} pixels")
        return jpeg

    def _bytes(self, column: int, row: int, which: int, within: int) -> bytes | None:
        if not (0 <= column < self.columns and 0 <= row < self.rows):
            raise SlideError(f"{self._path.name} has no tile ({column}, {row}); it has {self.columns} x {self.rows}")
        offsets, counts = self._segments[which]
        index = (within * self.rows + row) * self.columns + column
        count = int(counts[index])
        if count == 0:
            return None
        try:
            data = os.pread(self._descriptor, count, int(offsets[index]))
        except OSError as error:
            raise SlideError(
                f"{self.where(column, row)} cannot be read ({error.strerror}); was the slide removed?"
            ) from error
        if len(data) < count:
            raise SlideError(f"{self.where(column, row)} lies beyond the end of the file, which was cut short")
        return data

    def _checked_segments(self, page: tifffile.TiffPage) -> tuple[np.ndarray, np.ndarray]:
        offsets = np.asarray(page.dataoffsets, np.int64)
        counts = np.asarray(page.databytecounts, np.int64)
        expected = self.columns * self.rows * (self._planes if len(self._pages) == 1 else 1)
        if len(offsets) < expected or len(counts) < expected:
            raise SlideError(f"{self._path.name} lists {len(offsets)} of its {expected} tiles; its header is damaged")
        offsets, counts = offsets[:expected], counts[:expected]
        length = os.fstat(self._descriptor).st_size
        beyond = int(((counts > 0) & ((offsets < 0) | (offsets + counts > length))).sum())
        if beyond or (counts < 0).any() or (counts > _MAX_ENCODED_BYTES).any():
            raise SlideError(
                f"{self._path.name} is cut short: {beyond} of {expected} tiles lie beyond its end; "
                "copy it again from its source"
            )
        return offsets, counts

    def where(self, column: int, row: int) -> str:
        """A tile for people: file, place and level."""
        return f"{self._path.name}: the tile ({column}, {row}) of the {self.size[0]} x {self.size[1]} level"


def _check_kind(path: Path, pages: list[tifffile.TiffPage]) -> None:
    page = pages[0]
    if page.dtype != np.uint8 or page.bitspersample != 8:
        raise SlideError(
            f"{path.name} holds {page.dtype} pixels; only 8-bit grey and RGB slides are read: write it as 8 bits "
            "(QuPath, bfconvert)"
        )
    samples = page.samplesperpixel if len(pages) == 1 else len(pages)
    known = (tifffile.PHOTOMETRIC.RGB, tifffile.PHOTOMETRIC.YCBCR, tifffile.PHOTOMETRIC.MINISBLACK)
    ycbcr = page.photometric == tifffile.PHOTOMETRIC.YCBCR and int(page.compression) not in {_JPEG, *JPEG_2000}
    if samples not in (1, 3, 4) or page.photometric not in known or ycbcr or page.imagedepth != 1:
        raise UnsupportedSlideError(
            f"{path.name} holds {samples} channels as {page.photometric!s}; only grey and RGB slides are read"
        )

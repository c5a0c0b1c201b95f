"""DICOM whole-slide images through wsidicom; JPEG frames are decoded here, as those of other slides are.

Source: DICOM PS3.3 A.32.8 and C.8.12 (VL Whole Slide Microscopy Image).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from voxtile.errors import MissingExtraError
from voxtile_pathology.slides.dicom_files import is_dicom, microscope, optical_profile, series_files, whole_slide_series
from voxtile_pathology.slides.jpeg_stream import JpegError, complete_jpeg, decode_jpeg
from voxtile_pathology.slides.protocol import Level, Picture, SlideError, TileGrid, UnsupportedSlideError
from voxtile_pathology.slides.resolution import checked_mpp
from voxtile_pathology.slides.tiled_slide import TiledSlide, levels_of
from voxtile_pathology.slides.tiles import CACHE_BYTES, TileCache, check_grid

if TYPE_CHECKING:
    import wsidicom
    from wsidicom.geometry import Point

_PRIORITY = 70
_JPEG_BASELINE = "1.2.840.10008.1.2.4.50"


class DicomReader(TiledSlide):
    """A slide whose levels are the DICOM instances of one series.

    Args:
        path: any of its files; the others are found beside it.

    Raises:
        SlideError: the instances make no slide, or one is damaged.
    """

    reader = "dicom"
    _tiles: list[_DicomTiles]

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._slide = _opened(series_files(path))
        except MissingExtraError:
            raise
        except Exception as error:  # wsidicom and pydicom raise many kinds on damaged files
            raise SlideError(f"{path.name} and the files of its series make no slide: {error}") from error
        try:
            self._describe()
        except SlideError:
            self.close()
            raise
        except Exception as error:  # as above: headers are read lazily
            self.close()
            raise SlideError(f"{path.name} lacks what a DICOM slide must state: {error}") from error

    @classmethod
    def recognises(cls, path: Path, head: bytes) -> int:
        """Instances of the whole-slide class."""
        return _PRIORITY if is_dicom(head) and whole_slide_series(path) else 0

    def tile_grid(self, level: int) -> TileGrid | None:
        """The level's JPEG frames, if that is what it is made of."""
        tiles = self._tiles[level]
        return tiles if tiles.jpeg else None

    def close(self) -> None:
        """Give the files and the decoded tiles back."""
        self._slide.close()

    def _associated_tiles(self, name: str) -> _DicomTiles:
        return _DicomTiles(self.path, self._associated[name])

    def _describe(self) -> None:
        groups = sorted(self._slide.pyramid, key=lambda group: -group.size.width)
        self._tiles = [_DicomTiles(self.path, group) for group in groups]
        self._cache = TileCache(CACHE_BYTES)
        self.levels: tuple[Level, ...] = levels_of(self._tiles)
        named = {"label": self._slide.labels, "macro": self._slide.overviews}
        self._associated: dict[str, Any] = {name: images[0] for name, images in named.items() if images}
        self.associated = tuple(sorted(self._associated))
        self.properties: Mapping[str, str]
        self.properties, self.objective = microscope(self.path)
        self.icc_profile = optical_profile(self.path)
        spacing = groups[0].mpp
        x, y = (None, None) if spacing is None else (float(spacing.width), float(spacing.height))
        self.mpp, self.warnings = checked_mpp(x, y, self.objective)


def _opened(files: list[Path]) -> wsidicom.WsiDicom:
    try:  # here, because the import takes half a second that other slides need not wait for
        from wsidicom import WsiDicom
        from wsidicom.config import Settings
    except ImportError as error:
        raise MissingExtraError("wsidicom", "pathology") from error
    # Scanners differ in tile size between levels, and wsidicom's own caches would hold each tile a second time.
    settings = Settings(strict_tile_size_check=False, decoded_frame_cache_size=0, encoded_frame_cache_size=0)
    return WsiDicom.open(files, settings=settings)


class _DicomTiles:
    """The frames of one level, label or overview."""

    tiled = True

    def __init__(self, path: Path, group: Any) -> None:  # noqa: ANN401 - wsidicom's Instances, whose place has moved
        self._path, self._group = path, group
        self.size: tuple[int, int] = (group.size.width, group.size.height)
        image = group.default_instance.image_data
        self.tile: tuple[int, int] = (image.tile_size.width, image.tile_size.height)
        check_grid(path, self.size, self.tile)
        self.columns, self.rows = (-(-side // part) for side, part in zip(self.size, self.tile, strict=True))
        if len(group.optical_paths) > 1 or image.bits != 8 or image.samples_per_pixel not in (1, 3):
            raise UnsupportedSlideError(
                f"{path.name} holds {len(group.optical_paths)} optical paths of {image.bits} bit; "
                "only 8-bit grey and RGB slides are read"
            )
        self.jpeg = str(image.transfer_syntax) == _JPEG_BASELINE
        self._ycbcr = str(image.photometric_interpretation).startswith("YBR")
        self._image = image

    def encoded(self, column: int, row: int) -> bytes:
        """A frame as a complete JPEG file."""
        data = self._bytes(column, row)
        if data is None:
            raise SlideError(f"{self._where(column, row)} is not in the file")
        try:
            return complete_jpeg(data, b"", ycbcr=self._ycbcr).data
        except JpegError as error:
            raise SlideError(f"{self._where(column, row)} is damaged ({error})") from error

    def decode(self, column: int, row: int) -> Picture | None:
        """Pixels of a frame; None where a sparse level has none."""
        if self.jpeg:
            data = self._bytes(column, row)
            if data is None:
                return None
            try:
                jpeg = complete_jpeg(data, b"", ycbcr=self._ycbcr)
                if jpeg.size[0] > self.tile[0] or jpeg.size[1] > self.tile[1]:
                    raise JpegError(f"it claims {jpeg.size[0]} x {jpeg.size[1]} pixels")
                return decode_jpeg(jpeg)
            except JpegError as error:
                raise SlideError(f"{self._where(column, row)} cannot be decoded ({error})") from error
        if self._sparse(column, row):
            return None
        try:
            pixels = np.asarray(self._group.get_tile(self._point(column, row), crop_to_image_boundary=False))
        except Exception as error:  # each decoder behind wsidicom raises errors of its own
            raise SlideError(f"{self._where(column, row)} cannot be decoded ({error})") from error
        if pixels.dtype != np.uint8 or pixels.shape[:2] != (self.tile[1], self.tile[0]):
            raise SlideError(f"{self._where(column, row)} does not hold 8-bit pixels of a tile's size")
        return np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels[..., :3]

    def _bytes(self, column: int, row: int) -> bytes | None:
        if self._sparse(column, row):
            return None
        try:
            data: bytes = self._group.get_encoded_tile(self._point(column, row), crop_to_image_boundary=False)
        except Exception as error:  # wsidicom and pydicom raise many kinds on damaged files
            raise SlideError(f"{self._where(column, row)} cannot be read ({error})") from error
        return data

    def _sparse(self, column: int, row: int) -> bool:
        if not (0 <= column < self.columns and 0 <= row < self.rows):
            raise SlideError(f"{self._path.name} has no tile ({column}, {row}); it has {self.columns} x {self.rows}")
        image = self._image
        sparse: bool = image.is_sparse(self._point(column, row), image.default_z, image.default_path)
        return sparse

    @staticmethod
    def _point(column: int, row: int) -> Point:
        from wsidicom.geometry import Point

        return Point(column, row)

    def _where(self, column: int, row: int) -> str:
        return f"{self._path.name}: the tile ({column}, {row}) of the {self.size[0]} x {self.size[1]} level"

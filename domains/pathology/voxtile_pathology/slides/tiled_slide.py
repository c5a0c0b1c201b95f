"""What readers share that decode tiles themselves: boxes of a level, and associated images, put together from tiles."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from voxtile.closing import Closing
from voxtile_pathology.slides.protocol import Box, Level, Picture, SlideError, checked_box, true_downsample
from voxtile_pathology.slides.tiles import TileCache, TileSource, read_box


class LevelTiles(TileSource, Protocol):
    """A level as a grid of tiles that says whether the file is tiled at all."""

    @property
    def tiled(self) -> bool:
        """False where a tile is no more than what is decoded in one piece."""


class TiledSlide(Closing):
    """A slide whose tiles are decoded here, each once while it stays in the cache.

    Attributes:
        path: the file.
        associated: names of associated images.
    """

    path: Path
    associated: tuple[str, ...]
    _tiles: Sequence[TileSource]
    _cache: TileCache

    def read(self, level: int, box: Box) -> Picture:
        """Pixels of a box."""
        return self._put_together(self._tiles[level], box, self._cache)

    def associated_image(self, name: str) -> Picture:
        """An associated image."""
        if name not in self.associated:
            there = ", ".join(self.associated) or "none"
            raise SlideError(f"{self.path.name} has no associated image '{name}'; it has: {there}")
        tiles = self._associated_tiles(name)
        return self._put_together(tiles, (0, 0, *tiles.size), TileCache(0))

    @abstractmethod
    def _associated_tiles(self, name: str) -> TileSource:
        """The tiles of an associated image that is there."""

    def _put_together(self, tiles: TileSource, box: Box, cache: TileCache) -> Picture:
        checked_box(self.path, box)
        return read_box(tiles, box, cache)


def levels_of(tiles: Sequence[LevelTiles]) -> tuple[Level, ...]:
    """The levels of a pyramid, level 0 first."""
    full = tiles[0].size
    return tuple(
        Level(level.size, true_downsample(full, level.size), level.tile if level.tiled else None) for level in tiles
    )

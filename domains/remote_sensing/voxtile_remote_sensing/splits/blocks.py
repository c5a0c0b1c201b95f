"""Blocks on the globe, and which tiles to leave out between blocks of different splits.

The globe is cut into rows of equal height in latitude, and each row into a whole number of columns of nearly the same
width (the scheme of Major TOM: Francis and Czerkawski, IGARSS 2024). A block's split is a hash of its name. Because
blocks are the same for all coordinate systems, scenes of neighbouring UTM zones that show the same ground agree.

A tile belongs to the block of its centre. A training tile is left out where a validation or test tile could touch it or
come nearer than the buffer, a validation tile likewise beside test tiles; test tiles always stay.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from voxtile.corpus.splits import split_of
from voxtile.errors import ConfigError

EARTH_RADIUS_M = 6_371_008.8  # mean radius of GRS 80
METRES_PER_DEGREE = math.pi * EARTH_RADIUS_M / 180
MARGIN = 1.05  # degrees of latitude are 110.6 to 111.7 km, and map projections stretch metres by up to 4 %
_RANK = {"train": 0, "val": 1, "test": 2}
SMALLEST_BLOCK_M, LARGEST_BLOCK_M = 10.0, 5_000_000.0


@dataclass(frozen=True)
class BlockGrid:
    """Near-square blocks.

    Attributes:
        size_m: side of a block in metres.
    """

    size_m: float

    def __post_init__(self) -> None:
        if not SMALLEST_BLOCK_M <= self.size_m <= LARGEST_BLOCK_M:
            raise ConfigError(
                f"a block has a side of {SMALLEST_BLOCK_M:g} m to {LARGEST_BLOCK_M / 1000:g} km, not {self.size_m:g} m"
            )

    @property
    def rows(self) -> int:
        """Number of rows from pole to pole."""
        return max(1, round(180 * METRES_PER_DEGREE / self.size_m))

    @property
    def height(self) -> float:
        """Degrees of latitude of a row."""
        return 180 / self.rows

    def row_of(self, latitude: float) -> int:
        """Row of a latitude, 0 at the south pole."""
        return min(self.rows - 1, max(0, math.floor((latitude + 90) / self.height)))

    def columns(self, row: int) -> int:
        """Number of blocks in a row."""
        middle = math.radians((row + 0.5) * self.height - 90)
        return max(1, math.floor(360 * math.cos(middle) / self.height))

    def column_of(self, row: int, longitude: float) -> int:
        """Column of a longitude, from −180° eastward."""
        count = self.columns(row)
        return min(count - 1, math.floor((longitude + 180) % 360 / 360 * count))

    def name(self, row: int, column: int) -> str:
        """Name of a block: its size and place in the grid."""
        return f"{self.size_m:g}m-{row}-{column}"

    def block_of(self, longitude: float, latitude: float) -> str:
        """Name of the block that holds a point."""
        row = self.row_of(latitude)
        return self.name(row, self.column_of(row, longitude))

    def near(self, centre: tuple[float, float], reach: tuple[float, float]) -> Iterator[str]:
        """Blocks that a box of longitude and latitude touches.

        Args:
            centre: longitude and latitude.
            reach: half the box in degrees; 180 or more of longitude is all the way round.
        """
        longitude, latitude = centre
        for row in range(self.row_of(latitude - reach[1]), self.row_of(latitude + reach[1]) + 1):
            count = self.columns(row)
            if reach[0] >= 180 or 2 * reach[0] * count / 360 + 2 >= count:
                yield from (self.name(row, column) for column in range(count))
                continue
            first = math.floor((longitude - reach[0] + 180) / 360 * count)
            last = math.floor((longitude + reach[0] + 180) / 360 * count)
            yield from (self.name(row, column % count) for column in range(first, last + 1))


@dataclass
class BlockSplits:
    """Splits of blocks, and the tiles between them.

    Attributes:
        grid: the blocks.
        fractions: split → share of the blocks.
        buffer_m: least distance between tiles of different splits in metres; at 0 they do not touch.
        salt: names an independent partition.
    """

    grid: BlockGrid
    fractions: Mapping[str, float]
    buffer_m: float = 0.0
    salt: str = "voxtile-blocks"
    _known: dict[str, str] = field(default_factory=dict, repr=False)

    def split(self, block: str) -> str:
        """Split of a block."""
        if block not in self._known:
            self._known[block] = split_of(block, self.fractions, self.salt)
        return self._known[block]

    def place(self, centre: tuple[float, float], half: tuple[float, float], radius_m: float) -> tuple[str, str | None]:
        """Block of a tile, and its split; None where the tile is too near to a block of another split.

        Args:
            centre: longitude and latitude of the tile.
            half: half its extent in degrees of longitude and latitude.
            radius_m: half the diagonal of the largest tile that could lie across the border, in metres; in whatever
                coordinate system that tile was cut, and so however it is turned, it lies within this of its centre.
        """
        block = self.grid.block_of(*centre)
        split = self.split(block)
        rank = _RANK.get(split, 0)
        if rank == max(_RANK.values()):
            return block, split
        for near in self.grid.near(centre, self._reach(centre, half, (radius_m + self.buffer_m) * MARGIN)):
            if _RANK.get(self.split(near), 0) > rank:
                return block, None
        return block, split

    def _reach(self, centre: tuple[float, float], half: tuple[float, float], gap_m: float) -> tuple[float, float]:
        """How far from the centre, in degrees, the centre of a tile across may lie while the two are too near."""
        up = half[1] + gap_m / METRES_PER_DEGREE + 1e-9
        parallel = math.cos(math.radians(min(90.0, abs(centre[1]) + up)))  # the tile across may be nearer to the pole
        if parallel < 1e-3 or half[0] >= 180:
            return 180.0, up
        return min(180.0, half[0] + gap_m / (METRES_PER_DEGREE * parallel) + 1e-9), up

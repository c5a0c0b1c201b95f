"""Map features as read from a file: geometry in the file's CRS, tags, id and date."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from shapely.geometry.base import BaseGeometry

AREA_TYPES = frozenset({"Polygon", "MultiPolygon"})
LINE_TYPES = frozenset({"LineString", "MultiLineString", "LinearRing"})


@dataclass(frozen=True)
class Feature:
    """One feature of the map.

    Attributes:
        osm_id: `node/1`, `way/2` or `relation/3`; `feature/N` (N from 0 in file order) where the file states no id.
        tags: as in the file, without empty values.
        geometry: in the file's CRS.
        date: when it was last edited (ISO 8601), or None where the file does not say.
    """

    osm_id: str
    tags: Mapping[str, str]
    geometry: BaseGeometry
    date: str | None = None

    @property
    def form(self) -> str:
        """`area`, `line` or `point`, by the geometry's type."""
        kind = self.geometry.geom_type
        return "area" if kind in AREA_TYPES else "line" if kind in LINE_TYPES else "point"


Keep: TypeAlias = Callable[[Feature], Feature | None]
"""What is kept of a feature while a file is read; None where nobody needs it."""


@dataclass
class FeatureFile:
    """What a map file holds.

    Attributes:
        crs: CRS of the geometries, as pyproj reads it.
        features: those that are kept, in file order.
        read: number of features of the file, those that were not kept with them.
        bounds: of all of them (west, south, east, north in `crs`), or None without any.
        coverage: the extent that the file says it was cut to (in `crs`), or None where it does not say.
        skipped: reason → number of features that cannot be used.
        snapshot: date of the whole file (ISO 8601), if stated.
        is_whole_map: whether all kinds of features are in it, as in OpenStreetMap's own files; an export may hold the
            buildings alone.
    """

    crs: str
    features: list[Feature] = field(default_factory=list)
    coverage: BaseGeometry | None = None
    skipped: Counter[str] = field(default_factory=Counter)
    snapshot: str | None = None
    is_whole_map: bool = False
    read: int = 0
    bounds: tuple[float, float, float, float] | None = None

    def take(self, feature: Feature, keep: Keep | None = None) -> None:
        """Count a feature, and hold what is kept of it."""
        west, south, east, north = feature.geometry.bounds
        known = self.bounds or (west, south, east, north)
        self.bounds = (min(known[0], west), min(known[1], south), max(known[2], east), max(known[3], north))
        self.read += 1
        kept = feature if keep is None else keep(feature)
        if kept is not None:
            self.features.append(kept)

    @property
    def undated(self) -> int:
        """Number of features without a date."""
        return sum(feature.date is None for feature in self.features)

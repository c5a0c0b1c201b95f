"""What is on one slide: findings, the outline of the tissue, regions with their polygons, artefacts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry import LineString, MultiPoint, Point, Polygon

from voxtile.phantom.noise import stream
from voxtile.phantom.wording import shuffled

MPP = 0.5  # micrometres a pixel at level 0, as 20× scanners have it
FINDINGS: Mapping[str, str] = {
    "carcinoma": "tumour",
    "extensive_necrosis": "necrosis",
    "mucin_pools": "mucin",
    "lymphoid_aggregates": "lymphocytes",
}
"""Findings of a slide, and the tissue that each one is."""

ORDINARY = ("adipose", "normal_epithelium", "smooth_muscle", "stroma")
PENS = {"blue": (30, 50, 170), "green": (20, 130, 60), "black": (25, 25, 30), "red": (190, 25, 40)}

_REGIONS = 9
_SEAM = 12.0  # pixels of plain stroma at the edge of each region
_ROUNDING = 60.0
_CASE_STREAM, _FINDING_STREAM = 1, 2


@dataclass(frozen=True)
class Region:
    """A piece of one tissue; the polygon is in level-0 pixels (x, y)."""

    tissue: str
    polygon: Polygon


@dataclass(frozen=True)
class Artefact:
    """A pen mark, a blurred spot or a fold; the polygon is in level-0 pixels (x, y)."""

    kind: str
    polygon: Polygon
    colour: str | None = None


@dataclass(frozen=True)
class Case:
    """One slide.

    Attributes:
        number: of the case.
        name: of the slide's file, its study and its patient.
        size: (width, height) at level 0.
        findings: present or not.
        tissue: outline of the tissue.
        regions: annotated pieces; what is between them is plain stroma.
        artefacts: in the order in which they are applied.
    """

    number: int
    name: str
    size: tuple[int, int]
    findings: Mapping[str, bool]
    tissue: Polygon
    regions: tuple[Region, ...]
    artefacts: tuple[Artefact, ...]


def draw_case(seed: int, number: int) -> Case:
    """Invent case `number`; another seed gives entirely different slides."""
    rng = stream(seed, number, _CASE_STREAM)
    size = (int(rng.integers(2900, 3400)), int(rng.integers(2800, 3300)))
    findings = {name: _present(seed, number, place) for place, name in enumerate(FINDINGS)}
    tissue = _outline(rng, size)
    cells = _cells(rng, tissue)
    kinds = shuffled(rng, _kinds(rng, findings, len(cells)))
    regions = tuple(Region(kind, cell) for kind, cell in zip(kinds, cells, strict=True))
    name = f"HE{seed % 1000:03d}-{number:05d}"
    return Case(number, name, size, findings, tissue, regions, tuple(_artefacts(rng, tissue)))


def _present(seed: int, number: int, finding: int) -> bool:
    """Of every two cases one has the finding, whatever else they have."""
    first = bool(stream(seed, number // 2, _FINDING_STREAM, finding).random() < 0.5)
    return first if number % 2 == 0 else not first


def _outline(rng: np.random.Generator, size: tuple[int, int]) -> Polygon:
    angle = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    radius = np.full(len(angle), 0.41)
    for k in range(2, 7):
        radius += rng.normal(0, 0.05 / k) * np.cos(k * angle + rng.uniform(0, 2 * np.pi))
    centre = np.array(size) * (0.5 + rng.uniform(-0.02, 0.02, 2))
    points = centre + np.stack([np.cos(angle), np.sin(angle)], 1) * radius[:, None] * np.array(size)
    edge = 40.0
    inside = points.clip(edge, np.array(size) - edge)
    return Polygon(inside.round(1))


def _cells(rng: np.random.Generator, tissue: Polygon) -> list[Polygon]:
    """A tessellation of the tissue, its corners rounded."""
    places = _spread(rng, tissue)
    tiles = shapely.voronoi_polygons(MultiPoint(places), extend_to=tissue.envelope)
    cells = []
    for tile in tiles.geoms:
        rounded = tile.intersection(tissue).buffer(-_SEAM - _ROUNDING).buffer(_ROUNDING, quad_segs=6)
        parts = [rounded] if isinstance(rounded, Polygon) else list(rounded.geoms)
        largest = max(parts, key=lambda part: part.area, default=None)
        if largest is not None and largest.area > 256**2:
            exterior = np.asarray(largest.exterior.coords).round(1)
            cells.append(Polygon(exterior))
    return sorted(cells, key=lambda cell: (cell.centroid.y, cell.centroid.x))


def _spread(rng: np.random.Generator, tissue: Polygon) -> npt.NDArray[np.float64]:
    """Places in the tissue, each the farthest from the earlier ones among a few tries."""
    x0, y0, x1, y1 = tissue.bounds
    found: list[npt.NDArray[np.float64]] = []
    while len(found) < _REGIONS:
        tries = [p for p in rng.uniform((x0, y0), (x1, y1), (24, 2)) if tissue.contains(Point(p))]
        if tries:
            found.append(max(tries, key=lambda p: min((float(np.hypot(*(p - f))) for f in found), default=0.0)))
    return np.array(found)


def _kinds(rng: np.random.Generator, findings: Mapping[str, bool], count: int) -> list[str]:
    """A tissue for each region: one or two of each finding's, the rest ordinary."""
    kinds = [tissue for name, tissue in FINDINGS.items() if findings[name]]
    kinds += [kind for kind in kinds if rng.random() < 0.35]
    while len(kinds) < count:
        kinds += shuffled(rng, ORDINARY)[: count - len(kinds)]
    return kinds[:count]


def _artefacts(rng: np.random.Generator, tissue: Polygon) -> Sequence[Artefact]:
    found = []
    if rng.random() < 0.15:
        found.append(Artefact("fold", _stroke(rng, tissue, 900, 18).intersection(tissue)))
    if rng.random() < 0.2:
        x, y = _inside(rng, tissue)
        found.append(Artefact("blur", Point(x, y).buffer(float(rng.uniform(220, 340)), quad_segs=8)))
    if rng.random() < 0.2:
        colour = list(PENS)[int(rng.integers(len(PENS)))]
        found.append(Artefact("pen", _stroke(rng, tissue, 1400, 26), colour))
    return [a for a in found if isinstance(a.polygon, Polygon) and not a.polygon.is_empty]


def _stroke(rng: np.random.Generator, tissue: Polygon, length: float, half_width: float) -> Polygon:
    """A bent line through the edge of the tissue."""
    border = np.asarray(tissue.exterior.coords)
    start = border[int(rng.integers(len(border)))]
    angle = float(rng.uniform(0, 2 * np.pi))
    way = np.linspace(-0.5, 0.5, 12)[:, None] * length
    bend = 60 * np.sin(np.linspace(0, 3, 12))[:, None]
    along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    return LineString(start + way * along + bend * across).buffer(half_width)


def _inside(rng: np.random.Generator, tissue: Polygon) -> tuple[float, float]:
    x0, y0, x1, y1 = tissue.bounds
    while True:
        x, y = rng.uniform(x0, x1), rng.uniform(y0, y1)
        if tissue.contains(Point(x, y)):
            return float(x), float(y)

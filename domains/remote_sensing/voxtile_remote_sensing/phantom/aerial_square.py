"""One square of an aerial photograph: buildings, roads, planes and pools as shapes in metres, painted from them.

Concepts share their colours on purpose (grey ground and white objects; grass and roofs): they are told by shapes and by
what stands beside what, as in scene sets such as AID and RESISC45.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from shapely.geometry import LineString, Polygon, box

from voxtile.phantom.noise import value_noise

SIDE_M = 96.0
GSD_M = 1.0
PIXELS = round(SIDE_M / GSD_M)
_OVERSAMPLED = 3

Point = tuple[float, float]
Colour = tuple[int, int, int]

GREY: tuple[Colour, ...] = ((128, 128, 126), (146, 145, 140), (112, 113, 115))
ROAD: Colour = (96, 97, 100)
WHITE: Colour = (232, 232, 228)
ROOFS: tuple[Colour, ...] = ((150, 88, 70), (128, 110, 98), (104, 98, 96), (170, 120, 92), (86, 110, 150))
POOL: Colour = (92, 196, 214)
COURTS: tuple[Colour, ...] = ((72, 122, 88), (168, 92, 70), (70, 104, 152))
TREE: Colour = (58, 82, 50)
_CARS: tuple[Colour, ...] = (WHITE, (40, 42, 46), (150, 152, 156), (150, 40, 40), (60, 80, 130), WHITE)


@dataclass(frozen=True)
class Shape:
    """One object.

    Attributes:
        what: e.g. `house`, `pool`, `road`.
        ring: corners in metres from the square's upper left corner (x right, y down); a line's points for roads.
        kind: `area` or `line`.
        tags: OpenStreetMap tags; empty for what a map leaves out (cars, trees).
    """

    what: str
    ring: tuple[Point, ...]
    kind: Literal["area", "line"] = "area"
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class AerialSquare:
    """A painted square.

    Attributes:
        concept: what it is about.
        pixels: [rows, columns, 3] float32 red, green, blue, 0 to 255.
        shapes: what was painted, in order.
        counts: object → how many.
    """

    concept: str
    pixels: npt.NDArray[np.float32]
    shapes: tuple[Shape, ...]
    counts: dict[str, int]


class _Canvas:
    """Paints shapes in order, three pixels for one, and remembers them."""

    def __init__(self, rng: np.random.Generator, ground: Colour) -> None:
        self.rng = rng
        self.shapes: list[Shape] = []
        self._image = Image.new("RGB", (PIXELS * _OVERSAMPLED,) * 2, ground)
        self._draw = ImageDraw.Draw(self._image)

    def area(self, what: str, ring: list[Point], colour: Colour, *, tags: dict[str, str] | None = None) -> None:
        """Fill a polygon; what is remembered ends at the square's edge, as the paint does."""
        self._draw.polygon(self._scaled(ring), fill=self._varied(colour))
        if (tags or what in ("car", "tree")) and (seen := _seen(ring)):
            self.shapes.append(Shape(what, tuple(seen), "area", tags or {}))

    def raised(self, what: str, ring: list[Point], colour: Colour, height: float, tags: dict[str, str]) -> None:
        """Fill a polygon that throws a shadow to the north-west."""
        for step in np.linspace(0.25, 1, 4) * height:
            self._draw.polygon(self._scaled([(x - 0.5 * step, y - 0.4 * step) for x, y in ring]), fill=(52, 54, 52))
        self.area(what, ring, colour, tags=tags)

    def road(self, points: list[Point], width: float, tags: dict[str, str]) -> None:
        """A paved line with a dashed middle."""
        scaled = self._scaled(points)
        self._draw.line(scaled, fill=self._varied(ROAD), width=round(width * _OVERSAMPLED), joint="curve")
        self.shapes.append(Shape("road", tuple(points), "line", tags))

    def mark(self, points: list[Point], width: float) -> None:
        """A white line."""
        self._draw.line(self._scaled(points), fill=WHITE, width=max(1, round(width * _OVERSAMPLED)))

    def disc(self, centre: Point, radius: float) -> list[Point]:
        """Corners of a regular polygon close to a circle."""
        angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        return [(float(centre[0] + radius * np.cos(a)), float(centre[1] + radius * np.sin(a))) for a in angles]

    def trees(self, count: int, free_of: list[list[Point]]) -> None:
        """Round crowns away from some boxes."""
        for _ in range(count):
            centre = (float(self.rng.uniform(0, SIDE_M)), float(self.rng.uniform(0, SIDE_M)))
            if not any(_near(centre, ring, 5) for ring in free_of):
                self.area("tree", self.disc(centre, float(self.rng.uniform(1.5, 4))), TREE)

    def pixels(self) -> npt.NDArray[np.float32]:
        """The picture at its own resolution."""
        small = self._image.resize((PIXELS, PIXELS), Image.Resampling.BOX)
        return np.asarray(small, np.float32)

    def _scaled(self, points: list[Point]) -> list[Point]:
        factor = _OVERSAMPLED / GSD_M
        return [(x * factor, y * factor) for x, y in points]

    def _varied(self, colour: Colour) -> Colour:
        change = self.rng.normal(0, 7)
        red, green, blue = (int(np.clip(c + change, 0, 255)) for c in colour)
        return red, green, blue


def paint_aerial(rng: np.random.Generator, concept: str) -> AerialSquare:
    """Paint one square of a concept."""
    grass = tuple(int(c) for c in np.array([98, 118, 72]) * rng.uniform(0.85, 1.15) + rng.normal(0, 5, 3))
    grey = GREY[int(rng.integers(len(GREY)))]
    canvas = _Canvas(rng, grey if concept in _PAVED else (grass[0], grass[1], grass[2]))
    _PAINTERS[concept](canvas)
    pixels = canvas.pixels()
    texture = 5 * value_noise(rng, (PIXELS, PIXELS), (24, 24)) + 3 * rng.standard_normal(
        (PIXELS, PIXELS), dtype=np.float32
    )
    counts: dict[str, int] = {}
    for shape in canvas.shapes:
        counts[shape.what] = counts.get(shape.what, 0) + 1
    return AerialSquare(concept, pixels + texture[:, :, None], tuple(canvas.shapes), counts)


def _houses(canvas: _Canvas, *, pools: bool = False) -> None:
    rng = canvas.rng
    across = rng.random() < 0.5
    at = float(rng.uniform(40, 56))
    street: list[Point] = [(0, at), (SIDE_M, at + float(rng.uniform(-8, 8)))]
    canvas.road([_flip(p, across) for p in street], 6, {"highway": "residential"})
    rings = []
    for side in (-1, 1):
        for along in np.arange(rng.uniform(9, 15), SIDE_M - 6, rng.uniform(17, 22)):
            centre = _flip((float(along), at + side * float(rng.uniform(13, 17))), across)
            ring = rectangle(centre, float(rng.uniform(9, 13)), float(rng.uniform(7, 10)), float(rng.normal(0, 6)))
            colour = ROOFS[int(rng.integers(len(ROOFS)))]
            canvas.raised("house", ring, colour, 6, {"building": "house"})
            rings.append(ring)
            garden = _flip((float(along) + float(rng.uniform(-3, 3)), at + side * float(rng.uniform(28, 32))), across)
            if pools and (rng.random() < 0.6 or len(rings) == 1):
                pool = rectangle(garden, float(rng.uniform(7, 10)), float(rng.uniform(4, 5)), float(rng.uniform(0, 90)))
                canvas.area("pool", pool, POOL, tags={"leisure": "swimming_pool"})
                rings.append(pool)
            elif rng.random() < 0.25:
                shed = rectangle(garden, 4, 3.5, float(rng.uniform(0, 90)))
                canvas.raised("shed", shed, ROOFS[-1], 2, {"building": "shed"})
    canvas.trees(int(rng.integers(8, 20)), rings)


def _pools(canvas: _Canvas) -> None:
    _houses(canvas, pools=True)


def _planes(canvas: _Canvas) -> None:
    rng = canvas.rng
    canvas.mark([(0, float(rng.uniform(10, 86))), (SIDE_M, float(rng.uniform(10, 86)))], 0.8)
    heading = float(rng.uniform(0, 360))
    for x, y in _spots(rng, int(rng.integers(1, 4)), 34):
        turn, length = heading + float(rng.normal(0, 15)), float(rng.uniform(22, 32))
        outline = [_turned(p, turn, (x, y), length) for p in _PLANE]
        canvas.raised("airplane", outline, WHITE, 3, {"aeroway": "aircraft"})


def _tanks(canvas: _Canvas) -> None:
    rng = canvas.rng
    for spot in _spots(rng, int(rng.integers(2, 6)), 27):
        ring = canvas.disc(spot, float(rng.uniform(7, 12)))
        canvas.raised("tank", ring, WHITE, 7, {"man_made": "storage_tank"})


def _warehouse(canvas: _Canvas) -> None:
    rng = canvas.rng
    turn = float(rng.uniform(0, 90))
    for spot in _spots(rng, int(rng.integers(1, 3)), 44):
        ring = rectangle(spot, float(rng.uniform(32, 46)), float(rng.uniform(16, 26)), turn)
        colour = WHITE if rng.random() < 0.7 else (170, 176, 182)
        canvas.raised("warehouse", ring, colour, 8, {"building": "warehouse"})


def _parking(canvas: _Canvas) -> None:
    rng = canvas.rng
    turn, middle = float(rng.uniform(0, 180)), (SIDE_M / 2, SIDE_M / 2)
    width, depth = float(rng.uniform(70, 92)), float(rng.uniform(56, 88))
    canvas.area("parking", rectangle(middle, width, depth, turn), GREY[1], tags={"amenity": "parking"})
    for across in np.arange(-depth / 2 + 5, depth / 2 - 4, 9.0):
        for along in np.arange(-width / 2 + 3, width / 2 - 2, 3.0):
            if rng.random() < 0.7:
                spot = _turned((float(along), float(across)), turn, middle, 1)
                car = rectangle(spot, 2.0, 4.6, turn)
                canvas.area("car", car, _CARS[int(rng.integers(len(_CARS)))])


def _courts(canvas: _Canvas) -> None:
    rng = canvas.rng
    turn, colour = float(rng.uniform(0, 180)), COURTS[int(rng.integers(len(COURTS)))]
    rings = []
    for spot in _spots(rng, int(rng.integers(1, 4)), 40):
        ring = rectangle(spot, 36, 18, turn)
        canvas.area("court", ring, colour, tags={"leisure": "pitch", "sport": "tennis"})
        for size in ((23.8, 11), (23.8, 8.2), (12.8, 8.2)):
            line = rectangle(spot, size[0], size[1], turn)
            canvas.mark([*line, line[0]], 0.6)
        rings.append(rectangle(spot, 40, 22, turn))
    canvas.trees(int(rng.integers(6, 16)), rings)


def _crossroads(canvas: _Canvas) -> None:
    rng = canvas.rng
    turn, centre = float(rng.uniform(0, 90)), (float(rng.uniform(32, 64)), float(rng.uniform(32, 64)))
    arms = [_turned(p, turn, centre, 1) for p in ((-140, 0), (140, 0), (0, -140), (0, 140))]
    for start, stop in ((arms[0], arms[1]), (arms[2], arms[3])):
        canvas.road(_inside([start, centre, stop]), 8, {"highway": "secondary"})
    _scatter(canvas, centre)


def _roundabout(canvas: _Canvas) -> None:
    rng = canvas.rng
    turn, centre = float(rng.uniform(0, 90)), (float(rng.uniform(36, 60)), float(rng.uniform(36, 60)))
    radius = float(rng.uniform(13, 18))
    for direction in range(4):
        arm = [_turned(p, turn + 90 * direction, centre, 1) for p in ((radius, 0), (140, 0))]
        canvas.road(_inside(arm), 8, {"highway": "secondary"})
    ring = canvas.disc(centre, radius)
    canvas.road([*ring, ring[0]], 8, {"highway": "secondary", "junction": "roundabout"})
    _scatter(canvas, centre)


def _scatter(canvas: _Canvas, centre: Point) -> None:
    """Trees and a few houses away from a junction."""
    rng, rings = canvas.rng, [rectangle(centre, 60, 60, 0)]
    for _ in range(int(rng.integers(0, 3))):
        spot = (float(rng.uniform(8, SIDE_M - 8)), float(rng.uniform(8, SIDE_M - 8)))
        if not _near(spot, rings[0], 6) and not any(_on_road(spot, s) for s in canvas.shapes if s.kind == "line"):
            ring = rectangle(spot, 11, 8, float(rng.uniform(0, 90)))
            canvas.raised("house", ring, ROOFS[int(rng.integers(len(ROOFS)))], 6, {"building": "house"})
            rings.append(ring)
    canvas.trees(int(rng.integers(8, 18)), rings[1:])


# Half of a plane's outline from the nose to the tail, in lengths of the fuselage; the other half is its mirror image.
_HALF = ((0.5, 0.0), (0.44, 0.04), (0.12, 0.05), (-0.10, 0.46), (-0.18, 0.46), (-0.08, 0.05), (-0.38, 0.04),
         (-0.46, 0.17), (-0.51, 0.17), (-0.48, 0.02))  # fmt: skip
_PLANE: tuple[Point, ...] = (*_HALF, *((x, -y) for x, y in reversed(_HALF[1:])))
_PAVED = ("airplanes", "storage_tanks", "warehouse", "parking_lot")
_PAINTERS: dict[str, Callable[[_Canvas], None]] = {
    "airplanes": _planes,
    "storage_tanks": _tanks,
    "warehouse": _warehouse,
    "parking_lot": _parking,
    "houses": _houses,
    "houses_with_pools": _pools,
    "tennis_courts": _courts,
    "crossroads": _crossroads,
    "roundabout": _roundabout,
}
CONCEPTS = tuple(_PAINTERS)


def rectangle(centre: Point, width: float, height: float, degrees: float) -> list[Point]:
    """Corners of a rectangle turned clockwise (y points down)."""
    corners = ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5))
    return [_turned((x * width, y * height), degrees, centre, 1) for x, y in corners]


def _turned(point: Point, degrees: float, centre: Point, scale: float) -> Point:
    turn = np.deg2rad(degrees)
    x, y = point[0] * scale, point[1] * scale
    return float(centre[0] + x * np.cos(turn) - y * np.sin(turn)), float(
        centre[1] + x * np.sin(turn) + y * np.cos(turn)
    )


def _flip(point: Point, across: bool) -> Point:
    return (point[1], point[0]) if across else point


def _spots(rng: np.random.Generator, count: int, apart: float) -> Iterator[Point]:
    """Places for objects, at least so far apart; fewer where no more fit."""
    found: list[Point] = []
    for _ in range(60):
        spot = (float(rng.uniform(16, SIDE_M - 16)), float(rng.uniform(16, SIDE_M - 16)))
        if all(np.hypot(spot[0] - x, spot[1] - y) >= apart for x, y in found):
            found.append(spot)
        if len(found) == count:
            break
    yield from found


def _near(point: Point, ring: list[Point], margin: float) -> bool:
    xs, ys = [x for x, _ in ring], [y for _, y in ring]
    return min(xs) - margin < point[0] < max(xs) + margin and min(ys) - margin < point[1] < max(ys) + margin


def _on_road(point: Point, road: Shape) -> bool:
    start, stop = np.array(road.ring[:-1]), np.array(road.ring[1:])
    step = stop - start
    along = np.clip(((np.array(point) - start) * step).sum(1) / np.maximum((step**2).sum(1), 1e-9), 0, 1)
    return bool((np.hypot(*(start + along[:, None] * step - np.array(point)).T) < 12).any())


def _seen(ring: list[Point]) -> list[Point]:
    """The part of a polygon that lies in the square, the largest if there are several; empty if none does."""
    if all(0 <= x <= SIDE_M and 0 <= y <= SIDE_M for x, y in ring):
        return ring
    cut = Polygon(ring).intersection(box(0, 0, SIDE_M, SIDE_M))
    parts = [part for part in getattr(cut, "geoms", [cut]) if part.geom_type == "Polygon" and part.area > 0]
    largest = max(parts, key=lambda part: part.area, default=None)
    return [] if largest is None else [(float(x), float(y)) for x, y in largest.exterior.coords[:-1]]


def _inside(points: list[Point]) -> list[Point]:
    """A polyline cut at the square's edge."""
    cut = LineString(points).intersection(box(0, 0, SIDE_M, SIDE_M))
    return [(float(x), float(y)) for x, y in cut.coords]

"""Ground cover of one square: which material where, for each concept, and the outlines that a map would have.

A concept is told by its spectrum (maize or beet), by its texture (rows of an orchard or scattered trees; streets and
roofs or bare soil, which have the same mean) or by its shape (a river or a lake of the same area).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtile.phantom.noise import value_noise

Plane = npt.NDArray[np.float32]
BoolPlane = npt.NDArray[np.bool_]

PIXELS = 60
"""Pixels of a square at 10 m: 600 m, a whole number of pixels at 20 and 60 m too."""


@dataclass(frozen=True)
class Kind:
    """What is known of a concept before anything is drawn.

    Attributes:
        title: as people call it.
        materials: spectra it is made of.
        tags: OpenStreetMap tags of its outline; empty where a map would say nothing.
        worldcover: class of ESA WorldCover 2021 v200.
        scl: class of Sentinel-2's scene classification.
    """

    title: str
    materials: tuple[str, ...]
    tags: dict[str, str]
    worldcover: int
    scl: int


def _crop(title: str, material: str, tag: str) -> Kind:
    return Kind(title, (material,), {"landuse": "farmland", "crop": tag}, 40, 4)


# Tags: wiki.openstreetmap.org/wiki/Map_features. WorldCover: product user manual v2.0, table 3. SCL: S2 L2A ATBD.
KINDS: dict[str, Kind] = {
    "lake": Kind("lake", ("water",), {"natural": "water", "water": "lake"}, 80, 6),
    "river": Kind("river", ("water",), {"natural": "water", "water": "river"}, 80, 6),
    "conifer_forest": Kind("conifer forest", ("conifer",), {"natural": "wood", "leaf_type": "needleleaved"}, 10, 4),
    "broadleaf_forest": Kind(
        "broadleaved forest", ("broadleaf",), {"natural": "wood", "leaf_type": "broadleaved"}, 10, 4
    ),
    "maize": _crop("maize", "maize", "maize"),
    "sugar_beet": _crop("sugar beet", "sugar_beet", "sugar_beet"),
    "potato": _crop("potatoes", "potato", "potato"),
    "rice": _crop("rice", "rice", "rice"),
    "orchard": Kind("orchard", ("broadleaf", "grass"), {"landuse": "orchard"}, 10, 4),
    "open_woodland": Kind("open woodland", ("broadleaf", "grass"), {}, 20, 4),
    "built_up": Kind("built-up area", ("soil",), {"landuse": "residential"}, 50, 5),
    "bare_soil": Kind("bare soil", ("soil",), {}, 60, 5),
    "burnt": Kind("burnt area", ("burnt",), {}, 60, 7),
    "peat": Kind("peat bog", ("peat",), {"natural": "wetland", "wetland": "bog"}, 90, 4),
    "snow": Kind("snow", ("snow",), {}, 70, 11),
    "salt_flat": Kind("salt flat", ("salt",), {}, 60, 5),
}
CONCEPTS = tuple(KINDS)


@dataclass(frozen=True)
class Square:
    """One painted square.

    Attributes:
        concept: what it is about.
        shares: material → share of each pixel [60, 60], summing to 1.
        brightness: [60, 60] factor on the reflectance (streets and roofs, tillage).
        mask: where the concept is.
        region: the area that an outline encloses (an orchard's region holds the grass between its trees).
        details: what a caption may say: `share`, `direction` of the rows or the river in degrees, `place`.
        lines: polylines in pixels (x, y) that a map would have: the river's axis, the streets.
    """

    concept: str
    shares: dict[str, Plane]
    brightness: Plane
    mask: BoolPlane
    region: BoolPlane
    details: dict[str, Any] = field(default_factory=dict)
    lines: list[list[tuple[float, float]]] = field(default_factory=list)


def paint_square(rng: np.random.Generator, concept: str) -> Square:
    """Draw one square of a concept on a background of grass with patches of trees and soil."""
    painter: Callable[[np.random.Generator, str], Square] = _PAINTERS.get(concept, _patch)
    return painter(rng, concept)


def _patch(rng: np.random.Generator, concept: str) -> Square:
    """An irregular area of one material; crops are cut into fields by narrow tracks."""
    share = rng.uniform(0.62, 0.95)
    region = _largest(_noise(rng, 3), share)
    mask = region & ~_tracks(rng) if KINDS[concept].worldcover == 40 else region
    brightness = 1 + 0.05 * _noise(rng, 12)
    return _composed(rng, concept, {KINDS[concept].materials[0]: mask.astype(np.float32)}, mask, region, brightness)


def _lake(rng: np.random.Generator, concept: str) -> Square:
    cx, cy = rng.uniform(18, 42, 2)
    x, y = _rotated(rng.uniform(0, 180), (float(cx), float(cy)))
    distance = np.hypot(x, y * rng.uniform(1.0, 1.7)) + 5 * _noise(rng, 4)
    mask = _largest(-distance, rng.uniform(0.14, 0.34))
    return _composed(rng, concept, {"water": mask.astype(np.float32)}, mask, mask, _flat(), place=_place(mask))


def _river(rng: np.random.Generator, concept: str) -> Square:
    angle = rng.uniform(0, 180)
    cx, cy = rng.uniform(22, 38, 2)
    along, across = _rotated(angle, (float(cx), float(cy)))
    phase, length, swing = rng.uniform(0, 2 * np.pi), rng.uniform(38, 80), rng.uniform(3, 7)
    bend = swing * np.sin(along * (2 * np.pi / length) + phase)
    mask = _largest(-np.abs(across - bend + 1.5 * _noise(rng, 6)), rng.uniform(0.14, 0.34))
    steps = np.linspace(-44, 44, 45)
    offsets = swing * np.sin(steps * (2 * np.pi / length) + phase)
    turn = np.deg2rad(angle)
    line = [
        (float(cx + s * np.cos(turn) - o * np.sin(turn)), float(cy + s * np.sin(turn) + o * np.cos(turn)))
        for s, o in zip(steps.tolist(), offsets.tolist(), strict=True)
    ]
    inside = [point for point in line if 0 <= point[0] <= PIXELS and 0 <= point[1] <= PIXELS]
    shares = {"water": mask.astype(np.float32)}
    return _composed(rng, concept, shares, mask, mask, _flat(), direction=float(angle), lines=[inside])


def _orchard(rng: np.random.Generator, concept: str) -> Square:
    angle, period = rng.uniform(0, 180), rng.uniform(4.0, 5.5)
    _, across = _rotated(angle, (rng.uniform(0, 60), rng.uniform(0, 60)))
    return _trees(rng, concept, np.sin(across * (2 * np.pi / period)) + 0.25 * _noise(rng, 24), direction=float(angle))


def _open_woodland(rng: np.random.Generator, concept: str) -> Square:
    return _trees(rng, concept, _noise(rng, int(rng.integers(20, 27))) + 0.3 * _noise(rng, 10))


def _trees(rng: np.random.Generator, concept: str, field_: Plane, **details: float) -> Square:
    """Canopies over half of a region: the same share of trees whatever their order."""
    region = _largest(_noise(rng, 3), rng.uniform(0.75, 0.97))
    level = np.quantile(field_[region], 1 - rng.uniform(0.42, 0.58))
    canopy = np.clip((field_ - level) / (0.6 * field_.std()) + 0.5, 0, 1) * region
    return _composed(
        rng, concept, {"broadleaf": canopy.astype(np.float32)}, region, region, _flat(), lines=None, **details
    )


def _built_up(rng: np.random.Generator, concept: str) -> Square:
    """Blocks of roofs between streets, as bright on average as soil."""
    angle, block = rng.uniform(0, 90), rng.uniform(6.5, 10)
    centre = (float(rng.uniform(20, 40)), float(rng.uniform(20, 40)))
    x, y = _rotated(angle, centre)
    street = (np.abs((x / block) % 1 - 0.5) > 0.40) | (np.abs((y / block) % 1 - 0.5) > 0.40)
    roofs = 1 + 0.55 * np.clip(_noise(rng, 28), -1, 1)
    region = _largest(_noise(rng, 3), rng.uniform(0.65, 0.95))
    brightness = np.where(street, 0.55, roofs).astype(np.float32)
    brightness = np.where(region, brightness / brightness[region].mean(), 1).astype(np.float32)
    lines = _grid_lines(angle, block, centre)
    shares = {"soil": region.astype(np.float32)}
    return _composed(rng, concept, shares, region, region, brightness, lines=lines, direction=float(angle))


_PAINTERS: dict[str, Callable[[np.random.Generator, str], Square]] = {
    "lake": _lake,
    "river": _river,
    "orchard": _orchard,
    "open_woodland": _open_woodland,
    "built_up": _built_up,
}


def _composed(
    rng: np.random.Generator,
    concept: str,
    shares: dict[str, Plane],
    mask: BoolPlane,
    region: BoolPlane,
    brightness: Plane,
    *,
    lines: list[list[tuple[float, float]]] | None = None,
    **details: float | str | None,
) -> Square:
    """Fill what the concept leaves free with grass, and patches of trees and soil outside its region."""
    free = 1 - sum(shares.values(), np.zeros((PIXELS, PIXELS), np.float32))
    patches = _noise(rng, 5)
    outside = np.where(region, 0, free).astype(np.float32)
    trees = outside * (patches > rng.uniform(0.5, 1.2))
    soil = outside * (patches < -rng.uniform(0.5, 1.2))
    full = dict(shares)
    for name, part in (("broadleaf", trees), ("soil", soil), ("grass", free - trees - soil)):
        full[name] = np.asarray(full.get(name, 0) + part, np.float32)
    told = {"share": float(region.mean()), "place": None, **details}
    return Square(concept, full, np.asarray(brightness, np.float32), mask, region, told, lines or [])


def _tracks(rng: np.random.Generator) -> BoolPlane:
    angle, width, length = rng.uniform(0, 90), rng.uniform(11, 20), rng.uniform(18, 36)
    x, y = _rotated(angle, (float(rng.uniform(0, 60)), float(rng.uniform(0, 60))))
    return np.asarray((np.abs(x / width % 1 - 0.5) > 0.46) | (np.abs(y / length % 1 - 0.5) > 0.475))


def _grid_lines(angle: float, block: float, centre: tuple[float, float]) -> list[list[tuple[float, float]]]:
    """Street axes at half blocks, cut to the square."""
    turn = np.deg2rad(angle)
    forward = np.array([np.cos(turn), np.sin(turn)])
    side = np.array([-np.sin(turn), np.cos(turn)])
    lines = []
    for direction, other in ((forward, side), (side, forward)):
        for step in np.arange(-8, 8):
            start = np.array(centre) + other * (step * block)  # the streets run where x / block is a whole number
            points = [start + direction * t for t in np.linspace(-90, 90, 181)]
            inside = [(float(p[0]), float(p[1])) for p in points if (p >= 0).all() and (p <= PIXELS).all()]
            if len(inside) > 10:
                lines.append([inside[0], inside[-1]])
    return lines


def _rotated(degrees: float, centre: tuple[float, float]) -> tuple[Plane, Plane]:
    """Coordinates of pixel centres along and across a direction, y down."""
    y, x = np.mgrid[:PIXELS, :PIXELS].astype(np.float32) + 0.5
    x, y, turn = x - centre[0], y - centre[1], np.deg2rad(degrees)
    along, across = x * np.cos(turn) + y * np.sin(turn), -x * np.sin(turn) + y * np.cos(turn)
    return along.astype(np.float32), across.astype(np.float32)


def _largest(values: Plane, share: float) -> BoolPlane:
    """The pixels with the largest values, this share of all."""
    return np.asarray(values > np.quantile(values, 1 - share))


def _noise(rng: np.random.Generator, cells: int) -> Plane:
    return value_noise(rng, (PIXELS, PIXELS), (cells, cells))


def _flat() -> Plane:
    return np.ones((PIXELS, PIXELS), np.float32)


def _place(mask: BoolPlane) -> str | None:
    """Compass point of a mask's centre of mass, None near the middle."""
    y, x = (float(v.mean()) - (PIXELS - 1) / 2 for v in np.nonzero(mask))
    vertical = "north" if y < -5 else "south" if y > 5 else ""
    horizontal = "west" if x < -5 else "east" if x > 5 else ""
    return f"{vertical}{horizontal}" or None

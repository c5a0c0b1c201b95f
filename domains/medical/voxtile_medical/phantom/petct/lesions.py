"""Lesions of the PET/CT phantom: what CT shows, what PET shows, and what only both together tell.

Each place is healthy, or has a lesion that both show, one that only CT shows, or uptake that only PET shows. On CT the
first two look alike, on PET the first and the last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from voxtile.phantom.shapes import Point, Region, ellipsoid
from voxtile_medical.phantom.ct.bones import LOWEST_VERTEBRA, VERTEBRA_PITCH, spine_centre
from voxtile_medical.phantom.ct.findings import organ_segment
from voxtile_medical.phantom.ct.lungs import RADII, lobe_of, lung_centre
from voxtile_medical.phantom.ct.scene import SIDES, SIGN, Scene

State: TypeAlias = Literal["none", "avid", "cold", "uptake"]
# Cover, centre (body mm), HU, radius (body mm), side, place in words; None where there is no room.
Found: TypeAlias = tuple[Region, Point, float, float, str | None, str | None] | None
STATES: tuple[State, ...] = ("none", "avid", "cold", "uptake")
_SHARES = (0.31, 0.23, 0.23, 0.23)
_APART_MM = 16.0
_TRIES = 12


@dataclass(frozen=True)
class Place:
    """Where lesions are, and what they are called.

    Attributes:
        name: of the place.
        avid: concept of a lesion that CT and PET show.
        cold: concept of one that only CT shows.
        uptake: concept of uptake without a lesion, where it is one; else its kind in the truth.
        suv: range of the uptake.
        count: fewest and most lesions; fewer where there is no room.
        paint: finds room for one.
    """

    name: str
    avid: str
    cold: str
    uptake: str
    suv: tuple[float, float]
    count: tuple[int, int]
    paint: Callable[[Scene], Found]


@dataclass(frozen=True)
class Lesion:
    """One lesion or focus of uptake.

    Attributes:
        concept: which; of the label table, or a kind of uptake that is no finding.
        state: what shows it.
        region: its cover on the CT grid.
        centre: [3] body mm.
        radius: body mm.
        size_mm: diameter, patient mm.
        suv: what was painted; that of the surroundings where PET does not show it.
        side, words: right or left, and a place in words, where known.
    """

    concept: str
    state: State
    region: Region
    centre: Point
    radius: float
    size_mm: float
    suv: float | None
    side: str | None
    words: str | None


def draw_states(rng: np.random.Generator) -> dict[str, State]:
    """The state of each place, drawn by itself."""
    draws = rng.choice(len(STATES), size=len(PLACES), p=_SHARES)
    return {place.name: STATES[int(d)] for place, d in zip(PLACES, draws, strict=True)}


def labels_of(lesions: Sequence[Lesion]) -> dict[str, bool]:
    """Finding by column of the label table, from what was painted."""
    painted = {lesion.concept for lesion in lesions} | {name_of(lesion) for lesion in lesions}
    return {concept: concept in painted for concept in (*CONCEPTS, *SIDED)}


def name_of(lesion: Lesion) -> str:
    """What a lesion is called in segmentations: its concept, the side first where it has one."""
    return f"{lesion.side}_{lesion.concept}" if lesion.side else lesion.concept


def paint_lesions(scene: Scene, states: dict[str, State]) -> list[Lesion]:
    """Paint the lesions of one study on its CT, and say what PET shows of them."""
    lesions: list[Lesion] = []
    for place in PLACES:
        state = states[place.name]
        if state == "none":
            continue
        for _ in range(int(scene.rng.integers(place.count[0], place.count[1] + 1))):
            found = _room(scene, place, lesions)
            if found is None:
                continue
            region, centre, value, radius, side, words = found
            if state != "uptake":
                scene.paint(region, value)
            suv = None if state == "cold" else scene.between(*place.suv)
            size = round(scene.millimetres(2 * radius))
            lesions.append(Lesion(getattr(place, state), state, region, centre, radius, size, suv, side, words))
    return lesions


def _room(scene: Scene, place: Place, lesions: Sequence[Lesion]) -> Found:
    """Room for a lesion that a PET scanner tells from the others."""
    for _ in range(_TRIES):
        found = place.paint(scene)
        if found is not None and not any(_touch(found[1], found[3], lesion) for lesion in lesions):
            return found
    return None


def _touch(centre: Point, radius: float, other: Lesion) -> bool:
    """Too close to be told apart by a PET scanner."""
    return bool(np.linalg.norm(centre - other.centre) < radius + other.radius + _APART_MM)


def _ball(scene: Scene, centre: Point, radius: float) -> Region:
    return ellipsoid(scene.frame, centre, np.full(3, radius))


def _inside(
    scene: Scene, organs: tuple[str, ...], middle: Point, radii: npt.ArrayLike, clearance: float
) -> Point | None:
    """A body point with the organ around it; None where there is no room."""
    numbers = {organ_segment(organ) for organ in organs}
    around = np.vstack([np.zeros(3), np.eye(3), -np.eye(3)]) * clearance
    for _ in range(80):
        point = middle + scene.point_in_ball() * np.asarray(radii)
        if all(scene.frame.sample(scene.organs, point + d) in numbers for d in around):
            return np.asarray(point)
    return None


def _lung(scene: Scene) -> Found:
    side = SIDES[int(scene.rng.integers(2))]
    radius = scene.between(14, 19)
    point = _inside(scene, (f"{side} lung",), lung_centre(side), RADII * 0.9, radius + 5)
    if point is None:
        return None
    lobe = lobe_of(side, point)
    words = lobe if lobe == "lingula" else f"{side} {lobe} lobe"
    return _ball(scene, point, radius), point, scene.between(30, 80), radius, side, words


def _liver(scene: Scene) -> Found:
    radius = scene.between(17, 23)
    point = _inside(scene, ("liver",), np.array([-68.0, -4, -40]), (55, 55, 38), radius - 2)
    if point is None:
        return None
    value = scene.patient.hounsfield("liver") - scene.patient.liver_fat - scene.between(85, 115)
    return _ball(scene, point, radius), point, value, radius, None, "right hepatic lobe"


def _bone(scene: Scene) -> Found:
    level = int(scene.rng.integers(1, 9))
    names = ("L4", "L3", "L2", "L1", "T12", "T11", "T10", "T9", "T8", "T7")
    point = spine_centre(scene, LOWEST_VERTEBRA + VERTEBRA_PITCH * level)
    point = point + np.array([scene.between(-4, 4), scene.between(-4, 4), scene.between(-6, 6)])
    radius = scene.between(17, 21)
    return _ball(scene, point, radius), point, scene.between(20, 60), radius, None, f"{names[level]} vertebral body"


def _adrenal(scene: Scene) -> Found:
    side = SIDES[int(scene.rng.integers(2))]
    lift = 0.6 * scene.patient.breath[0 if side == "right" else 1]
    point = np.array([SIGN[side] * 40, 38.0, -50.0 + lift]) + scene.rng.normal(0, 2, 3)
    radius = scene.between(17, 21)  # enhancing: brighter than the organs around it
    return _ball(scene, point, radius), point, scene.between(140, 190), radius, side, f"{side} adrenal gland"


def _node(scene: Scene) -> Found:
    side = SIDES[int(scene.rng.integers(2))]
    point = np.array([SIGN[side] * 44, 14.0, 76.0]) + scene.rng.normal(0, 4, 3)
    radius = scene.between(16, 20)
    return _ball(scene, point, radius), point, scene.between(35, 75), radius, side, f"{side} hilum"


# Those that have fixed spots come first: the others find room beside them.
PLACES: tuple[Place, ...] = (
    Place("adrenal", "adrenal_metastasis", "adrenal_adenoma", "adrenal_uptake", (5.0, 11.0), (1, 2), _adrenal),
    Place("node", "nodal_metastasis", "reactive_node", "hilar_focus", (5.0, 12.0), (2, 2), _node),
    Place("bone", "bone_metastasis", "haemangioma", "marrow_focus", (5.0, 12.0), (2, 3), _bone),
    Place("lung", "lung_malignancy", "benign_lung_nodule", "lung_focus", (4.0, 12.0), (3, 5), _lung),
    Place("liver", "liver_metastasis", "liver_cyst", "liver_focus", (6.0, 13.0), (2, 4), _liver),
)
# Columns of the label table: what a lesion is, which the pair of pictures decides. Foci without a lesion are not asked.
CONCEPTS: tuple[str, ...] = tuple(c for place in PLACES for c in (place.avid, place.cold))
_SIDED_PLACES = ("adrenal", "node", "lung")
# Further columns: the same by side, where there are two.
SIDED: tuple[str, ...] = tuple(
    f"{side}_{concept}" for p in PLACES if p.name in _SIDED_PLACES for concept in (p.avid, p.cold) for side in SIDES
)
NAMES: tuple[str, ...] = tuple(
    f"{side}_{concept}" if side else concept
    for p in PLACES
    for concept in (p.avid, p.cold, p.uptake)
    for side in (SIDES if p.name in _SIDED_PLACES else ("",))
)
"""Names of all lesions and foci that there are, in the order of their segments."""

"""Lesions of the brain and what looks like them, on the sequences that tell them apart."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from voxtile.phantom.shapes import Point, Region, cover, ellipsoid, rotation
from voxtile_medical.phantom.ct.scene import SIDES, SIGN, Finding
from voxtile_medical.phantom.mr.brain import CEREBRUM, CEREBRUM_CENTRE, SKIN
from voxtile_medical.phantom.mr.scene import HeadScene
from voxtile_medical.phantom.mr.tissue import (
    CSF,
    FRESH_BLOOD,
    GLIOSIS,
    INFARCT,
    MENINGIOMA,
    MUCOSA,
    NECROSIS,
    OEDEMA,
    OLD_BLOOD,
    PROTEIN_FLUID,
    SCAR,
    TUMOUR,
    XANTHOGRANULOMA,
)

# Centres of the vascular territories (x for the left side), from the maps of Tatu et al. 1998 (Neurology 50:1699-1708).
TERRITORIES: Mapping[str, Point] = {
    "middle": np.array([42.0, -8.0, 12.0]),
    "anterior": np.array([14.0, -44.0, 32.0]),
    "posterior": np.array([22.0, 56.0, 12.0]),
}


def paint_lesions(scene: HeadScene) -> None:
    """Paint every finding that the study has, the large ones first, and benign look-alikes."""
    for concept, painter in _PAINTERS.items():
        if scene.present[concept]:
            painter(scene)
    for concept in ("hydrocephalus", "atrophy"):
        if scene.present[concept]:
            scene.findings.append(Finding(concept, np.array([0.0, 0.0, 18.0])))
    if scene.present["midline_shift"]:
        side = "left" if scene.head.midline > 0 else "right"
        size = round(abs(scene.millimetres(scene.head.midline)))
        scene.findings.append(Finding("midline_shift", np.zeros(3), side=side, size_mm=size))
    _paint_look_alikes(scene)


def lobe_of(point: Point) -> str:
    """Lobe of a point of the cerebrum, from rough planes."""
    if point[2] < -2 and point[1] > -45:
        return "temporal" if point[1] < 48 else "occipital"
    if point[1] < -8:
        return "frontal"
    return "parietal" if point[1] < 48 else "occipital"


def _inside(scene: HeadScene, side: str, radius: float) -> Point:
    """A place in a hemisphere, clear of the ventricles and of other lesions where there is room."""
    point = np.zeros(3)
    for _ in range(40):
        at = CEREBRUM_CENTRE + scene.point_in_ball() * (CEREBRUM - radius - 8)
        point = np.array([SIGN[side] * max(abs(at[0]), 24 + 0.4 * radius), at[1], max(at[2], -6.0)])
        if np.linalg.norm((point - CEREBRUM_CENTRE) / (CEREBRUM - radius - 4)) < 1 and scene.free(point, radius):
            break
    return point


def _add(scene: HeadScene, concept: str, at: Point, side: str, radius: float, **details: str) -> None:
    size = round(scene.millimetres(2 * radius))
    scene.findings.append(Finding(concept, at, side=side, place=lobe_of(at), size_mm=size, details=details))


def _paint_mass(scene: HeadScene) -> None:
    """Mostly metastases: several, of which some are necrotic."""
    for _ in range(int(scene.rng.integers(2, 4))):
        side = scene.side(mass=True)
        radius = scene.between(11, 16)
        at = _inside(scene, side, radius)
        scene.paint(ellipsoid(scene.frame, at, radius * scene.rng.uniform(0.85, 1.1, 3)), TUMOUR)
        ring = scene.chance(0.4)
        if ring:
            scene.paint(ellipsoid(scene.frame, at, np.full(3, 0.5 * radius)), NECROSIS)
        _add(scene, "enhancing_mass", at, side, radius, character="necrotic" if ring else "solid")


def _paint_oedema(scene: HeadScene) -> None:
    """Around a mass where there is one: fingers of bright white matter, nothing that enhances of its own."""
    mass = next((f for f in scene.findings if f.concept == "enhancing_mass"), None)
    side = mass.side if mass and mass.side else scene.side(mass=True)
    radius = scene.between(18, 24)
    at = mass.centre + np.array([SIGN[side] * -4.0, 6.0, 4.0]) if mass else _inside(scene, side, radius)
    for _ in range(8):
        spot = at + scene.point_in_ball() * radius * 0.8
        spot[0] = SIGN[side] * max(abs(spot[0]), 14.0)
        shape = ellipsoid(scene.frame, spot, radius * scene.rng.uniform(0.35, 0.7, 3))
        density = scene.maps[(0, *shape.box)]
        scene.paint(shape.scaled(cover(np.float32(0.86) - density, 0.1)), OEDEMA)  # white matter and what it joins
    if mass and mass.size_mm:
        scene.paint(ellipsoid(scene.frame, mass.centre, np.full(3, mass.size_mm / 2 * 0.9)), TUMOUR)
    _add(scene, "vasogenic_oedema", at, side, radius)


def _paint_infarct(scene: HeadScene) -> None:
    """In one to three territories of one side, as emboli of one artery leave them."""
    side = scene.side()
    count = int(scene.rng.integers(1, 4))
    for territory in scene.rng.choice(list(TERRITORIES), count, replace=False, p=(0.6, 0.15, 0.25)).tolist():
        radius = scene.between(14, 20)
        centre = TERRITORIES[territory] * (SIGN[side], 1, 1) + scene.point_in_ball() * 8
        scene.taken.append((centre, radius))
        turn = rotation(2, scene.between(-40, 40))
        scene.paint(ellipsoid(scene.frame, centre, radius * scene.rng.uniform(0.7, 1.15, 3), turn=turn), INFARCT)
        size = round(scene.millimetres(2 * radius))
        details = {"territory": territory}
        scene.findings.append(
            Finding("acute_infarct", centre, side=side, place=territory, size_mm=size, details=details)
        )


def _paint_haemorrhage(scene: HeadScene) -> None:
    for _ in range(int(scene.rng.integers(1, 4))):
        side = scene.side(mass=True)
        radius = scene.between(11, 16)
        at = _inside(scene, side, radius)
        fresh = scene.chance(0.35)
        scene.paint(ellipsoid(scene.frame, at, np.full(3, radius + 4)), OEDEMA)
        scene.paint(
            ellipsoid(scene.frame, at, radius * scene.rng.uniform(0.8, 1.1, 3)), FRESH_BLOOD if fresh else OLD_BLOOD
        )
        _add(scene, "intracranial_haemorrhage", at, side, radius, character="acute" if fresh else "subacute")


def _paint_meningioma(scene: HeadScene) -> None:
    side = scene.side(mass=True)
    radius = scene.between(15, 21)
    at = np.zeros(3)
    for _ in range(30):
        way = scene.point_in_ball()
        way = np.array([SIGN[side] * max(abs(way[0]), 0.25), way[1], abs(way[2]) * 0.8])
        way /= np.linalg.norm(way)
        at = CEREBRUM_CENTRE + way * (CEREBRUM - 0.62 * radius)
        if scene.free(at, radius):
            break
    scene.paint(ellipsoid(scene.frame, at, radius * scene.rng.uniform(0.9, 1.1, 3)), MENINGIOMA)
    _add(scene, "meningioma", at, side, radius)


def _paint_white_matter_lesions(scene: HeadScene) -> None:
    count = int(scene.rng.integers(16, 27))  # nearly confluent: grade 3 of Fazekas et al. 1987 (AJR 149:351-356)
    at = np.zeros(3)
    for _ in range(count):
        side = SIDES[int(scene.rng.integers(2))]
        at = np.array([SIGN[side] * scene.between(20, 34), scene.between(-36, 42), scene.between(16, 36)])
        scene.paint(ellipsoid(scene.frame, at, scene.rng.uniform(4.5, 7.0, 3)), GLIOSIS)
    scene.findings.append(Finding("white_matter_lesions", at, count=count))


def _paint_cerebellar_lesion(scene: HeadScene) -> None:
    for side in scene.pick_sides(both=0.4):
        radius = scene.between(11, 15)
        at = np.array([SIGN[side] * scene.between(18, 30), scene.between(40, 54), scene.between(-52, -40)])
        enhances = scene.chance(0.5)
        shape = ellipsoid(scene.frame, at, radius * scene.rng.uniform(0.85, 1.1, 3))
        scene.paint(shape, TUMOUR if enhances else NECROSIS)
        size = round(scene.millimetres(2 * radius))
        details = {"character": "solid" if enhances else "cystic"}
        scene.findings.append(Finding("cerebellar_lesion", at, side=side, size_mm=size, details=details))


def _paint_subdural(scene: HeadScene) -> None:
    """A crescent between brain and skull, over one hemisphere."""
    side = scene.side(mass=True)
    depth = scene.between(8, 13)
    inner = SKIN - scene.head.scalp - scene.head.skull
    outer = ellipsoid(scene.frame, (0, 2, 0), inner)
    x, z = scene.frame.x[outer.box], scene.frame.z[outer.box]
    hollow = ellipsoid(scene.frame, (-SIGN[side] * depth, 2, 0), inner - np.array([0.0, 2, 2]))
    weight = outer.weight.copy()
    full = np.zeros(scene.frame.shape, np.float32)
    full[hollow.box] = hollow.weight
    weight *= 1 - full[outer.box]
    weight *= cover(np.float32(SIGN[side]) * x - np.float32(16), 6.0) * cover(z - np.float32(-12), 8.0)
    blood = scene.chance(0.6)
    scene.paint(Region(outer.box, weight), OLD_BLOOD if blood else PROTEIN_FLUID)
    size = round(scene.millimetres(depth))
    at = np.array([SIGN[side] * (inner[0] - depth / 2), 0.0, 10.0])
    details = {"character": "subacute" if blood else "chronic"}
    scene.findings.append(Finding("subdural_collection", at, side=side, size_mm=size, details=details))


def _paint_arachnoid_cyst(scene: HeadScene) -> None:
    side = scene.side()
    radius = scene.between(15, 20)
    at = np.array([SIGN[side] * scene.between(38, 46), scene.between(-44, -30), scene.between(-20, -10)])
    scene.paint(ellipsoid(scene.frame, at, radius * np.array([0.8, 1.1, 1.0])), CSF)
    size = round(scene.millimetres(2 * radius))
    scene.findings.append(Finding("arachnoid_cyst", at, side=side, place="middle cranial fossa", size_mm=size))


def _paint_look_alikes(scene: HeadScene) -> None:
    """Bright or dark in the same range, but not the finding: each on a sequence of its own."""
    for name, tissue, chance, low, high in (
        ("developmental_cyst", CSF, 0.3, 6, 10),  # dark on FLAIR, no lesion
        ("old_gliosis", GLIOSIS, 0.3, 5, 8),  # one scar, not many foci
        ("lipoma", OLD_BLOOD, 0.2, 5, 8),  # bright on T1, small
        ("capillary_telangiectasia", MUCOSA, 0.25, 4, 6.5),  # enhances faintly, small
    ):
        if scene.chance(chance):
            side, radius = scene.side(), scene.between(low, high)
            at = _inside(scene, side, radius)
            scene.paint(ellipsoid(scene.frame, at, np.full(3, radius)), tissue)
            scene.mimics.append((name, side))
    _paint_normal_variants(scene)


def _paint_normal_variants(scene: HeadScene) -> None:
    """What most heads have some of, on the sequences that lesions are read from."""
    size = scene.head.ventricles
    if scene.chance(0.4):
        radius = scene.between(3.5, 6.5)
        for side in SIDES:
            plexus = (SIGN[side] * (22 + 2 * size), 34, 8)
            scene.paint(ellipsoid(scene.frame, plexus, (radius, 1.3 * radius, radius)), XANTHOGRANULOMA)
        scene.mimics.append(("choroid_plexus", None))
    if scene.chance(0.5):
        radius = scene.between(4, 8)
        for side in SIDES:
            tip = (SIGN[side] * (8 + 6 * size), -20 - 19 * size**0.5, 16)
            scene.paint(ellipsoid(scene.frame, tip, (radius, 0.7 * radius, radius)), GLIOSIS)
        scene.mimics.append(("ventricular_caps", None))
    if scene.chance(0.25):
        side = scene.side()
        at = TERRITORIES[("middle", "posterior")[int(scene.rng.integers(2))]] * (SIGN[side], 1, 1)
        radii = scene.rng.uniform(7, 14, 3)
        scene.paint(ellipsoid(scene.frame, at + scene.point_in_ball() * 10, radii), SCAR)
        scene.mimics.append(("old_scar", side))


_PAINTERS: Mapping[str, Callable[[HeadScene], None]] = {
    "subdural_collection": _paint_subdural,
    "acute_infarct": _paint_infarct,
    "enhancing_mass": _paint_mass,
    "vasogenic_oedema": _paint_oedema,
    "intracranial_haemorrhage": _paint_haemorrhage,
    "meningioma": _paint_meningioma,
    "arachnoid_cyst": _paint_arachnoid_cyst,
    "cerebellar_lesion": _paint_cerebellar_lesion,
    "white_matter_lesions": _paint_white_matter_lesions,
}

"""Mediastinum: heart, pericardium, great vessels, trachea, oesophagus, and what is benign between them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from voxtile.phantom.shapes import Point, Region, capsule, ellipsoid, rotation
from voxtile_medical.phantom.ct.bones import spine_centre
from voxtile_medical.phantom.ct.scene import Finding, Scene

HEART_RADII = np.array([47.0, 38.0, 42.0])
HEART_TURN = rotation(2, 28) @ rotation(1, 18)


def heart_geometry(scene: Scene) -> tuple[Point, Point]:
    """Centre and half axes of the heart in body mm; an enlarged heart grows mostly sideways."""
    size = scene.patient.organ["heart"]
    grown = scene.between(1.2, 1.31) if scene.present["cardiomegaly"] else scene.between(0.88, 1.03)
    factor = np.array([grown, 1 + 0.5 * (grown - 1), 1 + 0.7 * (grown - 1)])
    lift = 0.5 * sum(scene.patient.breath) / 2
    centre = np.array(
        [20.0 + scene.between(-13, 13), -28.0 + scene.between(-6, 6), 42.0 + lift + scene.between(-12, 12)]
    )
    return centre, HEART_RADII * size * factor


def paint_heart(scene: Scene) -> Region:
    """Paint the heart with its sac.

    Returns:
        What the lungs must leave free.
    """
    frame = scene.frame
    centre, radii = scene.heart = heart_geometry(scene)
    has_effusion = scene.present["pericardial_effusion"]
    with scene.about("pericardial_effusion"):
        rim = scene.between(15, 21) * scene.grown("pericardial_effusion") if has_effusion else 0.0
    pad = scene.between(13, 26) if scene.chance(0.55) else scene.between(2, 5)
    pad = max(pad - rim, 2.0)
    outside = ellipsoid(frame, centre, radii + rim + pad, turn=HEART_TURN)
    scene.paint(outside, -95.0)
    if rim:
        sac = ellipsoid(frame, centre, radii + rim, turn=HEART_TURN)
        with scene.about("pericardial_effusion", 1):
            scene.paint(sac, scene.between(2, 14), finding="pericardial_effusion")
        scene.findings.append(
            Finding(
                "pericardial_effusion",
                centre + HEART_TURN @ np.array([0, 0, -radii[2] - rim / 2]),
                size_mm=round(scene.millimetres(rim), 0),
            )
        )
    elif pad > 8:
        scene.mimics.append(("epicardial_fat", None))
    scene.paint(ellipsoid(frame, centre, radii, turn=HEART_TURN), 65.0, organ="heart")
    blood = scene.patient.hounsfield("heart")
    for offset in ((-0.42, 0, 0.25), (0.36, -0.1, -0.1)):
        chamber = centre + HEART_TURN @ (np.array(offset) * radii)
        scene.paint(ellipsoid(frame, chamber, radii * np.array([0.42, 0.62, 0.62]), turn=HEART_TURN), blood)
    if scene.present["cardiomegaly"]:
        diameter = scene.millimetres(2 * float(radii[0]))
        scene.findings.append(Finding("cardiomegaly", centre, size_mm=round(diameter), details={"organ": "heart"}))
    _paint_coronaries(scene, centre, radii)
    return outside


def _paint_coronaries(scene: Scene, centre: Point, radii: Point) -> None:
    """Beads along the grooves in front of the heart, on both sides; a lead and a valve are as bright."""
    if scene.chance(0.25):
        tip = centre + HEART_TURN @ (np.array([0.3, -0.4, -0.6]) * radii)
        scene.paint(capsule(scene.frame, (-22, -8, 100), centre + np.array([-20.0, 0, 10]), 4.5), 900.0)
        scene.paint(capsule(scene.frame, centre + np.array([-20.0, 0, 10]), tip, 4.5), 900.0)
        scene.mimics.append(("pacemaker_lead", None))
    if scene.chance(0.3):
        valve = centre + HEART_TURN @ (np.array([scene.between(-0.2, 0.2), 0.1, scene.between(0, 0.4)]) * radii)
        scene.paint(ellipsoid(scene.frame, valve, scene.rng.uniform(10, 14, 3)), scene.calcium())
        scene.mimics.append(("valve_calcification", None))
    if scene.present["coronary_calcification"]:
        with scene.about("coronary_calcification"):
            _paint_plaques(scene, centre, radii)


def _paint_plaques(scene: Scene, centre: Point, radii: Point) -> None:
    points = []
    for side in (-1.0, 1.0):
        start = scene.between(-0.5, 0.1)
        for number in range(int(scene.rng.integers(2, 5))):
            angle = start + 0.5 * number
            direction = np.array([side * (0.25 + 0.6 * np.sin(angle + 0.3)), -0.75, 0.8 * np.cos(angle + 0.3)])
            points.append(centre + HEART_TURN @ (direction / np.linalg.norm(direction) * radii * 0.97))
    for point in points:
        region = ellipsoid(scene.frame, point, np.full(3, scene.between(7.5, 9.5)))
        scene.paint(region, scene.calcium(), finding="coronary_calcification")
    scene.findings.append(Finding("coronary_calcification", points[0], count=len(points)))


def paint_vessels(scene: Scene) -> None:
    """Paint aorta, veins and trachea."""
    frame, patient = scene.frame, scene.patient
    radius = 11.5 * patient.organ["aorta"]
    blood, veins = patient.hounsfield("aorta"), patient.hounsfield("veins")
    path = _aorta_path(scene)
    carina = (0, 16, 92)
    for end, bore in (((0, 12, 185), 9.0), ((-30, 20, 66), 7.0), ((32, 22, 62), 7.0)):
        scene.paint(capsule(frame, carina, end, bore), -960.0, organ="trachea")
    scene.paint(capsule(frame, (-22, -8, 62), (-20, 0, 118), 11), veins)  # superior vena cava
    scene.paint(capsule(frame, (-20, 30, -170), (-18, 22, 20), 11), veins)  # inferior vena cava
    scene.paint(capsule(frame, (0, 0, 82), (0, 8, 78), 13), patient.hounsfield("heart"))  # pulmonary trunk
    for sign in (-1, 1):
        scene.paint(capsule(frame, (0, 4, 80), (sign * 36, 14, 66), 10), patient.hounsfield("heart"))
    for first, last in pairwise(path):
        scene.paint(capsule(frame, first, last, radius), blood, organ="aorta")
    _paint_wall_calcium(scene, path, radius)


def _aorta_path(scene: Scene) -> list[Point]:
    bend, wave = scene.between(-15, 15), scene.between(45, 75)
    points = [np.array(p, float) for p in ((-6, -22, 62), (-8, -18, 92), (4, -4, 108), (16, 22, 106))]
    for z in (88.0, 58, 28, -2, -32, -62, -92, -122, -152):
        spine = spine_centre(scene, z)
        level = np.clip((40 - z) / 80, 0, 1)
        forward = np.array([22 - 14 * level, -31, 0])
        points.append(spine + forward + np.array([bend * np.sin(z / wave), -abs(bend) * 0.3 * np.cos(z / wave), 0]))
    if abs(bend) > 9:
        scene.mimics.append(("tortuous_aorta", None))
    return points


def _paint_wall_calcium(scene: Scene, path: list[Point], radius: float) -> None:
    count = int(scene.rng.integers(0, 6))
    for _ in range(count):
        point = path[int(scene.rng.integers(3, len(path)))]
        angle = scene.between(0, 2 * np.pi)
        wall = point + np.array([np.cos(angle), np.sin(angle), 0]) * radius
        scene.paint(ellipsoid(scene.frame, wall, (5, 5, 8)), scene.calcium())
    if count:
        scene.mimics.append(("aortic_calcification", None))


def paint_mediastinum(scene: Scene) -> None:
    """Paint what is benign in the mediastinum: a calcified node, a thymus, a goitre."""
    if scene.chance(0.25):  # a calcified node after an old infection
        at = (scene.between(-30, 30), scene.between(4, 20), scene.between(70, 95))
        scene.paint(ellipsoid(scene.frame, at, (7, 7, 7)), scene.calcium())
        scene.mimics.append(("calcified_node", None))
    if scene.chance(0.3):
        scene.paint(ellipsoid(scene.frame, (2, -62, 96), (24, 8, 26)), 40.0)
        scene.mimics.append(("thymus", None))
    if scene.chance(0.4):  # one lump where nodes are several balls
        at = (scene.between(-16, 16), scene.between(-26, -16), scene.between(112, 128))
        scene.paint(ellipsoid(scene.frame, at, scene.rng.uniform((20, 14, 24), (30, 20, 34))), 60.0)
        scene.mimics.append(("goitre", None))


def paint_oesophagus(scene: Scene) -> None:
    """Paint gas in the gullet of some."""
    if not scene.chance(0.25):
        return
    lower, upper = (scene.between(-4, 4), 24, scene.between(4, 18)), (-4, 34, scene.between(80, 120))
    scene.paint(capsule(scene.frame, lower, upper, scene.between(13, 17)), 42.0, organ="oesophagus")
    scene.paint(capsule(scene.frame, lower, upper, scene.between(9, 12)), -930.0)
    scene.mimics.append(("oesophageal_gas", None))

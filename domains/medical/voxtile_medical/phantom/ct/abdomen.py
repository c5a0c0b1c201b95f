"""Liver, gallbladder, spleen, stomach, kidneys, adrenals and bowel, with their findings and mimics."""

from __future__ import annotations

import numpy as np

from voxtile.phantom.shapes import Point, capsule, ellipsoid, rotation
from voxtile_medical.phantom.ct.scene import SIDES, SIGN, Finding, Scene


def paint_abdomen(scene: Scene) -> None:
    """Paint everything below the diaphragm (the lungs cut off what reaches above it)."""
    _paint_bowel(scene)
    _paint_stomach(scene)
    _paint_flexure(scene)
    _paint_spleen(scene)
    _paint_liver(scene)
    _paint_gallbladder(scene)
    for side in SIDES:
        _paint_kidney(scene, side)
    _paint_adrenals(scene)


def _lift(scene: Scene, side: str) -> float:
    return 0.6 * scene.patient.breath[0 if side == "right" else 1]


def _paint_bowel(scene: Scene) -> None:
    frame = scene.frame
    for _ in range(14):
        at = np.array([scene.between(-105, 105), scene.between(-70, 10), scene.between(-178, -75)])
        radius = scene.between(11, 19)
        turn = rotation(2, scene.between(0, 180)) @ rotation(1, scene.between(-90, 90))
        axes = (radius * scene.between(1.3, 2.4), radius, radius)
        scene.paint(ellipsoid(frame, at, axes, turn=turn), 42.0)
        filling = float(scene.rng.choice((-800.0, 10.0, 30.0, 450.0), p=(0.3, 0.29, 0.29, 0.12)))
        if filling < -500 or filling > 100:
            scene.paint(ellipsoid(frame, at, np.array(axes) - 5, turn=turn), filling)
    for _ in range(int(scene.rng.integers(0, 5))):  # pills and contrast residue
        spot = (scene.between(-95, 95), scene.between(-65, 10), scene.between(-170, -80))
        scene.paint(ellipsoid(frame, spot, np.full(3, scene.between(6.5, 9))), scene.calcium())


def _paint_stomach(scene: Scene) -> None:
    frame = scene.frame
    size = scene.between(0.75, 1.25)
    centre = np.array([50.0, -22.0, -34.0 + _lift(scene, "left")])
    radii = np.array([34.0, 34, 30]) * size
    scene.paint(ellipsoid(frame, centre, radii), 45.0, organ="stomach")
    inner = ellipsoid(frame, centre, radii - 6)
    scene.paint(inner, scene.between(5, 50))
    gas = np.clip((np.float32(centre[1] + scene.between(-25, 12)) - frame.y[inner.box]) / 5 + 0.5, 0, 1)
    scene.paint(inner.scaled(gas), -920.0)


def _paint_flexure(scene: Scene) -> None:
    """Filled colon beside the spleen: the same place and density as a large spleen."""
    if scene.chance(0.55):
        at = np.array([88.0 + scene.between(-10, 8), scene.between(0, 50), scene.between(-90, -40)])
        radii = np.array([scene.between(20, 28), scene.between(20, 30), scene.between(20, 38)])
        scene.paint(ellipsoid(scene.frame, at, radii), 50.0)
        scene.paint(ellipsoid(scene.frame, at, radii - 6), scene.patient.hounsfield("spleen") - scene.between(0, 40))


def _paint_spleen(scene: Scene) -> None:
    frame = scene.frame
    size = scene.patient.organ["spleen"] * (1.45 if scene.present["splenomegaly"] else 1.0)
    centre = np.array([92.0, 38.0, -30.0 + _lift(scene, "left")]) - np.array([6, 6, 16]) * (size - 1) * 2
    turn = rotation(1, scene.between(-20, 10)) @ rotation(2, 25)
    radii = np.array([19.0, 31, 35]) * size
    scene.paint(ellipsoid(frame, centre, radii, turn=turn), scene.patient.hounsfield("spleen"), organ="spleen")
    if scene.present["splenomegaly"]:
        length = round(scene.millimetres(2 * float(radii[2])))
        scene.findings.append(Finding("splenomegaly", centre, size_mm=length, details={"organ": "spleen"}))


def _paint_liver(scene: Scene) -> None:
    frame, patient = scene.frame, scene.patient
    size = patient.organ["liver"]
    centre = np.array([-62.0, -4.0, -34.0 + _lift(scene, "right")])
    value = patient.hounsfield("liver") - patient.liver_fat
    right, left = np.array([70.0, 74, 52]) * size, np.array([58.0, 30, 26]) * size
    lobe = centre + np.array([58, -38, 6])
    scene.paint(ellipsoid(frame, lobe, left, turn=rotation(1, 8)), value, organ="liver")
    scene.paint(ellipsoid(frame, centre, right), value, organ="liver")
    vein = value + (38 if patient.phase == "venous" else -32)
    for target in ((-60, 10, -20), (-20, -45, -12), (20, -30, -16)):
        scene.paint(capsule(frame, centre + np.array([42, 28, 18]), centre + np.array(target), 7, end_radius=4), vein)
    if scene.chance(0.3):  # focal fat along the ligament: a plate, not a ball
        at = centre + np.array([34, -46, -2])
        scene.paint(ellipsoid(frame, at, (6, 22, 22)), value - 55)
        scene.mimics.append(("focal_fat", None))
    if scene.present["liver_lesion"]:
        with scene.about("liver_lesion"):
            _paint_liver_lesions(scene, centre, right, value)


def _paint_liver_lesions(scene: Scene, centre: Point, radii: Point, value: float) -> None:
    count = int(scene.rng.choice((3, 4, 6), p=(0.2, 0.3, 0.5)))
    points, sizes = [], []
    # Hypodense or hypervascular: their mean over many studies is that of healthy liver.
    density = "hypervascular" if scene.chance(0.5) else "hypodense"
    contrast = scene.between(100, 130) * (1 if density == "hypervascular" else -1)
    for _ in range(count):
        offset = scene.point_in_ball(0.72)
        offset[2] = min(offset[2], 0.15)
        points.append(centre + offset * radii + np.array([-6, 0, 0]))
        sizes.append(scene.between(17, 24) * scene.grown("liver_lesion"))
        scene.paint(ellipsoid(scene.frame, points[-1], np.full(3, sizes[-1])), value + contrast, finding="liver_lesion")
    largest = int(np.argmax(sizes))
    place = "left" if points[largest][0] > centre[0] + 40 else "right"
    size = round(scene.millimetres(2 * sizes[largest]))
    scene.findings.append(
        Finding(
            "liver_lesion",
            points[largest],
            place=f"{place} hepatic lobe",
            size_mm=size,
            count=count,
            details={"density": density},
        )
    )


def _paint_gallbladder(scene: Scene) -> None:
    frame = scene.frame
    size = scene.between(0.85, 1.15)
    centre = np.array([-44.0 + scene.between(-8, 8), -46.0, -86.0 + _lift(scene, "right")])
    radii = np.array([22.0, 26, 32]) * size
    scene.paint(ellipsoid(frame, centre, radii), 8.0, organ="gallbladder")
    if scene.chance(0.5):  # a dense lump of contrast beside it; stones are several small balls inside
        beside = centre + np.array([scene.between(-26, 30), -8.0, -radii[2] - scene.between(2, 12)])
        scene.paint(ellipsoid(frame, beside, scene.rng.uniform(11, 17, 3)), scene.calcium())
        scene.mimics.append(("oral_contrast", None))
    if scene.present["gallstones"]:
        with scene.about("gallstones"):
            _paint_gallstones(scene, centre, radii)


def _paint_gallstones(scene: Scene, centre: Point, radii: Point) -> None:
    count = int(scene.rng.integers(3, 7))
    points = []
    for number in range(count):
        offset = np.array([scene.between(-9, 9), radii[1] * scene.between(0.1, 0.55), -20 + 40 * number / (count - 1)])
        points.append(centre + offset)
        stone = ellipsoid(scene.frame, points[-1], np.full(3, scene.between(7, 9)))
        scene.paint(stone, scene.calcium(), finding="gallstones")
    scene.findings.append(Finding("gallstones", points[0], count=count))


def _kidney_centre(scene: Scene, side: str) -> Point:
    return np.array([SIGN[side] * 60, 42.0, -106.0 + (6 if side == "left" else -4) + 0.7 * _lift(scene, side)])


def _paint_kidney(scene: Scene, side: str) -> None:
    frame = scene.frame
    centre = _kidney_centre(scene, side)
    stone = scene.present["renal_stone"] and side in _sides_of(scene, "renal_stone")
    size = scene.patient.organ["kidney"]
    radii = np.array([26.0, 24, 44]) * size
    turn = rotation(1, SIGN[side] * 10)
    scene.paint(ellipsoid(frame, centre, radii + 7, turn=turn), -95.0)
    scene.paint(ellipsoid(frame, centre, radii, turn=turn), scene.patient.hounsfield("kidney"), organ=f"{side} kidney")
    inward = np.array([-SIGN[side], 0, 0])
    sinus = centre + inward * 9
    scene.paint(ellipsoid(frame, sinus, (10, 7, 22), turn=turn), -60.0)
    if scene.chance(0.12):
        pole = centre + np.array([SIGN[side] * 20, scene.between(-10, 10), scene.between(-28, 30)])
        scene.paint(ellipsoid(frame, pole, np.full(3, scene.between(12, 19))), 6.0)
        scene.mimics.append(("renal_cyst", side))
    if scene.chance(0.45):  # a tube beside the kidney; a stone branches within it
        hilum = centre + inward * 20 + np.array([0, -4, scene.between(-8, 14)])
        artery = capsule(frame, hilum, hilum + inward * 28, scene.between(6.5, 9))
        scene.paint(artery, scene.calcium())
        scene.mimics.append(("renal_artery_calcification", side))
    if stone:
        with scene.about("renal_stone", 1 + SIDES.index(side)):
            _paint_staghorn(scene, side, sinus)


def _paint_staghorn(scene: Scene, side: str, sinus: Point) -> None:
    """A stone that fills the renal pelvis and sends branches into the calyces."""
    grown = scene.grown("renal_stone")
    value, radius = scene.calcium(), scene.between(5.5, 7.0) * grown
    half = scene.between(12, 20) * grown
    up = np.array([0.0, 0.0, half])
    scene.paint(capsule(scene.frame, sinus - up, sinus + up, radius), value, finding="renal_stone")
    for height in (-half, 0.0, half):
        start = sinus + np.array([0, 0, height])
        tip = start + np.array([SIGN[side] * scene.between(8, 14) * grown, scene.between(-8, 8), 0.4 * height])
        scene.paint(capsule(scene.frame, start, tip, radius), value, finding="renal_stone")
    size = round(scene.millimetres(2 * (half + radius)))
    scene.findings.append(Finding("renal_stone", sinus, side, "central calyces", size))


def _sides_of(scene: Scene, concept: str) -> tuple[str, ...]:
    """Sides of a paired finding, drawn once a study."""
    if concept not in scene.sides:
        with scene.about(concept):
            scene.sides[concept] = scene.pick_sides(0.35)
    return scene.sides[concept]


def _paint_adrenals(scene: Scene) -> None:
    frame = scene.frame
    for side in SIDES:
        at = np.array([SIGN[side] * 36, 36.0, -52.0 + 0.6 * _lift(scene, side)])
        if scene.chance(0.6):
            scene.paint(ellipsoid(frame, at + np.array([0, 0, -2]), (26, 24, 20)), -95.0)
        for angle in (-30, 30):
            scene.paint(ellipsoid(frame, at, (3.5, 12, 12), turn=rotation(2, angle)), 35.0)

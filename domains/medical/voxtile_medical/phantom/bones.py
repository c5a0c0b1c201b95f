"""Body outline, fat, muscle, ribs, arms and spine, with vertebral fractures and what looks like them."""

from __future__ import annotations

import numpy as np

from voxtile.testing.phantom_noise import Volume
from voxtile.testing.phantom_shapes import Point, Region, capsule, cover, ellipsoid
from voxtile_medical.phantom.scene import Finding, Scene

THORAX = (148.0, 100.0)  # half axes of the inside of the rib cage, mm
VERTEBRA_PITCH = 34.0
VERTEBRA_HEIGHT = 24.0
LOWEST_VERTEBRA = -158.0
VERTEBRAE = 10  # from L4 up


def paint_body(scene: Scene) -> Volume:
    """Paint outline, fat, muscle and the mixed tissue inside.

    Returns:
        [Z, Y, X] distance from the body's axis as a share of the inside of the rib cage's radius.
    """
    frame, patient = scene.frame, scene.patient
    radial = np.sqrt((frame.x * np.float32(1 / THORAX[0])) ** 2 + (frame.y * np.float32(1 / THORAX[1])) ** 2)
    radial *= 1 + np.clip((frame.z - 110) * np.float32(0.0016), 0, None)  # shoulders narrow
    belly = 1.0 + np.clip(-frame.z / 180, 0, 1) * np.float32(0.8 * patient.fat)
    skin = cover((1.13 + patient.fat - radial / belly) * np.float32(100), 6.0)
    scene.values += skin * (np.float32(-100) - scene.values)
    muscle = cover((np.float32(1.13) - radial) * np.float32(100), 6.0)
    scene.values += muscle * (np.float32(52) - scene.values)
    inside = cover((np.float32(0.99) - radial) * np.float32(100), 6.0)
    fill = np.clip((scene.texture + np.float32(1.6 * (0.5 - patient.visceral))) * np.float32(70) - 30, -100, 35)
    scene.values += inside * (fill - scene.values)
    return radial


def paint_ribs(scene: Scene, radial: Volume) -> None:
    """Paint ribs as slanted hoops, cartilage in front, the sternum, and arms where they are down."""
    frame = scene.frame
    rows = slice(None)
    pitch = np.float32(1 / 30.0)
    phase = (frame.z[rows] - np.float32(0.45) * frame.y + np.float32(scene.between(0, 30))) * pitch
    phase -= np.floor(phase)
    hoop = cover((np.float32(0.2) - np.abs(phase - np.float32(0.5))) * np.float32(30), 5.0)
    hoop *= cover((np.float32(0.045) - np.abs(radial - np.float32(1.035))) * np.float32(100), 5.0)
    hoop *= cover(frame.z + np.float32(75) - np.float32(0.3) * frame.y, 8.0)
    front = cover(np.float32(62) - np.abs(frame.x), 10.0) * (frame.y < 0)
    scene.values += hoop * (np.float32(380) - front * np.float32(260) - scene.values)
    scene.organs[(hoop * (1 - front)) > 0.5] = 13
    scene.paint(ellipsoid(frame, (0, -104, 70), (16, 7, 75)), 260.0)
    for _ in range(int(scene.rng.integers(0, 4))):  # calcified cartilage, as bright as a stone
        at = (scene.between(-60, 60), -92 + scene.between(-6, 6), scene.between(-60, 40))
        scene.paint(ellipsoid(frame, at, (6, 5, 7)), scene.between(500, 900))
    if scene.patient.arms_down:
        for sign in (-1, 1):
            shoulder, wrist = (sign * 196, scene.between(-10, 30), 190), (sign * 200, scene.between(-40, 30), -200)
            scene.paint(capsule(frame, shoulder, wrist, 40), -90.0)
            scene.paint(capsule(frame, shoulder, wrist, 32), 50.0)
            scene.paint(capsule(frame, shoulder, wrist, 11), 700.0)


def spine_centre(scene: Scene, z: float) -> Point:
    """Middle of the spine at a height: curved sideways and front to back."""
    sideways, sagittal = scene.patient.spine
    return np.array([sideways * np.sin(z / 70), 66 + 8 * np.cos(z / 95 + 0.6) + sagittal * np.sin(z / 110), z])


def paint_spine(scene: Scene) -> None:
    """Paint vertebrae and discs, and a wedge fracture where the study has one."""
    frame, rng = scene.frame, scene.rng
    broken = int(rng.integers(1, VERTEBRAE - 1)) if scene.present["vertebral_fracture"] else -1
    dense = int(rng.integers(VERTEBRAE)) if scene.chance(0.3) else -1
    fused = int(rng.integers(VERTEBRAE - 1)) if scene.chance(0.3) else -1
    shift = scene.between(-12, 12)
    mineral = scene.between(190, 330)
    for number in range(VERTEBRAE):
        centre = spine_centre(scene, LOWEST_VERTEBRA + shift + VERTEBRA_PITCH * number)
        _paint_disc(scene, centre + np.array([0, 0, VERTEBRA_PITCH / 2]), 220.0 if number == fused else 75.0)
        value = mineral + (260 if number == dense else 0)
        if number == broken:
            _paint_fracture(scene, centre, mineral, VERTEBRAE - 1 - number)
        else:
            _paint_body(scene, centre, VERTEBRA_HEIGHT, VERTEBRA_HEIGHT, value)
        scene.paint(ellipsoid(frame, centre + np.array([0, 38, -4]), (9, 17, 9)), mineral)
        for sign in (-1, 1):
            scene.paint(ellipsoid(frame, centre + np.array([sign * 24, 27, 0]), (15, 7, 8)), mineral)
    if dense >= 0 and dense != broken:
        scene.mimics.append(("sclerotic_vertebra", None))
    if fused >= 0:
        scene.mimics.append(("disc_degeneration", None))


def _paint_disc(scene: Scene, centre: Point, value: float) -> None:
    scene.paint(ellipsoid(scene.frame, centre, (21, 18, 8)), value)
    scene.paint(ellipsoid(scene.frame, centre + np.array([0, 22, 0]), (9, 8, 20)), 25.0)  # the canal


def _paint_body(scene: Scene, centre: Point, front: float, back: float, value: float) -> None:
    """A box with elliptic section, `front` and `back` mm high, its lower end plate level."""
    frame = scene.frame
    reach = np.diag([22.0, 19.0, 14.0])
    box = frame.box(centre, reach, 4.0)
    dx, dy, dz = frame.x[box] - centre[0], frame.y[box] - centre[1], frame.z[box] - centre[2]
    depth = (1 - np.sqrt((dx / 22) ** 2 + (dy / 19) ** 2)) * np.float32(19)
    share = np.clip(dy / 30 + 0.5, 0, 1)
    top = np.float32(front - VERTEBRA_HEIGHT / 2) + share * np.float32(back - front)
    depth = np.minimum(depth, np.minimum(top - dz, dz + np.float32(VERTEBRA_HEIGHT / 2)))
    scene.paint(Region(box, cover(depth.astype(np.float32), 5.0)), value, organ="vertebrae")


def _paint_fracture(scene: Scene, centre: Point, mineral: float, level: int) -> None:
    loss = scene.between(0.5, 0.7)
    frame = scene.frame
    bulge = ellipsoid(frame, centre + np.array([0, -4, 5]), (23, 20, 12))
    scene.paint(bulge, 55.0, finding="vertebral_fracture")
    _paint_body(scene, centre, VERTEBRA_HEIGHT * (1 - loss), VERTEBRA_HEIGHT * (1 - 0.5 * loss), mineral + 130)
    names = ("T6", "T7", "T8", "T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4")
    scene.findings.append(
        Finding("vertebral_fracture", centre, place=names[level + 1], details={"height_loss": round(float(loss), 2)})
    )

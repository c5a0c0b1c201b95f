"""Body outline, fat, muscle, ribs, arms and spine, with vertebral fractures and what looks like them."""

from __future__ import annotations

import numpy as np

from voxtile.phantom.noise import Volume
from voxtile.phantom.shapes import Point, Region, capsule, cover, ellipsoid
from voxtile_medical.phantom.ct.findings import organ_segment
from voxtile_medical.phantom.ct.scene import Finding, Scene

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
    x, y = frame.x * np.float32(1 / THORAX[0]), frame.y * np.float32(1 / THORAX[1])
    radial = np.sqrt(x * x + y * y)
    radial *= np.maximum(frame.z * np.float32(0.0016) + np.float32(1 - 110 * 0.0016), 1)  # shoulders narrow
    steps = np.minimum(radial * np.float32(400), 799).astype(np.int16)
    scene.values[...] = _skin_and_muscle(patient.fat)[steps]
    trunk = np.flatnonzero(steps < 410)
    depth = cover(np.float32(99) - 100 * radial.reshape(-1)[trunk], 6.0)
    z, texture = frame.z.reshape(-1)[trunk], scene.texture.reshape(-1)[trunk]
    loops = np.float32(0.9 - 1.6 * patient.visceral) * cover(np.float32(-20) - z, 40.0)
    fill = (np.float32(0.45) * texture + loops) * np.float32(75) - 55
    np.minimum(np.maximum(fill, -100, out=fill), 35, out=fill)
    fill += (50 - fill) * cover(z - np.float32(150), 25.0)
    values = scene.values.reshape(-1)
    values[trunk] += depth * (fill - values[trunk])
    return np.asarray(radial, np.float32)


def _skin_and_muscle(fat: float) -> Volume:
    """HU by distance from the axis in steps of 1/400: muscle, fat under the skin, air."""
    radial = np.arange(800, dtype=np.float32) / 400
    muscle = cover((np.float32(1.13) - radial) * np.float32(100), 6.0)
    skin = cover((np.float32(1.13 + fat) - radial) * np.float32(100), 6.0)
    outside = np.float32(-1000) + skin * np.float32(900)
    return np.asarray(outside + muscle * (52 - outside), np.float32)


def paint_ribs(scene: Scene, radial: Volume) -> None:
    """Paint ribs as slanted hoops, cartilage in front, the sternum, and arms where they are down."""
    frame = scene.frame
    shell = np.flatnonzero(np.abs(radial - np.float32(1.035)) < 0.075)
    x, y, z, r = (a.reshape(-1)[shell] for a in (frame.x, frame.y, frame.z, radial))
    phase = (z - np.float32(0.45) * y + np.float32(scene.between(0, 30))) * np.float32(1 / 30)
    phase -= np.floor(phase)
    hoop = cover((np.float32(0.2) - np.abs(phase - np.float32(0.5))) * np.float32(30), 5.0)
    hoop *= cover((np.float32(0.045) - np.abs(r - np.float32(1.035))) * np.float32(100), 5.0)
    hoop *= cover(z + np.float32(75) - np.float32(0.3) * y, 8.0)
    front = cover(np.float32(62) - np.abs(x), 10.0) * (y < 0)
    values = scene.values.reshape(-1)
    values[shell] += hoop * (np.float32(380) - front * np.float32(260) - values[shell])
    scene.organs.reshape(-1)[shell[hoop * (1 - front) > 0.5]] = organ_segment("ribs")
    scene.paint(ellipsoid(frame, (0, -104, 70), (16, 7, 75)), 260.0)
    for _ in range(int(scene.rng.integers(0, 4))):  # calcified cartilage, as bright as a stone
        at = (scene.between(-60, 60), -92 + scene.between(-6, 6), scene.between(-60, 40))
        scene.paint(ellipsoid(frame, at, (7, 6, 8)), scene.calcium())
    if scene.patient.arms_down:
        _paint_arms(scene)


def _paint_arms(scene: Scene) -> None:
    for sign in (-1, 1):
        shoulder = (sign * 196, scene.between(-10, 30), 190)
        wrist = (sign * 200, scene.between(-40, 30), -200)
        for radius, value in ((40, -90.0), (32, 50.0), (11, 700.0)):
            scene.paint(capsule(scene.frame, shoulder, wrist, radius), value)


def spine_centre(scene: Scene, z: float) -> Point:
    """Middle of the spine at a height: curved sideways and front to back."""
    sideways, sagittal = scene.patient.spine
    return np.array([sideways * np.sin(z / 70), 66 + 8 * np.cos(z / 95 + 0.6) + sagittal * np.sin(z / 110), z])


def paint_spine(scene: Scene) -> None:
    """Paint vertebrae and discs, and a wedge fracture where the study has one."""
    frame, rng = scene.frame, scene.rng
    sick = scene.present["vertebral_fracture"]
    broken = _broken(scene) if sick else set()
    dense = set(rng.permutation(VERTEBRAE)[: int(rng.integers(1, 4))].tolist()) if scene.chance(0.5) else set()
    fused = int(rng.integers(VERTEBRAE - 1)) if scene.chance(0.3) else -1
    shift = scene.between(-12, 12)
    mineral = scene.between(190, 330)
    for number in range(VERTEBRAE):
        centre = spine_centre(scene, LOWEST_VERTEBRA + shift + VERTEBRA_PITCH * number)
        _paint_disc(scene, centre + np.array([0, 0, VERTEBRA_PITCH / 2]), 220.0 if number == fused else 75.0)
        value = mineral + (240 if number in dense else 0)
        if number in broken:
            with scene.about("vertebral_fracture", 1 + number):
                _paint_fracture(scene, centre, mineral, VERTEBRAE - 1 - number)
        else:
            _paint_body(scene, centre, VERTEBRA_HEIGHT, VERTEBRA_HEIGHT, value)
        scene.paint(ellipsoid(frame, centre + np.array([0, 38, -4]), (9, 17, 9)), mineral)
        for sign in (-1, 1):
            scene.paint(ellipsoid(frame, centre + np.array([sign * 24, 27, 0]), (15, 7, 8)), mineral)
    if dense - broken:
        scene.mimics.append(("sclerotic_vertebra", None))
    if fused >= 0:
        scene.mimics.append(("disc_degeneration", None))


def _broken(scene: Scene) -> set[int]:
    """Numbers of the vertebrae that are broken."""
    with scene.about("vertebral_fracture"):
        order = scene.rng.permutation(np.arange(1, VERTEBRAE - 1))
        return set(order[: int(scene.rng.integers(4, 6))].tolist())


def _paint_disc(scene: Scene, centre: Point, value: float) -> None:
    scene.paint(ellipsoid(scene.frame, centre, (21, 18, 8)), value)
    scene.paint(ellipsoid(scene.frame, centre + np.array([0, 22, 0]), (9, 8, 20)), 25.0)  # the canal


def _paint_body(scene: Scene, centre: Point, front: float, back: float, value: float) -> None:
    """A box with elliptic section, `front` and `back` mm high, its lower end plate level."""
    frame = scene.frame
    reach = np.diag([22.0, 19.0, 14.0])
    box = frame.box(centre, reach, 4.0)
    cx, cy, cz = centre.astype(np.float32)
    dx, dy, dz = frame.x[box] - cx, frame.y[box] - cy, frame.z[box] - cz
    depth = (1 - np.sqrt((dx / 22) ** 2 + (dy / 19) ** 2)) * np.float32(19)
    share = np.clip(dy / 30 + 0.5, 0, 1)
    top = np.float32(front - VERTEBRA_HEIGHT / 2) + share * np.float32(back - front)
    depth = np.minimum(depth, np.minimum(top - dz, dz + np.float32(VERTEBRA_HEIGHT / 2)))
    scene.paint(Region(box, cover(depth, 5.0)), value, organ="vertebrae")


def _paint_fracture(scene: Scene, centre: Point, mineral: float, level: int) -> None:
    loss = scene.between(0.55, 0.75)
    frame = scene.frame
    bulge = ellipsoid(frame, centre + np.array([0, -4, 5]), (30, 24, 14))
    scene.paint(bulge, 55.0, finding="vertebral_fracture")
    _paint_body(scene, centre, VERTEBRA_HEIGHT * (1 - loss), VERTEBRA_HEIGHT * (1 - 0.5 * loss), mineral + 220)
    names = ("T6", "T7", "T8", "T9", "T10", "T11", "T12", "L1", "L2", "L3", "L4")
    scene.findings.append(
        Finding("vertebral_fracture", centre, place=names[level + 1], details={"height_loss": round(float(loss), 2)})
    )

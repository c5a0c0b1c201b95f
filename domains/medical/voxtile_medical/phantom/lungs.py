"""Lungs and pleura: vessels, nodules, consolidation, effusion, pneumothorax, and what looks like them."""

from __future__ import annotations

import numpy as np

from voxtile.testing.phantom_noise import Volume
from voxtile.testing.phantom_shapes import Point, Region, capsule, cover, ellipsoid, rotation
from voxtile_medical.phantom.scene import SIDES, SIGN, Finding, Scene

RADII = np.array([62.0, 86.0, 170.0])
HALF_WIDTH = 71.0
LOBES = {"right": ("lower", "middle", "upper"), "left": ("lower", "lingula", "upper")}


def lung_centre(side: str) -> Point:
    """Middle of the ellipsoid that a lung is cut from, body mm."""
    return np.array([SIGN[side] * HALF_WIDTH, 2.0, 0.0])


def lung_weight(scene: Scene, side: str, radial: Volume, blocked: Region) -> Region:
    """Where one lung is: inside its ellipsoid and the rib cage, above the dome of the diaphragm, outside the heart."""
    frame, patient = scene.frame, scene.patient
    centre = lung_centre(side)
    shape = ellipsoid(frame, centre, RADII, soft=6.0)
    x, y, z = frame.x[shape.box], frame.y[shape.box], frame.z[shape.box]
    top = (8.0 if side == "right" else -2.0) + patient.breath[0 if side == "right" else 1]
    slope = ((x - np.float32(centre[0])) / 62) ** 2 + ((y - np.float32(-8)) / 86) ** 2
    dome = np.float32(top) - np.float32(52) * slope
    weight = shape.weight * cover(z - dome, 6.0)
    weight *= cover((np.float32(0.985) - radial[shape.box]) * np.float32(100), 6.0)
    full = np.zeros(frame.shape, np.float32)
    full[shape.box] = weight
    full[blocked.box] *= 1 - blocked.weight
    return Region(shape.box, full[shape.box])


def paint_lungs(scene: Scene, radial: Volume, blocked: Region) -> dict[str, Region]:
    """Paint both lungs with all that is in and around them."""
    lungs = {side: lung_weight(scene, side, radial, blocked) for side in SIDES}
    slope = scene.between(0.1, 0.6)
    for side, lung in lungs.items():
        density = np.float32(scene.patient.lung) + np.float32(slope) * scene.frame.y[lung.box]
        density += np.float32(scene.between(15, 45)) * scene.texture[lung.box]
        scene.paint(lung, density, organ=f"{side} lung")
        _paint_lung_vessels(scene, side, lung)
    _paint_benign(scene, lungs)
    _paint_consolidation(scene, lungs)
    _paint_nodules(scene, lungs)
    _paint_pneumothorax(scene, lungs)
    _paint_effusion(scene, lungs)
    return lungs


def lobe_of(side: str, point: Point) -> str:
    """Name of the lobe at a body point, from its height along the slanted fissure."""
    height = point[2] - 0.5 * point[1]
    return LOBES[side][0 if height < 40 else (1 if height < 78 and point[1] < 0 else 2)]


def _limited(region: Region, lung: Region, shape: tuple[int, ...]) -> Region:
    full = np.zeros(shape, np.float32)
    full[lung.box] = lung.weight
    return region.times(full)


def _inside(scene: Scene, side: str, lung: Region, clearance: float, *, away_from_hilum: float = 45.0) -> Point | None:
    """A body point in a lung with air around it; None where the lung is too small for it."""
    full = np.zeros(scene.frame.shape, np.float32)
    full[lung.box] = lung.weight
    directions = np.vstack([np.eye(3), -np.eye(3)]) * clearance
    hilum = np.array([SIGN[side] * 30, 14, 66])
    for _ in range(60):
        point = lung_centre(side) + scene.point_in_ball() * RADII * 0.92
        if np.linalg.norm(point - hilum) < away_from_hilum:
            continue
        if all(scene.frame.sample(full, point + d) > 0.9 for d in directions):
            return np.asarray(point)
    return None


def _paint_lung_vessels(scene: Scene, side: str, lung: Region) -> None:
    value = min(scene.patient.hounsfield("heart"), 120.0) - 20
    full = np.zeros(scene.frame.shape, np.float32)
    full[lung.box] = lung.weight
    hilum = np.array([SIGN[side] * 32, 14.0, 66.0])
    for _ in range(9):
        target = lung_centre(side) + scene.point_in_ball() * RADII * 0.85
        middle = hilum + (target - hilum) * 0.5 + scene.rng.normal(0, 9, 3)
        scene.paint(capsule(scene.frame, hilum, middle, 6.5, end_radius=4.5).times(full), value)
        scene.paint(capsule(scene.frame, middle, target, 4.5, end_radius=2.5).times(full), value)


def _paint_benign(scene: Scene, lungs: dict[str, Region]) -> None:
    """Scars, bullae, haze and gravity-dependent collapse: the same densities in other shapes."""
    frame = scene.frame
    for side, lung in lungs.items():
        if scene.chance(0.2):
            point = _inside(scene, side, lung, 8.0)
            if point is not None:
                turn = rotation(2, scene.between(0, 180)) @ rotation(0, scene.between(-40, 40))
                scene.paint(_limited(ellipsoid(frame, point, (4.5, 26, 20), turn=turn), lung, frame.shape), 35.0)
                scene.mimics.append(("scar", side))
        if scene.chance(0.2):
            point = lung_centre(side) + np.array([0, scene.between(-75, -35), scene.between(20, 120)])
            size = scene.between(18, 30)
            wall = _limited(ellipsoid(frame, point, np.full(3, size + 3)), lung, frame.shape)
            scene.paint(wall, -700.0)
            scene.paint(_limited(ellipsoid(frame, point, np.full(3, size)), lung, frame.shape), -985.0)
            scene.mimics.append(("bulla", side))
        if scene.chance(0.15):
            point = _inside(scene, side, lung, 12.0)
            if point is not None:
                haze = _limited(ellipsoid(frame, point, (34, 30, 38), soft=20), lung, frame.shape)
                scene.paint(haze.scaled(haze.weight * np.float32(0.3)), 0.0)
                scene.mimics.append(("haze", side))
        if scene.chance(0.25) and not scene.present["pleural_effusion"]:
            point = lung_centre(side) + np.array([scene.between(-20, 20), 84, scene.between(0, 60)])
            size = scene.between(22, 32)
            scene.paint(_limited(ellipsoid(frame, point, (size, 20, size)), lung, frame.shape), 30.0)
            scene.mimics.append(("dependent_atelectasis", side))


def _paint_consolidation(scene: Scene, lungs: dict[str, Region]) -> None:
    if not scene.present["consolidation"]:
        return
    frame = scene.frame
    for side in scene.pick_sides(0.15):
        lung = lungs[side]
        point = _inside(scene, side, lung, 20.0)
        if point is None:
            point = lung_centre(side) + np.array([0, 20.0, 60.0])
        size = scene.between(30, 44)
        shape = _limited(ellipsoid(frame, point, (size, size * 1.1, size * 1.2), soft=12), lung, frame.shape)
        grain = scene.texture[shape.box]
        filled = cover(shape.weight * np.float32(26) - 10 + grain * np.float32(6), 8.0) * (shape.weight > 0)
        bronchi = cover((grain - np.float32(0.75)) * np.float32(20), 6.0)
        scene.paint(Region(shape.box, filled), np.float32(35) - bronchi * np.float32(600), finding="consolidation")
        scene.findings.append(
            Finding("consolidation", point, side, lobe_of(side, point), round(scene.millimetres(2 * size)))
        )


def _paint_nodules(scene: Scene, lungs: dict[str, Region]) -> None:
    if not scene.present["pulmonary_nodule"]:
        return
    wanted = 2 if scene.chance(0.2) else 1
    for _ in range(wanted):
        radius = scene.between(9.5, 15)
        order = scene.rng.permutation(2)
        for side in (SIDES[order[0]], SIDES[order[1]]):
            point = _inside(scene, side, lungs[side], radius + 4)
            if point is None:
                continue
            scene.paint(
                ellipsoid(scene.frame, point, np.full(3, radius)), scene.between(30, 90), finding="pulmonary_nodule"
            )
            size = round(scene.millimetres(2 * radius))
            scene.findings.append(Finding("pulmonary_nodule", point, side, lobe_of(side, point), size))
            break


def _paint_pneumothorax(scene: Scene, lungs: dict[str, Region]) -> None:
    if not scene.present["pneumothorax"]:
        return
    frame = scene.frame
    for side in scene.pick_sides(0.05):
        lung = lungs[side]
        shrink = scene.between(0.62, 0.78)
        centre = lung_centre(side) + np.array([-SIGN[side] * 10, 86 * (1 - shrink) * 0.9, -30 * (1 - shrink)])
        kept = ellipsoid(frame, centre, RADII * np.array([shrink, shrink, 0.92 * shrink]), soft=5.0)
        outside = np.zeros(frame.shape, np.float32)
        outside[lung.box] = lung.weight
        edge = ellipsoid(frame, centre, RADII * np.array([shrink, shrink, 0.92 * shrink]) + 5, soft=5.0)
        air, line = outside.copy(), outside
        air[edge.box] *= 1 - edge.weight
        line[kept.box] *= 1 - kept.weight
        scene.paint(Region(lung.box, line[lung.box]), -450.0)
        scene.paint(Region(lung.box, air[lung.box]), -1000.0, finding="pneumothorax")
        size = round(scene.millimetres(float(2 * 86 * (1 - shrink))))
        top = centre + np.array([0.0, -86 * shrink - 14, 20.0])
        scene.findings.append(Finding("pneumothorax", top, side, None, size))


def _paint_effusion(scene: Scene, lungs: dict[str, Region]) -> None:
    if not scene.present["pleural_effusion"]:
        return
    frame = scene.frame
    for side in scene.pick_sides(0.25):
        lung = lungs[side]
        depth = scene.between(24, 48)
        y, z = frame.y[lung.box], frame.z[lung.box]
        share = np.clip(1.15 - (z + 20) / np.float32(scene.between(110, 170)), 0, 1)
        level = np.float32(88) - np.float32(depth) * share
        fluid = lung.scaled(cover(y - level, 6.0) * (share > 0))
        scene.paint(fluid, scene.between(0, 16), finding="pleural_effusion")
        point = np.array([SIGN[side] * 66, 84 - depth / 2, -8.0])
        scene.findings.append(Finding("pleural_effusion", point, side, None, round(scene.millimetres(depth))))

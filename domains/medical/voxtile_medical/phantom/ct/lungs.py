"""Lungs and pleura: vessels, nodules, consolidation, effusion, pneumothorax, and what looks like them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from voxtile.phantom.noise import Volume
from voxtile.phantom.shapes import Box, Point, Region, capsule, cover, ellipsoid, rotation
from voxtile_medical.phantom.ct.scene import SIDES, SIGN, Finding, Scene

RADII = np.array([62.0, 86.0, 170.0])
HALF_WIDTH = 71.0
LOBES = {"right": ("lower", "middle", "upper"), "left": ("lower", "lingula", "upper")}


@dataclass(frozen=True)
class Lung:
    """One lung: its side, the box that holds it, and its [Z, Y, X] cover of the whole volume."""

    side: str
    box: Box
    cover: Volume

    @property
    def region(self) -> Region:
        """The whole lung."""
        return Region(self.box, self.cover[self.box])


def lung_centre(side: str) -> Point:
    """Middle of the ellipsoid that a lung is cut from, body mm."""
    return np.array([SIGN[side] * HALF_WIDTH, 2.0, 0.0])


def lung_weight(scene: Scene, side: str, radial: Volume, blocked: Region) -> Lung:
    """Where one lung is: inside its ellipsoid and the rib cage, above the dome of the diaphragm, outside the heart."""
    frame, patient = scene.frame, scene.patient
    centre = lung_centre(side)
    shape = ellipsoid(frame, centre, RADII, soft=6.0)
    x, y, z = frame.x[shape.box], frame.y[shape.box], frame.z[shape.box]
    top = (8.0 if side == "right" else -2.0) + patient.breath[0 if side == "right" else 1]
    slope = ((x - np.float32(centre[0])) / 62) ** 2 + ((y - np.float32(-8)) / 86) ** 2
    dome = np.float32(top) - np.float32(40) * slope
    weight = shape.weight * cover(z - dome, 6.0)
    weight *= cover((np.float32(0.985) - radial[shape.box]) * np.float32(100), 6.0)
    full = np.zeros(frame.shape, np.float32)
    full[shape.box] = weight
    full[blocked.box] *= 1 - blocked.weight
    return Lung(side, shape.box, full)


def paint_lungs(scene: Scene, radial: Volume, blocked: Region) -> None:
    """Paint both lungs with all that is in and around them."""
    lungs = {side: lung_weight(scene, side, radial, blocked) for side in SIDES}
    for lung in lungs.values():
        density = np.float32(scene.between(0.0, 1.3)) * scene.frame.y[lung.box]
        density += np.float32(scene.patient.lung + scene.between(-45, 45))
        density += np.float32(scene.between(15, 45)) * scene.texture[lung.box]
        if scene.chance(0.55):
            trapped = _shell(scene, lung, scene.between(20, 38), soft=14.0)
            density += trapped * (-985 - density)
            scene.mimics.append(("air_trapping", lung.side))
        scene.paint(lung.region, density, organ=f"{lung.side} lung")
        _paint_lung_vessels(scene, lung)
    _paint_benign(scene, lungs)
    for concept, paint in _FINDINGS.items():
        with scene.about(concept):
            paint(scene, lungs)


def lobe_of(side: str, point: Point) -> str:
    """Name of the lobe at a body point, from its height along the slanted fissure."""
    height = point[2] - 0.5 * point[1]
    return LOBES[side][0 if height < 40 else (1 if height < 78 and point[1] < 0 else 2)]


def _inside(scene: Scene, lung: Lung, clearance: float, *, away_from_hilum: float = 45.0) -> Point | None:
    """A body point in a lung with air around it; None where the lung is too small for it."""
    directions = np.vstack([np.eye(3), -np.eye(3)]) * clearance
    hilum = np.array([SIGN[lung.side] * 30, 14, 66])
    for _ in range(60):
        point = lung_centre(lung.side) + scene.point_in_ball() * RADII * 0.92
        if np.linalg.norm(point - hilum) < away_from_hilum:
            continue
        if all(scene.frame.sample(lung.cover, point + d) > 0.9 for d in directions):
            return np.asarray(point)
    return None


def _paint_lung_vessels(scene: Scene, lung: Lung) -> None:
    value = min(scene.patient.hounsfield("heart"), 120.0) - 20
    hilum = np.array([SIGN[lung.side] * 32, 14.0, 66.0])
    for _ in range(9):
        target = lung_centre(lung.side) + scene.point_in_ball() * RADII * 0.85
        middle = hilum + (target - hilum) * 0.5 + scene.rng.normal(0, 9, 3)
        scene.paint(capsule(scene.frame, hilum, middle, 5.0, end_radius=3.5).times(lung.cover), value)
        scene.paint(capsule(scene.frame, middle, target, 3.5, end_radius=2.0).times(lung.cover), value)


def _paint_benign(scene: Scene, lungs: dict[str, Lung]) -> None:
    """Things of the same density and place as findings, in other shapes; as common with findings as without."""
    for side, lung in lungs.items():
        for name, probability, painter in _BENIGN:
            if scene.chance(probability) and painter(scene, lung):
                scene.mimics.append((name, side))


def _paint_scar(scene: Scene, lung: Lung) -> bool:
    point = _inside(scene, lung, 8.0)
    if point is None:
        return False
    turn = rotation(2, scene.between(0, 180)) @ rotation(0, scene.between(-40, 40))
    scene.paint(ellipsoid(scene.frame, point, (4.5, 26, 20), turn=turn).times(lung.cover), 35.0)
    return True


def _paint_bulla(scene: Scene, lung: Lung) -> bool:
    """A thin-walled bag of air in front; a pneumothorax is a shell of air around a shrunken lung."""
    point = lung_centre(lung.side) + np.array([scene.between(-20, 20), scene.between(-80, -45), scene.between(20, 120)])
    radii = np.array([scene.between(22, 36), scene.between(16, 26), scene.between(28, 50)])
    scene.paint(ellipsoid(scene.frame, point, radii + 4).times(lung.cover), -600.0)
    scene.paint(ellipsoid(scene.frame, point, radii).times(lung.cover), -990.0)
    return True


def _paint_haze(scene: Scene, lung: Lung) -> bool:
    """Ground glass: as much tissue as a consolidation, thinly spread."""
    point = _inside(scene, lung, 12.0)
    if point is None:
        return False
    size = scene.between(30, 42)
    haze = ellipsoid(scene.frame, point, (size, size, size), soft=14).times(lung.cover)
    scene.paint(haze.scaled(scene.between(0.3, 0.5)), 0.0)
    return True


def _paint_atelectasis(scene: Scene, lung: Lung) -> bool:
    """A lump on the back wall; an effusion is a level sheet of fluid."""
    point = lung_centre(lung.side) + np.array([scene.between(-24, 24), 82, scene.between(-20, 70)])
    size = scene.between(22, 34)
    lump = ellipsoid(scene.frame, point, (size, scene.between(18, 28), size))
    scene.paint(lump.times(lung.cover), 45.0)
    return True


def _paint_paracardiac(scene: Scene, lung: Lung) -> bool:
    """Collapsed lung against the heart: a wider shadow, not a larger heart."""
    centre, radii = scene.heart
    sideways = SIGN[lung.side] * radii[0] * scene.between(0.75, 1.0)
    point = centre + np.array([sideways, scene.between(-14, 10), scene.between(-24, 16)])
    lump = ellipsoid(scene.frame, point, (scene.between(18, 28), scene.between(20, 28), scene.between(24, 34)))
    scene.paint(lump.times(lung.cover), 45.0)
    return True


def _paint_pleural_fat(scene: Scene, lung: Lung) -> bool:
    """Fat behind the pleura in the shape of an effusion."""
    scene.paint(_layer(scene, lung, scene.between(18, 34)), -98.0)
    return True


_BENIGN: tuple[tuple[str, float, Callable[[Scene, Lung], bool]], ...] = (
    ("scar", 0.2, _paint_scar),
    ("bulla", 0.25, _paint_bulla),
    ("haze", 0.25, _paint_haze),
    ("dependent_atelectasis", 0.2, _paint_atelectasis),
    ("paracardiac_atelectasis", 0.35, _paint_paracardiac),
    ("pleural_fat", 0.15, _paint_pleural_fat),
)


def _layer(scene: Scene, lung: Lung, depth: float) -> Region:
    """A sheet on the back wall of the chest with a level surface, deepest at the base."""
    y, z = scene.frame.y[lung.box], scene.frame.z[lung.box]
    share = np.clip(1.15 - (z + 20) / np.float32(scene.between(110, 170)), 0, 1)
    level = np.float32(86) - np.float32(depth) * share
    return lung.region.scaled(cover(y - level, 6.0) * (share > 0))


def _paint_consolidation(scene: Scene, lungs: dict[str, Lung]) -> None:
    if not scene.present["consolidation"]:
        return
    frame = scene.frame
    for side in scene.pick_sides(0.15):
        lung = lungs[side]
        point = _inside(scene, lung, 16.0)
        if point is None:
            point = lung_centre(side) + np.array([0, 20.0, 60.0])
        with scene.about("consolidation", 1 + SIDES.index(side)):  # whatever places were tried
            size = scene.between(28, 38) * scene.grown("consolidation")
        shape = ellipsoid(frame, point, (size, size * 1.1, size * 1.2), soft=12).times(lung.cover)
        grain = scene.texture[shape.box]
        filled = cover(shape.weight * np.float32(26) - 10 + grain * np.float32(6), 8.0) * (shape.weight > 0)
        bronchi = cover((grain - np.float32(0.75)) * np.float32(20), 6.0)
        scene.paint(Region(shape.box, filled), np.float32(35) - bronchi * np.float32(600), finding="consolidation")
        scene.findings.append(
            Finding("consolidation", point, side, lobe_of(side, point), round(scene.millimetres(2 * size)))
        )


def _paint_nodules(scene: Scene, lungs: dict[str, Lung]) -> None:
    if not scene.present["pulmonary_nodule"]:
        return
    for number in range(int(scene.rng.integers(3, 7))):
        with scene.about("pulmonary_nodule", 1 + number):
            _paint_nodule(scene, lungs)


def _paint_nodule(scene: Scene, lungs: dict[str, Lung]) -> None:
    radius = scene.between(14, 19)
    order = scene.rng.permutation(2)
    for side in (SIDES[order[0]], SIDES[order[1]]):
        point = _inside(scene, lungs[side], radius + 4)
        if point is None:
            continue
        radius *= scene.grown("pulmonary_nodule")
        ball = ellipsoid(scene.frame, point, np.full(3, radius))
        scene.paint(ball, scene.between(40, 90), finding="pulmonary_nodule")
        size = round(scene.millimetres(2 * radius))
        scene.findings.append(Finding("pulmonary_nodule", point, side, lobe_of(side, point), size))
        break


def _paint_pneumothorax(scene: Scene, lungs: dict[str, Lung]) -> None:
    """Air in front of a lung that has shrunk back towards its hilum, behind a thin pleural line."""
    if not scene.present["pneumothorax"]:
        return
    for side in scene.pick_sides(0.05):
        lung = lungs[side]
        depth = scene.between(18, 29) * scene.grown("pneumothorax")
        scene.paint(lung.region.scaled(_shell(scene, lung, depth)), -350.0)
        scene.paint(lung.region.scaled(_shell(scene, lung, depth - 6)), -1000.0, finding="pneumothorax")
        top = lung_centre(side) + np.array([0.0, -RADII[1] + depth / 2 - 2, 10.0])
        scene.findings.append(Finding("pneumothorax", top, side, None, round(scene.millimetres(depth))))


def _shell(scene: Scene, lung: Lung, depth: float, *, soft: float = 5.0) -> Volume:
    """Front and side of a lung to a depth in mm: what a lung that sinks back leaves, as a weight of the lung's box."""
    shrink = 1 - depth / (2 * RADII[1])
    centre = lung_centre(lung.side) + np.array([-SIGN[lung.side] * 4, depth / 2, -6.0])
    kept = ellipsoid(scene.frame, centre, RADII * np.array([shrink, shrink, 0.96]), soft=soft)
    outside = np.ones(scene.frame.shape, np.float32)
    outside[kept.box] -= kept.weight
    return outside[lung.box]


def _paint_effusion(scene: Scene, lungs: dict[str, Lung]) -> None:
    if not scene.present["pleural_effusion"]:
        return
    for side in scene.pick_sides(0.25):
        depth = scene.between(26, 40) * scene.grown("pleural_effusion")
        scene.paint(_layer(scene, lungs[side], depth), scene.between(0, 14), finding="pleural_effusion")
        point = np.array([SIGN[side] * 66, 86 - 0.4 * depth, 8.0])
        scene.findings.append(Finding("pleural_effusion", point, side, None, round(scene.millimetres(depth))))


_FINDINGS: dict[str, Callable[[Scene, dict[str, Lung]], None]] = {
    "consolidation": _paint_consolidation,
    "pulmonary_nodule": _paint_nodules,
    "pneumothorax": _paint_pneumothorax,
    "pleural_effusion": _paint_effusion,
}

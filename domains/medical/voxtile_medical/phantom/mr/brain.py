"""The healthy head: scalp, skull, brain with cortex and ventricles, cerebellum, vessels, eyes and sinuses."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from voxtile.phantom.shapes import Region, capsule, cover, ellipsoid, rotation
from voxtile_medical.phantom.ct.scene import SIDES, SIGN
from voxtile_medical.phantom.mr.scene import HeadScene
from voxtile_medical.phantom.mr.tissue import AIR, BONE, CSF, FAT, GREY, INFLAMED, MUCOSA, MUSCLE, VEIN, WHITE

SKIN = np.array([80.0, 101.0, 92.0])  # half axes of the head
CENTRE = np.array([0.0, 2.0, 0.0])
CEREBRUM = np.array([64.0, 82.0, 62.0])
CEREBRUM_CENTRE = np.array([0.0, 0.0, 8.0])
CEREBELLUM_CENTRE = np.array([0.0, 44.0, -44.0])


def paint_head(scene: HeadScene) -> None:
    """Paint everything that is healthy."""
    _paint_face_and_neck(scene)
    _paint_vault(scene)
    _paint_cerebrum(scene)
    _paint_hind_brain(scene)
    _paint_ventricles(scene)
    _paint_vessels(scene)


def _paint_face_and_neck(scene: HeadScene) -> None:
    frame = scene.frame
    scene.paint(capsule(frame, (0, 22, -60), (0, 30, -130), 58), MUSCLE)
    scene.paint(ellipsoid(frame, (0, -62, -66), (52, 42, 44)), MUSCLE)
    scene.paint(ellipsoid(frame, (0, -66, -58), (20, 26, 22)), MUCOSA)
    scene.paint(capsule(frame, (0, -84, -62), (0, -46, -60), 9), AIR)
    for side in SIDES:
        scene.paint(ellipsoid(frame, (SIGN[side] * 30, -68, -62), (13, 16, 15)), AIR)
        if scene.chance(0.6):
            size = scene.between(8, 21)
            scene.paint(ellipsoid(frame, (SIGN[side] * 30, -62, -64), (size, 1.2 * size, 0.8 * size)), INFLAMED)
            scene.mimics.append(("sinus_mucosa", side))


def _paint_vault(scene: HeadScene) -> None:
    frame, head = scene.frame, scene.head
    scene.paint(ellipsoid(frame, CENTRE, SKIN), FAT)
    bone = SKIN - head.scalp
    scene.paint(ellipsoid(frame, CENTRE, bone), BONE)
    inner = ellipsoid(frame, CENTRE, bone - head.skull)
    scene.paint(inner, CSF)
    # Below the brain lies the skull base: deep behind, for the cerebellum, and high in front.
    y, z = frame.y[inner.box], frame.z[inner.box]
    floor = np.where(y > 8, np.float32(-68), np.float32(-40) - np.float32(0.1) * y)
    scene.paint(inner.scaled(cover(floor - z, 6.0)), MUSCLE)
    for side in SIDES:
        scene.paint(ellipsoid(frame, (SIGN[side] * 32, -78, -28), (17, 16, 15)), FAT)
        scene.paint(ellipsoid(frame, (SIGN[side] * 32, -84, -28), (11.5, 11.5, 11.5)), CSF)


def _paint_cerebrum(scene: HeadScene) -> None:
    """Grey matter over white, cut by sulci that run in from the surface."""
    frame, head = scene.frame, scene.head
    radii = np.minimum(CEREBRUM, SKIN - head.scalp - head.skull - 1.5 - 0.35 * head.sulci)
    brain = ellipsoid(frame, CEREBRUM_CENTRE, radii)
    x, y, z = (axis[brain.box] for axis in (frame.x, frame.y, frame.z))
    level = cover(z - np.float32(-26) - np.float32(0.12) * np.abs(x) + np.float32(0.05) * y, 6.0)
    brain = brain.scaled(level)
    scene.paint(brain, GREY)
    c = (CEREBRUM_CENTRE / radii).astype(np.float32)
    r = np.sqrt(
        (x / np.float32(radii[0]) - c[0]) ** 2
        + (y / np.float32(radii[1]) - c[1]) ** 2
        + (z / np.float32(radii[2]) - c[2]) ** 2
    )
    depth = (1 - r) * np.float32(radii.min())
    folds = scene.texture[brain.box]
    white = cover(depth - np.float32(head.folds) - np.float32(2.5) * folds, 5.0) * cover(np.abs(x) - np.float32(4), 4.0)
    scene.paint(Region(brain.box, white).scaled(brain.weight), WHITE)
    sulci = cover(np.float32(head.sulci) * (folds - np.float32(0.35)) - np.float32(0.45) * depth + np.float32(1), 3.0)
    scene.paint(Region(brain.box, sulci).scaled(brain.weight), CSF)
    falx = cover(np.float32(0.8 + 0.2 * head.sulci) - np.abs(x), 3.0) * cover(
        np.abs(z - 8) + np.abs(y) - np.float32(34), 8.0
    )
    scene.paint(Region(brain.box, falx).scaled(brain.weight), CSF)
    for side in SIDES:
        sign = SIGN[side]
        scene.paint(ellipsoid(frame, (sign * 40, -8, -20), (20, 36, 17)), GREY)  # temporal lobe
        scene.paint(ellipsoid(frame, (sign * 40, -6, -18), (10, 26, 9)), WHITE)
        scene.paint(ellipsoid(frame, (sign * 27, -4, 4), (8, 19, 12)), GREY)
        scene.paint(ellipsoid(frame, (sign * 11, 12, 6), (8, 13, 9)), GREY)


def _paint_hind_brain(scene: HeadScene) -> None:
    frame = scene.frame
    scene.paint(ellipsoid(frame, CEREBELLUM_CENTRE, (53, 35, 25)), GREY)
    for side in SIDES:
        scene.paint(ellipsoid(frame, CEREBELLUM_CENTRE + np.array([SIGN[side] * 21, -2, 0]), (18, 19, 11)), WHITE)
    scene.paint(capsule(frame, (0, 18, -14), (0, 26, -96), 13, end_radius=8), WHITE)
    scene.paint(ellipsoid(frame, (0, 12, -40), (16, 13, 14)), WHITE)
    scene.paint(ellipsoid(frame, (0, 34, -42), (6, 5, 9)), CSF)


def _paint_ventricles(scene: HeadScene) -> None:
    frame, size = scene.frame, scene.head.ventricles
    wide = scene.present["hydrocephalus"]
    for side in SIDES:
        sign = SIGN[side]
        own = size * scene.between(0.93, 1.07)
        if scene.away == side:
            own *= 0.6  # what pushes the midline effaces the ventricle beside it
        horn = np.array([6.0 * own, 19 * own**0.5, 8 * own])
        turn = rotation(2, -sign * 14)
        scene.paint(ellipsoid(frame, (sign * (8 + 3 * own), -20, 16), horn, turn=turn), CSF)
        scene.paint(ellipsoid(frame, (sign * (9 + 3 * own), 12, 22), (6.0 * own, 26, 7 * own)), CSF)
        scene.paint(ellipsoid(frame, (sign * (22 + 2 * own), 36, 10), (7 * own, 14 * own**0.5, 9 * own)), CSF)
        if wide:
            scene.paint(ellipsoid(frame, (sign * 36, 4, -14), (6, 17, 6)), CSF)
        scene.paint(ellipsoid(frame, (sign * (22 + 2 * own), 34, 8), (4.5, 6, 5)), MUCOSA)  # choroid plexus
    third = 6.0 if wide else 2.2 * size
    scene.paint(ellipsoid(frame, (0, 4, 0), (third, 14, 11)), CSF)


def _paint_vessels(scene: HeadScene) -> None:
    """Dural sinuses: dark before contrast, bright after it."""
    frame = scene.frame
    top = [(0, -50, 64), (0, -10, 72), (0, 40, 66), (0, 76, 36), (0, 84, -2)]
    for start, stop in pairwise(top):
        scene.paint(capsule(frame, start, stop, 3.6), VEIN)
    for side in SIDES:
        calibre = scene.between(2.5, 5.0)
        scene.paint(capsule(frame, (0, 84, -4), (SIGN[side] * 54, 44, -22), calibre), VEIN)
        if scene.chance(0.3):
            at = np.array([SIGN[side] * scene.between(18, 40), scene.between(-40, 50), scene.between(10, 40)])
            scene.paint(capsule(frame, at, at + scene.point_in_ball() * 26, 3.0), VEIN)
            scene.mimics.append(("venous_anomaly", side))

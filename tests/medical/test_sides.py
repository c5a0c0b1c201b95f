"""Sides of lesions in made bodies that are cropped, padded, flipped and oblique: right, or said to be uncertain.

A body is made of closed forms in the patient's own millimetres, so that the side of its lesions is known whatever the
grid that it is sampled on: any of the 48 orders and directions of axes, turned by up to 25 degrees, the body turned and
off the middle, the picture cut beside the midline, cut and padded again, or round as scanners reconstruct it.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt
import pytest
from scipy.spatial.transform import Rotation

from voxtile.corpus.reader import Corpus
from voxtile_medical.convert.nifti import convert_nifti
from voxtile_medical.measurements.command import facts_from_masks

Array = npt.NDArray[Any]
SPACING_MM = 6.0
# RAS+: x grows to the patient's right side as it is counted here by nibabel, "L" to "R".
CODES = [
    tuple("RAS"[axis] if up else "LPI"[axis] for axis, up in zip(order, ups, strict=True))
    for order in itertools.permutations(range(3))
    for ups in itertools.product((True, False), repeat=3)
]
PICTURES = ("whole", "cut", "cut on both sides", "padded", "round", "round, off the middle", "arm")
DRAWN = ("nothing", "spine", "lungs", "a lung")


@dataclass(frozen=True)
class Case:
    """One made examination.

    Attributes:
        number: which one; everything else follows from it.
        affine: stored index (i, j, k) to RAS+ mm.
        values: HU, or a.u. for MR.
        masks: in stored axes, by name.
        truth: side of each lesion, by what is left of it.
        modality: CT or MR.
    """

    number: int
    affine: Array
    values: Array
    masks: dict[str, Array]
    truth: dict[str, str]
    modality: str


def picture_of(number: int) -> str:
    """How the picture of a case is cut."""
    return PICTURES[number % len(PICTURES)]


def made(number: int) -> Case:
    """Case by its number."""
    rng = np.random.default_rng(number)
    modality = "MR" if number % 5 == 4 else "CT"
    turn = (
        Rotation.from_euler("zyx", rng.uniform(-25, 25, 3), degrees=True).as_matrix() if number % 3 == 0 else np.eye(3)
    )
    size = np.array([110, 74, 20])
    away_from_body = np.array([0.0 if picture_of(number) == "arm" else rng.uniform(-60, 60), rng.uniform(-20, 20), 0.0])
    places = (np.indices(size).reshape(3, -1).T - (size - 1) / 2) * SPACING_MM @ turn.T + away_from_body
    affine = np.eye(4)
    affine[:3, :3] = turn * SPACING_MM
    affine[:3, 3] = rng.uniform(-40, 40, 3) + away_from_body - affine[:3, :3] @ ((size - 1) / 2)  # the table's place
    leaning = places @ Rotation.from_euler("z", float(rng.uniform(-3, 3)), degrees=True).as_matrix()
    volume, parts, lesions = _body(leaning.T.reshape(3, *size), picture_of(number), rng)
    seen, box = _seen(picture_of(number), parts["body"], rng)
    across, kept = leaning[:, 0].reshape(size), np.zeros(size, dtype=bool)
    kept[box] = seen[box]
    truth = {name: _side(across[lesion & kept]) for name, lesion in lesions.items() if (lesion & kept).any()}
    drawn = {"nothing": [], "spine": ["vertebrae"], "lungs": ["lung_left", "lung_right"], "a lung": ["lung_left"]}
    names = drawn[DRAWN[number // len(PICTURES) % len(DRAWN)]]
    masks = {name: parts[name] & kept for name in names if (parts[name] & kept).any()}
    masks |= {name: lesions[name] & kept for name in truth}
    volume = np.where(seen, volume, -2048.0 if "round" in picture_of(number) else -1024.0)
    volume = np.clip(volume + 1000, 0, None) if modality == "MR" else volume
    affine[:3, 3] += affine[:3, 0] * box.start
    axes = nib.orientations.axcodes2ornt(CODES[number % len(CODES)])
    turned = nib.orientations.ornt_transform(nib.io_orientation(np.eye(4)), axes)
    affine = affine @ nib.orientations.inv_ornt_aff(turned, volume[box].shape)
    flipped = {name: nib.orientations.apply_orientation(mask[box], turned) for name, mask in masks.items()}
    stored = np.round(nib.orientations.apply_orientation(volume[box], turned)).astype(np.int16)
    return Case(number, affine, stored, flipped, truth, modality)


def _body(at: Array, picture: str, rng: np.random.Generator) -> tuple[Array, dict[str, Array], dict[str, Array]]:
    """HU [X, Y, Z], organs and lesions at places (x, y, z) in mm from the middle of the body."""
    x, y, z = at
    parts = {
        "body": (x / 170) ** 2 + (y / 110) ** 2 <= 1,
        "lung_right": ((x - 85) / 55) ** 2 + (y / 75) ** 2 <= 1,
        "lung_left": ((x + 85) / 50) ** 2 + (y / 75) ** 2 <= 1,
        "vertebrae": x**2 + (y + 75) ** 2 <= 22**2,
    }
    volume = rng.normal(-1000, 12, x.shape)
    for name, mean in (("body", 40), ("lung_right", -800), ("lung_left", -800), ("vertebrae", 300)):
        volume[parts[name]] = rng.normal(mean, 15, int(parts[name].sum()))
    if picture == "arm":
        volume[(x - float(rng.choice([-1, 1])) * 220) ** 2 + y**2 <= 38**2] = 40

    def ball(across: float, front: float) -> Array:
        ahead = float(rng.uniform(-front, front))
        return (x - across) ** 2 + (y - ahead) ** 2 + (z - float(rng.uniform(-20, 20))) ** 2 <= 12**2

    away = float(rng.uniform(40, 100))
    lesions = {
        "nodule": ball(float(rng.choice([-1, 1])) * float(rng.uniform(30, 120)), 60),
        "cyst": ball(0.0, 60),
        "metastases": ball(away, 30) | ball(-away, 30),
    }
    for lesion in lesions.values():
        volume[lesion] = 60
    return volume, parts, lesions


def _seen(picture: str, body: Array, rng: np.random.Generator) -> tuple[Array, slice]:
    """[X, Y, Z] what was scanned, and which columns of it are stored."""
    columns = np.flatnonzero(body.any(axis=(1, 2)))
    first, last = int(columns[0]), int(columns[-1])
    seen, whole = np.ones(body.shape, dtype=bool), slice(0, body.shape[0])
    width = last - first
    if picture.startswith("round"):
        off = float(rng.choice([-1, 1])) * 0.35 * width if "off" in picture else 0.0
        i, j = np.indices(body.shape[:2])
        seen &= (np.hypot(i - (first + last) / 2 - off, j - body.shape[1] / 2) <= 0.42 * width)[..., None]
        return seen, whole
    if picture in ("whole", "arm"):
        return seen, whole
    low, high = first + round(rng.uniform(0.15, 0.45) * width), last - round(rng.uniform(0.15, 0.45) * width)
    which = 2 if picture == "cut on both sides" else int(rng.integers(2))
    box = (slice(low, body.shape[0]), slice(0, high), slice(low, high))[which]
    if picture != "padded":
        return seen, box
    seen[: box.start], seen[box.stop :] = False, False
    return seen, whole


def _side(across: Array) -> str:
    """By where the voxels lie, mm from the plane of symmetry: a tenth beyond 10 mm on both sides is bilateral."""
    if min((across > 10).mean(), (across < -10).mean()) >= 0.1 and np.abs(across).mean() > 20:
        return "bilateral"
    return "midline" if abs(across.mean()) <= 10 else "right" if across.mean() > 0 else "left"


def judged(folder: Path, numbers: list[int]) -> dict[tuple[int, str], str]:
    """`right`, `uncertain` or `wrong` of each lesion of each case, by the commands."""
    cases = [made(number) for number in numbers]
    for modality in ("CT", "MR"):
        source = folder / modality
        for case in (case for case in cases if case.modality == modality):
            home = source / f"case{case.number}"
            (home / "segmentations").mkdir(parents=True)
            nib.save(nib.Nifti1Image(case.values, case.affine), home / "ct.nii.gz")
            for name, mask in case.masks.items():
                nib.save(nib.Nifti1Image(mask.astype(np.uint8), case.affine), home / "segmentations" / f"{name}.nii.gz")
        if source.is_dir():
            run = {"engine": "inline", "workers": 1}
            convert_nifti(source, folder / f"corpus-{modality}", modality=modality, deidentify=False, **run)
            facts_from_masks(folder / f"corpus-{modality}", **run)
    found: dict[tuple[int, str], str] = {}
    for modality in ("CT", "MR"):
        if not (folder / f"corpus-{modality}").is_dir():
            continue
        corpus = Corpus(folder / f"corpus-{modality}")
        of_uid = {row["uid"]: row["subject"] for row in corpus.table("samples").to_pylist()}
        by_subject = {f"case{case.number}": case for case in cases}
        for fact in corpus.table("facts").to_pylist():
            attributes = json.loads(fact["attributes"] or "{}")
            case = by_subject[of_uid[fact["uid"]]]
            if fact["concept"] != "laterality" or attributes["region"] not in case.truth:
                continue
            right = attributes["laterality"] == case.truth[attributes["region"]]
            verdict = "right" if right else "wrong"
            found[case.number, attributes["region"]] = "uncertain" if fact["polarity"] != "present" else verdict
    return found


def test_sides_of_some(tmp_path: Path) -> None:
    found = judged(tmp_path, list(range(0, 200, 11)))
    assert [case for case, verdict in found.items() if verdict == "wrong"] == []
    assert Counter(found.values())["right"] >= len(found) / 3


@pytest.mark.sweep
@pytest.mark.timeout(1200)
def test_sides_of_two_hundred(tmp_path: Path) -> None:
    found = judged(tmp_path, list(range(200)))
    table = Counter((picture_of(number), verdict) for (number, _), verdict in found.items())
    for (picture, verdict), count in sorted(table.items()):
        print(f"{picture}: {verdict} {count}")
    print(Counter(found.values()))
    wrong = [
        (case, picture_of(case[0]), DRAWN[case[0] // len(PICTURES) % len(DRAWN)])
        for case, verdict in found.items()
        if verdict == "wrong"
    ]
    assert wrong == []

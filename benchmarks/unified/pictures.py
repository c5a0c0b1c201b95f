"""Invented pictures in the layout of five MedMNIST sets, each of a kind of its own, under noise.

They prove wiring and whether kinds disturb each other, never quality. What tells the classes apart is another thing in
each kind (outline and side, edge, number, place along a line, pitch and colour), so that no kind is learned for free
with another. All of it is resolved by 28 pixels, and place, size, brightness and noise vary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from voxtile_datasets.recipes.medmnist_sets import SETS

Values = npt.NDArray[np.float64]
SIZE = 28
COUNTS = {"train": 1200, "val": 200, "test": 400}
_Y, _X = np.mgrid[0:SIZE, 0:SIZE] / (SIZE - 1) * 2 - 1  # -1 to 1

_ORGANS = {  # outline: height and width; grey; a notch to the left (-1), to the right (1) or none
    "bladder": (0.5, 0.5, 0.35, 0), "left femur": (0.55, 0.35, 0.9, -1), "right femur": (0.55, 0.35, 0.9, 1),
    "heart": (0.6, 0.7, 0.55, 0), "left kidney": (0.65, 0.35, 0.6, -1), "right kidney": (0.65, 0.35, 0.6, 1),
    "liver": (0.75, 0.85, 0.6, 1), "left lung": (0.85, 0.5, 0.0, -1), "right lung": (0.85, 0.5, 0.0, 1),
    "pancreas": (0.25, 0.75, 0.5, 0), "spleen": (0.7, 0.5, 0.5, -1),
}  # fmt: skip
_TISSUES = ((1, 0), (0, 0), (2, 1), (3, 0), (2, 0), (1, 2), (3, 1), (2, 2), (3, 2))  # pitch and colour by label
_COLOURS = ((0.95, 0.75, 0.85), (0.75, 0.55, 0.8), (0.9, 0.55, 0.65))


def ct_organ(label: int, rng: np.random.Generator) -> Values:
    """[Y, X] an organ on soft tissue; left and right ones are each other's mirror images."""
    height, width, grey, side = _ORGANS[SETS["organamnist"].classes[label]]
    y, x = _Y - rng.uniform(-0.15, 0.15), _X - rng.uniform(-0.15, 0.15)
    height, width = height * rng.uniform(0.85, 1.15), width * rng.uniform(0.85, 1.15)
    organ = (y / height) ** 2 + (x / width) ** 2 < 1
    notch = (y / 0.3) ** 2 + ((x - side * width) / 0.25) ** 2 < 1 if side else np.zeros_like(organ)
    return np.where(organ & ~notch, grey + rng.normal(0, 0.06), 0.3) + rng.normal(0, 0.2, y.shape)


def ultrasound_lesion(label: int, rng: np.random.Generator) -> Values:
    """[Y, X] a dark lesion in speckle: malignant ones are tall and spiculated, others wide and smooth."""
    y, x = _Y - rng.uniform(-0.2, 0.2), _X - rng.uniform(-0.2, 0.2)
    tall = rng.normal(1.2 if label == 0 else 0.85, 0.15)
    spikes = (0.14 if label == 0 else 0.03) * np.cos(rng.integers(6, 10) * np.arctan2(y, x) + rng.uniform(0, 6.3))
    lesion = np.hypot(y / tall, x * tall) < rng.uniform(0.35, 0.55) * (1 + 2 * spikes)
    return np.where(lesion, 0.18, 0.45) * rng.gamma(4, 0.25, y.shape)


def fundus(label: int, rng: np.random.Generator) -> Values:
    """[Y, X, 3] a retina with lesions, whose number grows with the grade."""
    disc = np.exp(-((np.hypot(_Y, _X) / 1.05) ** 8))
    lesions = np.zeros_like(_Y)
    for _ in range(rng.poisson((0.0, 3.0, 7.0, 13.0, 22.0)[label]) if label else 0):
        turn, far = rng.uniform(0, 2 * np.pi), 0.85 * np.sqrt(rng.uniform())
        lesions += np.exp(-(((_Y - far * np.sin(turn)) ** 2 + (_X - far * np.cos(turn)) ** 2) / 0.012))
    red = (0.75 + rng.normal(0, 0.05)) * disc - 0.5 * np.clip(lesions, 0, 1)
    return np.stack([red, 0.6 * red, 0.3 * disc], -1) + rng.normal(0, 0.07, (SIZE, SIZE, 1))


def retinal_layers(label: int, rng: np.random.Generator) -> Values:
    """[Y, X] layers with a membrane below (label 0), fluid within (1), small bumps below (2) or a foveal pit (3)."""
    tilt, centre, place = rng.uniform(-0.15, 0.15), rng.uniform(-0.15, 0.15), rng.uniform(-0.5, 0.5)
    top = centre - 0.35 + tilt * _X
    below = centre + 0.35 + tilt * _X
    if label == 3:
        top = top + 0.3 * np.exp(-(((_X - place) / 0.25) ** 2))
    if label == 0:
        below = below - 0.3 * np.exp(-(((_X - place) / 0.3) ** 2))
    if label == 2:
        below = below - 0.12 * np.abs(np.sin(6 * _X + 6 * place))
    retina = np.where((top < _Y) & (below > _Y), 0.5, 0.12) + 0.35 * np.exp(-(((_Y - below) / 0.09) ** 2))
    if label == 1:
        retina -= 0.35 * (((_Y - centre - tilt * _X) / 0.2) ** 2 + ((_X - place) / 0.3) ** 2 < 1)
    return retina + rng.normal(0, 0.25, retina.shape)


def tissue(label: int, rng: np.random.Generator) -> Values:
    """[Y, X, 3] waves whose pitch and colour say which tissue it is."""
    pitch, colour = _TISSUES[label]
    turn, phase = rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi)
    waves = np.cos(np.pi * (1.5 + 1.6 * pitch) * (_X * np.cos(turn) + _Y * np.sin(turn)) + phase)
    stain = np.array(_COLOURS[colour]) + rng.normal(0, 0.06, 3)
    return stain * (0.75 + 0.15 * waves[..., None]) + rng.normal(0, 0.13, (SIZE, SIZE, 3))


PICTURES: Mapping[str, Callable[[int, np.random.Generator], Values]] = {
    "organamnist": ct_organ,
    "breastmnist": ultrasound_lesion,
    "retinamnist": fundus,
    "octmnist": retinal_layers,
    "pathmnist": tissue,
}
"""[28, 28] or [28, 28, 3] about 0 to 1 from a label, by the MedMNIST set whose layout they take."""


def write_set(flag: str, path: Path, seed: int, counts: Mapping[str, int] = COUNTS) -> None:
    """Write a file in the layout of a MedMNIST set: uint8 pictures and [N, 1] labels by split."""
    rng, arrays = np.random.default_rng(seed), {}
    for split, count in counts.items():
        labels = rng.integers(0, len(SETS[flag].classes), count)
        made = np.stack([PICTURES[flag](int(label), rng) for label in labels])
        arrays[f"{split}_images"] = np.clip(made * 255, 0, 255).astype(np.uint8)
        arrays[f"{split}_labels"] = labels[:, None].astype(np.uint8)
    np.savez_compressed(path, **arrays)

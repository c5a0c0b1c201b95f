"""The eight tissues of the phantom, painted as amounts of haematoxylin and eosin.

The tissues are those of the colorectal classes of Kather et al. 2019 (PLOS Medicine, doi 10.1371/journal.pmed.1002730).
They differ by structure: thickness of the section and stain vary so much between regions and slides that amounts alone
do not tell them apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from voxtile_pathology.phantom.stains import Amount
from voxtile_pathology.phantom.texture import ANGLES, VARIANTS, Fibres, foam, noise, nucleus, scattered, stamp_all

Shape = tuple[int, int]


class Tissue(NamedTuple):
    """Amounts [Y, X] of the two stains; 0 is clear."""

    haematoxylin: Amount
    eosin: Amount


def _round_nuclei(
    rng: np.random.Generator,
    canvas: Amount,
    places: npt.NDArray[np.float64],
    radii: tuple[float, float],
    *,
    irregular: int = 8,
    vesicular: int = 0,
    amount: tuple[float, float] = (0.7, 1.0),
) -> None:
    """Nuclei without a direction; radii in pixels, drawn between the two."""
    sizes = np.rint(rng.uniform(*radii, len(places)) * 2).astype(int) * 5  # tenths of a pixel, in steps of half a pixel
    widths = np.maximum(20, np.rint(sizes * rng.uniform(0.75, 1.0, len(places)) / 10).astype(int) * 10)
    picks = rng.integers(VARIANTS, size=len(places)).tolist()
    turns = (rng.integers(4, size=len(places)) * (ANGLES // 4)).tolist()
    stamps = [
        nucleus(a, min(a, b), irregular, vesicular, n, t)
        for a, b, n, t in zip(sizes.tolist(), widths.tolist(), picks, turns, strict=True)
    ]
    stamp_all(canvas, places, stamps, rng.uniform(*amount, len(places)))


def _aligned_nuclei(
    rng: np.random.Generator,
    canvas: Amount,
    places: npt.NDArray[np.float64],
    angles: npt.NDArray[np.float64],
    axes: tuple[float, float],
    *,
    spread: float,
) -> None:
    """Elongated nuclei along [N] angles, give or take `spread` radians; `axes` are the half axes in pixels."""
    steps = np.rint((angles + rng.normal(0, spread, len(angles))) * ANGLES / np.pi).astype(int) % ANGLES
    picks = rng.integers(VARIANTS, size=len(places)).tolist()
    long, short = round(axes[0] * 10), round(axes[1] * 10)
    stamps = [nucleus(long, short, 10, 0, n, d) for n, d in zip(picks, steps.tolist(), strict=True)]
    stamp_all(canvas, places, stamps, rng.uniform(0.6, 0.95, len(places)))


def _thinned(rng: np.random.Generator, places: npt.NDArray[np.float64], share: float) -> npt.NDArray[np.float64]:
    kept: npt.NDArray[np.float64] = places[rng.random(len(places)) < share]
    return kept


def stroma(rng: np.random.Generator, shape: Shape) -> Tissue:
    """Loose wavy collagen with clefts and thin spindle nuclei."""
    fibres = Fibres(rng, shape, thickness=9, length=70, wave=rng.uniform(14, 26), wavelength=rng.uniform(180, 280))
    eosin = 0.34 + 0.16 * fibres.field + 0.05 * noise(rng, shape, (60, 60))
    eosin[fibres.field < -1.1] *= 0.25
    haematoxylin = np.full(shape, 0.04, np.float32)
    places = _thinned(rng, scattered(rng, shape, 50, 0.3), rng.uniform(0.4, 0.9))
    _aligned_nuclei(rng, haematoxylin, places, fibres.angle(places), (12, 2.4), spread=0.25)
    return Tissue(haematoxylin, np.clip(eosin, 0, None))


def smooth_muscle(rng: np.random.Generator, shape: Shape) -> Tissue:
    """Straight bundles side by side, with long blunt nuclei all in one direction."""
    fibres = Fibres(rng, shape, thickness=34, length=600, wave=rng.uniform(2, 6), wavelength=rng.uniform(500, 800))
    eosin = np.where(np.abs(fibres.field) < 0.14, 0.13, 0.40 + 0.05 * np.sign(fibres.field)).astype(np.float32)
    eosin += 0.05 * noise(rng, shape, (5, 5))
    haematoxylin = np.full(shape, 0.05, np.float32)
    places = _thinned(rng, scattered(rng, shape, 40, 0.3), rng.uniform(0.5, 0.95))
    _aligned_nuclei(rng, haematoxylin, places, fibres.angle(places), (19, 4.2), spread=0.06)
    return Tissue(haematoxylin, np.clip(eosin, 0, None))


def adipose(rng: np.random.Generator, shape: Shape) -> Tissue:
    """Large empty cells between thin walls, with a flat nucleus here and there."""
    walls = np.exp(-((foam(rng, shape, rng.uniform(80, 110)) / rng.uniform(8, 11)) ** 2))
    haematoxylin = (0.06 * walls).astype(np.float32)
    places = scattered(rng, shape, 60, 0.5)
    inside = np.rint(places).astype(int).clip(0, np.array(shape) - 1)
    on_wall = places[walls[inside[:, 0], inside[:, 1]] > 0.5]
    _round_nuclei(rng, haematoxylin, on_wall, (3.0, 4.5))
    return Tissue(haematoxylin, (0.015 + 0.38 * walls).astype(np.float32))


def mucin(rng: np.random.Generator, shape: Shape) -> Tissue:
    """Pale pools with streaming strands; few cells float in them."""
    strands = Fibres(rng, shape, thickness=22, length=240, wave=rng.uniform(30, 55), wavelength=rng.uniform(320, 480))
    wisps = np.clip(strands.field, 0, None)
    haematoxylin = (0.09 + 0.10 * wisps).astype(np.float32)
    eosin = (0.03 + 0.05 * np.clip(noise(rng, shape, (90, 90)), 0, None)).astype(np.float32)
    _round_nuclei(rng, haematoxylin, _thinned(rng, scattered(rng, shape, 110, 0.4), 0.35), (5, 7))
    return Tissue(haematoxylin, eosin)


def necrosis(rng: np.random.Generator, shape: Shape) -> Tissue:
    """Granular debris and nuclear dust; no cell is whole."""
    grains = noise(rng, shape, (5, 5)) + 0.8 * noise(rng, shape, (14, 14))
    eosin = 0.34 + 0.11 * grains + 0.07 * noise(rng, shape, (120, 120))
    haematoxylin = np.full(shape, 0.08, np.float32) + np.clip(0.05 * noise(rng, shape, (40, 40)), 0, None)
    places = _thinned(rng, scattered(rng, shape, 15, 0.5), rng.uniform(0.5, 0.9))
    crowd = noise(rng, shape, (70, 70))
    inside = np.rint(places).astype(int).clip(0, np.array(shape) - 1)
    dust = places[crowd[inside[:, 0], inside[:, 1]] > rng.uniform(-0.6, 0.2)]
    _round_nuclei(rng, haematoxylin, dust, (1.5, 3.0), irregular=25, amount=(0.5, 1.0))
    return Tissue(haematoxylin, np.clip(eosin, 0, None))


def lymphocytes(rng: np.random.Generator, shape: Shape) -> Tissue:
    """Sheets of small round dark nuclei, all of a size, nearly without cytoplasm."""
    haematoxylin = np.full(shape, 0.06, np.float32)
    eosin = np.clip(0.16 + 0.05 * noise(rng, shape, (40, 40)), 0, None)
    places = _thinned(rng, scattered(rng, shape, rng.uniform(15, 19), 0.18), rng.uniform(0.6, 0.95))
    _round_nuclei(rng, haematoxylin, places, (5.0, 6.0), irregular=5, amount=(0.75, 1.05))
    return Tissue(haematoxylin, eosin)


def normal_epithelium(rng: np.random.Generator, shape: Shape) -> Tissue:
    """Round glands of one size with a lumen, pale cytoplasm and one row of regular basal nuclei."""
    haematoxylin = np.full(shape, 0.05, np.float32)
    eosin = np.clip(0.26 + 0.09 * noise(rng, shape, (12, 40)), 0, None)
    radius = rng.uniform(46, 58)
    centres = scattered(rng, shape, 2.35 * radius, 0.06)
    between = _thinned(rng, scattered(rng, shape, 30, 0.4), 0.5)
    _round_nuclei(rng, haematoxylin, between, (4.5, 5.5))
    for y, x in np.rint(centres).astype(int).tolist():
        _gland(haematoxylin, eosin, (y, x), radius * rng.uniform(0.92, 1.08), 0.34)
        count = int(2 * np.pi * radius / 11)
        angles = 2 * np.pi * (np.arange(count) + rng.uniform(0, 1)) / count
        ring = radius * 0.84 + rng.normal(0, 1.2, count)
        places = np.stack([y + ring * np.sin(angles), x + ring * np.cos(angles)], 1)
        _aligned_nuclei(rng, haematoxylin, places, angles, (7.5, 4.2), spread=0.1)
    return Tissue(haematoxylin, eosin)


def tumour(rng: np.random.Generator, shape: Shape) -> Tissue:
    """Crowded nuclei that differ in size, shape and darkness, around slit-like, irregular lumens."""
    haematoxylin = np.full(shape, 0.09, np.float32)
    eosin = np.clip(0.24 + 0.05 * noise(rng, shape, (18, 18)), 0, None)
    _round_nuclei(
        rng,
        haematoxylin,
        _thinned(rng, scattered(rng, shape, rng.uniform(27, 33), 0.24), 0.92),
        (8.5, 14.0),
        irregular=20,
        vesicular=int(rng.integers(3, 6)) * 10,
        amount=(0.45, 1.0),
    )
    holes = noise(rng, shape, (55, 34)) - rng.uniform(1.0, 1.4)
    lumen = np.clip(holes * 6, 0, 1)
    haematoxylin *= 1 - lumen
    eosin *= 1 - 0.9 * lumen
    return Tissue(haematoxylin, eosin)


def _gland(haematoxylin: Amount, eosin: Amount, centre: tuple[int, int], radius: float, lumen: float) -> None:
    """Clear the disc of a gland, fill it with pale cytoplasm, and open its lumen."""
    half = int(radius) + 2
    y0, x0 = max(centre[0] - half, 0), max(centre[1] - half, 0)
    y1, x1 = centre[0] + half + 1, centre[1] + half + 1
    there, red = haematoxylin[y0:y1, x0:x1], eosin[y0:y1, x0:x1]
    if not there.size:
        return
    y, x = np.ogrid[y0 : y0 + there.shape[0], x0 : x0 + there.shape[1]]
    distance = np.hypot(y - centre[0], x - centre[1]).astype(np.float32)
    cell = np.clip(radius - distance, 0, 1)
    hollow = np.clip(radius * lumen - distance, 0, 1)
    there += cell * (0.07 - there)
    red += cell * (0.16 - red)
    there *= 1 - hollow
    red *= 1 - hollow


PAINTERS: Mapping[str, Callable[[np.random.Generator, Shape], Tissue]] = MappingProxyType(
    {
        "adipose": adipose,
        "lymphocytes": lymphocytes,
        "mucin": mucin,
        "necrosis": necrosis,
        "normal_epithelium": normal_epithelium,
        "smooth_muscle": smooth_muscle,
        "stroma": stroma,
        "tumour": tumour,
    }
)


def paint(rng: np.random.Generator, name: str, shape: Shape) -> Tissue:
    """A piece of a tissue; its thickness is drawn, and varies over the piece.

    Args:
        rng: source of all its randomness.
        name: a key of `PAINTERS`.
        shape: (y, x) in pixels of 0.5 µm.
    """
    piece = PAINTERS[name](rng, shape)
    thickness = np.exp(rng.normal(0, 0.22) + 0.08 * noise(rng, shape, (300, 300)))
    red = thickness * np.exp(rng.normal(0, 0.15))
    return Tissue((piece.haematoxylin * thickness).astype(np.float32), (piece.eosin * red).astype(np.float32))

"""How well a similarity map lies on what a sentence means: the indicators of semantic localisation.

Yuan et al., "Learning to Evaluate Performance of Multi-modal Semantic Localization", IEEE TGRS 2022, arXiv:2209.06515;
constants and rounding are those of `evaluations/SLM.py` in the authors' repository (MIT,
github.com/xiaoyuan1996/SemanticLocalizationMetrics), to whose numbers tests hold these functions. Rsu, Rda and Rmi are
better when higher, Ras when lower. Sizes are pixels of the picture that the set was drawn on: maps are to be of its
size. Turned edges are drawn by Pillow, there by OpenCV: areas of the outlines of the set differ by 0.7 % at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy import ndimage

Levels = npt.NDArray[np.uint8]
Vertices = npt.NDArray[np.float64]
Point = npt.NDArray[np.int64]

_BETA, _EPSILON = 0.707, 1e-7  # of Rsu
_REACH, _SCALE = 1.5, 3.0  # of Ras: radius over the vertices' mean distance; of its exponential
_ETA = 0.5  # of Rda
_WEIGHTS = {"rsu": 0.4, "ras": 0.35, "rda": 0.25}  # of Rmi
_SOFTEN, _TIMES, _NEIGHBOURHOOD, _LEAST = 50, 5, 1000, 0.5  # of the centres of attention
_CORNERS = np.ones((3, 3))  # neighbours by corners are connected too


@dataclass(frozen=True)
class Circle:
    """Where attention is looked for: a region's centre (x, y) and radius, whole pixels as the authors cut them."""

    centre: tuple[int, int]
    radius: int


def localization_scores(found: npt.NDArray[np.float32], regions: Sequence[Vertices]) -> dict[str, float]:
    """`rsu`, `ras`, `rda` and `rmi` of one sentence.

    Args:
        found: [Y, X] in 0 to 1, of which 256 levels are judged, as of a stored grey picture.
        regions: [K, 2] vertices (x, y) of each outline.

    Raises:
        ValueError: there is no region, one is smaller than a pixel's reach, or none holds a pixel of the map.
    """
    levels = (found * np.float32(255)).astype(np.uint8)
    probability, circles = levels / 255.0, [circle(region) for region in regions]
    peaks = attention_centres(levels)
    scores = {
        "rsu": salient_area(probability, outline_mask(regions, (found.shape[0], found.shape[1]))),
        "ras": attention_shift(peaks, circles),
        "rda": attention_discreteness(peaks, circles),
    }
    return {"rmi": mean_indicator(**scores), **scores}


def salient_area(probability: npt.NDArray[np.floating], mask: npt.NDArray[np.bool_]) -> float:
    """Rsu: 1 - exp(-0.707 · in / out · area out / area in), of a map [Y, X] and the pixels meant; 0.507 where even.

    Raises:
        ValueError: no pixel is meant.
    """
    area = int(mask.sum())
    if not area:
        raise ValueError("no pixel of the map lies in a region")
    inside, all_of_it = float(probability[mask].sum()), float(probability.sum())
    ratio = inside / (all_of_it - inside + _EPSILON) * (mask.size - area) / area
    return float(1 - np.exp(-_BETA * ratio))


def attention_shift(peaks: Sequence[Point], circles: Sequence[Circle]) -> float:
    """Ras: (exp(3 d) - 1) / (exp(3) - 1), with d the mean over regions of the distance of attention over the radius.

    Of each region the mean distance of the centres within its radius counts, the radius itself where none is.
    """
    shares = []
    for region in circles:
        distances = _within(peaks, region)[1]
        shares.append(float(np.mean(distances)) / region.radius if len(distances) else 1.0)
    return float((np.exp(_SCALE * np.mean(shares)) - 1) / (np.exp(_SCALE) - 1))


def attention_discreteness(peaks: Sequence[Point], circles: Sequence[Circle]) -> float:
    """Rda: of each region 0 without a centre of attention, 1 with one, less the more and the wider apart they are."""
    values = []
    for region in circles:
        near, _ = _within(peaks, region)
        if len(near) < 2:
            values.append(float(len(near)))
            continue
        spread = float(np.linalg.norm(near - near.mean(0), axis=1).mean()) / region.radius
        values.append(0.5 * (1 - spread) + float(np.exp(-_ETA * (len(near) + 2))))
    return float(np.mean(values))


def mean_indicator(rsu: float, ras: float, rda: float) -> float:
    """Rmi: 0.4 Rsu + 0.35 (1 - Ras) + 0.25 Rda."""
    return _WEIGHTS["rsu"] * rsu + _WEIGHTS["ras"] * (1 - ras) + _WEIGHTS["rda"] * rda


def attention_centres(levels: Levels) -> list[Point]:
    """Centres (x, y) of attention in a map [Y, X] of 256 levels.

    They are the middles of the plateaus that are largest within 1,000 pixels after five box filters of 50, where the
    map itself is at least 0.5.
    """
    soft = levels
    for _ in range(_TIMES):
        soft = box_filter(soft, _SOFTEN)
    top = (ndimage.maximum_filter(soft, size=_NEIGHBOURHOOD) == soft) & (soft > 0)
    plateaus, count = ndimage.label(top, _CORNERS)
    rows, columns = np.nonzero(plateaus)
    numbers = plateaus[rows, columns]
    sizes = np.bincount(numbers, minlength=count + 1)[1:]
    y, x = (np.bincount(numbers, along, count + 1)[1:] / sizes for along in (rows, columns))
    centres = np.stack([x, y], 1).astype(np.int64)
    return [centre for centre in centres if levels[centre[1], centre[0]] / 255.0 >= _LEAST]


def box_filter(levels: Levels, size: int) -> Levels:
    """The mean of a box round each pixel [Y, X], rounded, as OpenCV's `boxFilter` has it.

    Mirrored at the edges; of an even size one pixel more lies before than after.
    """
    sums = levels.astype(np.int32)
    for axis in (0, 1):
        widths = [(0, 0), (0, 0)]
        widths[axis] = (size // 2, (size - 1) // 2)
        running = np.cumsum(np.pad(sums, widths, "reflect"), axis=axis, dtype=np.int32)
        last = np.take(running, np.arange(size - 1, running.shape[axis]), axis)
        before = np.take(running, np.arange(running.shape[axis] - size), axis)
        first = np.zeros_like(np.take(last, [0], axis))
        sums = (last - np.concatenate([first, before], axis)).astype(np.int32)
    scaled: Levels = np.rint(sums.astype(np.float32) * np.float32(1 / size**2)).astype(np.uint8)
    return scaled


def circle(region: Vertices) -> Circle:
    """The mean of an outline's vertices, and one and a half of their mean distance from it.

    Raises:
        ValueError: that is less than a pixel.
    """
    middle = [int(region[:, axis].sum() / len(region)) for axis in (0, 1)]
    radius = int(np.linalg.norm(region - middle, axis=1).mean() * _REACH)
    if radius < 1:
        raise ValueError("a region is smaller than a pixel")
    return Circle((middle[0], middle[1]), radius)


def outline_mask(regions: Sequence[Vertices], shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """[Y, X] the pixels in any outline, its edge among them; vertices are cut to whole pixels."""
    picture = Image.new("1", (shape[1], shape[0]))
    draw = ImageDraw.Draw(picture)
    for region in regions:
        draw.polygon([(int(x), int(y)) for x, y in region], fill=1, outline=1)
    return np.array(picture)


def _within(peaks: Sequence[Point], region: Circle) -> tuple[Point, npt.NDArray[np.float64]]:
    """Peaks [N, 2] in a circle, and how far from its centre."""
    all_of_them = np.array(peaks, dtype=np.int64).reshape(-1, 2)
    distances = np.linalg.norm(all_of_them - np.array(region.centre), axis=1)
    near = distances <= region.radius
    return all_of_them[near], distances[near]

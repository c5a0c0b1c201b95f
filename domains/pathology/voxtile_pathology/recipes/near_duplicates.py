"""Turned and flipped copies of a picture, found by what turning does not change: the colours on rings about the centre.

LC25000 was made from 1,250 pictures by turning up to 25° and flipping, so a split of single pictures leaks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from voxtile.corpus.shards.codecs import PICTURE_FORMATS
from voxtile.errors import InputError

_RINGS = 16
_SIDE = 192  # pixels of the reduced picture: finer detail is lost in turning
_TOLERANCE = 3.0  # grey levels, root mean square over rings and colours; unrelated patches differ by 10 and more


def near_duplicate_groups(paths: Sequence[Path]) -> list[int]:
    """Group pictures that are turned or flipped copies of each other.

    Args:
        paths: the pictures.

    Returns:
        For each picture the index of the first one of its group.

    Raises:
        InputError: a picture cannot be read.
    """
    from scipy.spatial import cKDTree

    if not paths:
        return []
    signatures = np.stack([signature(path) for path in paths])
    radius = _TOLERANCE * math.sqrt(signatures.shape[1])
    parent = list(range(len(paths)))

    def first(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for one, other in cKDTree(signatures).query_pairs(radius, output_type="ndarray"):
        low, high = sorted((first(int(one)), first(int(other))))
        parent[high] = low
    return [first(index) for index in range(len(paths))]


def signature(path: Path) -> npt.NDArray[np.float64]:
    """Mean and deviation of each colour on rings about the centre: [96], in grey levels.

    Raises:
        InputError: the picture cannot be read.
    """
    try:
        with Image.open(path, formats=PICTURE_FORMATS) as image:
            image.draft("RGB", (_SIDE, _SIDE))  # JPEG: decoded at a fraction of the size
            pixels = np.asarray(image.convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.BOX), np.float64)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"'{path}' is not a readable picture ({error}); replace the file") from error
    ring, count = _rings()
    inside = ring < _RINGS
    parts = []
    for colour in range(3):
        values = pixels[..., colour][inside]
        mean = np.bincount(ring[inside], values, _RINGS) / count
        square = np.bincount(ring[inside], values**2, _RINGS) / count
        parts += [mean, np.sqrt(np.maximum(square - mean**2, 0))]
    return np.concatenate(parts)


def random_split_leak(group_sizes: Sequence[int], *, test_share: float) -> float:
    """Share of test pictures with a near-duplicate in training, where single pictures are split at random.

    A picture of a group of n has none with probability (test_share)^(n - 1).
    """
    total = sum(group_sizes)
    return sum(size * (1 - test_share ** (size - 1)) for size in group_sizes) / total if total else 0.0


@lru_cache(maxsize=1)
def _rings() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Ring of each pixel, rings of equal area within the inscribed circle; and how many pixels each ring has."""
    axis = np.arange(_SIDE) - (_SIDE - 1) / 2
    distance = np.hypot(axis[:, None], axis[None, :]) / (_SIDE / 2)
    ring = np.where(distance < 1, np.floor(distance**2 * _RINGS), _RINGS).astype(np.int64)
    return ring, np.bincount(ring[ring < _RINGS], minlength=_RINGS)

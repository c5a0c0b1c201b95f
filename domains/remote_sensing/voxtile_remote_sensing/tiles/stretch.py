"""What is black and white over a whole scene, for bands whose unit has no scale of its own.

Each tile by its own percentiles would make dark water as bright as a roof, and no two tiles of a scene comparable.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
from rasterio.windows import Window

from voxtile_remote_sensing.bands.pictures import by_common_name
from voxtile_remote_sensing.scenes.protocol import Grid, Scene, SceneBand, SceneError
from voxtile_remote_sensing.tiles.quality import NODATA, QualityLayers

SHARES = (2, 98)
_WHOLE_PX = 512 * 512  # less is read whole
_MOST_WINDOWS, _LEAST_WINDOWS, _WINDOW_PX = 8, 3, 48  # a side of the scene, and pixels of a side of each
_DECODED_BYTES = 64 << 20  # of stored blocks that windows lie in
_DIGITS = 6
_MOST_NOTED = 24  # bands: of hyperspectral scenes those that a picture shows, for each tile's row has the numbers


def scene_stretch(scene: Scene, bands: Sequence[SceneBand]) -> list[list[float] | None]:
    """The 2nd and 98th percentile of each band over its scene, in its unit.

    Args:
        scene: open.
        bands: of it.

    Returns:
        [low, high] a band; None where the unit has a fixed scale (reflectance, 8 bits), where numbers are complex,
        where nothing was measured, and for most of very many bands. The same from every strip of a scene: windows all
        over it are read, no tile.
    """
    found: list[list[float] | None] = [None] * len(bands)
    places: dict[tuple[Grid, str], list[int]] = {}
    shown = range(len(bands)) if len(bands) <= _MOST_NOTED else {0, *_in_pictures(bands)}
    for n, band in enumerate(bands):
        if n in shown and is_stretched(band):
            places.setdefault((band.grid, band.dtype), []).append(n)
    for own in places.values():
        for n, values in zip(own, _sampled(scene, [bands[n] for n in own]), strict=True):
            if values.size:
                ends = np.percentile(values, SHARES) * bands[n].scale + bands[n].offset
                found[n] = [float(f"{v:.{_DIGITS}g}") for v in sorted(ends.tolist())]
    return found


def _in_pictures(bands: Sequence[SceneBand]) -> Iterable[int]:
    return by_common_name([band.channel() for band in bands]).values()


def is_stretched(band: SceneBand) -> bool:
    """Whether people and models of pictures see a band by percentiles."""
    return band.band.unit != "reflectance" and band.dtype != "uint8" and np.dtype(band.dtype).kind != "c"


def _sampled(scene: Scene, bands: Sequence[SceneBand]) -> list[npt.NDArray[np.float64]]:
    """Some measured values of each of bands on one grid, as stored."""
    grid, quality = bands[0].grid, QualityLayers(scene)
    parts: list[list[npt.NDArray[np.float64]]] = [[] for _ in bands]
    for window in _windows(bands):
        try:
            values = scene.read(bands, window)
            measured = quality.read(grid, window) & NODATA == 0
        except SceneError:  # damage costs the tiles that it lies in, and they say so
            continue
        if (absent := scene.absent(bands, window)) is not None:
            measured &= ~absent
        for own, plane, band in zip(parts, values, bands, strict=True):
            known = plane[measured & np.isfinite(plane)]
            own.append((known if band.nodata is None else known[known != band.nodata]).astype(np.float64))
    return [np.concatenate([*own, np.empty(0)]) for own in parts]


def _windows(bands: Sequence[SceneBand]) -> Iterator[Window]:
    """The whole grid, or windows that are spread over it, each in a stored block of its own where blocks are large."""
    rows, columns = bands[0].grid.shape
    if rows * columns <= _WHOLE_PX:
        yield Window(0, 0, columns, rows)
        return
    block = max(math.prod(band.block) * np.dtype(band.dtype).itemsize for band in bands) * len(bands)
    count = min(_MOST_WINDOWS, max(_LEAST_WINDOWS, math.isqrt(_DECODED_BYTES // max(1, block))))
    for top, height in _starts(rows, count, max(band.block[0] for band in bands)):
        for left, width in _starts(columns, count, max(band.block[1] for band in bands)):
            yield Window(left, top, width, height)


def _starts(size: int, count: int, block: int) -> Iterator[tuple[int, int]]:
    """Where windows begin along a side, and how long they are."""
    for n in range(count):
        centre = int((n + 0.5) * size / count)
        start = centre // block * block if _WINDOW_PX <= block < size // count else centre
        yield start, min(_WINDOW_PX, size - start)

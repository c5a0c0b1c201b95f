"""Where patches lie on a slide: on a grid, at random in the tissue, where somebody drew, or as a file says.

Corners are whole level-0 pixels, chosen so that a patch starts at a whole pixel of the level that it is read from: all
patches of a slide are then resampled with the same weights, and rounding never adds up along the grid.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import shapely

from voxtile_pathology.annotations.annotation import Annotation
from voxtile_pathology.coordinates.layout import Coordinates
from voxtile_pathology.slides.protocol import Slide
from voxtile_pathology.slides.scale import PatchScale
from voxtile_pathology.tissue.survey import Coverage

Corners = npt.NDArray[np.int64]
"""[N, 2] x and y of upper left corners, level-0 pixels."""

BLOCK = 8  # patches along each side of a block, which is one item of the plan
_TRIES = 30  # random places tried for each patch wanted
_HALF_PIXEL = 0.5


def grid_corners(slide: Slide, scale: PatchScale, overlap: int) -> Corners:
    """Every place of the grid whose patch lies wholly on the slide, row by row.

    Args:
        slide: an open slide.
        scale: of the patches.
        overlap: pixels of the patch that neighbours share.
    """
    axes = []
    for axis in (0, 1):
        downsample = slide.levels[scale.level].downsample[axis]
        step = (scale.patch_px - overlap) * scale.factor[axis]  # pixels of the level
        room = slide.levels[0].size[axis] - scale.extent[axis] + _HALF_PIXEL
        count = int(room // (step * downsample)) + 2 if room >= 0 else 0
        starts = np.rint(np.rint(np.arange(count) * step) * downsample).astype(np.int64)
        axes.append(starts[starts <= room])
    x, y = np.meshgrid(axes[0], axes[1])
    return np.stack([x.ravel(), y.ravel()], axis=1)


def random_corners(
    slide: Slide, scale: PatchScale, tissue: Coverage, least: float, count: int, seed: int, content: str
) -> Corners:
    """Up to `count` different random places with enough tissue, in the order of rows; the same for the same slide.

    Args:
        slide: an open slide.
        scale: of the patches.
        tissue: share of tissue in a box.
        least: share that a patch needs.
        count: patches wanted.
        seed: another seed gives other places.
        content: identity of the slide.
    """
    digest = hashlib.sha256(f"{seed}\0{content}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
    downsample = np.array(slide.levels[scale.level].downsample)
    room = np.floor((np.array(slide.levels[0].size) - scale.extent + _HALF_PIXEL) / downsample).astype(np.int64)
    if (room < 0).any():
        return np.empty((0, 2), np.int64)
    places = rng.integers(0, room + 1, (count * _TRIES, 2))
    corners = np.rint(places * downsample).astype(np.int64)
    _, first = np.unique(corners, axis=0, return_index=True)
    corners = corners[np.sort(first)]
    kept = corners[tissue.of(boxes(corners, scale)) >= least][:count]
    return in_rows(kept)


def annotated_corners(
    slide: Slide, scale: PatchScale, overlap: int, annotations: Sequence[Annotation], least: float
) -> Corners:
    """Places of the grid that annotations cover enough, and one patch round each annotated point."""
    corners = grid_corners(slide, scale, overlap)
    areas = [annotation.polygon for annotation in annotations if annotation.has_area]
    found = [np.empty((0, 2), np.int64)]
    if areas and len(corners):
        covered = shapely.union_all(areas)
        shapely.prepare(covered)
        patches = shapely.box(*boxes(corners, scale).T)
        near = np.flatnonzero(shapely.intersects(covered, patches))
        shares = shapely.area(shapely.intersection(patches[near], covered)) / shapely.area(patches[near])
        found.append(corners[near[shares >= least]])
    points = [shapely.get_coordinates(a.polygon) for a in annotations if a.kind == "point"]
    if points:
        room = np.array(slide.levels[0].size) - scale.extent
        starts = np.rint(np.concatenate(points) - np.array(scale.extent) / 2).astype(np.int64)
        found.append(starts[((starts >= 0) & (starts <= room + _HALF_PIXEL)).all(axis=1)])
    return in_rows(np.unique(np.concatenate(found), axis=0))


def unique_corners(coordinates: Coordinates) -> Corners:
    """The places of a coordinates file, each once, row by row."""
    return in_rows(np.unique(coordinates.corners.astype(np.int64), axis=0))


def boxes(corners: Corners, scale: PatchScale) -> npt.NDArray[np.float64]:
    """Boxes [N, 4] (x0, y0, x1, y1) of patches, level-0 pixels."""
    return np.concatenate([corners, corners + np.array(scale.extent)], axis=1).astype(np.float64)


def in_rows(corners: Corners) -> Corners:
    """The same places, row by row."""
    return corners[np.lexsort((corners[:, 0], corners[:, 1]))]


def in_blocks(corners: Corners, scale: PatchScale, overlap: int) -> list[npt.NDArray[np.int64]]:
    """Indices of the corners, block by block of BLOCK × BLOCK steps of the grid; rows within a block.

    Patches that share native tiles are then mostly in one block, and a block is small enough that losing one is cheap.
    """
    if not len(corners):
        return []
    step = np.maximum(1.0, np.array(scale.extent) * (scale.patch_px - overlap) / scale.patch_px * BLOCK)
    cell = np.floor((corners + _HALF_PIXEL) / step).astype(np.int64)
    order = np.lexsort((corners[:, 0], corners[:, 1], cell[:, 0], cell[:, 1]))
    ordered = cell[order]
    borders = np.flatnonzero((ordered[1:] != ordered[:-1]).any(axis=1)) + 1
    blocks = np.split(order, borders)
    # Random places may crowd: a block never holds more than a full grid's.
    return [part for block in blocks for part in np.split(block, range(BLOCK**2, len(block), BLOCK**2))]

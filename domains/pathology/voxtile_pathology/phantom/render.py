"""A case to pixels: each region painted in its own texture, stained, then spoilt by its artefacts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter
from shapely.geometry import Polygon

from voxtile.phantom.noise import stream
from voxtile_pathology.phantom.case import PENS, Artefact, Case
from voxtile_pathology.phantom.stains import Amount, Picture, coloured, draw_stain
from voxtile_pathology.phantom.tissues import Tissue, paint

Box = tuple[int, int, int, int]

_COARSE = 4  # masks are drawn at a quarter of the size and enlarged, which softens their edges
_PLAIN = 768  # pixels of the piece of stroma that is repeated between the regions
_STAIN_STREAM, _PAINT_STREAM = 3, 4
_FOLDED = 1.8  # a fold is nearly two sections thick
_BLUR = 5.0  # pixels


def render(seed: int, case: Case) -> Picture:
    """RGB [Y, X, 3] of the slide at level 0."""
    stain = draw_stain(stream(seed, case.number, _STAIN_STREAM))
    width, height = case.size
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = stain.glass.astype(np.uint8)
    box = box_of(case.tissue, case.size)
    amounts = _tissue(seed, case, box)
    for artefact in case.artefacts:
        if artefact.kind == "fold":
            factor = 1 + (_FOLDED - 1) * mask_of(artefact.polygon, box)
            amounts = Tissue(amounts.haematoxylin * factor, amounts.eosin * factor)
    x0, y0, x1, y1 = box
    picture[y0:y1, x0:x1] = coloured(amounts.haematoxylin, amounts.eosin, stain)
    for artefact in case.artefacts:
        _spoil(picture, artefact, case.size)
    return picture


def box_of(polygon: Polygon, size: tuple[int, int]) -> Box:
    """The whole pixels (x0, y0, x1, y1) round a polygon, within the slide."""
    x0, y0, x1, y1 = polygon.bounds
    edge = _COARSE
    return (
        max(0, int(x0) - edge),
        max(0, int(y0) - edge),
        min(size[0], int(np.ceil(x1)) + edge),
        min(size[1], int(np.ceil(y1)) + edge),
    )


def mask_of(polygon: Polygon, box: Box) -> Amount:
    """[Y, X] of the box: 1 inside the polygon, 0 outside, soft over some pixels between."""
    x0, y0, x1, y1 = box
    small = Image.new("L", (-(-(x1 - x0) // _COARSE), -(-(y1 - y0) // _COARSE)))
    points = (np.asarray(polygon.exterior.coords) - (x0, y0)) / _COARSE - 0.5
    ImageDraw.Draw(small).polygon([tuple(p) for p in points.tolist()], fill=255)
    large = small.resize((small.width * _COARSE, small.height * _COARSE), Image.Resampling.BILINEAR)
    return np.asarray(large, np.float32)[: y1 - y0, : x1 - x0] / np.float32(255)


def _tissue(seed: int, case: Case, box: Box) -> Tissue:
    """Amounts of the stains over the box of the tissue."""
    x0, y0, x1, y1 = box
    shape = (y1 - y0, x1 - x0)
    plain = paint(stream(seed, case.number, _PAINT_STREAM), "stroma", (_PLAIN, _PLAIN))
    outline = mask_of(case.tissue, box)
    canvas = Tissue(*(_repeated(amount, shape) * outline for amount in plain))
    for place, region in enumerate(case.regions, start=1):
        rng = stream(seed, case.number, _PAINT_STREAM, place)
        a0, b0, a1, b1 = inner = box_of(region.polygon, case.size)
        piece = paint(rng, region.tissue, (b1 - b0, a1 - a0))
        mask = mask_of(region.polygon, inner)
        # The box of a region may reach out of the tissue's by the softness of the edge.
        left, top = max(a0, x0), max(b0, y0)
        window = np.s_[top - y0 : min(b1, y1) - y0, left - x0 : min(a1, x1) - x0]
        own = np.s_[top - b0 : min(b1, y1) - b0, left - a0 : min(a1, x1) - a0]
        for whole, part in zip(canvas, piece, strict=True):
            there = whole[window]
            there += mask[own] * (part[own] - there)
    return canvas


def _repeated(amount: Amount, shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    times = [-(-n // s) for n, s in zip(shape, amount.shape, strict=True)]
    return np.tile(amount, times)[: shape[0], : shape[1]]


def _spoil(picture: Picture, artefact: Artefact, size: tuple[int, int]) -> None:
    """Blur or write over the picture in place."""
    x0, y0, x1, y1 = box = box_of(artefact.polygon, size)
    there = picture[y0:y1, x0:x1]
    if artefact.kind == "blur":
        changed = np.asarray(Image.fromarray(there).filter(ImageFilter.GaussianBlur(_BLUR)), np.float32)
    elif artefact.kind == "pen" and artefact.colour is not None:
        changed = np.broadcast_to(np.array(PENS[artefact.colour], np.float32), there.shape)
    else:
        return
    mask = mask_of(artefact.polygon, box)[..., None]
    there[:] = there + mask * (changed - there)

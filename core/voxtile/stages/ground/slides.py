"""Phrases on whole slides: patches of tissue are answered one by one and blended to one map of the slide."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from rich.progress import track
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from voxtile.corpus.reader import Corpus
from voxtile.corpus.schema import OVERVIEW
from voxtile.corpus.shards.codecs import decode_picture
from voxtile.corpus.storage import set_room_aside, write_atomically
from voxtile.data.presets.base import Preset
from voxtile.errors import InputError
from voxtile.formats.geojson import outline
from voxtile.formats.optional import require
from voxtile.grounding.sliding_windows import gaussian, ground_sample

MOST_PIXELS = 1 << 26  # of the map of a slide: 256 MB a phrase
_MOST_PARTS = 10_000  # of a phrase; more is noise that no viewer shows well
# QuPath shows a class in its own colour: Okabe and Ito's palette, told apart by people who do not see all colours.
_COLOURS = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (213, 94, 0), (204, 121, 167), (0, 114, 178), (240, 228, 66)
)  # fmt: skip


@dataclass(frozen=True)
class SlideMap:
    """What a slide is answered with.

    Attributes:
        phrases: what was asked.
        probability: [P, Y, X] blended probability of the map's pixels, 0 where there is no tissue.
        presence: [P] largest probability of a target in any patch.
        corner: level-0 pixel (x, y) of the map's upper left corner.
        scale: level-0 pixels a pixel of the map (x, y).
        mpp: micrometres a pixel of the map (x, y).
    """

    phrases: tuple[str, ...]
    probability: npt.NDArray[np.float32]
    presence: npt.NDArray[np.float32]
    corner: tuple[int, int]
    scale: tuple[float, float]
    mpp: tuple[float, float]


def ground_slide(
    ground: Callable[[Tensor], tuple[Tensor, Tensor]],
    preset: Preset,
    corpus: Corpus,
    phrases: Sequence[str],
    *,
    presence: float,
    folder: Path,
    finish: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> SlideMap:
    """Answer phrases on all patches of one slide.

    A patch that a phrase is believed to have no target in adds nothing to its map. Where patches overlap, the middle of
    each is trusted most.

    Args:
        ground: [1, C, *G] to [1, P, *G] probabilities and [1, P] presence.
        preset: of the model.
        corpus: patches of one slide with `level0_box`.
        phrases: what is asked.
        presence: probability from which a patch has a target at all.
        folder: for the map while it is made; it may be larger than memory.
        finish: see `ground_sample`.

    Raises:
        InputError: no patch of the slide holds tissue.
    """
    rows = [row for row in corpus.table("samples", with_root=True).to_pylist() if row["kind"] != OVERVIEW]
    if not rows:
        raise InputError("the slide has no patch of tissue; try another --mpp, or look at: voxtile convert wsi --help")
    preset.check(rows)
    boxes = np.array([row["level0_box"] for row in rows])
    corner, end = boxes[:, :2].min(0), boxes[:, 2:].max(0)
    side = int(rows[0]["shape"][0])
    pixel = (boxes[0, 2:] - boxes[0, :2]) / side  # level-0 pixels a pixel of a patch
    binned = _binning((end - corner) / pixel)
    size = np.ceil((end - corner) / (pixel * binned)).astype(int) + 1
    total, weight = (
        np.memmap(folder / f"{name}.raw", np.float32, "w+", shape=(count, size[1], size[0]))
        for name, count in (("total", len(phrases)), ("weight", 1))
    )
    for path in folder.glob("*.raw"):
        set_room_aside(path)
    believed = np.zeros(len(phrases), np.float32)
    trust = _binned(gaussian((side, side))[None], binned).numpy()
    for row, box in track(zip(rows, boxes, strict=True), "grounding", total=len(rows), transient=True):
        masks, there = ground_sample(ground, preset, corpus.source(row), finish=finish)
        answers = _binned(masks * (there >= presence)[:, None, None], binned).numpy()
        left, top = np.rint((box[:2] - corner) / (pixel * binned)).astype(int)
        place = (slice(None), slice(top, top + answers.shape[1]), slice(left, left + answers.shape[2]))
        kept = answers.shape[1:]
        fits = total[place].shape[1:]
        inside = (slice(None), *(slice(0, min(a, b)) for a, b in zip(kept, fits, strict=True)))
        total[place] += (answers * trust)[inside]
        weight[place] += trust[inside]
        believed = np.maximum(believed, there.numpy())
    np.divide(total, weight, out=total, where=weight > 0)
    mpp = rows[0]["mpp"]
    return SlideMap(
        tuple(phrases), total, believed, (int(corner[0]), int(corner[1])),
        (float(pixel[0] * binned), float(pixel[1] * binned)), (mpp[0] * binned, mpp[1] * binned),
    )  # fmt: skip


def write_qupath(found: SlideMap, cut: float, target: Path) -> dict[str, int]:
    """Write the parts of every phrase as annotations, in level-0 pixels, and return how many each has.

    The file is what QuPath reads and writes: a FeatureCollection of annotations with a classification, its colour, and
    measurements (QuPath's documentation, Exporting annotations).

    Args:
        found: of the slide.
        cut: probability from which a pixel belongs to the target.
        target: the file.
    """
    affinity, geometry = require("shapely.affinity", "pathology"), require("shapely.geometry", "pathology")
    (sx, sy), (x0, y0) = found.scale, found.corner
    features: list[dict[str, Any]] = []
    counts = dict.fromkeys(found.phrases, 0)
    for number, phrase in enumerate(found.phrases):
        labels = ndimage.label(found.probability[number] >= cut, np.ones((3, 3)))[0]
        for part, box in enumerate(ndimage.find_objects(labels), start=1):
            inside = labels[box] == part
            moved = [sx, 0, 0, sy, x0 + box[1].start * sx, y0 + box[0].start * sy]
            shape = affinity.affine_transform(outline(inside), moved)
            pixels, values = int(inside.sum()), found.probability[number][box][inside]
            measured = {
                "Area µm^2": pixels * found.mpp[0] * found.mpp[1],
                "Probability: mean": float(values.mean()),
                "Probability: max": float(values.max()),
            }
            about = {
                "objectType": "annotation",
                "classification": {"name": phrase, "color": list(_COLOURS[number % len(_COLOURS)])},
                "measurements": measured,
            }
            name = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{phrase} {part}"))
            features.append({"type": "Feature", "id": name, "geometry": geometry.mapping(shape), "properties": about})
            counts[phrase] = part
            if part >= _MOST_PARTS:
                break
    content = {"type": "FeatureCollection", "features": features}
    write_atomically(target, json.dumps(content, ensure_ascii=False).encode())
    return counts


def write_overlay(corpus: Corpus, found: SlideMap, cut: float, target: Path) -> Path | None:
    """Write the slide's thumbnail with every phrase in its colour; None where the corpus has no thumbnail."""
    rows = [row for row in corpus.table("samples", with_root=True).to_pylist() if row["kind"] == OVERVIEW]
    row = next((row for row in rows if row.get("level0_box")), None)
    if row is None:
        return None
    picture = np.array(decode_picture(corpus.source(row).encoded()))
    factor = np.array(row["level0_box"][2:]) / picture.shape[1::-1]  # level-0 pixels a pixel of the thumbnail (x, y)
    places = [((np.arange(n) + 0.5) * factor[a] - found.corner[a]) / found.scale[a]
              for a, n in enumerate(picture.shape[1::-1])]  # fmt: skip
    columns, lines = (np.floor(place).astype(int) for place in places)
    known = np.ix_(*(
        np.flatnonzero((index >= 0) & (index < limit))
        for index, limit in ((lines, found.probability.shape[1]), (columns, found.probability.shape[2]))
    ))  # fmt: skip
    for number in range(len(found.phrases)):
        shown = np.zeros(picture.shape[:2], np.bool_)
        shown[known] = found.probability[number][lines[known[0]], columns[known[1]]] >= cut
        edge = shown & ~ndimage.binary_erosion(shown)
        colour = np.array(_COLOURS[number % len(_COLOURS)])
        picture[shown] = (0.7 * picture[shown] + 0.3 * colour).astype(np.uint8)
        picture[edge] = colour
    stream = BytesIO()
    Image.fromarray(picture).save(stream, format="PNG")
    write_atomically(target, stream.getvalue())
    return target


def _binning(size: npt.NDArray[np.float64]) -> int:
    """The power of two by which a map of so many pixels (x, y) is made coarser to stay within the limit."""
    return 1 << max(0, math.ceil(math.log2(max(1.0, float(np.prod(size)) / MOST_PIXELS)) / 2))


def _binned(values: Tensor, factor: int) -> Tensor:
    """[P, Y, X] to means of squares of so many pixels."""
    return values if factor == 1 else torch.as_tensor(functional.avg_pool2d(values, factor, ceil_mode=True))

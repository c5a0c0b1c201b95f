"""Maps of what sentences mean in a large picture, from a model of whole pictures: similarities of sliding windows.

As the authors of semantic localisation make them (Yuan et al., IEEE TGRS 2022, arXiv:2209.06515; `predict/
generate_selo.py` of their repository): squares of several sizes, each size laid from the corner and once more from half
a square on, the last of a row moved back to the edge; a pixel has the mean of all squares that hold it; the map is
stretched to 0 to 1, cut to 256 levels and smoothed by a median. They go through a JPEG before they judge a map, and
scale windows to 256 pixels for their models; here nothing is lost, and the model's own preset scales.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from voxtile.corpus.shards.codecs import decode_picture
from voxtile.data.presets.base import PlacingPreset, SampleSource
from voxtile.errors import EvaluationError, PresetError
from voxtile.evaluation.kinds.referring.task import WindowSizes
from voxtile.models.protocol import EvaluationModel

Map = npt.NDArray[np.float32]
Levels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class _Part:
    """A part of a picture as presets see a sample."""

    meta: Mapping[str, Any]
    values: npt.NDArray[Any]

    def array(self, selection: tuple[slice, ...] | None = None) -> npt.NDArray[Any]:
        return self.values[selection or ()]

    def encoded(self) -> bytes:
        raise PresetError("a window of a picture is no file; use a preset that reads arrays, such as ImagePreset")


def squares(shape: tuple[int, int], side: int) -> list[tuple[slice, slice]]:
    """The windows of one size over a picture (rows, columns), each once; cut where the picture is smaller."""
    found: dict[tuple[int, int], None] = {}
    for first in (0, side - side // 2):
        rows, columns = ({max(0, min(at, n - side)) for at in range(first, n, side)} for n in shape)
        found |= dict.fromkeys(product(sorted(rows), sorted(columns)))
    height, width = (min(side, n) for n in shape)
    return [(slice(y, y + height), slice(x, x + width)) for y, x in found]


def window_maps(
    model: EvaluationModel, source: SampleSource, texts: Sequence[Sequence[str]], sizes: WindowSizes, batch_size: int
) -> Map:
    """[P, Y, X] in 0 to 1: where a picture is like each of P sentences, each put in one or more wordings.

    A map whose windows are all alike is 0 everywhere.

    Raises:
        EvaluationError: the model's preset does not scale what it is shown, and would see the middle of a window alone.
    """
    if not isinstance(model.preset, PlacingPreset):
        raise EvaluationError(
            f"windows of several sizes need a preset that scales pictures, such as ImagePreset; model '{model.name}' "
            f"has {type(model.preset).__name__}"
        )
    values, axes = _values(source)
    shape = (values.shape[axes.index("Y")], values.shape[axes.index("X")])
    wordings = model.encode_texts([text for wording in texts for text in wording])
    total, count = np.zeros((len(texts), *shape), np.float32), np.zeros(shape, np.float32)
    all_of_them = [window for side in sizes.sides for window in squares(shape, side)]
    for start in range(0, len(all_of_them), batch_size):
        windows = all_of_them[start : start + batch_size]
        images = torch.stack([model.preset(part, None) for part in _parts(source, values, axes, windows)])
        alike_all = model.encode_images(images) @ wordings.T
        by_sentence = torch.split(alike_all, [len(wording) for wording in texts], dim=1)
        alike = torch.stack([part.mean(1) for part in by_sentence], 1)
        for window, answers in zip(windows, alike.numpy(), strict=True):
            total[:, *window] += answers[:, None, None]
            count[window] += 1
    total /= count
    for number, one in enumerate(total):
        total[number] = median_filter(_stretched(one), sizes.median) / np.float32(255)
    return total


def median_filter(levels: Levels, side: int) -> Levels:
    """The median of a box of an odd side round each pixel [Y, X]; the edge is repeated beyond itself.

    A median is at least a level where most pixels of the box are: a running sum for each level, whatever the side.
    """
    if side == 1:
        return levels
    padded, result = np.pad(levels, side // 2, "edge"), np.full_like(levels, levels.min())
    for level in np.unique(levels)[1:]:
        np.putmask(result, _box_sums(padded >= level, side) > side * side // 2, level)
    return result


def _box_sums(mask: npt.NDArray[np.bool_], side: int) -> npt.NDArray[Any]:
    """How many pixels of each box are set, where a whole box fits.

    Running sums wrap round, which their differences do not tell: the type need only hold what is in a box.
    """
    kind = np.uint16 if side * side < 1 << 16 else np.uint32
    rows = _differences(np.cumsum(mask, axis=0, dtype=kind), side)
    return _differences(np.cumsum(rows, axis=1, dtype=kind).T, side).T


def _differences(running: npt.NDArray[Any], side: int) -> npt.NDArray[Any]:
    """Sums of `side` elements along the first axis from running ones."""
    sums = running[side - 1 :].copy()
    sums[1:] -= running[:-side]
    return sums


def _stretched(similarity: Map) -> Levels:
    low, high = similarity.min(), similarity.max()
    if high <= low:
        return np.zeros(similarity.shape, np.uint8)
    levels: Levels = (255 * ((similarity - low) / (high - low))).astype(np.uint8)
    return levels


def _values(source: SampleSource) -> tuple[npt.NDArray[Any], str]:
    if source.meta.get("codec") not in ("jpg", "png"):
        return source.array(), str(source.meta["axes"])
    values = decode_picture(source.encoded())
    return values, "YXC"[: values.ndim]


def _parts(
    source: SampleSource, values: npt.NDArray[Any], axes: str, windows: Sequence[tuple[slice, slice]]
) -> Iterator[_Part]:
    for rows, columns in windows:
        part = values[tuple({"Y": rows, "X": columns}.get(axis, slice(None)) for axis in axes)]
        yield _Part({**source.meta, "codec": "b2nd", "axes": axes, "shape": list(part.shape)}, part)

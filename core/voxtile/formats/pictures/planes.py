"""One plane of a volume as a picture: only the chunks that it touches are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from voxtile.corpus.reader import Corpus
from voxtile.corpus.source import StoredSample
from voxtile.errors import ConfigError
from voxtile.formats.display import Window, windows_of
from voxtile.formats.pictures.values import axes_of, box, physical, size_along

PlaneName = Literal["axial", "coronal", "sagittal"]
# The axis that is cut across, and those that become rows and columns. Arrays run right, front and up (RAS+), and are
# shown as radiologists hang them: front at the top, the patient's right on the left.
_CUTS: Mapping[str, tuple[str, str, str]] = {
    "axial": ("Z", "Y", "X"),
    "coronal": ("Y", "Z", "X"),
    "sagittal": ("X", "Z", "Y"),
}
_TINT = 0.3  # how strongly a mask colours what it covers


@dataclass(frozen=True)
class PlaneStack:
    """The planes of a volume in one direction.

    Attributes:
        name: of the direction.
        count: planes.
        width_mm, height_mm: of a plane.
    """

    name: str
    count: int
    width_mm: float
    height_mm: float


def is_volume(meta: Mapping[str, Any]) -> bool:
    """Whether it has planes."""
    return all(axis in axes_of(meta) for axis in "ZYX")


def cut_of(name: PlaneName) -> tuple[str, str, str]:
    """The axis that planes of a direction cut across, and those that become their rows and columns."""
    return _CUTS[name]


def plane_stacks(meta: Mapping[str, Any]) -> list[PlaneStack]:
    """The three directions of a volume.

    Raises:
        ConfigError: the sample is no volume.
    """
    _require_volume(meta)
    spacing = dict(zip("ZYX", meta.get("spacing") or (1.0, 1.0, 1.0), strict=False))
    return [
        PlaneStack(name, size_along(meta, cut), spacing[x] * size_along(meta, x), spacing[y] * size_along(meta, y))
        for name, (cut, y, x) in _CUTS.items()
    ]


def volume_windows(source: StoredSample) -> list[Window]:
    """Windows of a volume; where its units have none, by the values of its middle plane."""
    meta = source.meta
    _require_volume(meta)
    middle = physical(meta, source.array(box(meta, **_first(meta), Z=size_along(meta, "Z") // 2)))
    return windows_of(meta.get("units"), middle[np.isfinite(middle)])


def window_of(source: StoredSample, number: int) -> Window:
    """One of the windows of a volume, counted from 0.

    Raises:
        ConfigError: there is none of this number.
    """
    known = volume_windows(source)
    if number >= len(known):
        raise ConfigError(f"this sample has {len(known)} windows, counted from 0")
    return known[number]


def plane(source: StoredSample, name: PlaneName, index: int, window: Window, channel: int = 0) -> npt.NDArray[np.uint8]:
    """[rows, columns] grey levels of a plane, as it hangs.

    Raises:
        ConfigError: the sample is no volume, or has no such plane.
        CorpusError: it cannot be read.
    """
    meta = source.meta
    _require_volume(meta)
    cut, rows, columns = _CUTS[name]
    chosen = _first(meta) | ({"C": channel} if "C" in axes_of(meta) else {})
    stored = source.array(box(meta, **chosen, **{cut: index}))
    values = physical(meta, stored.reshape(size_along(meta, rows), size_along(meta, columns)), channel)
    return window.grey(np.nan_to_num(values, nan=window.low))[::-1, ::-1]


def hung(values: npt.NDArray[Any], name: PlaneName, index: int) -> npt.NDArray[Any]:
    """[rows, columns] of a plane of an array [Z, Y, X], as it hangs.

    Raises:
        ConfigError: there is no such plane.
    """
    cut = "ZYX".index(_CUTS[name][0])
    if not 0 <= index < values.shape[cut]:
        raise ConfigError(f"there is no {name} plane {index}; planes are 0 to {values.shape[cut] - 1}")
    return np.asarray(np.take(values, index, axis=cut)[::-1, ::-1])


def tinted(
    grey: npt.NDArray[np.uint8],
    corpus: Corpus,
    meta: Mapping[str, Any],
    regions: Sequence[Mapping[str, Any]],
    colours: Sequence[tuple[int, int, int]],
    name: PlaneName,
    index: int,
) -> npt.NDArray[np.uint8]:
    """[rows, columns, 3]: a plane with the masks of regions over it, of which this plane alone is read."""
    out = np.repeat(grey[..., None], 3, axis=2).astype(np.float32)
    cut = "ZYX".index(_CUTS[name][0])
    for region, colour in zip(regions, colours, strict=True):
        stored = corpus.stored_mask(region)
        if stored is None or len(stored.shape) != 3:
            continue
        full = [size_along(meta, axis) for axis in "ZYX"]
        at = index * stored.shape[cut] // full[cut]  # a mask may have a coarser grid
        part = tuple(slice(at, at + 1) if axis == cut else slice(None) for axis in range(3))
        mask = stored[part].squeeze(cut) > 0
        for axis, (size, wanted) in enumerate(zip(mask.shape, grey.shape, strict=True)):
            if size != wanted:
                mask = np.take(mask, np.arange(wanted) * size // wanted, axis=axis)
        shown = mask[::-1, ::-1]
        out[shown] += _TINT * (np.array(colour, np.float32) - out[shown])
    return out.astype(np.uint8)


def _first(meta: Mapping[str, Any]) -> dict[str, int | slice]:
    """The first place of all axes but the three of space."""
    return {axis: 0 for axis in axes_of(meta) if axis not in "ZYX"}


def _require_volume(meta: Mapping[str, Any]) -> None:
    if not is_volume(meta):
        raise ConfigError("this sample is no volume; it has no planes")

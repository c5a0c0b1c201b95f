"""Values of a box of a stored sample in its units, whatever its axes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtile.corpus.source import StoredSample
from voxtile.errors import ConfigError
from voxtile.formats.geometry import channel_nodata, channel_scaling

Floats = npt.NDArray[np.float32]
_LEADING = "TC"  # axes of which one place is shown at a time


def axes_of(meta: Mapping[str, Any]) -> str:
    """Names of the axes of the stored array, e.g. ZYX; of a picture that says none, YX or YXC."""
    said = str(meta.get("axes") or "")
    return said or {2: "YX", 3: "YXC"}.get(len(meta.get("shape") or ()), "")


def size_along(meta: Mapping[str, Any], axis: str) -> int:
    """Places along an axis; 1 where the sample has none of this name."""
    axes = axes_of(meta)
    return int(meta["shape"][axes.index(axis)]) if axis in axes else 1


def box(meta: Mapping[str, Any], **chosen: int | slice) -> tuple[slice, ...]:
    """Slices of the stored array.

    Args:
        meta: row of the sample.
        chosen: by the axis's name, a place or a slice; axes that are not named are read whole.

    Raises:
        ConfigError: a place lies outside.
    """
    parts = []
    for axis, size in zip(axes_of(meta), meta["shape"], strict=True):
        part = chosen.get(axis, slice(None))
        if isinstance(part, int):
            if not 0 <= part < size:
                raise ConfigError(f"there is no place {part} along {axis}; places are 0 to {size - 1}")
            part = slice(part, part + 1)
        parts.append(part)
    return tuple(parts)


def physical(meta: Mapping[str, Any], stored: npt.NDArray[Any], channel: int = 0) -> Floats:
    """Stored values of one channel in the sample's units; NaN where there is no value, complex ones by magnitude."""
    scale, offset = channel_scaling(meta, channel)
    raw = np.abs(stored) if np.iscomplexobj(stored) else stored
    values = raw.astype(np.float32) * np.float32(scale) + np.float32(offset)
    empty = channel_nodata(meta, channel)
    if empty is not None:
        values[stored == empty] = np.nan
    return values


def channel_plane(source: StoredSample, channel: int) -> Floats:
    """[Y, X] of one channel of a flat sample, in its units.

    Raises:
        CorpusError: the sample cannot be read.
        ConfigError: there is no such channel.
    """
    return channel_part(source, channel, slice(0, size_along(source.meta, "Y")), slice(0, size_along(source.meta, "X")))


def channel_part(source: StoredSample, channel: int, rows: slice, columns: slice) -> Floats:
    """[rows, columns] of one channel of a flat sample, in its units; only the chunks that they touch are read.

    Raises:
        CorpusError: the sample cannot be read.
        ConfigError: there is no such channel.
    """
    meta = source.meta
    chosen: dict[str, int | slice] = {axis: 0 for axis in _LEADING if axis in axes_of(meta)}
    if "C" in axes_of(meta):
        chosen["C"] = channel
    stored = source.array(box(meta, **chosen, Y=rows, X=columns))
    return physical(meta, stored.reshape(rows.stop - rows.start, columns.stop - columns.start), channel)

"""One sample at the resolution that a preset asks for, so that the preset has nothing left to resample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtile.corpus.source import StoredSample
from voxtile.errors import PresetError


@dataclass(frozen=True)
class Derived:
    """A smaller version of a sample.

    Attributes:
        payload: array in the sample's own type and scaling, or JPEG or PNG bytes.
        columns: columns of its row that change: spacing, affine, …
        size: spatial shape of the result.
        origin: lower edge of the result in the source's pixels, per spatial axis in array order.
        ratio: size of a result's pixel in the source's pixels, per spatial axis in array order.
    """

    payload: npt.NDArray[Any] | bytes
    columns: Mapping[str, Any]
    size: tuple[int, ...]
    origin: tuple[float, ...]
    ratio: tuple[float, ...]


@singledispatch
def derive(preset: object, source: StoredSample) -> Derived:
    """Bring a sample to a preset's resolution.

    A plugin registers its own preset classes: `@derive.register`.

    Args:
        preset: decides.
        source: a sample that `preset.check` accepts.

    Raises:
        PresetError: the preset's class has no rule.
        CorpusError: the sample cannot be read.
    """
    del source
    raise _without_rule(preset)


def require_rule(preset: object) -> None:
    """Check that samples can be stored for a preset, before any is read, once all rules are registered.

    Raises:
        PresetError: the preset's class has no rule.
    """
    if derive.dispatch(type(preset)) is derive.dispatch(object):
        raise _without_rule(preset)


def _without_rule(preset: object) -> PresetError:
    return PresetError(
        f"the preset {type(preset).__name__} says nothing about stored resolutions, so that nothing can be "
        "materialized for it; train on the corpus as it is, or register a rule for it with "
        "voxtile.stages.materialize.derive"
    )


def move_box(box: list[float], derived: Derived) -> list[float] | None:
    """A region's box in the pixels of the result.

    Args:
        box: min corner, then max corner, in the source's pixel-edge coordinates and array order.
        derived: where the result lies in the source.

    Returns:
        The box cut to the result, or None where it lies outside.
    """
    axes = len(derived.origin)
    if len(box) != 2 * axes:
        return None
    edges = (np.asarray(box).reshape(2, axes) - derived.origin) / derived.ratio
    cut = np.clip(edges, 0, derived.size)
    moved: list[float] = cut.ravel().tolist()
    return moved if bool((cut[1] > cut[0]).all()) else None


def to_type(values: npt.NDArray[np.float32], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Interpolated values in the stored type again: rounded and cut to its range where it holds integers."""
    if dtype.kind not in "iu":
        return values.astype(dtype)
    info = np.iinfo(dtype)
    return np.clip(np.rint(values.astype(np.float64)), info.min, info.max).astype(dtype)

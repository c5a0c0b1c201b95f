"""Masks and boxes of regions on a model's grid: the image's own preset places them, so that both always line up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from voxtile.corpus.reader import Corpus
from voxtile.data.presets.base import Preset
from voxtile.errors import ConfigError, CorpusError

Booleans = npt.NDArray[np.bool_]

NODATA = "-nodata"  # ends the ids of regions that the converter of tiles makes of pixels without a measurement


@runtime_checkable
class MaskingPreset(Protocol):
    """A preset that places masks as it places images."""

    @property
    def of_masks(self) -> Preset:
        """The same geometry for a mask (`kind` mask, values 0 and 1): with equal randomness, an equal place."""


@runtime_checkable
class StudyMaskingPreset(Protocol):
    """One that reads studies: masks of any of a study's samples lie on the study's grid."""

    def mask_metas(self, study: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Mapping[str, Any]]:
        """Metadata of a study's samples as `of_masks` reads them, by uid."""


@dataclass(frozen=True)
class MaskSource:
    """A mask as presets read samples.

    Attributes:
        meta: of its sample, with the mask's own shape and type.
        mask: over the sample's spatial axes.
    """

    meta: Mapping[str, Any]
    mask: Booleans

    def array(self, selection: tuple[slice, ...] | None = None) -> npt.NDArray[np.uint8]:
        """The mask or a part of it over the sample's spatial axes, [Z, Y, X] or [Y, X]: 0 and 1."""
        part: npt.NDArray[np.uint8] = (self.mask if selection is None else self.mask[selection]).astype(np.uint8)
        return part

    def encoded(self) -> bytes:
        """Masks are arrays.

        Raises:
            CorpusError: always.
        """
        raise CorpusError("a mask is no encoded picture")


def masking(preset: Preset) -> Preset:
    """The preset of masks that goes with a preset of images.

    Raises:
        ConfigError: this kind of preset cannot place masks.
    """
    if not isinstance(preset, MaskingPreset):
        raise ConfigError(
            f"data.regions: the preset {type(preset).__name__} cannot place masks; use VolumePreset, StudyPreset, "
            "TilePreset or ImagePreset, or remove data.regions"
        )
    return preset.of_masks


def mask_metas(preset: Preset, item: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Mapping[str, Any]]:
    """Metadata of an item's samples by uid, as the preset of its masks reads them."""
    return preset.mask_metas(item) if isinstance(preset, StudyMaskingPreset) else item


def placed_mask(
    corpus: Corpus,
    rows: Sequence[Mapping[str, Any]],
    metas: Mapping[str, Mapping[str, Any]],
    place: Callable[[MaskSource], Tensor],
) -> Tensor:
    """All targets of one phrase in an item, placed by a preset.

    Args:
        corpus: where masks are.
        rows: regions of the item's samples.
        metas: of the item's samples by uid, from `mask_metas`.
        place: the preset, or a part of it.

    Returns:
        As `place` gives it; where two masks of samples meet, the larger value.

    Raises:
        CorpusError: as `joined_mask`.
    """
    by_sample: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_sample.setdefault(row["uid"], []).append(row)
    masks = [place(joined_mask(corpus, own, metas[uid])) for uid, own in by_sample.items()]
    return torch.stack(masks).amax(0) if len(masks) > 1 else masks[0]


def spatial_shape(meta: Mapping[str, Any]) -> tuple[int, ...]:
    """Sizes along the spatial axes of a sample, in array order."""
    axes = meta.get("axes") or "ZYX"[-len(meta["shape"]) :]
    return tuple(int(n) for n, axis in zip(meta["shape"], axes, strict=True) if axis in "ZYX")


def joined_mask(corpus: Corpus, rows: Sequence[Mapping[str, Any]], meta: Mapping[str, Any]) -> MaskSource:
    """All targets of one phrase as one mask over the sample's own grid; boxes are filled.

    Raises:
        CorpusError: a mask of another grid than its sample's, or a region without mask and box.
    """
    shape = spatial_shape(meta)
    joined = np.zeros(shape, np.bool_)
    for row in rows:
        mask = corpus.mask(row)
        joined |= _filled_box(row, shape) if mask is None else _checked(mask, shape, row)
    own = {"axes": "ZYX"[-len(shape) :], "shape": list(shape), "dtype": "uint8", "codec": "b2nd"}
    return MaskSource({**meta, **own, "channels": [{"name": "mask"}], "units": None, "attributes": None}, joined)


def nodata_regions(corpus: Corpus) -> dict[str, dict[str, Any]]:
    """By uid, the region of pixels that hold no image: beyond the scene's edge, which a tile may reach, or nodata."""
    rows = corpus.table("regions", with_root=True).to_pylist()
    return {row["uid"]: row for row in rows if row["phrase"] is None and row["region_id"].endswith(NODATA)}


def soft(image: Tensor) -> Tensor:
    """[1, *G] of a mask preset to [*G] bytes, 255 where the mask covers all of a voxel."""
    return (image[0].clamp(0, 1) * 255).round().to(torch.uint8)


def _checked(mask: npt.NDArray[Any], shape: tuple[int, ...], row: Mapping[str, Any]) -> Booleans:
    if mask.shape != shape:
        raise CorpusError(
            f"the mask of region {row['region_id']} has the shape {mask.shape}, but its sample has {shape}; "
            "attach it again, resampled onto its sample"
        )
    return np.asarray(mask, np.bool_)


def _filled_box(row: Mapping[str, Any], shape: tuple[int, ...]) -> Booleans:
    box = row.get("box")
    if not box or len(box) != 2 * len(shape):
        raise CorpusError(f"region {row['region_id']} has neither a mask nor a box of {len(shape)} axes")
    low, high = np.asarray(box[: len(shape)], float), np.asarray(box[len(shape) :], float)
    if (high <= 0).any() or (low >= np.asarray(shape)).any():
        raise CorpusError(f"region {row['region_id']} lies outside its sample")
    if row.get("angle") and len(shape) == 2:
        return _turned_box(low, high, float(row["angle"]), shape)
    filled = np.zeros(shape, np.bool_)
    # A voxel counts where its centre is inside; a box thinner than a voxel takes the one that it lies in.
    first = np.clip(np.ceil(low - 0.5), 0, np.asarray(shape) - 1).astype(int)
    stop = np.maximum(np.ceil(high - 0.5).astype(int), first + 1)
    filled[tuple(slice(a, b) for a, b in zip(first, stop, strict=True))] = True
    return filled


def _turned_box(
    low: npt.NDArray[np.float64], high: npt.NDArray[np.float64], angle: float, shape: tuple[int, ...]
) -> Booleans:
    """Pixels whose centres are in a box turned about its own centre, degrees counter-clockwise as people see it."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    y, x = y + 0.5 - (low[0] + high[0]) / 2, x + 0.5 - (low[1] + high[1]) / 2
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    along, across = x * cos - y * sin, x * sin + y * cos  # y points down
    inside: Booleans = (np.abs(along) < (high[1] - low[1]) / 2) & (np.abs(across) < (high[0] - low[0]) / 2)
    return inside

"""A volume as NIfTI-1, sent slab by slab: a slab is all that is held."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtile.corpus.reader import Corpus
from voxtile.corpus.source import StoredSample
from voxtile.errors import ConfigError
from voxtile.formats.geometry import channel_scaling, spacing_affine, volume_affine
from voxtile.formats.optional import require
from voxtile.formats.pictures.planes import is_volume
from voxtile.formats.pictures.values import axes_of, box, size_along

_SLAB = 32  # planes; as many as a stored chunk has, so that none is decompressed twice
_HEADER = 352  # bytes: the header, and four that say that no extension follows
_SCANNER = 1  # NIfTI-1 sform_code
_MOST_LABELS = 255


def volume_stream(source: StoredSample) -> tuple[int, Iterator[bytes]]:
    """Length in bytes, and the file in pieces; the first slab is read at once, so that damage is met before an answer.

    Raises:
        ConfigError: the sample is no volume, or of a kind of numbers that NIfTI has not.
        CorpusError: it cannot be read.
        MissingExtraError: nibabel is not installed.
    """
    meta = source.meta
    kind = np.dtype(str(meta["dtype"]))
    if not is_volume(meta) or kind.kind not in "iuf":
        raise ConfigError("this sample is no volume of real numbers; it has no NIfTI form")
    kind = np.dtype(np.float32) if kind == np.float16 else kind
    header = _header(meta, kind, *channel_scaling(meta))
    first: dict[str, int | slice] = {axis: 0 for axis in axes_of(meta) if axis not in "ZYX"}

    def slab(start: int) -> bytes:
        values = source.array(box(meta, **first, Z=slice(start, start + _SLAB)))
        return np.ascontiguousarray(values).astype(kind.newbyteorder("<"), copy=False).tobytes()

    begun = header + slab(0)
    rest = (slab(start) for start in range(_SLAB, size_along(meta, "Z"), _SLAB))
    return _HEADER + kind.itemsize * _voxels(meta), chain([begun], rest)


def label_stream(
    corpus: Corpus, meta: Mapping[str, Any], regions: Sequence[Mapping[str, Any]]
) -> tuple[int, Iterator[bytes]]:
    """Length, and the masks of regions as labels 1, 2, … on the volume's grid; where masks overlap, the last counts.

    Raises:
        ConfigError: the sample is no volume.
        MissingExtraError: nibabel is not installed.
    """
    if not is_volume(meta):
        raise ConfigError("this sample is no volume; it has no NIfTI form")
    header = _header(meta, np.dtype(np.uint8), 1.0, 0.0)
    masks = [corpus.stored_mask(region) for region in regions[:_MOST_LABELS]]
    grid = [size_along(meta, axis) for axis in "ZYX"]

    def pieces() -> Iterator[bytes]:
        yield header
        for start in range(0, grid[0], _SLAB):
            places = np.arange(start, min(start + _SLAB, grid[0]))
            labels = np.zeros((len(places), *grid[1:]), np.uint8)
            for number, mask in enumerate(masks, start=1):
                if mask is not None and len(mask.shape) == 3:
                    labels[_slab(mask, places, grid)] = number
            yield labels.tobytes()

    return _HEADER + _voxels(meta), pieces()


def map_stream(meta: Mapping[str, Any], levels: npt.NDArray[np.uint8], steps: int) -> tuple[int, Iterator[bytes]]:
    """Length, and a map on the volume's grid.

    Args:
        meta: row of the volume.
        levels: [Z, Y, X], whole numbers.
        steps: how many of them make 1.

    Raises:
        ConfigError: the sample is no volume.
        MissingExtraError: nibabel is not installed.
    """
    if not is_volume(meta):
        raise ConfigError("this sample is no volume; it has no NIfTI form")
    header = _header(meta, np.dtype(np.uint8), 1 / steps, 0.0)
    slabs = (levels[start : start + _SLAB].tobytes() for start in range(0, len(levels), _SLAB))
    return _HEADER + levels.size, chain([header], slabs)


def _slab(mask: Any, places: npt.NDArray[np.int64], grid: Sequence[int]) -> npt.NDArray[np.bool_]:  # noqa: ANN401
    """Planes of a mask on the volume's grid; one on a coarser grid is enlarged."""
    rows = places * mask.shape[0] // grid[0]
    found = mask[slice(int(rows[0]), int(rows[-1]) + 1)] > 0
    found = found[rows - rows[0]]
    for axis in (1, 2):
        if found.shape[axis] != grid[axis]:
            found = np.take(found, np.arange(grid[axis]) * found.shape[axis] // grid[axis], axis=axis)
    return np.asarray(found, np.bool_)


def _voxels(meta: Mapping[str, Any]) -> int:
    return size_along(meta, "Z") * size_along(meta, "Y") * size_along(meta, "X")


def _header(meta: Mapping[str, Any], kind: np.dtype[Any], scale: float, offset: float) -> bytes:
    nib = require("nibabel", "medical")
    affine = volume_affine(meta)
    header = nib.Nifti1Header(endianness="<")
    header.set_data_dtype(kind)
    header.set_data_shape([size_along(meta, axis) for axis in "XYZ"])
    placed = spacing_affine(meta) if affine is None else affine
    header.set_zooms(np.linalg.norm(np.asarray(placed)[:3, :3], axis=0))
    header.set_sform(placed, _SCANNER)
    header.set_xyzt_units("mm")
    header.set_slope_inter(scale, offset)
    header["vox_offset"], header["magic"] = _HEADER, b"n+1"
    return bytes(header.binaryblock) + bytes(4)

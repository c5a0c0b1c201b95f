"""Masks as run lengths, which fit into a column of a table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from voxtile.data.regions.masks import Booleans


def runs_of(mask: Booleans) -> list[int]:
    """Lengths of the runs of equal voxels in the order of the array, the first of voxels that are off.

    As COCO's run lengths, but with the last axis running fastest.

    Args:
        mask: [*H].

    Examples:
        >>> import numpy as np
        >>> runs_of(np.array([[False, True], [True, False]]))
        [1, 2, 1]
        >>> runs_of(np.array([True]))
        [0, 1]
    """
    flat = np.concatenate([[False], mask.ravel()])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    return [int(length) for length in np.diff(np.concatenate([[0], changes, [mask.size]]))]


def mask_of_runs(runs: Sequence[int], shape: Sequence[int]) -> Booleans:
    """[*H] the mask of `runs_of`.

    Args:
        runs: lengths.
        shape: of the mask.

    Raises:
        ValueError: they are not of a mask of this shape.

    Examples:
        >>> mask_of_runs([1, 2, 1], (2, 2)).tolist()
        [[False, True], [True, False]]
    """
    lengths = np.asarray(runs, np.int64)
    size = int(np.prod(shape))
    if lengths.ndim != 1 or (lengths < 0).any() or int(lengths.sum()) != size:
        raise ValueError(f"run lengths of {int(lengths.sum())} voxels are no mask of {size}")
    values = np.arange(len(lengths)) % 2 == 1
    mask: Booleans = np.repeat(values, lengths).reshape(tuple(shape))
    return mask

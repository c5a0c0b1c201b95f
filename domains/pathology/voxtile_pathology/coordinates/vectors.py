"""Vectors that other tools made of the patches of a slide: `.h5` of TRIDENT and CLAM, `.pt` of both; never trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtile.errors import required
from voxtile_pathology.coordinates.layout import CoordinatesError

FEATURES = "features"
SUFFIXES = (".h5", ".pt")
_WIDEST = 1 << 16  # numbers a vector; the largest of published models have some thousands
_LARGEST = 16 << 30  # bytes of a slide's vectors


def read_vectors(path: Path) -> npt.NDArray[np.floating[Any]]:
    """[N, D] vectors of the patches of a slide, row by row as the tool read them.

    Args:
        path: `.h5` with the dataset `features`, or `.pt` with a tensor.

    Raises:
        CoordinatesError: the file cannot be read, or holds no vector a patch.
    """
    return _of_tensor(path) if path.suffix.lower() == ".pt" else _of_h5(path)


def _of_h5(path: Path) -> npt.NDArray[np.floating[Any]]:
    with required("h5py", "pathology"):
        import h5py
    try:
        with h5py.File(path, "r") as file:
            link = file.get(FEATURES, getlink=True)
            dataset = file[FEATURES] if isinstance(link, h5py.HardLink) else None
            if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual:
                raise CoordinatesError(
                    f"'{path}' has no dataset '{FEATURES}' of its own; give the folder of the vectors, such as "
                    "features_uni_v1 of TRIDENT or h5_files of CLAM"
                )
            _check(path, dataset.shape, dataset.dtype.kind, dataset.dtype.itemsize)
            return _rows(np.asarray(dataset[...]))
    except CoordinatesError:
        raise
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        raise CoordinatesError(
            f"'{path}' is not a readable HDF5 file ({error}); give the .h5 that TRIDENT or CLAM wrote for a slide"
        ) from error


def _of_tensor(path: Path) -> npt.NDArray[np.floating[Any]]:
    import torch  # late: files of HDF5 are read without it

    from voxtile.models.hub.safe_loading import load_tensors

    tensor = load_tensors(path, "the file of vectors", "save the tensor alone")
    if not isinstance(tensor, torch.Tensor):
        raise CoordinatesError(f"'{path}' holds a {type(tensor).__name__} and no tensor [patches, numbers]")
    _check(path, tuple(tensor.shape), "f" if tensor.is_floating_point() else "i", tensor.element_size())
    return _rows(tensor.float().numpy())


def _check(path: Path, shape: tuple[int, ...], kind: str, itemsize: int) -> None:
    rows = shape[1:] if len(shape) == 3 and shape[0] == 1 else shape
    if len(rows) != 2 or kind != "f" or rows[1] < 1:
        raise CoordinatesError(
            f"'{path}' holds {FEATURES} of shape {shape}; they are one vector a patch, [patches, numbers]: vectors of "
            "whole slides have no place in a corpus of patches"
        )
    if rows[1] > _WIDEST or rows[0] * rows[1] * itemsize > _LARGEST:
        raise CoordinatesError(f"'{path}' claims {rows[0]} vectors of {rows[1]} numbers, which no slide has")


def _rows(values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.floating[Any]]:
    return values[0] if values.ndim == 3 else values

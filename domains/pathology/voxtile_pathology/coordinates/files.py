"""Coordinate files of CLAM and TRIDENT, read without trusting them and written as the tools write them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtile.corpus.drafts import draft
from voxtile.errors import required
from voxtile_pathology.coordinates.layout import Coordinates, CoordinatesError, Layout, level0_size

MAX_PATCHES = 20_000_000  # of a slide; 100,000 × 80,000 pixels in patches of 32
DATASET = "coords"
_NAME_SUFFIXES = ("_patches", "")


def read_coordinates(path: Path) -> Coordinates:
    """Read the patches of a slide.

    Args:
        path: an `.h5` of CLAM or TRIDENT, coordinates alone or with features.

    Raises:
        CoordinatesError: the file is missing, damaged, or not a coordinates file.
        MissingExtraError: h5py is not installed.
    """
    corners, attributes = _read(path)
    layout: Layout = "trident" if "patch_size_level0" in attributes else "clam"
    patch_px, width, height = level0_size(layout, attributes, f"'{path}'")
    return Coordinates(layout, corners, patch_px, (width, height), attributes)


def read_corners(path: Path) -> npt.NDArray[np.integer[Any]]:
    """[N, 2] top left corners of the patches of a slide, also of a file that does not say how large they are.

    Raises:
        CoordinatesError: as `read_coordinates`.
    """
    return _read(path)[0]


def write_coordinates(
    path: Path,
    corners: npt.NDArray[np.integer[Any]],
    attributes: Mapping[str, Any],
    *,
    features: npt.NDArray[np.floating[Any]] | None = None,
) -> None:
    """Write the patches of a slide; a file that was read and is written back has the same values, types and attributes.

    Args:
        path: the file; its folder must exist.
        corners: [N, 2] top left corners at level 0.
        attributes: see `layout.clam_attributes` and `layout.trident_attributes`.
        features: [N, D] one vector a patch, stored as the dataset `features`.
    """
    with draft(path) as temporary:
        _fill(temporary, corners, attributes, features)
        temporary.replace(path)


def _read(path: Path) -> tuple[npt.NDArray[np.integer[Any]], dict[str, Any]]:
    """Corners and attributes of the dataset."""
    h5py = _h5py()
    try:
        with h5py.File(path, "r") as file:
            dataset = _dataset(file, h5py, path)
            corners = np.asarray(dataset[:]) if dataset.size else np.empty((0, 2), np.int64)
            attributes = {str(key): _plain(value) for key, value in dataset.attrs.items()}
    except CoordinatesError:
        raise
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        reason = "does not exist" if not path.exists() else f"is not a readable HDF5 file ({error})"
        raise CoordinatesError(f"'{path}' {reason}; give the .h5 that CLAM or TRIDENT wrote for a slide") from error
    return corners, attributes


def _fill(
    path: Path,
    corners: npt.NDArray[np.integer[Any]],
    attributes: Mapping[str, Any],
    features: npt.NDArray[np.floating[Any]] | None,
) -> None:
    with _h5py().File(path, "w", track_order=True, locking=False) as file:  # the draft holds a lock of its own
        arrays = {"features": features, DATASET: corners} if features is not None else {DATASET: corners}
        for name, array in arrays.items():
            # Both tools make datasets that grow by rows; a chunk a row, as they have it, would be slow to read.
            chunk = (max(1, min(len(array), 4096)), *array.shape[1:])
            stored = file.create_dataset(name, data=array, maxshape=(None, *array.shape[1:]), chunks=chunk)
            if name == DATASET:
                stored.attrs.update(attributes)


def find_coordinates(folder: Path, slide: Path) -> Path | None:
    """The file of a slide in a folder of CLAM (`NAME.h5`) or TRIDENT (`NAME_patches.h5`), or in its `patches`.

    A file in place of the folder is that of the slide that it is named as.
    """
    names = dict.fromkeys((slide.stem, slide.name, slide.name.split(".")[0]))
    if folder.is_file():
        return folder if folder.stem.removesuffix(_NAME_SUFFIXES[0]) in names else None
    places = (folder, folder / "patches")
    candidates = (place / f"{name}{suffix}.h5" for place in places for name in names for suffix in _NAME_SUFFIXES)
    return next((path for path in candidates if path.is_file()), None)


def _h5py() -> Any:  # noqa: ANN401
    with required("h5py", "pathology"):
        import h5py
    return h5py


def _dataset(file: Any, h5py: Any, path: Path) -> Any:  # noqa: ANN401
    link = file.get(DATASET, getlink=True)
    if link is None:
        raise CoordinatesError(f"'{path}' has no dataset '{DATASET}'; give the .h5 that CLAM or TRIDENT wrote")
    dataset = file[DATASET] if isinstance(link, h5py.HardLink) else None
    if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual:
        raise CoordinatesError(f"'{path}' keeps '{DATASET}' in another file, which is not followed; copy it in")
    shape, dtype = dataset.shape, dataset.dtype
    if dataset.size and (len(shape) != 2 or shape[1] != 2 or dtype.kind not in "iu"):  # of no patch it is (0,) floats
        raise CoordinatesError(f"'{path}' has {DATASET} of shape {shape} and type {dtype}; it needs N × 2 integers")
    if shape[0] > MAX_PATCHES:
        raise CoordinatesError(f"'{path}' claims {shape[0]} patches; a slide has at most {MAX_PATCHES}")
    return dataset


def _plain(value: Any) -> Any:  # noqa: ANN401
    """Bytes as text; numbers and arrays stay as HDF5 has them, so that they are written back with their type."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value

"""A tiny labelled picture set in MedMNIST's format, whose label a small network can learn in seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt


def write_xrays(path: Path, *, train: int = 160, val: int = 48, test: int = 48, seed: int = 0) -> Path:
    """Write an npz like PneumoniaMNIST's: noise, and a bright blob in the left or right half where the label is 1.

    Args:
        path: folder in which `pneumoniamnist.npz` is made.
        train: pictures of the training split; likewise `val` and `test`.
        val: see `train`.
        test: see `train`.
        seed: of the pictures.

    Returns:
        The file.
    """
    rng = np.random.default_rng(seed)
    arrays: dict[str, npt.NDArray[np.uint8]] = {}
    for split, count in (("train", train), ("val", val), ("test", test)):
        labels = rng.integers(0, 2, (count, 1), dtype=np.uint8)
        images = rng.normal(90, 25, (count, 28, 28))
        for image, label in zip(images, labels[:, 0], strict=True):
            y, x = rng.integers(5, 18), rng.integers(3, 20)
            image[y : y + 6, x : x + 6] += 90 * label
        arrays |= {f"{split}_images": images.clip(0, 255).astype(np.uint8), f"{split}_labels": labels}
    path.mkdir(parents=True, exist_ok=True)
    np.savez(path / "pneumoniamnist.npz", **arrays)  # type: ignore[arg-type]
    return path / "pneumoniamnist.npz"

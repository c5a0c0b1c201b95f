"""Invented scans and pictures that voxtile and the code of published models are both given; NumPy alone."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Scan:
    """A scan as a file holds it.

    Attributes:
        stored: [X, Y, Z].
        affine: [4, 4], voxel index (x, y, z, 1) to mm right, front, up.
        slope: HU a stored unit.
        intercept: HU of a stored 0.
    """

    stored: npt.NDArray[Any]
    affine: npt.NDArray[np.float64]
    slope: float = 1.0
    intercept: float = 0.0


def scans() -> Mapping[str, Scan]:
    """CT of odd sizes, spacings, orders of axes and stored types."""
    return {
        "thin": Scan(
            (_hu((61, 57, 23), 0) + 1024).astype(np.int16), _affine("LPS", (0.7031, 0.7031, 5.0)), 1.0, -1024.0
        ),
        "long": Scan(_hu((40, 44, 91), 1).astype(np.int16), _affine("RAS", (3.1, 3.1, 5.0))),
        "wide": Scan((_hu((9, 171, 150), 2) / 2).astype(np.float32), _affine("IRP", (2.5, 3.3, 3.3)), 2.0, 0.0),
        "tilted": Scan(_hu((50, 53, 31), 3).astype(np.int16), _as_header(_tilt() @ _affine("LPS", (1.37, 1.37, 3.3)))),
    }


def grey_scans() -> Mapping[str, Scan]:
    """Volumes of 8-bit pictures, as teaching files are collected; with an empty margin, and without."""
    whole = np.clip((_hu((70, 64, 19), 4) + 1000) / 8, 1, 255).astype(np.uint8)
    framed = np.zeros((90, 75, 27), np.uint8)
    framed[7:77, 5:69, 3:22] = whole
    return {
        "framed": Scan(framed, _affine("LPS", (0.9, 0.9, 4.0))),
        "whole": Scan(whole, _affine("LPS", (1.0, 1.0, 2.0))),
    }


def pictures() -> Mapping[str, npt.NDArray[np.uint8]]:
    """Pictures of odd sizes: [Y, X, 3] in colour, [Y, X] in grey."""
    return {
        "wide": _picture((301, 517), 5),
        "tall": _picture((613, 402), 6),
        "small": _picture((97, 131), 7),
        "grey": _picture((431, 389), 8)[:, :, 1].copy(),
    }


TEXTS = ("pleural effusion", "No pneumothorax is seen.", "an aerial photograph of a farm, with two ponds")


def cube() -> npt.NDArray[np.float32]:
    """[1, 1, 48, 40, 36] values of 0 to 1, for towers that take images of any size."""
    return np.random.default_rng(11).random((1, 1, 48, 40, 36)).astype(np.float32)


WORDS = ((101, 7, 250, 33, 102, 0), (101, 12, 102, 0, 0, 0))
"""Tokens of two texts for a narrow BERT of 320 words, padded with 0."""
REPORTS = ("Lungs: clear; no effusion (2.5 cm).", "STABLE 3-mm nodule, RLL")


def volume(*shape: int) -> npt.NDArray[np.float32]:
    """[1, 1, *shape] values of -1 to 1."""
    return (2 * np.random.default_rng(13).random((1, 1, *shape)) - 1).astype(np.float32)


def filled(shapes: Mapping[str, Sequence[int]]) -> dict[str, npt.NDArray[np.float32]]:
    """Weights of a layout, the same for the same key everywhere: scales near 1, the rest small."""
    made = {}
    for key, shape in shapes.items():
        values = np.random.default_rng(zlib.crc32(key.encode())).normal(0, 0.06, shape)
        is_scale = len(shape) == 1 and key.endswith(("weight", "running_var"))
        made[key] = np.asarray(values + (1.0 if is_scale else 0.0), np.float32)
        if key == "logit_scale":
            made[key] = np.asarray(3.5, np.float32)
    return made


class InMemory:
    """A scan or picture as presets see a sample.

    Args:
        array: [Z, Y, X], [Y, X] or [Y, X, 3].
        meta: what is known of it.
    """

    def __init__(self, array: npt.NDArray[Any], meta: Mapping[str, Any]) -> None:
        self.meta, self._array = {"shape": array.shape, "dtype": str(array.dtype), **meta}, array

    def array(self, selection: tuple[slice, ...] | None = None) -> npt.NDArray[Any]:
        """Its values."""
        return self._array if selection is None else self._array[selection]

    def encoded(self) -> bytes:
        """Not a file."""
        raise NotImplementedError


def sample(given: Scan | npt.NDArray[np.uint8]) -> InMemory:
    """A scan or picture as a sample of a corpus."""
    if isinstance(given, Scan):
        channel = {"scale": given.slope, "offset": given.intercept}
        meta = {"kind": "volume", "modality": "CT", "units": "HU", "channels": [channel]}
        return InMemory(np.ascontiguousarray(given.stored.T), {**meta, "affine": given.affine.ravel().tolist()})
    return InMemory(given, {"kind": "image", "axes": "YX" if given.ndim == 2 else "YXC"})


def _hu(shape: tuple[int, int, int], seed: int) -> npt.NDArray[np.float64]:
    """Rounded Hounsfield units with structure at several scales, from -1,400 to 3,000."""
    rng = np.random.default_rng(seed)
    x, y, z = np.meshgrid(*(np.linspace(0, 1, n) for n in shape), indexing="ij")
    waves = 700 * np.sin(9 * x + 2 * z) * np.cos(7 * y - 3 * z) + 500 * np.sin(11 * z * y) + 900 * (x - 0.4)
    return np.asarray(np.clip(waves + rng.normal(0, 150, shape), -1400, 3000).round())


def _picture(shape: tuple[int, int], seed: int) -> npt.NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    y, x = np.meshgrid(*(np.linspace(0, 1, n) for n in shape), indexing="ij")
    planes = [120 + 90 * np.sin(13 * x + k) * np.cos(9 * y * (k + 1)) + 60 * (x - y) for k in range(3)]
    return np.clip(np.stack(planes, -1) + rng.normal(0, 12, (*shape, 3)), 0, 255).astype(np.uint8)


def _affine(directions: str, spacing: tuple[float, float, float]) -> npt.NDArray[np.float64]:
    """Voxel axes that grow to the named directions, at sizes in mm; the origin is anywhere."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for voxel, (letter, size) in enumerate(zip(directions, spacing, strict=True)):
        world = next(i for i, pair in enumerate(("RL", "AP", "SI")) if letter in pair)
        affine[world, voxel] = size if letter in "RAS" else -size
    affine[:3, 3] = (13.7, -41.2, 88.9)
    return _as_header(affine)


def _as_header(affine: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """As the header of a NIfTI file holds it."""
    return affine.astype(np.float32).astype(np.float64)


def _tilt() -> npt.NDArray[np.float64]:
    """12 degrees about the axis from left to right, as a tilted gantry's resampled volume is."""
    turn, angle = np.eye(4), np.radians(12)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return turn

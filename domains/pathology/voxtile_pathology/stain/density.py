"""Optical density: light that a stain absorbs, proportional to its amount (Beer and Lambert).

Vectors are unit length in (red, green, blue) density; light is 0 to 255.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

WHITE = 255.0
# Ruifrok and Johnston, Anal Quant Cytol Histol 23:291, 2001: haematoxylin and eosin.
RUIFROK = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11]], np.float32)
RUIFROK /= np.linalg.norm(RUIFROK, axis=1, keepdims=True)
_TISSUE = 0.15  # Macenko's β: less density than this is glass


def density(pixels: Pixels) -> Floats:
    """Optical density [N, 3] of pixels [..., 3]; black is finite."""
    light = pixels.reshape(-1, 3).astype(np.float32)
    return np.asarray(-np.log((light + 1) / (WHITE + 1)), np.float32)


def light(densities: Floats) -> Floats:
    """The inverse of `density`, unrounded."""
    return np.asarray((WHITE + 1) * np.exp(-densities) - 1, np.float32)


def tissue(densities: Floats) -> npt.NDArray[np.bool_]:
    """Which pixels [N] are stained: eosin alone hardly absorbs red, so one channel is enough."""
    return np.asarray(densities.max(axis=1) > _TISSUE)


def concentrations(densities: Floats, vectors: Floats) -> Floats:
    """Amounts [N, 2] of the two stains, by least squares.

    Args:
        densities: [N, 3].
        vectors: [2, 3], haematoxylin and eosin.
    """
    return np.asarray(densities @ np.linalg.pinv(vectors), np.float32)

"""From amounts of haematoxylin and eosin to colours by Beer-Lambert's law; stain, scanner and glass differ by slide."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Amount = npt.NDArray[np.float32]
Picture = npt.NDArray[np.uint8]

# Optical densities in red, green and blue of the two stains (Ruifrok and Johnston 2001, table 1).
HAEMATOXYLIN = (0.65, 0.70, 0.29)
EOSIN = (0.07, 0.99, 0.11)
_STRENGTH = 1.7  # optical density of an amount of 1: dark nuclei come out near 60 of 255


@dataclass(frozen=True)
class Stain:
    """How one slide was stained and scanned.

    Attributes:
        vectors: [2, 3] optical densities in RGB of haematoxylin and eosin, each of length one.
        strength: factors on the amounts of haematoxylin and eosin.
        glass: RGB of the empty glass, 0 to 255.
    """

    vectors: npt.NDArray[np.float32]
    strength: tuple[float, float]
    glass: npt.NDArray[np.float32]


def draw_stain(rng: np.random.Generator) -> Stain:
    """Batches of dye, staining times and scanners differ: hue by some degrees, strength by a factor of two."""
    base = np.array([HAEMATOXYLIN, EOSIN]) + rng.normal(0, [[0.06, 0.05, 0.07], [0.07, 0.05, 0.06]])
    vectors = np.clip(base, 0.01, None)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    strength = np.exp(rng.normal(0, 0.2, 2))
    glass = rng.uniform(232, 246) + rng.normal(0, 1.5, 3)
    return Stain(
        vectors.astype(np.float32),
        (float(strength[0]), float(strength[1])),
        np.clip(glass, 225, 250).astype(np.float32),
    )


def coloured(haematoxylin: Amount, eosin: Amount, stain: Stain) -> Picture:
    """Amounts [Y, X] to RGB [Y, X, 3]."""
    out = np.empty((*haematoxylin.shape, 3), np.uint8)
    for channel in range(3):
        density = haematoxylin * np.float32(_STRENGTH * stain.strength[0] * stain.vectors[0, channel])
        density += eosin * np.float32(_STRENGTH * stain.strength[1] * stain.vectors[1, channel])
        np.negative(density, out=density)
        np.exp(density, out=density)
        density *= stain.glass[channel]
        out[..., channel] = density
    return out

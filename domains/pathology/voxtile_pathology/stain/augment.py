"""Stain augmentation: the same tissue as another laboratory would have stained it.

Amounts of haematoxylin and eosin are scaled and shifted (Tellez et al., IEEE TMI 37:2126, 2018), in the patch's own
stains or in fixed ones; or its L*a*b* statistics are moved (RandStainNA: Shen et al., MICCAI 2022).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

import numpy as np

from voxtile.errors import PresetError, required
from voxtile_pathology.stain.density import RUIFROK, WHITE, Floats, Pixels, concentrations, density, light, tissue
from voxtile_pathology.stain.estimate import macenko, reinhard, vahadane

Method: TypeAlias = Literal["none", "ruifrok", "macenko", "vahadane", "reinhard"]


@dataclass(frozen=True)
class StainAugment:
    """Random change of stain in training.

    Attributes:
        method: what is varied: fixed stains (`ruifrok`, fast), the patch's own (`macenko` or `vahadane`, slow), its
            L*a*b* statistics (`reinhard`), or nothing (`none`).
        scale: half-width of the factor around 1, of each stain's amount (or of each L*a*b* deviation).
        shift: half-width of the offset of each stain's amount in optical density where there is tissue (or of each
            L*a*b* mean, in units of 100).
        probability: of changing a patch at all.
    """

    method: Method = "none"
    scale: float = 0.2
    shift: float = 0.05
    probability: float = 1.0

    def __post_init__(self) -> None:
        if self.method not in _CHANGES and self.method != "none":
            raise PresetError(f"stain.method: '{self.method}' is not one of none, {', '.join(_CHANGES)}")
        if not 0 <= self.scale < 1 or not 0 <= self.shift <= 1 or not 0 <= self.probability <= 1:
            raise PresetError("stain: scale must be in [0, 1), shift and probability in [0, 1]")

    def __call__(self, pixels: Pixels, rng: np.random.Generator) -> Pixels:
        """A patch in another stain.

        Args:
            pixels: [Y, X, 3].
            rng: all randomness; the same draws whatever the picture holds.

        Returns:
            [Y, X, 3]; the patch itself where there is too little tissue to estimate its stains.
        """
        if self.method == "none":
            return pixels
        is_changed = rng.random() < self.probability
        draws = rng.uniform(-1, 1, 6).astype(np.float32)
        return _CHANGES[self.method](pixels, self, draws) if is_changed else pixels


def _in_stains(estimate: Callable[[Pixels], Floats | None]) -> Callable[[Pixels, StainAugment, Floats], Pixels]:
    def change(pixels: Pixels, settings: StainAugment, draws: Floats) -> Pixels:
        vectors = estimate(pixels)
        return pixels if vectors is None else _restained(pixels, vectors, settings, draws)

    return change


def _restained(pixels: Pixels, vectors: Floats, settings: StainAugment, draws: Floats) -> Pixels:
    """Scale and shift amounts; what the two stains do not explain stays, so that no change gives the same pixels."""
    densities = density(pixels)
    amounts = concentrations(densities, vectors)
    change = amounts * (settings.scale * draws[:2])
    change += tissue(densities)[:, None] * (settings.shift * draws[2:4])
    out = light(np.asarray(densities + change @ vectors, np.float32))
    return np.clip(np.rint(out), 0, WHITE).astype(np.uint8).reshape(pixels.shape)


def _in_lab(pixels: Pixels, settings: StainAugment, draws: Floats) -> Pixels:
    with required("torchstain", "pathology"):
        from torchstain.numpy.utils import lab2rgb, lab_merge, lab_split, rgb2lab
    mean = reinhard(pixels).mean
    channels = lab_split(rgb2lab(pixels.astype(np.float32) / WHITE))
    factors, offsets = 1 + settings.scale * draws[:3], 100 * settings.shift * draws[3:6]
    moved = [(c - m) * f + m + o for c, m, f, o in zip(channels, mean, factors, offsets, strict=True)]
    rgb = lab2rgb(lab_merge(*moved)) * WHITE
    return np.asarray(np.clip(np.rint(rgb), 0, WHITE), np.uint8)


def _macenko_vectors(pixels: Pixels) -> Floats | None:
    stains = macenko(pixels)
    return None if stains is None else stains.vectors


def _vahadane_vectors(pixels: Pixels) -> Floats | None:
    stains = vahadane(pixels)
    return None if stains is None else stains.vectors


_CHANGES: Mapping[str, Callable[[Pixels, StainAugment, Floats], Pixels]] = MappingProxyType(
    {
        "ruifrok": _in_stains(lambda _: RUIFROK),
        "macenko": _in_stains(_macenko_vectors),
        "vahadane": _in_stains(_vahadane_vectors),
        "reinhard": _in_lab,
    }
)

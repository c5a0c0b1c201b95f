"""Patch embeddings of ViTs in 2D and 3D, for fixed channels and for any bands, and the resizing of their filters.

Shape letters: S images, C channels, D features, *G image grid, *P patch, *N patches along each axis.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voxtile.errors import ConfigError
from voxtile.models.convolution import CONVOLUTIONS
from voxtile.models.image.wavelength import POLARISATIONS, WavelengthEmbedding, require_bands


def resize_patches(weight: Tensor, patch: Sequence[int]) -> Tensor:
    """Filters for patches of another size that answer to resized patches as the old ones did to the originals.

    The pseudo-inverse resize of FlexiViT (Beyer et al., CVPR 2023, eq. 4): of all filters ŵ the one for which
    ⟨Bx, ŵ⟩ is nearest to ⟨x, w⟩, where B resizes linearly. B is a product of one matrix an axis, and so is its
    pseudo-inverse. Where patches become larger the two are equal.

    Args:
        weight: [D, C, *P].
        patch: wanted sizes, one an axis.
    """
    for axis, (old, new) in enumerate(zip(weight.shape[2:], patch, strict=True), start=2):
        if old != new:
            inverse = np.linalg.pinv(_resize(old, new).T)  # [new, old]
            matrix = torch.tensor(inverse, dtype=weight.dtype, device=weight.device)
            weight = torch.tensordot(weight, matrix, dims=([axis], [1])).movedim(-1, axis)
    return weight


def embed_patches(images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """[S, C, *G] and filters [D, C, *P] to [S, *N, D]: a convolution without overlap, as one matrix product.

    Raises:
        ConfigError: the grid is not a multiple of the patch.
    """
    patch, axes = weight.shape[2:], weight.ndim - 2
    if any(n % p for n, p in zip(images.shape[2:], patch, strict=True)):
        raise ConfigError(
            f"an image of {_times(images.shape[2:])} cannot be cut into patches of {_times(patch)}; set the preset's "
            "grid to multiples of the patch"
        )
    split = [n for size, p in zip(images.shape[2:], patch, strict=True) for n in (size // p, p)]
    x = images.reshape(*images.shape[:2], *split)
    places, inside = [2 + 2 * a for a in range(axes)], [3 + 2 * a for a in range(axes)]
    x = x.permute(0, *places, 1, *inside).flatten(axes + 1)
    return F.linear(x, weight.flatten(1), bias)


class PatchEmbedding(nn.Module):
    """Filters for a fixed set of channels; names are timm's, so that its weights fit.

    Args:
        dimensions: 2 or 3.
        channels: C.
        features: D.
        patch: size along each axis.
    """

    def __init__(self, dimensions: int, channels: int, features: int, patch: Sequence[int]) -> None:
        super().__init__()
        self.proj = CONVOLUTIONS[dimensions](channels, features, tuple(patch), stride=tuple(patch))

    def forward(self, images: Tensor, patch: Sequence[int]) -> Tensor:
        """[S, C, *G] to [S, *N, D], with the filters resized where `patch` is not their own size."""
        return embed_patches(images, resize_patches(self.proj.weight, patch), self.proj.bias)


class BandPatchEmbedding(nn.Module):
    """Filters made from wavelengths, for any set of bands; see `WavelengthEmbedding`.

    Args:
        features: D.
        patch: size along both axes.
        wavelengths_nm: of the bands.
        polarisations: of the bands; none where left out.
        band_dropout: probability with which a band is hidden for a training step, never all.

    Raises:
        ConfigError: wavelengths or polarisations that are not, or a patch that is not square.
    """

    def __init__(
        self,
        features: int,
        patch: Sequence[int],
        wavelengths_nm: Sequence[float],
        polarisations: Sequence[str] = (),
        band_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if len(set(patch)) != 1 or len(patch) != 2:
            raise ConfigError(f"wavelengths_nm needs square patches in 2D, not {_times(patch)}")
        if not 0 <= band_dropout < 1:
            raise ConfigError(f"band_dropout: {band_dropout} is not a probability below 1")
        self.band_dropout = band_dropout
        self.filters = WavelengthEmbedding(features=features, patch=patch[0])
        with torch.no_grad():  # noise of variance 1 is then embedded with a variance near that of a convolution
            self.filters.kernels.weight.div_(patch[0])
            self.filters.kernels.bias.div_(patch[0])
        self.wavelengths_nm: Tensor
        self.polarisations: Tensor
        self.use_bands(wavelengths_nm, polarisations)

    def use_bands(self, wavelengths_nm: Sequence[float], polarisations: Sequence[str] = ()) -> None:
        """Take images of other bands from now on; see `WavelengthTower.use_bands`."""
        names = require_bands(wavelengths_nm, polarisations)
        device = self.filters.queries.device
        wavelengths = torch.tensor(wavelengths_nm, dtype=torch.float64, device=device)
        self.register_buffer("wavelengths_nm", wavelengths, persistent=False)
        places = torch.tensor([POLARISATIONS.index(name) for name in names], device=device)
        self.register_buffer("polarisations", places, persistent=False)

    def forward(self, images: Tensor, patch: Sequence[int]) -> Tensor:
        """[S, C, Y, X] to [S, Y / patch, X / patch, D]."""
        wavelengths, polarisations = self.wavelengths_nm, self.polarisations
        if self.training and self.band_dropout:
            kept = torch.rand(len(wavelengths), device=images.device) >= self.band_dropout
            kept[torch.randint(len(wavelengths), (1,), device=images.device)] = True
            images, wavelengths, polarisations = images[:, kept], wavelengths[kept], polarisations[kept]
        weight, bias = self.filters.weights(wavelengths, polarisations)
        return embed_patches(images, resize_patches(weight, patch).to(images.dtype), bias.to(images.dtype))


def _resize(old: int, new: int) -> npt.NDArray[np.float64]:
    """[new, old] linear resizing along an axis, with anti-aliasing where it becomes smaller."""
    scale = old / new
    centres = (np.arange(new) + 0.5) * scale
    distance = np.abs(np.arange(old) + 0.5 - centres[:, None])
    weights = np.clip(1 - distance / max(1.0, scale), 0, None)
    normalised: npt.NDArray[np.float64] = weights / weights.sum(1, keepdims=True)
    return normalised


def _times(sizes: Sequence[int]) -> str:
    return " × ".join(map(str, sizes))

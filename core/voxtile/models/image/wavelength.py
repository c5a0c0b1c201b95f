"""Wavelength-conditioned patch embedding: kernels are made from wavelengths, so that one model takes any set of bands.

The idea and equations 1 to 3 are those of DOFA (Xiong et al. 2024, Neural Plasticity-Inspired Multimodal Foundation
Model for Earth Observation, arXiv 2403.15356, section 3.1): a sinusoidal code of the wavelength, a residual multilayer
perceptron, a transformer layer over the bands together with learned query tokens, and linear heads that give the
kernels and the bias. Differences: the code is of log wavelength, so that radar fits beside light; polarisations have
codes of their own; kernels of 2 × 2 pixels are given as Haar coefficients, of which details are as large as means.

Shape letters: S images, C bands, D features, K kernel coefficients, E width of the code, Y and X pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voxtile.errors import ConfigError
from voxtile.models.image.wavelet import StagedTower, haar_filters

POLARISATIONS = ("", "VV", "VH", "HH", "HV")
C_BAND_NM = 5.547e7  # 5.405 GHz, Sentinel-1

_SHORTEST_NM, _LONGEST_NM = 100.0, 1e9  # ultraviolet to a metre
_DETAIL_GAIN = 4.0  # neighbouring pixels are alike: differences are several times smaller than means


def wavelength_code(wavelengths_nm: Tensor, width: int) -> Tensor:
    """Sines and cosines of log wavelength: [C] nm to [C, width].

    Frequencies are spread geometrically (Vaswani et al. 2017, section 3.5), from half a period over the whole range
    to a period of three percent in wavelength, which tells the red-edge bands of Sentinel-2 apart.
    """
    span = math.log(_LONGEST_NM / _SHORTEST_NM)
    position = torch.log(wavelengths_nm.double() / _SHORTEST_NM)
    highest = 2 * math.pi / math.log(1.03)
    frequencies = torch.logspace(
        math.log10(math.pi / span), math.log10(highest), width // 2, dtype=torch.float64, device=wavelengths_nm.device
    )
    angles = position[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], 1).float()


class WavelengthEmbedding(nn.Module):
    """Patch embedding whose weights are generated from wavelengths.

    Args:
        features: D.
        patch: kernel and stride in pixels.
        code: E, even.
        heads: attention heads over the bands.
        dropout: in the transformer layer.
    """

    def __init__(self, *, features: int, patch: int = 2, code: int = 64, heads: int = 4, dropout: float = 0.0) -> None:
        super().__init__()
        self.features, self.patch, self.code = features, patch, code
        self.refine = nn.Sequential(nn.Linear(code, code), nn.GELU(), nn.Linear(code, code))
        self.polarisation = nn.Embedding(len(POLARISATIONS), code)
        self.queries = nn.Parameter(torch.randn(1, code) * 0.02)
        self.layer = nn.TransformerEncoderLayer(
            code, heads, 2 * code, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.kernels = nn.Linear(code, features * patch * patch)
        self.bias = nn.Linear(code, features)
        nn.init.normal_(self.polarisation.weight, std=0.5)
        with torch.no_grad():
            self.polarisation.weight[0].zero_()
        self.basis: Tensor
        self.register_buffer("basis", _basis(patch), persistent=False)

    def weights(self, wavelengths_nm: Tensor, polarisations: Tensor) -> tuple[Tensor, Tensor]:
        """Kernels [D, C, patch, patch] and bias [D] for a set of bands.

        Args:
            wavelengths_nm: [C].
            polarisations: [C] int64, places in `POLARISATIONS`.
        """
        code = wavelength_code(wavelengths_nm, self.code) + self.polarisation(polarisations)
        code = code + self.refine(code)
        tokens = self.layer(torch.cat([code, self.queries]).unsqueeze(0))[0]
        bands, query = tokens[:-1] + code, tokens[-1]
        coefficients = self.kernels(bands).unflatten(1, (self.features, -1))  # [C, D, K]
        kernels = torch.einsum("cdk,kyx->dcyx", coefficients, self.basis)
        return kernels / len(bands), self.bias(query)  # a mean over bands: as large for three as for two hundred

    def forward(self, images: Tensor, wavelengths_nm: Tensor, polarisations: Tensor) -> Tensor:
        """[S, C, Y, X] to [S, D, Y / patch, X / patch]."""
        kernels, bias = self.weights(wavelengths_nm, polarisations)
        return F.conv2d(images, kernels.to(images.dtype), bias.to(images.dtype), stride=self.patch)


class GsdCondition(nn.Module):
    """Scales and shifts features by the ground sampling distance, starting at none (Perez et al. 2018, FiLM).

    Args:
        features: D.
        code: width of the code of log2(GSD / 10 m).
    """

    def __init__(self, features: int, code: int = 32) -> None:
        super().__init__()
        self.frequencies: Tensor
        self.register_buffer("frequencies", torch.logspace(-1, 1, code // 2), persistent=False)
        first, last = nn.Linear(code, code), nn.Linear(code, 2 * features)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.head = nn.Sequential(first, nn.GELU(), last)

    def forward(self, x: Tensor, log2_gsd: Tensor) -> Tensor:
        """[S, D, Y, X] and [S] to [S, D, Y, X]."""
        angles = log2_gsd[:, None].float() * self.frequencies
        both: Tensor = self.head(torch.cat([angles.sin(), angles.cos()], 1))
        scale, shift = both.to(x.dtype)[:, :, None, None].chunk(2, 1)
        return x * (1 + scale) + shift


class WavelengthTower(StagedTower):
    """A wavelength-conditioned stem, then residual stages; see `StagedTower` for the other arguments.

    Args:
        wavelengths_nm: of the image's bands, in their order; of radar too (C band is 5.547e7).
        polarisations: of the bands: "", VV, VH, HH or HV; none where left out.
        gsd_channel: the last channel of the image is log2(GSD / 10 m), as `TilePreset.gsd_channel` gives it.
        features: of the stem.
        band_dropout: probability with which a band is hidden for a training step (never all), so that the model learns
            to do with other sets of bands.

    Raises:
        ConfigError: wavelengths or polarisations that are not.

    Examples:
        >>> import torch
        >>> from voxtile.models import WavelengthTower
        >>> tower = WavelengthTower(wavelengths_nm=(490, 560, 665), widths=(8,), blocks=(1,), features=8, width=32)
        >>> tower(torch.randn(2, 3, 16, 16)).pooled.shape
        torch.Size([2, 32])
        >>> tower.use_bands((490, 560, 665, 842))  # the same weights, and near infrared
        >>> tower(torch.randn(2, 4, 16, 16)).pooled.shape
        torch.Size([2, 32])
    """

    def __init__(
        self,
        *,
        wavelengths_nm: Sequence[float],
        polarisations: Sequence[str] = (),
        gsd_channel: bool = False,
        features: int = 48,
        band_dropout: float = 0.0,
        widths: Sequence[int] = (48, 96, 128),
        blocks: Sequence[int] = (1, 1, 1),
        cells: Sequence[int] = (),
        width: int = 256,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(
            dimensions=2,
            channels=len(wavelengths_nm) + gsd_channel,
            stem=features,
            widths=widths,
            blocks=blocks,
            cells=cells,
            width=width,
            dropout=dropout,
        )
        if not 0 <= band_dropout < 1:
            raise ConfigError(f"band_dropout: {band_dropout} is not a probability below 1")
        self.band_dropout = band_dropout
        self.stem = WavelengthEmbedding(features=features)
        self.stem_norm = nn.BatchNorm2d(features)
        self.gsd = GsdCondition(features) if gsd_channel else None
        self.wavelengths_nm: Tensor
        self.polarisations: Tensor
        self.use_bands(wavelengths_nm, polarisations)

    def use_bands(self, wavelengths_nm: Sequence[float], polarisations: Sequence[str] = ()) -> None:
        """Take images of other bands from now on, with the weights as they are.

        Args:
            wavelengths_nm: of the bands, in the order of the channels.
            polarisations: of the bands; none where left out.

        Raises:
            ConfigError: no band, a wavelength out of range, an unknown polarisation, lists of different length, or a
                tower with `cells`, which belong to fixed channels.
        """
        names = require_bands(wavelengths_nm, polarisations)
        channels = len(wavelengths_nm) + (self.gsd is not None)
        if self.cells and channels != self.channels:
            raise ConfigError(f"a tower with cells takes its {self.channels} channels only; train it with cells: []")
        device = self.stem.queries.device
        self.channels = channels
        self.register_buffer(
            "wavelengths_nm", torch.tensor(wavelengths_nm, dtype=torch.float64, device=device), persistent=False
        )
        places = torch.tensor([POLARISATIONS.index(name) for name in names], device=device)
        self.register_buffer("polarisations", places, persistent=False)

    def stem_features(self, images: Tensor) -> Tensor:
        """[S, C, Y, X] to [S, features, Y / 2, X / 2]."""
        bands = images[:, : len(self.wavelengths_nm)]
        wavelengths, polarisations = self.wavelengths_nm, self.polarisations
        if self.training and self.band_dropout:
            kept = self._kept(len(wavelengths), images.device)
            bands, wavelengths, polarisations = bands[:, kept], wavelengths[kept], polarisations[kept]
        x = F.gelu(self.stem_norm(self.stem(bands, wavelengths, polarisations)))
        if self.gsd is not None:
            x = self.gsd(x, images[:, -1].flatten(1).mean(1))
        return x.contiguous(memory_format=torch.channels_last)

    def _kept(self, bands: int, device: torch.device) -> Tensor:
        kept = torch.rand(bands, device=device) >= self.band_dropout
        kept[torch.randint(bands, (1,), device=device)] = True
        return kept.nonzero().flatten()


def require_bands(wavelengths_nm: Sequence[float], polarisations: Sequence[str]) -> tuple[str, ...]:
    """The polarisation of each band, "" where it has none.

    Raises:
        ConfigError: no band, a wavelength out of range, an unknown polarisation, or lists of different length.
    """
    names = tuple(polarisations) or ("",) * len(wavelengths_nm)
    if not wavelengths_nm or len(names) != len(wavelengths_nm):
        raise ConfigError(
            f"a tower needs a wavelength a band and as many polarisations, not {len(wavelengths_nm)} and {len(names)}"
        )
    for wavelength in wavelengths_nm:
        if not _SHORTEST_NM <= wavelength <= _LONGEST_NM:
            raise ConfigError(f"wavelengths_nm: {wavelength} is not within {_SHORTEST_NM:g} to {_LONGEST_NM:g} nm")
    for name in names:
        if name not in POLARISATIONS:
            raise ConfigError(f"polarisations: '{name}' is none of VV, VH, HH, HV or empty")
    return names


def _basis(patch: int) -> Tensor:
    """[patch², patch, patch] what the generated coefficients are of: Haar's for two pixels, else the pixels."""
    if patch != 2:
        return torch.eye(patch * patch).view(-1, patch, patch)
    filters = haar_filters(2)
    gain = torch.tensor([1.0, _DETAIL_GAIN, _DETAIL_GAIN, _DETAIL_GAIN])
    return filters * gain[:, None, None]

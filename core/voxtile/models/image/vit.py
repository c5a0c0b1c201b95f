"""Vision transformers over patches in 2D and 3D, of fixed channels or of any bands, made of timm's blocks.

Weights are named as in timm, so that those of timm, MAE, DINO and their kin load from a file, also into other patch
sizes, grids, numbers of channels and, from 2D, into 3D.

Shape letters: S images, C channels, *G image grid, N patches, W features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from timm.layers.attention_pool import AttentionPoolLatent
from timm.layers.norm import LayerNorm
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from voxtile.errors import ConfigError
from voxtile.models.hub.adapters import Inflation
from voxtile.models.hub.weights import LoadReport
from voxtile.models.image.patches import BandPatchEmbedding, PatchEmbedding
from voxtile.models.image.positions import LearnedPositions, SinCosPositions
from voxtile.models.image.pyramid import FeaturePyramid
from voxtile.models.image.vit_weights import VitWeights
from voxtile.models.tower import HiddenPatches, ImageTower
from voxtile.types import Encoded

Pooling = Literal["cls", "mean", "attention"]


class ViTTower(ImageTower):
    """A pre-norm vision transformer (Dosovitskiy et al., ICLR 2021).

    ViT-B/16 on pictures: `{dimensions: 2, channels: 3, size: 224, patch: 16, width: 768, depth: 12, heads: 12}`. On CT:
    `{dimensions: 3, size: [64, 224, 224], spacing: [3, 1.5, 1.5], patch: [4, 16, 16], …}`. On any bands:
    `{dimensions: 2, size: 128, spacing: [10, 10], patch: 16, wavelengths_nm: [442.7, 492.4, …], …}`.

    Images may have any shape that the patch divides. Position embeddings belong to places in millimetres from the
    centre of the image: another shape sees the same embedding at the same place, and so does another spacing after
    `use_spacing`.

    Args:
        dimensions: 2 or 3.
        channels: of the images; left out with `wavelengths_nm`.
        size: grid of the images, as the preset gives it; learned positions are a table for it.
        spacing: of the preset, one an axis in the order of `size`: mm, or metres on the ground; 1 where left out.
        patch: size of a patch, one number or one an axis.
        width: W.
        depth: blocks.
        heads: of the attention.
        mlp_ratio: hidden features of a block's perceptron over W.
        pooling: `cls` (a token of its own), `mean` of the patches, or `attention`, by a learned query (the MAP head of
            SigLIP, Zhai et al., CVPR 2022, Scaling Vision Transformers, section 3.2).
        position: `learned`, or `sincos` of the place in mm.
        slice_blocks: numbers of blocks, from 0, whose patches attend within their slice alone (after HLIP, Zhao 2025);
            in 3D most may, at a fraction of the work: `[0, 1, 3, 4, 6, 7, 9, 10]` of 12.
        registers: further tokens that are thrown away (Darcet et al., ICLR 2024).
        drop_path: rate of stochastic depth of the last block, rising from 0 (Huang et al., ECCV 2016).
        layer_scale: initial scale of each branch (Touvron et al., ICCV 2021); none where left out.
        dropout: after attention and in perceptrons.
        patches: sizes one of which is drawn at each step of a training (FlexiViT, Beyer et al., CVPR 2023), so that
            `use_patch` can trade accuracy for speed; `patch` is what the filters are stored for.
        levels: features of maps at strides 2, 4, 8, … up to the patch, finest first, for grounding (see
            `FeaturePyramid`); none where left out.
        wavelengths_nm: of the bands, in 2D: filters are made from them (see `WavelengthEmbedding`).
        polarisations: of the bands; none where left out.
        band_dropout: probability with which a band is hidden for a training step.
        pretrained: local file of weights in timm's layout, 2D or 3D, or a checkpoint of voxtile, whose image tower is
            taken; None for random ones.
        pretrained_size: grid of the images that it was trained on; a square where left out.
        pretrained_spacing: of these images; without it its position embeddings are stretched over the whole image,
            with it they keep their places in mm.
        inflation: of 2D filters in 3D: `centre` or `average`.
        band_names: common name of each channel, for weights of RGB.

    Attributes:
        load_report: what became of each key of `pretrained`, or None.

    Raises:
        ConfigError: numbers that do not fit.
        CheckpointError: weights that cannot be loaded or do not fit; the message names the key.

    Examples:
        >>> import torch
        >>> from voxtile.models import ViTTower
        >>> tower = ViTTower(dimensions=3, size=(8, 16, 16), patch=(4, 8, 8), width=32, depth=2, heads=2)
        >>> encoded = tower(torch.randn(2, 1, 8, 16, 16), tokens=True)
        >>> encoded.pooled.shape, encoded.tokens.shape, encoded.grid
        (torch.Size([2, 32]), torch.Size([2, 8, 32]), (2, 2, 2))
        >>> tower(torch.randn(2, 1, 16, 32, 32)).pooled.shape  # any size that the patch divides
        torch.Size([2, 32])
    """

    hides_patches = True

    def __init__(
        self,
        *,
        dimensions: Literal[2, 3] = 2,
        channels: int = 1,
        size: int | Sequence[int],
        spacing: Sequence[float] = (),
        patch: int | Sequence[int] = 16,
        width: int = 384,
        depth: int = 12,
        heads: int = 6,
        mlp_ratio: float = 4.0,
        pooling: Pooling = "mean",
        position: Literal["learned", "sincos"] = "learned",
        slice_blocks: Sequence[int] = (),
        registers: int = 0,
        drop_path: float = 0.0,
        layer_scale: float | None = None,
        dropout: float = 0.0,
        patches: Sequence[int | Sequence[int]] = (),
        levels: Sequence[int] = (),
        wavelengths_nm: Sequence[float] = (),
        polarisations: Sequence[str] = (),
        band_dropout: float = 0.0,
        pretrained: str | None = None,
        pretrained_size: int | Sequence[int] | None = None,
        pretrained_spacing: Sequence[float] = (),
        inflation: Inflation = "centre",
        band_names: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.dimensions, self.width = int(dimensions), width
        self.channels = len(wavelengths_nm) or channels
        self.size, self.patch = self._axes(size), self._axes(patch)
        self.patches = tuple(self._axes(p) for p in patches)
        self.spacing = tuple(spacing) or (1.0,) * self.dimensions
        self.pooling, self.slice_blocks = pooling, frozenset(slice_blocks)
        self._check(heads, depth, drop_path, levels)
        self.patch_embed: PatchEmbedding | BandPatchEmbedding
        if wavelengths_nm:
            self.patch_embed = BandPatchEmbedding(width, self.patch, wavelengths_nm, polarisations, band_dropout)
        else:
            self.patch_embed = PatchEmbedding(self.dimensions, channels, width, self.patch)
        self.position: LearnedPositions | SinCosPositions
        if position == "learned":
            self.position = LearnedPositions(self._grid(self.size, self.patch), self._step(self.patch), width)
        else:
            self.position = SinCosPositions(self.dimensions, width)
        self.cls_token = nn.Parameter(torch.randn(1, 1, width) * 0.02) if pooling == "cls" else None
        self.reg_token = nn.Parameter(torch.randn(1, registers, width) * 0.02) if registers else None
        self.blocks = nn.ModuleList(
            Block(
                width,
                heads,
                mlp_ratio,
                qkv_bias=True,
                init_values=layer_scale,
                proj_drop=dropout,
                drop_path=drop_path * number / max(1, depth - 1),
            )
            for number in range(depth)
        )
        self.norm = LayerNorm(width)
        self.attn_pool = (
            AttentionPoolLatent(width, num_heads=heads, mlp_ratio=mlp_ratio, norm_layer=LayerNorm)
            if pooling == "attention"
            else None
        )
        self.level_widths = tuple(levels)
        self.pyramid = (
            FeaturePyramid(self.dimensions, self.channels, width, self.patch, levels) if self.level_widths else None
        )
        self.apply(_initialise)
        self.load_report: LoadReport | None = None
        if pretrained:
            trained = None if pretrained_size is None else self._given(pretrained_size)
            fit = VitWeights(self, trained, tuple(pretrained_spacing), inflation, tuple(band_names))
            self.load_report = fit.load(pretrained)

    def forward(self, images: Tensor, tokens: bool = False, hidden: HiddenPatches | None = None) -> Encoded:
        """Encode [S, C, *G] images, some of whose patches may be hidden.

        Returns:
            `pooled` [S, W]; with `tokens` also [S, N, W] on the grid of patches, and `levels` where there are.

        Raises:
            ConfigError: the patch does not divide the image, or the mask is of another grid.
        """
        patch = self.patch
        if self.training and self.patches:
            patch = self.patches[int(torch.randint(len(self.patches), ()))]
        x = self.patch_embed(images, patch)
        grid = tuple(x.shape[1:-1])
        x = x.flatten(1, -2)
        if hidden is not None:
            x = hidden.put(x)
        x = x + self.position(grid, self._step(patch)).to(x.dtype)
        first = [token.expand(x.shape[0], -1, -1) for token in (self.cls_token, self.reg_token) if token is not None]
        x = torch.cat([*(token.to(x.dtype) for token in first), x], 1)
        prefix = sum(token.shape[1] for token in first)
        x = self._attended(x, prefix, grid[0])
        patches = x[:, prefix:]
        pooled = self._pooled(x, patches)
        if not tokens:
            return Encoded(pooled)
        local = self.norm(patches)
        levels = None
        if self.pyramid is not None:
            levels = self.pyramid(local.transpose(1, 2).unflatten(2, grid), images)
        return Encoded(pooled, local, grid, None, levels)

    def _attended(self, x: Tensor, prefix: int, slices: int) -> Tensor:
        """[S, prefix + N, W] after all blocks; after each that attends within slices they meet again."""
        for number, block in enumerate(self.blocks):
            sliced = number in self.slice_blocks
            x = to_slices(x, prefix, slices) if sliced else x
            x = block(x)
            x = from_slices(x, prefix, slices) if sliced else x
        return x

    def use_spacing(self, spacing: Sequence[float]) -> None:
        """Take images of another spacing from now on; positions stay where they are in mm.

        Raises:
            ConfigError: not one positive number an axis.
        """
        if len(spacing) != self.dimensions or min(spacing) <= 0:
            raise ConfigError(f"spacing {list(spacing)} of a {self.dimensions}D tower must be positive, one an axis")
        self.spacing = tuple(spacing)

    def use_patch(self, patch: int | Sequence[int]) -> None:
        """Cut images into patches of another size from now on, with the filters resized.

        Raises:
            ConfigError: a tower with `levels`, which belong to one patch size.
        """
        if self.pyramid is not None:
            raise ConfigError("a tower with levels has one patch size; train it without levels to change the patch")
        self.patch = self._axes(patch)

    def use_bands(self, wavelengths_nm: Sequence[float], polarisations: Sequence[str] = ()) -> None:
        """Take images of other bands from now on.

        Raises:
            ConfigError: the tower was not made with `wavelengths_nm`, or they are wrong.
        """
        if not isinstance(self.patch_embed, BandPatchEmbedding):
            raise ConfigError("this tower has fixed channels; make it with wavelengths_nm to change bands")
        self.patch_embed.use_bands(wavelengths_nm, polarisations)
        self.channels = len(wavelengths_nm)

    def _pooled(self, x: Tensor, patches: Tensor) -> Tensor:
        """[S, W], each normalised where timm does."""
        if self.attn_pool is not None:
            pooled: Tensor = self.attn_pool(self.norm(patches))
        else:
            pooled = self.norm(x[:, 0] if self.cls_token is not None else patches.mean(1))
        return pooled

    def _axes(self, value: int | Sequence[int]) -> tuple[int, ...]:
        """One number an axis."""
        axes = (value,) * self.dimensions if isinstance(value, int) else tuple(value)
        if len(axes) != self.dimensions or min(axes) < 1:
            raise ConfigError(f"size and patch of a {self.dimensions}D ViT need {self.dimensions} numbers, not {value}")
        return axes

    def _given(self, value: int | Sequence[int]) -> tuple[int, ...]:
        """Likewise for pretrained weights, which may be of 2D."""
        return (value,) * self.dimensions if isinstance(value, int) else tuple(value)

    def _grid(self, size: Sequence[int], patch: Sequence[int]) -> tuple[int, ...]:
        return tuple(n // p for n, p in zip(size, patch, strict=True))

    def _step(self, patch: Sequence[int]) -> tuple[float, ...]:
        """Distance between patches, in the unit of the spacing."""
        return tuple(p * s for p, s in zip(patch, self.spacing, strict=True))

    def _check(self, heads: int, depth: int, drop_path: float, levels: Sequence[int]) -> None:
        for patch in (self.patch, *self.patches):
            if any(n % p for n, p in zip(self.size, patch, strict=True)):
                raise ConfigError(f"size {list(self.size)} of a ViT is not a multiple of its patch {list(patch)}")
        if len(self.spacing) != self.dimensions or min(self.spacing) <= 0:
            raise ConfigError(f"spacing {list(self.spacing)} of a {self.dimensions}D ViT must be positive, one an axis")
        if self.width % heads:
            raise ConfigError(f"width {self.width} of a ViT is not a multiple of its {heads} heads")
        if not 0 <= drop_path < 1:
            raise ConfigError(f"drop_path {drop_path} of a ViT is not a probability below 1")
        if self.slice_blocks and (self.dimensions < 3 or not self.slice_blocks <= set(range(depth))):
            raise ConfigError(
                f"slice_blocks {sorted(self.slice_blocks)} must be blocks of a 3D ViT of depth {depth}, from 0"
            )
        if self.patches and levels:
            raise ConfigError("a ViT with levels has one patch size; leave patches or levels out")


def to_slices(x: Tensor, prefix: int, slices: int) -> Tensor:
    """[S, P + N, W] to [S · slices, P + N / slices, W]: each slice with a copy of the P tokens that are no patches."""
    first = x[:, :prefix].unsqueeze(1).expand(-1, slices, -1, -1)
    return torch.cat([first, x[:, prefix:].reshape(x.shape[0], slices, -1, x.shape[2])], 2).flatten(0, 1)


def from_slices(x: Tensor, prefix: int, slices: int) -> Tensor:
    """[S · slices, P + N / slices, W] back to [S, P + N, W], the copies averaged."""
    x = x.reshape(-1, slices, *x.shape[1:])
    return torch.cat([x[:, :, :prefix].mean(1), x[:, :, prefix:].flatten(1, 2)], 1)


def _initialise(module: nn.Module) -> None:
    """Truncated normals of 0.02 in linear layers, as in timm and MAE; kernels made from bands keep their own."""
    if isinstance(module, Block):
        for layer in module.modules():
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)

"""The image tower of CT-CLIP (Hamamci et al. 2024, arXiv 2403.17834): CT-ViT (2305.16037) up to its codebook.

Axes: b images, t groups of slices, h rows and w columns of patches, d features.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from voxtile.errors import ConfigError
from voxtile.models.hub.weights import LoadReport, load_report, read_weights
from voxtile.models.tower import ImageTower, expected_size
from voxtile.types import Encoded

_SCALE = 8.0  # of cosines between queries and keys
# What only the autoencoder needs (decoding, training of the codebook), and what its code makes and does not use.
NOT_READ = r"(to_patch_emb_first_frame|to_pixels|to_pixels_first_frame)\..*|vq\._codebook\.(initted|cluster_size)"
_TEXT_SIDE = r"text_transformer\..*|to_text_latent.*|to_visual_latent_extra\..*|temperature"


class CtClipImage(ImageTower):
    """CT-CLIP's image side: patches of slabs, attention within each slab and then along the slabs, nearest codes.

    The mean over slabs keeps every place in the plane, and one matrix makes the vector of them all, so that the size of
    the images is fixed. Each token is replaced by the nearest of its codes, which lets no gradient through: the tower
    is for embedding and not for training.

    Args:
        pretrained: a local file in its layout, or None for random weights.
        size: of the images (z, y, x).
        patch: likewise.
        width: of its tokens.
        depth: blocks within slabs, and as many along them.
        heads: of each block.
        head_width: features of each head.
        codes: of the codebook.
        embed_dim: length of the vector.

    Attributes:
        load_report: what became of each key of a file, or None.

    Raises:
        CheckpointError: the weights cannot be read or do not fit.
    """

    dimensions = 3
    channels = 1

    def __init__(
        self,
        *,
        pretrained: str | None = None,
        size: tuple[int, int, int] = (240, 480, 480),
        patch: tuple[int, int, int] = (10, 20, 20),
        width: int = 512,
        depth: int = 4,
        heads: int = 8,
        head_width: int = 32,
        codes: int = 8192,
        embed_dim: int = 512,
    ) -> None:
        super().__init__()
        self.size, self.patch, self.width = size, patch, embed_dim
        voxels = patch[0] * patch[1] * patch[2]
        plane = (size[1] // patch[1], size[2] // patch[2])
        self.to_patch_emb = nn.Sequential(
            nn.Identity(), nn.LayerNorm(voxels), nn.Linear(voxels, width), nn.LayerNorm(width)
        )
        self.spatial_rel_pos_bias = _PlaceBias(width, heads)
        blocks = partial(_Transformer, width, depth, heads, head_width)
        self.enc_spatial_transformer, self.enc_temporal_transformer = blocks(), blocks()
        self.vq = nn.Module()
        self.vq._codebook = nn.Module()
        self.vq._codebook.register_buffer("embed", functional.normalize(torch.randn(1, codes, width), dim=-1))
        self.to_visual_latent = nn.Linear(plane[0] * plane[1] * width, embed_dim, bias=False)
        self.load_report: LoadReport | None = None
        if pretrained:
            state = {own_key(key): value for key, value in read_weights(pretrained).items()}
            self.load_report = load_report(self, state, pretrained, ignored=f"{NOT_READ}|{_TEXT_SIDE}")

    def forward(self, images: Tensor, tokens: bool = False) -> Encoded:
        """Encode [S, 1, Z, Y, X] images.

        Raises:
            ConfigError: local features are asked for, or the images are not of its size.
        """
        if tokens:
            raise ConfigError(
                "CT-CLIP's vector is made of all places at once; use HlipImage for objectives with tokens"
            )
        with expected_size("CT-CLIP", self.size, images):
            seen = self._coded(self._attended(self._patches(images)))
        return Encoded(self.to_visual_latent(seen.mean(1).flatten(1)))

    def _patches(self, images: Tensor) -> Tensor:
        """[b, 1, Z, Y, X] to [b, t, h, w, d]."""
        (pz, py, px), (z, y, x) = self.patch, images.shape[2:]
        slabs = images.reshape(-1, z // pz, pz, y // py, py, x // px, px).permute(0, 1, 3, 5, 2, 4, 6)
        embedded: Tensor = self.to_patch_emb(slabs.flatten(4))
        return embedded

    def _attended(self, x: Tensor) -> Tensor:
        shape = x.shape
        b, t, h, w, _ = shape
        x = self.enc_spatial_transformer(x.flatten(2, 3).flatten(0, 1), shape, self.spatial_rel_pos_bias(h, w))
        x = x.view(b, t, h, w, -1).permute(0, 2, 3, 1, 4).flatten(0, 2)  # each place along the slabs
        x = self.enc_temporal_transformer(x, shape)
        return x.view(b, h, w, t, -1).permute(0, 3, 1, 2, 4)

    def _coded(self, x: Tensor) -> Tensor:
        """Each token's nearest code by cosine, as the codebook has it."""
        codes: Any = self.vq._codebook.embed[0]  # type: ignore[union-attr, index]
        cosines = functional.normalize(x, dim=-1) @ functional.normalize(codes, dim=-1).T
        coded: Tensor = codes[cosines.argmax(-1)]
        return coded


class _Scale(nn.Module):
    """A layer norm whose shift is a constant of the file."""

    beta: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))
        self.register_buffer("beta", torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        return functional.layer_norm(x, x.shape[-1:], self.gamma, self.beta)


class _PlaceBias(nn.Module):
    """Attention bias of a learned function of the distance between patches (Swin V2, arXiv 2111.09883)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        first = nn.Sequential(nn.Linear(2, width), nn.LeakyReLU(0.1))
        second = nn.Sequential(nn.Linear(width, width), nn.LeakyReLU(0.1))
        self.net = nn.ModuleList([first, second, nn.Linear(width, heads)])

    def forward(self, rows: int, columns: int) -> Tensor:
        """[heads, N, N] for N = rows · columns."""
        device = next(self.parameters()).device
        axes = torch.arange(rows, device=device), torch.arange(columns, device=device)
        places = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flatten(0, 1)
        distance = places[:, None] - places[None]
        x = distance.sign() * (distance.abs() + 1.0).log()
        for layer in self.net:
            x = layer(x)
        return x.permute(2, 0, 1)


class _Transformer(nn.Module):
    def __init__(self, width: int, depth: int, heads: int, head_width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.ModuleList(
                [_Neighbours(width), _CosineAttention(width, heads, head_width), nn.Identity(), _feed_forward(width)]
            )
            for _ in range(depth)
        )
        self.norm_out = _Scale(width)

    def forward(self, x: Tensor, shape: torch.Size, bias: Tensor | None = None) -> Tensor:
        layer: Any
        for layer in self.layers:
            x = layer[0](x, shape) + x
            x = layer[1](x, bias) + x
            x = layer[3](x) + x
        normed: Tensor = self.norm_out(x)
        return normed


class _Neighbours(nn.Module):
    """A convolution over each feature, causal along the slabs; it says where a token is."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dsconv = nn.Conv3d(width, width, 3, groups=width)

    def forward(self, x: Tensor, shape: torch.Size) -> Tensor:
        """`x` in any order of tokens is read as if it lay as `shape` [b, t, h, w, d] says, as the model was trained."""
        volume = x.reshape(shape).permute(0, 4, 1, 2, 3)
        seen = self.dsconv(functional.pad(volume, (1, 1, 1, 1, 2, 0)))
        ordered: Tensor = seen.permute(0, 2, 3, 4, 1).reshape(x.shape)
        return ordered


class _CosineAttention(nn.Module):
    """Queries of normed tokens, keys and values of the tokens as they are; cosines, scaled feature by feature."""

    def __init__(self, width: int, heads: int, head_width: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.context_norm = _Scale(width), _Scale(width)  # the second is in the file alone
        self.null_kv = nn.Parameter(torch.zeros(heads, 0, head_width))  # none, but a key of the file
        self.to_q = nn.Linear(width, heads * head_width, bias=False)
        self.to_kv = nn.Linear(width, 2 * heads * head_width, bias=False)
        self.q_scale, self.k_scale = nn.Parameter(torch.ones(head_width)), nn.Parameter(torch.ones(head_width))
        self.to_out = nn.Linear(heads * head_width, width, bias=False)

    def forward(self, x: Tensor, bias: Tensor | None) -> Tensor:
        parts = self.to_q(self.norm(x)), *self.to_kv(x).chunk(2, -1)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        q, k = functional.normalize(q, dim=-1) * self.q_scale, functional.normalize(k, dim=-1) * self.k_scale
        seen = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=_SCALE)
        out: Tensor = self.to_out(seen.transpose(1, 2).flatten(2))
        return out


class _GatedGelu(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        value, gate = x.chunk(2, -1)
        return functional.gelu(gate) * value


def _feed_forward(width: int) -> nn.Sequential:
    inner = int(width * 4 * 2 / 3)  # as many weights as without a gate
    return nn.Sequential(
        nn.LayerNorm(width), nn.Linear(width, 2 * inner, bias=False), _GatedGelu(), nn.Identity(),
        nn.Linear(inner, width, bias=False),
    )  # fmt: skip


def own_key(key: str) -> str:
    """A key of its file as the tower has it."""
    return key.removeprefix("module.").removeprefix("visual_transformer.")

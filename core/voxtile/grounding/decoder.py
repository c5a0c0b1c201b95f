"""A text-conditioned decoder: from the levels of an image tower and phrases to masks, in 2D and 3D with one code.

A phrase looks at every level of the image by cross-attention, coarse to fine, as the queries of X-Decoder do (Zou et
al., CVPR 2023) and the language attention of ConTEXTual Net (Huemann et al., 2024); the image's own features are merged
to one fine map (feature pyramid, Lin et al., CVPR 2017). The mask is the product of both, so that many phrases of one
image cost little more than one. A presence logit answers whether there is anything to show, since a phrase may have
none, one or many targets (GRES, Liu et al., CVPR 2023).

Shape letters: S images, R phrases, L tokens of a phrase, C channels, W width of the decoder, M width of the product,
K sub-cells of a cell of the finest level (2 an axis), *G grid of the image, *H grid of a level, N = product of *H.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voxtile.errors import ConfigError
from voxtile.models.convolution import CONVOLUTIONS
from voxtile.types import Encoded

_LINEAR: dict[int, str] = {2: "bilinear", 3: "trilinear"}
# Initial logit of a voxel: few belong to a target (the prior of RetinaNet, Lin et al. 2017). Much lower, and the
# gradient of Dice starts flat.
_RARE = -2.5


class Answers(NamedTuple):
    """What the decoder says, before it is laid out as masks.

    The logit of voxel v of phrase r is `voxels[item[r], v] · vectors[r] + bias`; voxels are in the order of cells and
    their parts, see `GroundingDecoder.in_cells`.

    Attributes:
        vectors: [R, M].
        voxels: [S, N · K, M].
        bias: scalar.
        presence: [R] logit of there being a target at all.
    """

    vectors: Tensor
    voxels: Tensor
    bias: Tensor
    presence: Tensor


class Grounded(NamedTuple):
    """The same laid out.

    Attributes:
        mask: [R, *G] logit of each voxel.
        presence: [R] logit of there being a target at all.
    """

    mask: Tensor
    presence: Tensor


class _Look(nn.Module):
    """Queries attend over one level of their image, then over each other (a transformer decoder layer, pre-norm)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.across, self.among = (nn.MultiheadAttention(width, heads, batch_first=True) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(4))
        self.feed = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, queries: Tensor, places: Tensor, padding: Tensor) -> Tensor:
        """[R, L, W] queries and [R, N, W] places of each one's image to the queries after; padding [R, L] bool."""
        seen = self.norms[3](places)
        queries = queries + self.across(self.norms[0](queries), seen, seen, need_weights=False)[0]
        own = self.norms[1](queries)
        queries = queries + self.among(own, own, own, key_padding_mask=padding, need_weights=False)[0]
        out: Tensor = queries + self.feed(self.norms[2](queries))
        return out


class GroundingDecoder(nn.Module):
    """Masks and presence of phrases.

    The finest level has half the image's resolution; each of its cells predicts its 2 × 2 (× 2) parts (sub-pixel
    convolution, Shi et al., CVPR 2016), which costs an eighth of convolving at full resolution in 3D.

    Args:
        dimensions: 2 or 3.
        level_widths: features of the image tower's levels, finest first; the finest at half the image's resolution.
        text_width: features of the text tower's tokens and pooled vector.
        width: features inside.
        fine_width: features at the finest level, where they cost most.
        product: length of the vectors whose product is the mask.
        heads: of the attention.

    Raises:
        ConfigError: an image tower without levels, or a width that the heads do not divide.
    """

    def __init__(
        self,
        *,
        dimensions: Literal[2, 3],
        level_widths: Sequence[int],
        text_width: int,
        width: int = 32,
        fine_width: int = 16,
        product: int = 24,
        heads: int = 4,
    ) -> None:
        super().__init__()
        if len(level_widths) < 2:
            raise ConfigError(
                "grounding needs an image tower with feature maps at several resolutions, such as WaveletTower; "
                f"this one has {len(level_widths)}"
            )
        if width % heads:
            raise ConfigError(f"width {width} of a grounding decoder is not a multiple of its {heads} heads")
        self.dimensions, self.product = int(dimensions), product
        conv = CONVOLUTIONS[self.dimensions]
        widths = [fine_width] + [width] * (len(level_widths) - 1)
        self.lateral = nn.ModuleList(conv(a, b, 1) for a, b in zip(level_widths, widths, strict=True))
        self.merge = nn.ModuleList(conv(w, w, 3, padding=1) for w in widths)
        self.norms = nn.ModuleList(nn.GroupNorm(max(1, w // 16), w) for w in widths)
        self.narrow = conv(width, fine_width, 1)
        self.parts = conv(fine_width, product * 2**self.dimensions, 1)
        self.words = nn.Linear(text_width, width)
        self.sentence = nn.Linear(text_width, width)
        self.looks = nn.ModuleList(_Look(width, heads) for _ in level_widths[1:])
        self.mask_head = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, product)
        )
        self.presence_head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 1))
        self.bias = nn.Parameter(torch.tensor(_RARE))
        self.peak = nn.Parameter(torch.tensor(0.5))

    def answers(self, levels: Sequence[Tensor], phrases: Encoded, item: Tensor) -> Answers:
        """Ground R phrases.

        Args:
            levels: [S, W_i, *H_i] of the image tower, finest first.
            phrases: pooled [R, D] and, where the text tower has them, tokens [R, L, D] with their mask.
            item: [R] int64, image of each phrase.
        """
        maps = self._pyramid(levels)
        queries, padding = self._queries(phrases)
        for look, level in zip(self.looks, reversed(maps[1:]), strict=True):
            queries = look(queries, level.flatten(2).transpose(1, 2)[item], padding)
        asked = queries[:, 0]
        vectors = self.mask_head(asked)
        parts = self.parts(maps[0])
        voxels = parts.movedim(1, -1).reshape(len(parts), -1, self.product)
        with torch.no_grad():  # how sure the mask is anywhere; the mask learns from its own loss
            rows = [torch.nonzero(item == image).squeeze(1) for image in range(len(voxels))]
            peaks = [(of @ vectors[own].T).amax(0) for own, of in zip(rows, voxels, strict=True)]
            peak = torch.cat(peaks)[torch.argsort(torch.cat(rows))]
        presence = self.presence_head(asked).squeeze(1) + self.peak * peak
        return Answers(vectors, voxels, self.bias, presence)

    def forward(self, levels: Sequence[Tensor], phrases: Encoded, item: Tensor, grid: Sequence[int]) -> Grounded:
        """Masks of R phrases on the grid *G of the image; see `answers` for the other arguments."""
        found = self.answers(levels, phrases, item)
        return Grounded(self.laid_out(found, item, levels[0].shape[2:], grid), found.presence)

    def laid_out(self, found: Answers, item: Tensor, cells: Sequence[int], grid: Sequence[int]) -> Tensor:
        """[R, *G] float32 logits of answers; `cells` are those of the finest level.

        Towers end odd grids half a cell short of the image or beyond it.
        """
        rows = [torch.nonzero(item == image).squeeze(1) for image in range(len(found.voxels))]
        # Image by image, so that its features are not copied for every phrase.
        products = [of @ found.vectors[own].T for own, of in zip(rows, found.voxels.unbind(), strict=True)]
        logits = torch.cat(products, 1).T[torch.argsort(torch.cat(rows))].float() + found.bias
        axes = self.dimensions
        x = logits.reshape(-1, *cells, *(2,) * axes)
        x = x.permute(0, *(k for a in range(axes) for k in (1 + a, 1 + axes + a)))
        x = x.reshape(-1, *(2 * n for n in cells))
        short = [max(0, n - have) for n, have in zip(grid, x.shape[1:], strict=True)]
        if any(short):
            x = F.pad(x.unsqueeze(1), [n for s in reversed(short) for n in (0, s)], mode="replicate").squeeze(1)
        return x[(slice(None), *(slice(0, n) for n in grid))]

    def in_cells(self, masks: Tensor, cells: Sequence[int]) -> Tensor:
        """[R, *G] to [R, N · K], in the order of `Answers.voxels`."""
        axes = self.dimensions
        wanted = [2 * n for n in cells]
        x = masks[(slice(None), *(slice(0, n) for n in wanted))]
        short = [n - have for n, have in zip(wanted, x.shape[1:], strict=True)]
        x = F.pad(x, [n for s in reversed(short) for n in (0, s)])
        x = x.reshape(-1, *(n for cell in cells for n in (cell, 2)))
        x = x.permute(0, *(1 + 2 * a for a in range(axes)), *(2 + 2 * a for a in range(axes)))
        return x.reshape(len(masks), -1)

    def _pyramid(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Levels merged from coarse to fine, finest first."""
        merged: list[Tensor] = []
        for i in reversed(range(len(levels))):
            x = self.lateral[i](levels[i])
            if merged:
                above = merged[0] if i else self.narrow(merged[0])
                x = x + F.interpolate(above, size=x.shape[2:], mode=_LINEAR[self.dimensions], align_corners=False)
            merged.insert(0, F.gelu(self.norms[i](self.merge[i](x))))
        return merged

    def _queries(self, phrases: Encoded) -> tuple[Tensor, Tensor]:
        """[R, 1 + L, W] the sentence and its words, and [R, 1 + L] bool, True at padding."""
        first = self.sentence(phrases.pooled).unsqueeze(1)
        blank = torch.zeros(len(first), 1, dtype=torch.bool, device=first.device)
        if phrases.tokens is None:
            return first, blank
        words = self.words(phrases.tokens)
        padding = blank.new_zeros(words.shape[:2]) if phrases.mask is None else ~phrases.mask
        return torch.cat([first, words], 1), torch.cat([blank, padding], 1)


def require_levels(encoded: Encoded) -> tuple[Tensor, ...]:
    """Feature maps of an image tower.

    Raises:
        ConfigError: it gave none.
    """
    if encoded.levels is None:
        raise ConfigError("grounding needs an image tower with feature maps, such as WaveletTower")
    return encoded.levels

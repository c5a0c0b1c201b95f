"""A text-conditioned decoder: from the levels of an image tower and phrases to masks, in 2D and 3D with one code.

A phrase looks at every level of the image by cross-attention, coarse to fine, as the queries of X-Decoder do (Zou et
al., CVPR 2023) and the language attention of ConTEXTual Net (Huemann et al., 2024); the image's own features are merged
to one fine map (feature pyramid, Lin et al., CVPR 2017). The mask is the product of both, so that many phrases of one
image cost little more than one. A presence logit answers whether there is anything to show, since a phrase may have
none, one or many targets (GRES, Liu et al., CVPR 2023).

Shape letters: S images, R phrases, L tokens of a phrase, C channels, W width of the decoder, F width of its finest
level, K parts of a cell of that level (2 an axis), *G grid of the image, *H grid of a level, N = product of *H.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from voxtile.errors import ConfigError
from voxtile.models.convolution import CONVOLUTIONS, LINEAR, position
from voxtile.models.tower import full_precision
from voxtile.types import Encoded

# Initial logit of a voxel: few belong to a target (the prior of RetinaNet, Lin et al. 2017). Much lower, and the
# gradient of Dice starts flat.
_RARE = -2.5
# Fall of a logit at a quarter of the image from the centre is at first 0.08 and can learn to be tens.
_STEEP, _SLACK = 10.0, -2.0


class Answers(NamedTuple):
    """What the decoder says, before it is laid out as masks.

    The logit of part k of cell n is, asked by phrase r, `cells[item[r], n] · weights[r, k] + offsets[r, k]`.

    Attributes:
        cells: [S, N, F] features of the finest level, with its coordinates where the decoder is told them.
        weights: [R, K, F].
        offsets: [R, K].
        presence: [R] logit of there being a target at all.
    """

    cells: Tensor
    weights: Tensor
    offsets: Tensor
    presence: Tensor

    def logits(self, cells: Tensor, rows: Tensor) -> Tensor:
        """[r, P, K] float32 of some phrases of one image at [P, F] cells of it."""
        products = full_precision(cells @ self.weights[rows].flatten(0, 1).T)
        parts = products.reshape(len(cells), len(rows), self.weights.shape[1]).transpose(0, 1)
        return parts + full_precision(self.offsets[rows]).unsqueeze(1)

    def peaks(self, cells: Tensor, rows: Tensor) -> Tensor:
        """[r] float32, the largest logit of each phrase anywhere among the cells."""
        offsets = full_precision(self.offsets[rows])
        products = full_precision((cells @ self.weights[rows].flatten(0, 1).T).amax(0))
        return (products.view_as(offsets) + offsets).amax(1)


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

    def __init__(self, width: int, heads: int, words: bool) -> None:
        super().__init__()
        self.words = words
        self.across, self.among = (nn.MultiheadAttention(width, heads, batch_first=True) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(4))
        self.feed = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(
        self, queries: Tensor, places: Tensor, padding: Tensor, seats: _Seats, where: Tensor | None = None
    ) -> Tensor:
        """[R, L, W] queries and [S, N, W] places of all images to the queries after; padding [R, L] bool.

        What a place says has its position added to it, [1, N, W] `where`, if there is one.
        """
        seen = self.norms[3](places) if where is None else self.norms[3](places) + where
        looking = queries if self.words else queries[:, :1]
        asking = seats.by_image(self.norms[0](looking))
        with _attention_on(queries.device):
            heard = self.across(asking.flatten(1, 2), seen, seen, need_weights=False)[0]
        looking = looking + seats.by_phrase(heard.view_as(asking))
        queries = looking if self.words else torch.cat([looking, queries[:, 1:]], 1)
        own = self.norms[1](queries)
        queries = queries + self.among(own, own, own, key_padding_mask=padding, need_weights=False)[0]
        out: Tensor = queries + self.feed(self.norms[2](queries))
        return out


class _Seats:
    """Phrases side by side with the others of their image, so that its features are not copied for each.

    Args:
        item: [R] int64, image of each phrase.
        images: S.
    """

    def __init__(self, item: Tensor, images: int) -> None:
        counts = torch.bincount(item, minlength=images)
        order = torch.argsort(item, stable=True)
        self._item, self._images, self._most = item, images, int(counts.max())
        self._seat = torch.empty_like(item)
        self._seat[order] = torch.arange(len(item), device=item.device) - (counts.cumsum(0) - counts)[item[order]]

    def by_image(self, queries: Tensor) -> Tensor:
        """[R, L, W] to [S, most phrases of an image, L, W], 0 where there is none."""
        empty = queries.new_zeros(self._images, self._most, *queries.shape[1:])
        return empty.index_put((self._item, self._seat), queries)

    def by_phrase(self, queries: Tensor) -> Tensor:
        """Back to [R, L, W]."""
        return queries[self._item, self._seat]


def _attention_on(device: torch.device) -> AbstractContextManager[Any]:
    """On the CPU the plain products are many times as fast as the fused kernel, whose heads are few numbers wide."""
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()


class _Nearness(nn.Module):
    """A centre for each phrase, and how fast its mask falls off around it, as a parabola in the logits.

    Masks of objects that are alike are then told apart by where they lie: the attention finds the place, which the
    finest level by itself could not give back (spatially modulated attention, Gao et al., ICCV 2021).
    """

    def __init__(self, width: int, dimensions: int) -> None:
        super().__init__()
        self.centre, self.steepness = nn.Linear(width, dimensions), nn.Linear(width, 1)
        nn.init.constant_(self.steepness.bias, _SLACK)

    def forward(self, asked: Tensor) -> tuple[Tensor, Tensor]:
        """[R, W] to the weights [R, 2d] of the coordinates (−1 to 1) and their squares, and to the offset [R]."""
        centre, steep = self.centre(asked), _STEEP * F.softplus(self.steepness(asked))
        weights = torch.cat([2 * steep * centre, -steep.expand_as(centre)], 1)
        return weights, -(steep * centre.square()).sum(1)


class _Refinement(nn.Module):
    """A residual convolution on the finest level."""

    def __init__(self, conv: Any, width: int) -> None:  # noqa: ANN401 - Conv2d or Conv3d
        super().__init__()
        self.conv = conv(width, width, 3, padding=1)
        self.norm = nn.GroupNorm(max(1, width // 16), width)

    def forward(self, x: Tensor) -> Tensor:
        """[S, F, *H] to the same."""
        return x + F.relu(self.norm(self.conv(x)))


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
        fine_blocks: residual convolutions at the finest level after the merging: what small or thin targets need.
        product: length of the vectors whose product is the mask.
        heads: of the attention.
        words: each word of the phrase looks at the image by itself. Otherwise the sentence alone does, and at its
            words, for a tenth of the cost: enough where phrases name one thing each.
        coordinates: tell attention and masks where each place is, for phrases that tell objects apart by where they lie
            ("the northernmost house").

    Raises:
        ConfigError: an image tower without levels, or a width that the heads do not divide.

    Examples:
        >>> import torch
        >>> from voxtile.models import GroundingDecoder, TextTransformer, WaveletTower
        >>> tower = WaveletTower(dimensions=2, widths=(8, 16), blocks=(1, 1))
        >>> text = TextTransformer(width=32, depth=1)
        >>> decoder = GroundingDecoder(dimensions=2, level_widths=tower.level_widths, text_width=text.width)
        >>> images = tower(torch.randn(2, 1, 32, 32), tokens=True)
        >>> phrases = text(torch.tensor([[1, 11, 2], [1, 12, 2]]))
        >>> item = torch.tensor([0, 1])  # the image that each phrase is about
        >>> answers = decoder.answers(images.levels, phrases, item)
        >>> masks = decoder.laid_out(answers, item, images.levels[0].shape[2:], (32, 32))
        >>> masks.shape, answers.presence.shape  # logits
        (torch.Size([2, 32, 32]), torch.Size([2]))
    """

    def __init__(
        self,
        *,
        dimensions: Literal[2, 3],
        level_widths: Sequence[int],
        text_width: int,
        width: int = 32,
        fine_width: int = 16,
        fine_blocks: int = 0,
        product: int = 24,
        heads: int = 4,
        coordinates: bool = False,
        words: bool = True,
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
        self.refine = nn.Sequential(*(_Refinement(conv, fine_width) for _ in range(fine_blocks)))
        self.parts = conv(fine_width, product * 2**self.dimensions, 1)
        self.words = nn.Linear(text_width, width)
        self.sentence = nn.Linear(text_width, width)
        self.looks = nn.ModuleList(_Look(width, heads, words) for _ in level_widths[1:])
        self.mask_head = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, product)
        )
        self.presence_head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 1))
        self.where = nn.ModuleList(nn.Linear(2 * dimensions, width) for _ in self.looks if coordinates)
        self.near = _Nearness(width, dimensions) if coordinates else None
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
        seats = _Seats(item, len(maps[0]))
        for number, (look, level) in enumerate(zip(self.looks, reversed(maps[1:]), strict=True)):
            where = self.where[number](_coordinates(level)) if self.where else None
            queries = look(queries, level.flatten(2).transpose(1, 2), padding, seats, where)
        asked = queries[:, 0]
        cells = self.refine(maps[0]).flatten(2).transpose(1, 2)
        weights, offsets = self._weights(self.mask_head(asked))
        if self.near is not None:
            near, offset = self.near(asked)
            cells = torch.cat([cells, _coordinates(maps[0]).expand(len(cells), -1, -1)], 2)
            weights = torch.cat([weights, near.unsqueeze(1).expand(-1, weights.shape[1], -1)], 2)
            offsets = offsets + offset.unsqueeze(1)
        found = Answers(cells, weights, offsets, self.presence_head(asked).squeeze(1))
        with torch.no_grad():  # how sure the mask is anywhere; the mask learns from its own loss
            rows = [torch.nonzero(item == image).squeeze(1) for image in range(len(cells))]
            peaks = [found.peaks(*pair) for pair in zip(cells.unbind(), rows, strict=True)]
            peak = (torch.cat(peaks)[torch.argsort(torch.cat(rows))] - self.bias).to(found.presence.dtype)
        return found._replace(presence=found.presence + self.peak * peak)

    def _weights(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """[R, product] to [R, K, F] and [R, K]: the making of a cell's parts and their product with a phrase in one.

        The parts themselves, many numbers each, are never made.
        """
        parts = 2**self.dimensions
        weights = torch.einsum("rm,kmf->rkf", vectors, self.parts.weight.reshape(parts, self.product, -1))
        return weights, vectors @ self.parts.bias.reshape(parts, self.product).T + self.bias

    def forward(self, levels: Sequence[Tensor], phrases: Encoded, item: Tensor, grid: Sequence[int]) -> Grounded:
        """[R, *G] masks of R phrases on the grid *G of the image; see `answers` for the other arguments."""
        found = self.answers(levels, phrases, item)
        return Grounded(self.laid_out(found, item, levels[0].shape[2:], grid), found.presence)

    def laid_out(self, found: Answers, item: Tensor, cells: Sequence[int], grid: Sequence[int]) -> Tensor:
        """[R, *G] float32 logits of answers; `cells` are those of the finest level.

        Towers end odd grids half a cell short of the image or beyond it.
        """
        rows = [torch.nonzero(item == image).squeeze(1) for image in range(len(found.cells))]
        # Image by image, so that its features are not copied for every phrase.
        pairs = zip(found.cells.unbind(), rows, strict=True)
        logits = torch.cat([found.logits(*pair) for pair in pairs])[torch.argsort(torch.cat(rows))]
        axes = self.dimensions
        x = logits.reshape(-1, *cells, *(2,) * axes)
        x = x.permute(0, *(k for a in range(axes) for k in (1 + a, 1 + axes + a)))
        x = x.reshape(-1, *(2 * n for n in cells))
        short = [max(0, n - have) for n, have in zip(grid, x.shape[1:], strict=True)]
        if any(short):
            x = F.pad(x.unsqueeze(1), [n for s in reversed(short) for n in (0, s)], mode="replicate").squeeze(1)
        return x[(slice(None), *(slice(0, n) for n in grid))]

    def in_cells(self, masks: Tensor, cells: Sequence[int]) -> Tensor:
        """[R, *G] to [R, *H, *(2, …)], the parts of each cell as `Answers.logits` has them; a view where grids fit."""
        axes = self.dimensions
        wanted = [2 * n for n in cells]
        x = masks[(slice(None), *(slice(0, n) for n in wanted))]
        short = [n - have for n, have in zip(wanted, x.shape[1:], strict=True)]
        if any(short):
            x = F.pad(x, [n for s in reversed(short) for n in (0, s)])
        x = x.reshape(-1, *(n for cell in cells for n in (cell, 2)))
        return x.permute(0, *(1 + 2 * a for a in range(axes)), *(2 + 2 * a for a in range(axes)))

    def _pyramid(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Levels merged from coarse to fine, finest first."""
        merged: list[Tensor] = []
        for i in reversed(range(len(levels))):
            x = self.lateral[i](levels[i])
            if merged:
                above = merged[0] if i else self.narrow(merged[0])
                x = x + F.interpolate(above, size=x.shape[2:], mode=LINEAR[self.dimensions], align_corners=False)
            merged.insert(0, F.relu(self.norms[i](self.merge[i](x))))
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


def _coordinates(level: Tensor) -> Tensor:
    """[1, N, 2d] of a map's cells: −1 to 1 along each axis, then their squares."""
    return position(level).flatten(2).transpose(1, 2)


def require_levels(encoded: Encoded) -> tuple[Tensor, ...]:
    """Feature maps of an image tower, the finest first: [S, W, *H] each.

    Raises:
        ConfigError: it gave none.
    """
    if encoded.levels is None:
        raise ConfigError("grounding needs an image tower with feature maps, such as WaveletTower")
    return encoded.levels

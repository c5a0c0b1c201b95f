"""From what an image tower sees to tokens that a language model reads.

Shape letters: B images, N tokens of the tower, K tokens for the language model, D width of the tower, W of the model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voxtile.assist.item_tokens.found_regions import FoundRegions, FoundRegionTokens
from voxtile.assist.item_tokens.hierarchy import HierarchyTokens
from voxtile.assist.item_tokens.named_readings import NamedReadings, NamedReadingTokens
from voxtile.assist.item_tokens.scale_invariant import ScaleInvariantTokens
from voxtile.errors import ConfigError
from voxtile.models.tower import full_precision
from voxtile.objectives.generative.captioning import AttentionalPool
from voxtile.objectives.generative.cross_attention import require_tokens
from voxtile.types import Encoded

_MADE = ("resampler", "scale-invariant", "hierarchy")  # kinds that make other tokens than the tower's


@dataclass(frozen=True, kw_only=True)
class Connector:
    """How images reach the language model.

    Attributes:
        kind: `mlp` maps each token of the tower by itself (LLaVA-1.5, Liu et al., CVPR 2024); `resampler` has learned
            queries look at all of them, so that images of any size make as many tokens (Flamingo, Alayrac et al.,
            NeurIPS 2022); `scale-invariant` has the tokens of `grid` look at all of them (PA-LLaVA, Dai et al. 2024);
            `hierarchy` has queries look at what other queries found in each image of an item, so that studies of any
            number of series and slides of any number of patches make as many tokens (`data.unit: study`); `none` gives
            no tokens but those of the pooled vector.
        grid: the tower's tokens are first averaged to this grid, (Z, Y, X) or (Y, X); left as they are where empty.
        queries: tokens of the `resampler` and of an item of the `hierarchy`.
        each: tokens that the `hierarchy` keeps of each image of an item.
        layers: of the attention of `scale-invariant`.
        heads: of the attention.
        pooled: tokens made of the tower's pooled vector, which come first; 0 for none.
        places: give each token of `grid` an embedding of its own, so that a language model whose places are relative
            (rotary embeddings) can tell where in the image it is.
        regions: of a tower that was trained with `RegionHead` or `FactMapHead` a token for each of its phrases, of the
            maps in which it finds them; after the other tokens. Where something lies and how large it is, means over
            cells blur.
        named: names in questions and answers under each of which the language model is given a reading of the image of
            its own: sides and places, which it finds by attention only from many more reports. With kind `mlp` and a
            `grid`, or of phrases of `regions` alone; with `changes` of these also what has become of each.
        hidden: width within the mlps.
        difference: where a prompt shows several images, tokens made of how the pooled vector of each differs from that
            of the image before it, which come after its own; 0 for none.
        dropout: share of the tower's features that training leaves out at random: a tower that stands still and is not
            looked at anew (`model.cache_locked`) gives a scan the same features every time, which are learned by heart.

    Raises:
        ConfigError: sizes that do not fit, or no token at all.
    """

    kind: Literal["mlp", "resampler", "scale-invariant", "hierarchy", "none"] = "mlp"
    grid: Sequence[int] = ()
    queries: int = 32
    each: int = 4
    layers: int = 2
    heads: int = 4
    pooled: int = 4
    hidden: int = 256
    difference: int = 0
    places: bool = False
    regions: FoundRegions | None = None
    named: NamedReadings | None = None
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in (*_MADE, "mlp", "none"):
            raise ConfigError(f"there is no connector '{self.kind}'; take mlp, {', '.join(_MADE)} or none")
        if (
            min(self.queries, self.each, self.layers, self.heads, self.hidden) < 1
            or min(self.pooled, self.difference) < 0
            or any(cells < 1 for cells in self.grid)
        ):
            raise ConfigError(f"connector: {self} has a size below 1")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"connector: dropout {self.dropout} is no share from 0 to below 1")
        if self.kind == "scale-invariant" and not self.grid:
            raise ConfigError("connector: kind scale-invariant looks from a grid; name one, such as [8, 8]")
        if self.places and (self.kind != "mlp" or not self.grid):
            raise ConfigError("connector: places are those of a grid that is averaged to; name it, with kind mlp")
        is_of_cells = self.kind == "mlp" and bool(self.grid)
        if self.named is not None and not is_of_cells and None in self.named.names.values():
            raise ConfigError(
                "connector: a named reading is of a grid that is averaged to, or of a phrase of regions; name the "
                "grid, with kind mlp, or a phrase for each name"
            )
        phrases = 0 if self.regions is None else self.regions.phrases
        if self.named is not None and any(at is not None and at >= phrases for at in self.named.names.values()):
            raise ConfigError(
                f"connector.named names phrases beyond the {phrases} of connector.regions; number them from 0"
            )
        if self.kind == "none" and not self.pooled:
            raise ConfigError("connector: kind none with pooled 0 shows the language model nothing; take mlp")
        if self.hidden % self.heads:
            raise ConfigError(f"connector: hidden {self.hidden} is no multiple of {self.heads} heads")


class ImageTokens(nn.Module):
    """The tokens of images, of the size of the language model's own.

    Args:
        settings: how.
        width: of the tower.
        language: width of the language model.
        size: root mean square of the language model's embeddings, with which the tokens begin.
        levels: widths of the tower's feature maps, for `regions`.
        dimensions: of its images, likewise.
    """

    def __init__(
        self,
        settings: Connector,
        width: int,
        language: int,
        size: float,
        *,
        levels: Sequence[int] = (),
        dimensions: int = 2,
    ) -> None:
        super().__init__()
        self.settings = settings
        hidden = settings.hidden
        self.pooled: nn.Module | None = None
        self.local: nn.Module | None = None
        self.queries: AttentionalPool | None = None
        self.made: nn.Module | None = None
        if settings.pooled:
            self.pooled = _mlp(width, hidden, settings.pooled * language)
        if settings.kind == "resampler":
            self.queries = AttentionalPool(settings.queries, hidden, settings.heads, width)
            self.local = _mlp(hidden, hidden, language)
        elif settings.kind == "mlp":
            self.local = _mlp(width, hidden, language)
        elif settings.kind == "scale-invariant":
            average = partial(averaged, wanted=tuple(settings.grid))
            self.made = ScaleInvariantTokens(average, settings.layers, settings.heads, hidden, width)
            self.local = _mlp(hidden, hidden, language)
        elif settings.kind == "hierarchy":
            self.made = HierarchyTokens(settings.queries, settings.each, settings.heads, hidden, width)
            self.local = _mlp(hidden, hidden, language)
        self.places = nn.Parameter(torch.randn(math.prod(settings.grid), language)) if settings.places else None
        self.found: FoundRegionTokens | None = None
        if settings.regions is not None:
            self.found = FoundRegionTokens(settings.regions, levels, dimensions, hidden, language)
        self.named: NamedReadingTokens | None = None
        if settings.named is not None:
            profile = 0 if self.found is None else self.found.numbers
            numbers = math.prod(settings.grid) * width if settings.kind == "mlp" and settings.grid else 0
            self.named = NamedReadingTokens(settings.named, numbers, profile, hidden, language)
        self.changed: nn.Module | None = None
        if settings.difference:
            self.changed = _mlp(width, hidden, settings.difference * language)[1:]  # how much it is, is not normalised
        self.dropout = nn.Dropout(settings.dropout)
        self.norm = nn.LayerNorm(language, elementwise_affine=False)
        self.log_size = nn.Parameter(torch.tensor(math.log(max(size, 1e-6))))
        self.width = language

    def forward(self, encoded: Encoded) -> Tensor:
        """[B, K, W] tokens of B images.

        Raises:
            ConfigError: the tower gives no tokens, or of images of several sizes as many as each has, or items have
                several images.
        """
        if encoded.members is not None and self.settings.kind not in ("hierarchy", "none"):
            raise ConfigError(
                f"connector: kind {self.settings.kind} reads one image an item, and items have several; take kind "
                "hierarchy or none, or data.unit: sample"
            )
        parts, seen = [], None
        if self.pooled is not None:
            made = self.pooled(self.dropout(full_precision(encoded.pooled)))
            parts.append(made.unflatten(1, (self.settings.pooled, self.width)))  # a length would be fixed in an export
        if self.local is not None and self.made is not None:
            parts.append(self.local(self.made(encoded)))
        elif self.local is not None:
            tokens, padding = require_tokens(encoded, "Answering", "image")
            tokens = full_precision(tokens)
            if self.queries is not None:
                tokens = self.queries(tokens, padding)
            elif padding is not None:
                raise ConfigError("connector: kind mlp needs images of one size; take kind resampler")
            elif self.settings.grid:
                tokens = averaged(tokens, encoded.grid, tuple(self.settings.grid))
            seen = tokens.flatten(1) if self.settings.grid else None
            local = self.local(self.dropout(tokens))
            parts.append(local if self.places is None else self.norm(local) + self.places)
        if self.found is not None:
            parts.append(self.found(encoded))
        if self.named is not None:
            parts.append(self.named(seen, None if self.found is None else self.found.profiles(encoded)))
        return cast(Tensor, self.norm(torch.cat(parts, 1))) * self.log_size.exp()

    def condensed(self, encoded: Encoded) -> Encoded:
        """With what it reads of feature maps, so that these need not be kept."""
        if self.found is None:
            return encoded
        with torch.no_grad():
            return replace(encoded, profiles=self.found.profiles(encoded))

    def compared(self, tokens: Tensor, encoded: Encoded) -> Tensor:
        """[N, K', W] tokens of the images of one prompt, after each image's own those of how it differs.

        Args:
            tokens: [N, K, W], as `forward` makes them of each by itself.
            encoded: what the tower gave of the N, in the order of the prompt.
        """
        parts = []
        if self.changed is not None:
            alike = F.layer_norm(full_precision(encoded.pooled), encoded.pooled.shape[1:])
            step = alike - torch.cat([alike[:1], alike[:-1]])  # of the first image there is none
            parts.append(self.changed(step).view(len(step), -1, self.width))
        if self.found is not None and self.found.changes is not None:
            parts.append(self.found.changes(self.found.profiles(encoded)))
        if not parts:
            return tokens
        made = (self.norm(torch.cat(parts, 1)) * self.log_size.exp()).to(tokens.dtype)
        own = tokens.shape[1] - self.readings
        readings = tokens[:, own:]
        if self.named is not None and self.found is not None and self.found.changes is not None:
            readings = readings + self.named.of_phrases(made[:, -len(self.found.names) :])
        return torch.cat([tokens[:, :own], made, readings], 1)

    @property
    def readings(self) -> int:
        """How many of the tokens, the last ones, are of names."""
        return 0 if self.settings.named is None else len(self.settings.named.names)


def averaged(tokens: Tensor, grid: tuple[int, ...] | None, wanted: tuple[int, ...]) -> Tensor:
    """[B, N, D] tokens on a grid, averaged to another one in row-major order.

    Args:
        tokens: of the tower.
        grid: on which they stand; its product is N.
        wanted: the smaller grid.

    Raises:
        ConfigError: the tower has no grid, one of other axes, or a coarser one.
    """
    if grid is None or len(grid) != len(wanted) or any(a < b for a, b in zip(grid, wanted, strict=True)):
        raise ConfigError(
            f"connector: the tower's tokens stand on a grid of {grid}, which cannot be averaged to {wanted}; leave "
            "grid out, or name a smaller one of as many axes"
        )
    laid_out = tokens.transpose(1, 2).reshape(tokens.shape[0], tokens.shape[2], *grid)
    pool: Any = F.adaptive_avg_pool3d if len(grid) == 3 else F.adaptive_avg_pool2d
    pooled: Tensor = pool(laid_out, wanted)
    return pooled.flatten(2).transpose(1, 2)


def _mlp(width: int, hidden: int, out: int) -> nn.Sequential:
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, out))

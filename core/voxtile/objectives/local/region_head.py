"""An auxiliary head that tells, at every level of the image tower, which cells the named regions cover.

Shape letters: B items, R regions, C channels of a level, P phrases, *G grid of the image, *H grid of a level, N product
of *H.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voxtile.errors import ConfigError
from voxtile.models.tower import ImageTower, TextTower, full_precision
from voxtile.objectives.base import ItemObjective
from voxtile.objectives.local.level_heads import level_heads
from voxtile.types import Features, Regions
from voxtile.words.names import name_key

_POOL: dict[int, Any] = {2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}


class RegionHead(ItemObjective):
    """Linear heads on the tower's feature maps, cross-entropy of how far a region covers each cell.

    Every level is supervised by itself (deep supervision, Lee et al., AISTATS 2015), so that the tower's own features
    tell where a finding is, and not those of a decoder behind it: what pools or reads them afterwards needs a fraction
    of the scans that labels of whole scans ask for. With t_n the share of cell n that a region r covers and z_n the
    level's logit of its phrase there,

        L_r = mean over levels of [ Σ_n t_n softplus(−z_n) / Σ_n t_n + Σ_n (1 − t_n) softplus(z_n) / Σ_n (1 − t_n) ],

    so that what is small counts as much as what is large (balanced cross-entropy, Xie and Tu, ICCV 2015, eq. 2). A
    phrase that is known to be absent has the second part alone, and one that nothing is known of is not asked. Each
    region counts by its confidence; a box counts as filled. It needs `data.regions`, with no wordings but "{}".

    Once the tower is locked (`lock_image_after`) there is nothing left to learn here, and the term is 0.

    Args:
        phrases: of the regions, as `data.regions.phrases` has them; a channel each.
        levels: feature maps that are supervised, 0 the finest; all but that where left out.

    Raises:
        ConfigError: no phrase, or one twice.

    Examples:
        >>> import torch
        >>> from voxtile.models import TextBag, WaveletTower
        >>> from voxtile.objectives import RegionHead
        >>> from voxtile.types import Features, Regions
        >>> tower, own = WaveletTower(dimensions=2, widths=(8,), blocks=(1,)), torch.arange(2)
        >>> objective = RegionHead(phrases=["liver", "spine"])
        >>> objective.setup_towers(tower, TextBag())
        >>> _ = [torch.nn.init.zeros_(weight) for weight in objective.parameters()]
        >>> masks = torch.zeros(2, 16, 16)
        >>> masks[0, 4:8, 4:8] = 1  # the second has no spine
        >>> regions = Regions(["liver", "spine"], own, masks, boxed=own < 0, weight=torch.ones(2))
        >>> encoded = tower(torch.randn(2, 1, 16, 16), tokens=True)
        >>> features = Features.of_pairs(torch.ones(2, 4), torch.ones(2, 4), image_encoded=encoded, regions=regions)
        >>> features.rows[objective] = objective.rows(features)
        >>> round(objective(features).item(), 4)  # 3/2 log 2: it knows nothing, of three parts of two regions
        1.0397
    """

    row_needs: ClassVar[frozenset[str]] = frozenset({"tokens", "regions"})
    reads_texts = False
    shapes_image_tower_alone: ClassVar[bool] = True

    def __init__(self, *, phrases: Sequence[str], levels: Sequence[int] = ()) -> None:
        super().__init__()
        self.channels = {name_key(phrase): channel for channel, phrase in enumerate(phrases)}
        if not phrases or len(self.channels) < len(phrases):
            raise ConfigError(f"RegionHead needs phrases that differ, not {list(phrases)}")
        self.levels = tuple(levels)
        self.heads = nn.ModuleDict()

    def setup_towers(self, image: ImageTower, text: TextTower) -> None:
        """Make a head for each level.

        Raises:
            ConfigError: the image tower has no such level.
        """
        self.heads.update(level_heads(image.level_widths, self.levels, len(self.channels), "RegionHead"))

    def rows(self, features: Features) -> Tensor:
        """[B, 2]: the losses of each item's regions, weighted by confidence, and their weights.

        Raises:
            ConfigError: the batch has no regions or one of another name, or the heads were not made.
        """
        regions, levels = features.batch.regions, features.image_encoded.levels
        none = full_precision(features.image_encoded.pooled).new_zeros(len(features.batch), 2)
        if regions is None:
            raise ConfigError("RegionHead needs regions; set data.regions, or remove the objective")
        if not self.heads:
            raise ConfigError("RegionHead was not set up; load a checkpoint or train the model first")
        if levels is None or not len(regions.phrases):  # the tower is locked; a gradient of 0 reaches other processes
            touched = (*self.parameters(), *(levels or ()))
            return none + sum((0.0 * part).sum() for part in touched)
        channel = torch.tensor([self._channel(phrase) for phrase in regions.phrases], device=none.device)
        losses = none.new_zeros(len(regions.phrases))
        for level, head in self.heads.items():
            found = full_precision(head(levels[int(level)].movedim(1, -1)).flatten(1, -2))  # [B, N, P]
            logits = found.transpose(1, 2)[regions.item, channel]
            losses = losses + _balanced(logits, _covered(regions, levels[int(level)].shape[2:]).to(logits.dtype))
        weight = regions.weight.to(none.dtype)
        own = torch.stack([losses / len(self.heads) * weight, weight], 1)
        return none.index_add(0, regions.item, own)

    def _channel(self, phrase: str) -> int:
        try:
            return self.channels[name_key(phrase)]
        except KeyError:
            raise ConfigError(
                f"RegionHead has no channel for '{phrase}'; name it in phrases or leave it out of data.regions."
                'phrases, and let data.regions.wordings be "{}" alone'
            ) from None


def _covered(regions: Regions, grid: torch.Size) -> Tensor:
    """[R, N] the share of each cell of a grid that a region covers."""
    shares = regions.masks.new_zeros(len(regions.masks), grid.numel())
    some = torch.nonzero(regions.masks.flatten(1).amax(1) > 0).squeeze(1)
    pooled = _POOL[len(grid)](regions.masks[some].unsqueeze(1), grid)
    return shares.index_copy(0, some, pooled.flatten(1)) if len(some) else shares


def _balanced(logits: Tensor, shares: Tensor) -> Tensor:
    """[R] the loss of each region at one level, of [R, N] logits and shares."""
    inside, outside = shares.sum(1), (1 - shares).sum(1)
    tiny = torch.finfo(logits.dtype).tiny
    there = (shares * F.softplus(-logits)).sum(1) / inside.clamp(min=tiny)
    elsewhere = ((1 - shares) * F.softplus(logits)).sum(1) / outside.clamp(min=tiny)
    return there + elsewhere

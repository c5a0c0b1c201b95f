"""Region-phrase contrast: what is inside a region, against what it is called."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voxtile.errors import ConfigError
from voxtile.models.grounding_decoder import require_levels
from voxtile.models.tower import ImageTower, TextTower, full_precision
from voxtile.objectives.base import Objective, rows_of
from voxtile.types import Features

_POOL: dict[int, Any] = {2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}


class RegionContrast(Objective):
    """Pulls the features inside a region to its phrase and away from the other phrases of the batch.

    The features of one level of the image tower are averaged over the region, as in region-text pretraining
    (RegionCLIP, Zhong et al., CVPR 2022, section 3.2), and compared with the phrases as the text tower and its
    projection give them:

        L = mean over regions r of −log( Σ_{p = phrase of r} exp(s·⟨v_r, t_p⟩) / Σ_p exp(s·⟨v_r, t_p⟩) )

    with the model's own scale s, over the different phrases p of the batch, so that the matrix has no more columns than
    there are phrases. Phrases without a target are candidates too. Each region counts by its confidence. It needs
    `data.regions`.

    Args:
        level: which feature map, 0 the finest.

    Examples:
        >>> import torch
        >>> from voxtile.models import TextBag, WaveletTower
        >>> from voxtile.objectives import RegionContrast
        >>> from voxtile.types import Features, Regions
        >>> tower, own = WaveletTower(dimensions=2, widths=(8,), blocks=(1,)), torch.arange(2)
        >>> masks, alike = torch.ones(2, 16, 16), torch.ones(2, 4) / 2
        >>> regions = Regions(["liver", "spine"], own, masks, boxed=own < 0, weight=torch.ones(2), embedded=alike)
        >>> objective = RegionContrast()
        >>> objective.setup_towers(tower, TextBag())
        >>> objective.setup(image_width=256, text_width=128, embed_dim=4, fact_names=())
        >>> encoded = tower(torch.randn(2, 1, 16, 16), tokens=True)
        >>> features = Features.of_pairs(alike, alike, image_encoded=encoded, regions=regions)
        >>> features.rows[objective] = objective.rows(features)
        >>> round(objective(features).item(), 4)  # log 2: both phrases look the same
        0.6931
    """

    row_needs: ClassVar[frozenset[str]] = frozenset({"tokens", "regions"})
    of_regions: ClassVar[bool] = True
    couples_items: ClassVar[bool] = True
    contrasts_phrases: ClassVar[bool] = True

    def __init__(self, *, level: int = 1) -> None:
        super().__init__()
        self.level = level
        self._width = 0
        self.project: nn.Linear | None = None

    def setup_towers(self, image: ImageTower, text: TextTower) -> None:
        """Note the width of the feature map.

        Raises:
            ConfigError: the image tower has no such level.
        """
        if not 0 <= self.level < len(image.level_widths):
            count = len(image.level_widths)
            raise ConfigError(
                f"RegionContrast reads level {self.level}, but the image tower has {count} feature maps; take a lower "
                "level, or a tower with maps, such as WaveletTower or ViTTower with levels"
            )
        self._width = image.level_widths[self.level]

    def setup(self, *, image_width: int, text_width: int, embed_dim: int, fact_names: tuple[str, ...]) -> None:
        """Make the projection to the shared space."""
        self.project = nn.Linear(self._width, embed_dim, bias=False)

    def rows(self, features: Features) -> Tensor:
        """[R, 2D + 2]: each region's vector, that of its phrase, its confidence and whether it has a target.

        Raises:
            ConfigError: the batch has no regions, the tower no feature maps, or the objective was not set up.
        """
        regions = features.batch.regions
        if regions is None:
            raise ConfigError("RegionContrast needs regions; set data.regions, or remove the objective")
        if self.project is None:
            raise ConfigError("RegionContrast was not set up; load a checkpoint or train the model first")
        inside = self._inside(require_levels(features.image_encoded)[self.level], regions.masks, regions.item)
        vectors = F.normalize(full_precision(self.project(inside)), dim=1)
        phrases = vectors.new_zeros(vectors.shape) if regions.embedded is None else regions.embedded
        there = regions.masks.flatten(1).amax(1) > 0 if len(regions.phrases) else regions.weight > 0
        marks = torch.stack([regions.weight, there.to(regions.weight)], 1)
        return torch.cat([vectors, phrases.to(vectors), marks.to(vectors)], 1)

    def forward(self, features: Features) -> Tensor:
        """Return the scalar loss; 0 where no phrase of the batch has a target."""
        rows = rows_of(self, features)
        regions = features.batch.regions
        assert regions is not None
        phrases = regions.phrases if features.share is None else features.share.strings(regions.phrases)
        vectors, embedded, marks = torch.split(rows, [(rows.shape[1] - 2) // 2] * 2 + [2], 1)
        weight, there = marks.detach().unbind(1)
        some = torch.nonzero(there > 0).squeeze(1)
        if not len(some):
            return rows.sum() * 0.0
        names = {phrase: place for place, phrase in enumerate(dict.fromkeys(phrases))}
        first = torch.tensor([phrases.index(name) for name in names], device=rows.device)
        own = torch.tensor([names[phrases[row]] for row in some.tolist()], device=rows.device)
        logits = features.logit_scale * vectors[some] @ embedded[first].T
        loss = F.cross_entropy(logits, own, reduction="none")
        return (loss * weight[some]).sum() / weight[some].sum().clamp(min=1e-6)

    @staticmethod
    def _inside(level: Tensor, masks: Tensor, item: Tensor) -> Tensor:
        """[S, W, *H] and [R, *G] to [R, W], the mean of each region's cells by how far it covers them."""
        flat = full_precision(level.flatten(2))
        if not len(item):
            return flat[:0].sum(2)  # of no regions, but a gradient of 0 reaches what others use
        cover = _POOL[masks.ndim - 1](masks.unsqueeze(1), level.shape[2:]).flatten(1).to(flat.dtype)  # [R, N]
        cover = cover / cover.sum(1, keepdim=True).clamp(min=1e-6)
        return torch.stack([flat[i] @ c for i, c in zip(item.tolist(), cover, strict=True)])

"""Grounding: masks of phrases, learned from outlines, boxes and what is known to be absent."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from voxtile.errors import ConfigError
from voxtile.grounding.decoder import Grounded, GroundingDecoder, require_levels
from voxtile.grounding.losses import dice_loss, focal_loss, projection_loss
from voxtile.models.tower import ImageTower, TextTower
from voxtile.objectives.base import Objective
from voxtile.types import Features, Regions


class Grounding(Objective):
    """Dice and focal loss of known masks, projections of boxes, and cross-entropy of the presence.

    A phrase without a target has an empty mask: then the focal loss alone asks for silence. Each region counts by its
    confidence (weak labels less than outlines). It needs `data.regions`.

    Args:
        width, fine_width, product, heads: of the decoder, see `GroundingDecoder`.
        focal: weight of the focal loss beside Dice.
        presence: weight of the presence term.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"tokens", "regions"})

    def __init__(
        self,
        *,
        width: int = 64,
        fine_width: int = 32,
        product: int = 24,
        heads: int = 4,
        focal: float = 1.0,
        presence: float = 0.5,
    ) -> None:
        super().__init__()
        self.sizes = {"width": width, "fine_width": fine_width, "product": product, "heads": heads}
        self.focal, self.presence = focal, presence
        self.decoder: GroundingDecoder | None = None

    def setup_towers(self, image: ImageTower, text: TextTower) -> None:
        """Make the decoder for these towers.

        Raises:
            ConfigError: the image tower has no feature maps.
        """
        self.decoder = GroundingDecoder(
            dimensions=3 if image.dimensions == 3 else 2,
            level_widths=image.level_widths,
            text_width=text.width,
            **self.sizes,
        )

    def ground(self, features: Features) -> Grounded:
        """Masks and presence of the batch's regions.

        Raises:
            ConfigError: the batch has no regions, or the decoder was not made.
        """
        regions = self._regions(features)
        if self.decoder is None or regions.encoded is None:
            raise ConfigError("Grounding was not set up; load a checkpoint or train the model first")
        levels = require_levels(features.image_encoded)
        return self.decoder(levels, regions.encoded, regions.item, regions.masks.shape[1:])  # type: ignore[no-any-return]

    def forward(self, features: Features) -> Tensor:
        """Mean over the batch's phrases, weighted by confidence; 0 where there are none."""
        regions = self._regions(features)
        if not len(regions.phrases):
            return features.image.sum() * 0.0
        found = self.ground(features)
        target = regions.masks.float()
        present = target.flatten(1).amax(1) > 0
        loss = self.focal * focal_loss(found.mask, target)
        boxed = regions.boxed & present
        outlined = present & ~boxed
        loss = torch.where(boxed, torch.zeros_like(loss), loss)
        if outlined.any():
            loss = loss.index_add(0, _places(outlined), dice_loss(found.mask[outlined], target[outlined]))
        if boxed.any():
            loss = loss.index_add(0, _places(boxed), projection_loss(found.mask[boxed], target[boxed]))
        there = F.binary_cross_entropy_with_logits(found.presence.float(), present.float(), reduction="none")
        loss = loss + self.presence * there
        return (loss * regions.weight).sum() / regions.weight.sum().clamp(min=1e-6)

    @staticmethod
    def _regions(features: Features) -> Regions:
        regions = features.batch.regions
        if regions is None:
            raise ConfigError("the Grounding objective needs regions; set data.regions, or remove the objective")
        return regions


def _places(chosen: Tensor) -> Tensor:
    return torch.nonzero(chosen).squeeze(1)

"""Grounding: masks of phrases, learned from outlines, boxes and what is known to be absent."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from voxtile.errors import ConfigError
from voxtile.models.grounding_decoder import Answers, GroundingDecoder, require_levels
from voxtile.models.tower import ImageTower, TextTower, full_precision
from voxtile.objectives.base import ItemObjective
from voxtile.objectives.keyed_random import uniform
from voxtile.objectives.local.mask_losses import dice_loss, focal_loss, projection_loss
from voxtile.types import Features, Regions

_STREAM = 7919  # of the numbers that choose points


class Grounding(ItemObjective):
    """Dice and focal loss of known masks, projections of boxes, and cross-entropy of the presence.

    A phrase without a target has an empty mask: then the focal loss alone asks for silence. Each region counts by its
    confidence (weak labels less than outlines). What is asked of an image is answered by that image alone, so that it
    works in any batch and over processes. It needs `data.regions`.

    Args:
        width, fine_width, fine_blocks, product, heads, coordinates: of the decoder, see `GroundingDecoder`.
        points: voxels (of whole cells) without any target that the loss of an image is taken on, drawn by its draw.
        focal: weight of the focal loss beside Dice.
        silence: share of the focal loss that a phrase without target counts. It is divided by few voxels, that of a
            large target by thousands: at 1 silence wins, and what is large and rare may never be shown.
        presence: weight of the presence term.

    Examples:
        >>> import torch
        >>> from voxtile.models import TextTransformer, WaveletTower
        >>> from voxtile.objectives import Grounding
        >>> from voxtile.types import Features, Regions
        >>> tower, text = WaveletTower(dimensions=2, widths=(8, 16), blocks=(1, 1)), TextTransformer(width=16, depth=1)
        >>> objective, own = Grounding(), torch.arange(2)
        >>> objective.setup_towers(tower, text)
        >>> masks, weight = torch.zeros(2, 32, 32), torch.tensor([1.0, 0.5])  # the second is a weak label
        >>> masks[:, 8:16, 8:16] = 1
        >>> phrases = text(torch.tensor([[1, 11, 2], [1, 12, 2]]))
        >>> regions = Regions(["liver", "spine"], own, masks, boxed=own < 0, weight=weight, encoded=phrases)
        >>> encoded = tower(torch.randn(2, 1, 32, 32), tokens=True)
        >>> features = Features.of_pairs(torch.ones(2, 8), torch.ones(2, 8), image_encoded=encoded, regions=regions)
        >>> features.rows[objective] = objective.rows(features)
        >>> bool(objective(features) > 0), features.rows[objective][:, 1].tolist()  # the second item weighs half
        (True, [1.0, 0.5])
    """

    row_needs: ClassVar[frozenset[str]] = frozenset({"tokens", "regions"})

    def __init__(
        self,
        *,
        width: int = 32,
        fine_width: int = 16,
        fine_blocks: int = 0,
        product: int = 24,
        heads: int = 4,
        coordinates: bool = False,
        words: bool = True,
        points: int = 8192,
        focal: float = 0.5,
        silence: float = 1.0,
        presence: float = 0.5,
    ) -> None:
        super().__init__()
        self.sizes: dict[str, Any] = {
            "width": width, "fine_width": fine_width, "fine_blocks": fine_blocks, "product": product, "heads": heads,
            "coordinates": coordinates, "words": words,
        }  # fmt: skip
        self.points, self.focal, self.silence, self.presence = points, focal, silence, presence
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

    def rows(self, features: Features) -> Tensor:
        """[B, 2]: the losses of each item's phrases, weighted by confidence, and their weights.

        Raises:
            ConfigError: the batch has no regions, or the decoder was not made.
        """
        regions = self._regions(features)
        if self.decoder is None:
            raise ConfigError("Grounding was not set up; load a checkpoint or train the model first")
        levels = require_levels(features.image_encoded)
        rows = full_precision(levels[0]).new_zeros(len(features.image), 2)
        if regions.encoded is None:
            raise ConfigError("Grounding asks phrases that the module encodes; list it in model.objectives")
        if not len(regions.phrases):  # a gradient of 0 reaches what other processes use
            touched = (*levels, regions.encoded.pooled, *self.parameters())
            return rows + sum((0.0 * part).sum() for part in touched)  # a product each: their gradients share no memory
        found = self.decoder.answers(levels, regions.encoded, regions.item)
        present = regions.masks.flatten(1).amax(1) > 0
        boxed = regions.boxed & present
        loss = self.presence * F.binary_cross_entropy_with_logits(
            full_precision(found.presence), present.to(rows.dtype), reduction="none"
        )
        loss = loss + self._outlines(found, regions, boxed, levels[0].shape[2:], features.batch.draws)
        if boxed.any():
            loss = loss.index_add(0, torch.nonzero(boxed).squeeze(1), self._boxes(found, regions, boxed, levels))
        weight = regions.weight.to(rows.dtype)
        return rows.index_add(0, regions.item, torch.stack([loss.to(rows.dtype) * weight, weight], 1))

    def _outlines(self, found: Answers, regions: Regions, boxed: Tensor, cells: torch.Size, draws: Tensor) -> Tensor:
        """[R] loss of known masks, 0 where only a box is known; from all cells with targets and a sample of the others.

        A sampled cell stands for as many as there are for each one drawn, so that the expected sums are those over the
        whole image (points as in Mask2Former, Cheng et al., CVPR 2022, section 3.3).
        """
        assert self.decoder is not None
        masks, axes = regions.masks.to(found.presence.device), self.decoder.dimensions
        losses = full_precision(found.presence).new_zeros(len(masks))
        for image, features in enumerate(found.cells.unbind()):
            rows = torch.nonzero((regions.item == image) & ~boxed).squeeze(1)
            if not len(rows):
                continue
            parts = self.decoder.in_cells(masks[rows], cells)
            held = (
                self.decoder.in_cells(masks[rows].amax(0, keepdim=True), cells)[0].flatten(axes).amax(-1).flatten() > 0
            )
            places, weight = _points(held, self.points // 2**axes, draws[image])
            logits = found.logits(features[places], rows).flatten(1)
            at: Any = (slice(None), *torch.unravel_index(places, tuple(cells)))
            truth = parts[at].flatten(1)
            there = (truth.amax(1) > 0).to(losses.dtype)
            weight = weight.to(logits.dtype).repeat_interleave(2**axes)
            share = there + self.silence * (1 - there)
            own = self.focal * share * focal_loss(logits, truth, weight) + there * dice_loss(logits, truth, weight)
            losses = losses.index_add(0, rows, own)
        return losses

    def _boxes(self, found: Answers, regions: Regions, boxed: Tensor, levels: tuple[Tensor, ...]) -> Tensor:
        """Loss of the phrases of which only boxes are known."""
        assert self.decoder is not None
        some = Answers(found.cells, found.weights[boxed], found.offsets[boxed], found.presence[boxed])
        masks = self.decoder.laid_out(some, regions.item[boxed], levels[0].shape[2:], regions.masks.shape[1:])
        return projection_loss(masks, regions.masks[boxed])

    @staticmethod
    def _regions(features: Features) -> Regions:
        regions = features.batch.regions
        if regions is None:
            raise ConfigError("the Grounding objective needs regions; set data.regions, or remove the objective")
        return regions


def _points(positive: Tensor, count: int, draw: Tensor) -> tuple[Tensor, Tensor]:
    """All places where `positive` [N] is True and about `count` of the others, and how many cells each stands for.

    Args:
        positive: [N] bool.
        count: how many.
        draw: of the image, the key of the choice.
    """
    inside = torch.nonzero(positive).squeeze(1)
    outside = torch.nonzero(~positive).squeeze(1)
    chosen = uniform(draw.reshape(1).to(positive.device), count, _STREAM)[0] * len(outside)
    drawn = outside[chosen.long()] if len(outside) else outside
    share = len(outside) / max(1, len(drawn))
    weight = torch.ones(len(inside) + len(drawn), dtype=torch.float64, device=positive.device)
    weight[len(inside) :] = share
    return torch.cat([inside, drawn]), weight

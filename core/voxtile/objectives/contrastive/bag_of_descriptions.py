"""A bag of descriptions: what is said of an image is true of it as a whole, though not each part by itself.

Shape letters: B items, T texts, D the shared width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from voxtile.errors import ConfigError
from voxtile.objectives.base import Objective
from voxtile.objectives.contrastive.row_slabs import item_rows, log_sum, over_rows, text_rows
from voxtile.objectives.contrastive.tiled import softmax_loss
from voxtile.objectives.pairs import IgnoredName, Pairs, RelationName
from voxtile.types import Features

_OF_BAGS = frozenset({"study", "subject", "same_facts", "other_source"})


class BagOfDescriptions(Objective):
    """Contrasts an item with its texts as one bag (multiple instances).

    With z_ij = s·⟨x_i, y_j⟩, P(i) the texts of item i and N(i) its negative pairs, both with other texts and of its
    texts with other items (MIL-NCE, Miech et al., CVPR 2020, equation 1; the authors' code counts P(i) twice below the
    line, the paper once):

        L = −1/B' Σ_i log [ Σ_{j∈P(i)} exp z_ij / ( Σ_{j∈P(i)} exp z_ij + Σ_{(k,j)∈N(i)} exp z_kj ) ],
        N(i) = { (i, j) : j ∉ P(i) } ∪ { (k, j) : j ∈ P(i), k ∉ items of j }

    One text that fits is enough, so that sentences which say nothing about the image do no harm; `Contrastive` asks the
    same of every text. B' counts the items with a text. With `pool: mean` the bag is the normalised mean of its texts
    instead, and the loss is the softmax one of `voxtile.objectives.contrastive.tiled` between items and bags.

    Give items several texts: `data.captions: {unit: sentence, per_item: 5}`.

    Args:
        pool: `none` (MIL-NCE) or `mean`.
        positives, ignore: as in `voxtile.objectives.Contrastive`; of pooled bags only `study`, `subject`
            and `same_facts`.

    Raises:
        ConfigError: a pooling that does not exist, or a relation that pooled bags do not have.

    Examples:
        >>> import torch
        >>> from voxtile.objectives import BagOfDescriptions
        >>> from voxtile.types import Features
        >>> owner = torch.tensor([0, 0, 1, 1])  # two texts an item
        >>> alike = Features.of_pairs(torch.ones(2, 8), torch.ones(4, 8), text_item=owner)
        >>> round(BagOfDescriptions()(alike).item(), 4)  # log 3: two of six pairs are right
        1.0986
    """

    couples_items: ClassVar[bool] = True

    def __init__(
        self,
        *,
        pool: Literal["none", "mean"] = "none",
        positives: Sequence[RelationName] = (),
        ignore: Sequence[IgnoredName] = (),
    ) -> None:
        super().__init__()
        if pool not in ("none", "mean"):
            raise ConfigError(f"BagOfDescriptions knows no pool '{pool}'; use none or mean")
        unknown = sorted({*positives, *ignore} - _OF_BAGS)
        if pool == "mean" and unknown:
            raise ConfigError(
                f"BagOfDescriptions with pool: mean has no single texts, so that '{unknown[0]}' says nothing; use "
                f"{', '.join(sorted(_OF_BAGS))}"
            )
        self.pool, self.positives, self.ignore = pool, tuple(positives), tuple(ignore)

    def forward(self, features: Features) -> Tensor:
        """Return the scalar loss; 0 where no item has a text."""
        if not len(features.text):
            return features.image.sum() * 0.0
        return self._pooled(features) if self.pool == "mean" else self._instances(features)

    def _pooled(self, features: Features) -> Tensor:
        owner = features.batch.text_item
        items, place = torch.unique(owner, return_inverse=True)
        bags = features.text.new_zeros(len(items), features.text.shape[1]).index_add(0, place, features.text)
        bags = F.normalize(bags / torch.bincount(place).unsqueeze(1), dim=1)
        batch = replace(features.batch, text_item=items)
        pairs = Pairs.from_batch(batch, self.positives, self.ignore)
        return softmax_loss(features.image, bags, features.logit_scale, pairs, share=features.share)

    def _instances(self, features: Features) -> Tensor:
        pairs = Pairs.from_batch(features.batch, self.positives, self.ignore)
        image, text, scale = features.image, features.text, features.logit_scale
        elsewhere = over_rows(_negatives, text, image, scale, text_rows(pairs)).squeeze(1)

        def losses(z: Tensor, positive: Tensor, valid: Tensor) -> Tensor:
            away = log_sum(elsewhere.expand_as(z), positive)  # of its texts with other items
            loss = torch.logaddexp(log_sum(z, valid), away) - log_sum(z, positive)
            live = positive.any(1)
            return torch.stack([torch.where(live, loss, 0.0), live.to(z.dtype)], 1)

        total, live = over_rows(losses, image, text, scale, item_rows(pairs)).sum(0)
        loss: Tensor = total / live.detach().clamp(min=1)
        return loss


def _negatives(z: Tensor, positive: Tensor, valid: Tensor) -> Tensor:
    return log_sum(z, valid & ~positive).unsqueeze(1)

"""Weighted contrast: what was judged before training counts more or less in the loss.

Shape letters: B items, T texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from voxtile.objectives.base import Objective
from voxtile.objectives.contrastive.row_slabs import Sums, item_rows, softmax_sums, text_rows
from voxtile.objectives.contrastive.stored_weights import Of, StoredWeights
from voxtile.objectives.pairs import IgnoredName, Pairs, RelationName
from voxtile.types import Features


class WeightedContrastive(Objective):
    """Softmax contrast with weights of samples or captions from the corpus's tables.

    With w_i the weight of item i (1 for scores of captions), v_j that of text j (1 for scores of samples) and ℓ the
    cross-entropies of rows and columns as in `voxtile.objectives.contrastive.tiled`,

        u_j = w_{item of j}·v_j,   w'_i = mean of u_j over the texts of i,
        L = ½ Σ_i w'_i ℓ_i / Σ_i w'_i  +  ½ Σ_j u_j ℓ_j / Σ_j u_j.

    A pair of weight 0 pulls nothing, but still is a negative of the others. These are the gates of ALIP (Yang et al.,
    ICCV 2023) computed offline, such as the similarity of image and text by a trained model. Weights of a curated view
    say how often its samples are drawn when it is trained on; here they scale the loss of what is drawn from another.

    Args:
        corpus: folder of the corpus.
        score: name of a score in its table `scores`, of zero or more.
        view: a curated view in place of a score.
        of: `samples` or `captions`; texts of captions must be whole ones (`data.captions.unit: caption`).
        missing: weight of what has none; left out, it is refused.
        positives, ignore: as in `voxtile.objectives.Contrastive`.

    Raises:
        ConfigError: not exactly one of score and view, or a view's weights of captions.
    """

    couples_items: ClassVar[bool] = True

    def __init__(
        self,
        *,
        corpus: str,
        score: str | None = None,
        view: str | None = None,
        of: Of = "samples",
        missing: float | None = None,
        positives: Sequence[RelationName] = (),
        ignore: Sequence[IgnoredName] = (),
    ) -> None:
        super().__init__()
        self.stored = StoredWeights(corpus, score, view, of, missing)
        self.positives, self.ignore = tuple(positives), tuple(ignore)

    def forward(self, features: Features) -> Tensor:
        """Return the scalar loss; 0 where all weights are 0.

        Raises:
            ConfigError: an item or a text has no weight, or the tables do not have what is asked for.
        """
        batch, image, text, scale = features.batch, features.image, features.text, features.logit_scale
        pairs = Pairs.from_batch(batch, self.positives, self.ignore)
        owner = batch.text_item
        weights = self.stored.items(batch, image)[owner] * self.stored.texts(batch, image)
        counts = torch.bincount(owner, minlength=len(image)).clamp(min=1)
        of_items = image.new_zeros(len(image)).index_add(0, owner, weights) / counts
        items = softmax_sums(image, text, scale, item_rows(pairs))
        texts = softmax_sums(text, image, scale, text_rows(pairs))
        return 0.5 * (_mean(items, of_items) + _mean(texts, weights))


def _mean(rows: Sums, weights: Tensor) -> Tensor:
    """Weighted mean of the losses of the live rows."""
    weights = torch.where(rows.live, weights.to(rows.total), 0.0)
    return (weights * rows.losses).sum() / weights.sum().clamp(min=torch.finfo(weights.dtype).tiny)

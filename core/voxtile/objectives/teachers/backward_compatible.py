"""A new model for an old index: its vectors can be compared with those that a corpus already holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from voxtile.data.stored_vectors import StoredEmbeddings
from voxtile.errors import ConfigError
from voxtile.objectives.base import Objective
from voxtile.objectives.contrastive.tiled import TILE, softmax_loss
from voxtile.objectives.pairs import IgnoredName, Pairs, RelationName
from voxtile.types import Batch, Features


class BackwardCompatible(Objective):
    """Contrasts new vectors with the stored ones of the old model, so that the old index needs no new embedding.

    The influence loss of BCT (Shen et al., CVPR 2020) asks the new model to be right under the old
    classifier. Here the old image vectors x̄ are the classifier, of new texts y and of new images x; L_softmax is that
    of `voxtile.objectives.contrastive.tiled`, with the model's scale, which this term does not train:

        L = ½ L_softmax(X̄, Y) + ½ L_softmax(X, X̄)

    Add it to the objective that trains the new model. The shared width must be that of the stored vectors.

    Args:
        corpus: folder of the corpus that holds the old embeddings; every sample of a batch must have one.
        model: name of the old model in that table; may be left out where there is only one.
        positives, ignore: as in `voxtile.objectives.Contrastive`; an old vector counts as a text that
            states all facts of its item.
        tile: rows and columns of a tile of logits; changes memory and speed, never the result.

    Raises:
        ConfigError: a tile that is not positive.
    """

    couples_items: ClassVar[bool] = True

    def __init__(
        self,
        *,
        corpus: str,
        model: str | None = None,
        positives: Sequence[RelationName] = (),
        ignore: Sequence[IgnoredName] = (),
        tile: tuple[int, int] = TILE,
    ) -> None:
        super().__init__()
        if min(tile) < 1:
            raise ConfigError(f"the tile of a backward-compatible objective must be positive, not {tuple(tile)}")
        self.stored = StoredEmbeddings(corpus, model)
        self.positives, self.ignore, self.tile = tuple(positives), tuple(ignore), (tile[0], tile[1])

    def forward(self, features: Features) -> Tensor:
        """Return the scalar loss.

        Raises:
            ConfigError: an item or the model is not in the table, or its vectors have another width.
        """
        batch, scale = features.batch, features.logit_scale.detach()
        old = self.stored.of(batch, features.image)
        if old.shape[1] != features.image.shape[1]:
            raise ConfigError(
                f"the old embeddings are {old.shape[1]} wide, but the new model's {features.image.shape[1]}; set "
                f"model.encoder.embed_dim to {old.shape[1]}"
            )
        pairs = Pairs.from_batch(batch, self.positives, self.ignore)
        to_texts = softmax_loss(old, features.text, scale, pairs, self.tile)
        pairs = Pairs.from_batch(_items_as_texts(batch), self.positives, self.ignore)
        return 0.5 * (to_texts + softmax_loss(features.image, old, scale, pairs, self.tile))


def _items_as_texts(batch: Batch) -> Batch:
    """A batch whose texts are the items themselves, each its own."""
    places = torch.arange(len(batch), device=batch.text_item.device)
    return replace(batch, texts=batch.uids, text_item=places, text_hash=places, text_facts=batch.facts, tokens=None)

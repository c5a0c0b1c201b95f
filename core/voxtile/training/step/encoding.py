"""A batch encoded once for all objectives, whatever they need of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol, cast

from torch import Tensor

from voxtile.models.dual import DualEncoder
from voxtile.objectives.base import Objective
from voxtile.training.step.texts import TextReader, with_phrases
from voxtile.training.step.with_others import encoded_with_others
from voxtile.types import Batch, Encoded, Features


class Encoding(Protocol):
    """How this process encodes its items: `OnePass`, or `MicroBatches` of a large-batch step."""

    def parts(self, batch: Batch) -> list[Batch]:
        """The pieces in which a batch is encoded."""

    def features(self, batch: Batch, step: int, images: Encoded | None) -> Features:
        """Encode a batch.

        Args:
            batch: with its tokens filled in.
            step: global optimiser step.
            images: what the image tower gives, where that is known already; of images that dialogues show beside the
                items' own after those.
        """


class OnePass:
    """All items at once; local features only if an objective needs them.

    Args:
        encoder: the two towers.
        objectives: named terms of the loss.
        texts: reads the texts.
    """

    def __init__(self, encoder: DualEncoder, objectives: Mapping[str, Objective], texts: TextReader) -> None:
        self._encoder, self._objectives, self._texts = encoder, objectives, texts

    def parts(self, batch: Batch) -> list[Batch]:
        """The batch itself."""
        return [batch]

    def features(self, batch: Batch, step: int, images: Encoded | None) -> Features:
        """Encode a batch, see `Encoding.features`."""
        objectives = list(self._objectives.values())
        asked = [objective for objective in objectives if objective.has_rows]
        needs = frozenset().union(*(objective.needs for objective in objectives))
        reads = needs.union(*(objective.row_needs for objective in asked))
        tokens, others = "tokens" in reads, None
        if images is None:
            embeddings, images, others = encoded_with_others(
                self._encoder, batch, tokens=tokens, others="others" in reads
            )
        else:
            count = len(batch)
            images, others = images.at(slice(0, count)), images.at(slice(count, None))
            embeddings = self._encoder.project_samples(images)
        image, image_encoded = self._encoder.pool_items(
            embeddings, images, batch.image_item, len(batch), batch.image_days, members="members" in reads
        )
        if batch.regions is not None and "regions" in reads:
            self._texts.count_phrases(batch.regions)
            batch = with_phrases(self._encoder, batch)
        features = self._with_texts(batch, image, image_encoded, tokens, step)
        features.others_encoded = others
        if batch.samples is not None and "samples" in needs:
            samples = self._texts.tokenised(batch.samples)
            features.samples = self._with_texts(samples, embeddings, images, False, step)
        rows = {objective: objective.rows(features) for objective in asked}
        features.rows = {objective: row for objective, row in rows.items() if row is not None}
        if "tokens" not in needs:  # only rows have read them
            features.image_encoded = replace(features.image_encoded, tokens=None, members=None)
        features.others_encoded = None
        return features

    def _with_texts(self, batch: Batch, image: Tensor, image_encoded: Encoded, tokens: bool, step: int) -> Features:
        text, text_encoded = self._encoder.encode_texts(cast(Tensor, batch.tokens), local=tokens)
        scale, bias, each = self._encoder.scales_of(batch)
        return Features(
            image=image,
            text=text,
            logit_scale=scale,
            logit_bias=bias,
            each=each,
            image_encoded=image_encoded,
            text_encoded=text_encoded,
            batch=batch,
            step=step,
        )

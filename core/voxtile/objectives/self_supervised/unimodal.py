"""Self-supervision within each modality: views of one image, and of one text, belong together (SLIP; CleanCLIP).

Shape letters: B items, T texts, L tokens, H the head's output.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voxtile.distributed import Share
from voxtile.errors import ConfigError
from voxtile.models.dual import DualEncoder
from voxtile.models.tower import full_precision
from voxtile.objectives.base import Objective, rows_of
from voxtile.objectives.contrastive.tiled import softmax_loss
from voxtile.objectives.keyed_random import uniform
from voxtile.objectives.pairs import Pairs, Relation
from voxtile.objectives.self_supervised.views import ImageViews, TextViews, image_keys, statistics_kept
from voxtile.types import Batch, Features

_IMAGE_STREAM, _TEXT_STREAM, _CHOICE_STREAM = 100, 102, 104


class UnimodalSelfSupervision(Objective):
    """SimCLR beside the contrastive term, for images as in SLIP, or for images and texts as in CleanCLIP.

    With z_2i and z_2i+1 the normalised vectors of two views of item i, s = 1/temperature (SimCLR, Chen et al.,
    ICML 2020, equation 1; SLIP, Mu et al., ECCV 2022, section 3.2):

        L = 1/2B Σ_a −log( exp(s·⟨z_a, z_a'⟩) / Σ_{c≠a} exp(s·⟨z_a, z_c⟩) ),   a' the other view of the same item

    With a head, both views are drawn anew and pass through it from the towers' pooled vectors. Without one (`head: []`)
    the views are the item as it is and a changed one, in the shared space itself: that is CleanCLIP (Bansal et al.,
    ICCV 2023, equation 2, which leaves out the denominator's terms of the own view), whose purpose is that what a
    poisoned pair ties together by a small trigger is not found again in a view of it. Equal texts are never negatives
    of each other; of an item with several texts one is drawn.

    Args:
        images: factor of the term of images.
        texts: factor of the term of texts.
        views: how images are changed.
        text_views: how texts are changed.
        head: hidden and output width of the projections (SLIP: 4096, 256); empty for none.
        temperature: 1/s; null for the model's own scale, which is then trained by this term, too.

    Raises:
        ConfigError: no factor, or numbers out of range.

    Examples:
        >>> import torch
        >>> from voxtile.models import DualEncoder, TextBag, ViTTower
        >>> from voxtile.objectives import UnimodalSelfSupervision
        >>> from voxtile.types import Features
        >>> objective = UnimodalSelfSupervision(head=(16, 8))
        >>> image = ViTTower(size=16, patch=4, width=16, depth=1, heads=2)
        >>> objective.setup_encoder(DualEncoder(image=image, text=TextBag()))
        >>> features = Features.of_pairs(torch.ones(2, 8), torch.ones(2, 8), images=torch.randn(2, 1, 16, 16))
        >>> objective.rows(features).shape  # two views of each item, 8 numbers each
        torch.Size([2, 16])
    """

    couples_items: ClassVar[bool] = True

    def __init__(
        self,
        *,
        images: float = 1.0,
        texts: float = 0.0,
        views: ImageViews | None = None,
        text_views: TextViews | None = None,
        head: Sequence[int] = (1024, 256),
        temperature: float | None = 0.1,
    ) -> None:
        super().__init__()
        if min(images, texts) < 0 or not images + texts > 0:
            raise ConfigError(
                f"UnimodalSelfSupervision needs a positive factor of images or texts, not {images}, {texts}"
            )
        if temperature is not None and not temperature > 0:
            raise ConfigError(f"UnimodalSelfSupervision needs a positive temperature, not {temperature}")
        if len(head) not in (0, 2) or any(width < 1 for width in head):
            raise ConfigError(
                f"the head of UnimodalSelfSupervision is a hidden and an output width, or empty, not {list(head)}"
            )
        self.images, self.texts = images, texts
        self.reads_texts = texts > 0
        self.views, self.text_views = views or ImageViews(), text_views or TextViews()
        self.widths, self.temperature = tuple(head), temperature
        self.image_head: nn.Module | None = None
        self.text_head: nn.Module | None = None
        self._encoder: tuple[DualEncoder, ...] = ()  # in a tuple, so that it is no part of this module

    def setup_encoder(self, encoder: DualEncoder) -> None:
        """Make the heads."""
        self._encoder = (encoder,)
        if self.widths and self.images:
            self.image_head = _head(encoder.image.width, *self.widths)
        if self.widths and self.texts:
            self.text_head = _head(encoder.text.width, *self.widths)

    def rows(self, features: Features) -> Tensor:
        """[B, 2H], [B, 2H + 1] or both: two views of an item's image, of its text, and whether it has a text.

        Raises:
            ConfigError: the objective was not set up.
        """
        if not self._encoder:
            raise ConfigError("UnimodalSelfSupervision was not set up; load a checkpoint or train the model first")
        parts: list[Tensor] = []
        if self.images:
            parts += self._image_views(features)
        if self.texts:
            parts += self._text_views(features)
        return torch.cat(parts, 1)

    def forward(self, features: Features) -> Tensor:
        """Return the scalar loss; a batch without texts adds nothing to the term of texts."""
        rows, batch = rows_of(self, features), features.batch
        width = (rows.shape[1] - bool(self.texts)) // (2 * (bool(self.images) + bool(self.texts)))
        scale = features.logit_scale if self.temperature is None else rows.new_tensor(1 / self.temperature)
        loss = rows.new_zeros(())
        if self.images:
            items = torch.arange(len(rows), device=rows.device)
            loss = self.images * normalised_cross_entropy(rows[:, : 2 * width], items, scale, features.share)
        if self.texts:
            there = rows[:, -1] > 0
            known = torch.unique(batch.text_hash, return_inverse=True)[1][_chosen(batch)[there]]
            share = features.share if bool(there.all()) else None
            views = rows[there, -2 * width - 1 : -1]
            loss = loss + self.texts * normalised_cross_entropy(views, known, scale, share)
        return loss

    def _image_views(self, features: Features) -> list[Tensor]:
        (encoder,), batch = self._encoder, features.batch
        keys = image_keys(batch)
        made = [] if self.widths else [features.image]
        with statistics_kept(encoder.image):
            for view in range(2 if self.widths else 1):
                images = self.views(batch.images, keys, _IMAGE_STREAM + view)
                embedded, encoded = encoder.encode_items(images, batch.image_item, len(batch), days=batch.image_days)
                made.append(embedded if self.image_head is None else _projected(self.image_head, encoded.pooled))
        return made

    def _text_views(self, features: Features) -> list[Tensor]:
        (encoder,), batch = self._encoder, features.batch
        assert batch.tokens is not None
        chosen = _chosen(batch)
        there = chosen >= 0
        tokens, keys = batch.tokens[chosen[there]], batch.draws[there]
        made = [] if self.widths else [features.text[chosen[there]]]
        for view in range(2 if self.widths else 1) if len(tokens) else ():
            embedded, encoded = encoder.encode_texts(self.text_views(tokens, keys, _TEXT_STREAM + view))
            made.append(embedded if self.text_head is None else _projected(self.text_head, encoded.pooled))
        empty = features.text.new_zeros(len(batch), self.widths[1] if self.widths else encoder.embed_dim)
        places = torch.nonzero(there).squeeze(1)
        laid_out = (
            [empty.index_copy(0, places, vectors.to(empty.dtype)) for vectors in made] if len(tokens) else [empty] * 2
        )
        return [*laid_out, there[:, None].to(empty.dtype)]


def normalised_cross_entropy(views: Tensor, kind: Tensor, scale: Tensor, share: Share | None = None) -> Tensor:
    """NT-Xent of two views an item (SimCLR, equation 1), tiled.

    Args:
        views: [B, 2H] two normalised vectors an item.
        kind: [B] int64; items of the same kind are no negatives of each other.
        scale: 1/temperature.
        share: the items that this process encoded.
    """
    count = 2 * len(views)
    vectors = torch.unflatten(views, 1, (2, -1)).flatten(0, 1)
    other = torch.arange(count, device=views.device) ^ 1
    same = kind.int().repeat_interleave(2)
    pairs = Pairs(other, count, ignored=[Relation(same[:, None], same)])
    twice = None if share is None else Share(tuple(2 * rows for rows in share.each), share.rank)
    return softmax_loss(vectors, vectors, scale, pairs, share=twice)


def _chosen(batch: Batch) -> Tensor:
    """[B] which of the batch's texts stands for an item, keyed by its draw; -1 for an item without."""
    count = torch.bincount(batch.text_item, minlength=len(batch))
    first = torch.searchsorted(batch.text_item, torch.arange(len(batch), device=count.device))
    drawn = (uniform(batch.draws, 1, _CHOICE_STREAM).squeeze(1) * count).long()
    return torch.where(count > 0, first + drawn, -1)


def _head(inputs: int, hidden: int, outputs: int) -> nn.Module:
    """Three layers as in SLIP, normalised over features: over the batch no micro-batch could reproduce it."""
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.LayerNorm(hidden), nn.ReLU(),
        nn.Linear(hidden, hidden), nn.LayerNorm(hidden), nn.ReLU(),
        nn.Linear(hidden, outputs),
    )  # fmt: skip


def _projected(head: nn.Module, pooled: Tensor) -> Tensor:
    return F.normalize(full_precision(head(pooled)), dim=1)

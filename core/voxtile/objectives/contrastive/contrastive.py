"""The contrastive objective: softmax (CLIP) or sigmoid (SigLIP), exact and tiled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from voxtile.distributed import whole_gradient
from voxtile.errors import ConfigError
from voxtile.objectives.base import Objective
from voxtile.objectives.contrastive.item_scales import scaled
from voxtile.objectives.contrastive.smoothing import smoothing_term
from voxtile.objectives.contrastive.tiled import TILE, sigmoid_loss, softmax_loss
from voxtile.objectives.pairs import IgnoredName, Pairs, RelationName
from voxtile.types import Features


class Contrastive(Objective):
    """Pulls an item and its texts together and all other pairs apart.

    The equations are in `voxtile.objectives.contrastive.tiled`.

    Args:
        kind: `softmax` (both directions) or `sigmoid` (needs `logit_bias` in the encoder).
        positives: what else makes a pair positive besides ownership: `text` (an equal text), `study`, `subject`,
            `facts` (the item's facts agree with all that the text states, as in MedCLIP, Wang et al. 2022),
            `same_facts` (the text belongs to an item with the same known facts).
        ignore: pairs that are neither positive nor negative, by the same names; `facts` leaves out the pairs that the
            item's facts do not decide (list it in `positives` too: a text that is true of the item is a negative
            otherwise), and `other_source` those of items of different sources of a mixture, so that each is contrasted
            with its own kind alone.
        stated_only: leave out texts that state no fact ("MRI recommended."): true of their own image alone, they would
            only draw all images to one place.
        text_bias: also learn a bias that is linear in the text, z_ij = s·⟨x_i + c, y_j⟩ + b with a vector c, for
            sigmoid. How often a text is true of any image ("no pneumothorax" of most) then takes no part of the image
            embeddings; how a text ranks the images does not change, and evaluation does without it.
        label_smoothing: share of a softmax target that all valid pairs get alike, see
            `voxtile.objectives.contrastive.smoothing`.
        tile: rows and columns of a tile of logits; changes memory and speed, never the result.

    Items of several sources that have scales of their own (`voxtile.models.source_scales`) may meet in a batch.

    Raises:
        ConfigError: another kind, a tile or a label smoothing that cannot be, or `text_bias` of softmax.

    Examples:
        >>> import torch
        >>> from voxtile.objectives import Contrastive
        >>> from voxtile.types import Features
        >>> alike = Features.of_pairs(torch.ones(4, 8), torch.ones(4, 8))  # all images and texts look the same
        >>> round(Contrastive()(alike).item(), 4)  # log 4: a guess among four
        1.3863
        >>> apart = Features.of_pairs(torch.eye(4), torch.eye(4), scale=100)
        >>> round(Contrastive()(apart).item(), 4)  # each text is its own image's
        0.0
    """

    couples_items: ClassVar[bool] = True

    def __init__(
        self,
        *,
        kind: Literal["softmax", "sigmoid"] = "softmax",
        positives: Sequence[RelationName] = (),
        ignore: Sequence[IgnoredName] = (),
        stated_only: bool = False,
        text_bias: bool = False,
        label_smoothing: float = 0.0,
        tile: tuple[int, int] = TILE,
    ) -> None:
        super().__init__()
        if kind not in ("softmax", "sigmoid"):
            raise ConfigError(f"contrastive kind '{kind}' does not exist; use softmax or sigmoid")
        if min(tile) < 1:
            raise ConfigError(f"the tile of a contrastive objective must be positive, not {tuple(tile)}")
        if not 0 <= label_smoothing < 1 or (label_smoothing and kind != "softmax"):
            raise ConfigError(
                f"label_smoothing must be at least 0 and below 1, and 0 for sigmoid, not {label_smoothing} for {kind}"
            )
        if text_bias and kind != "sigmoid":
            raise ConfigError(f"text_bias is for kind sigmoid, not {kind}, whose texts are compared with each other")
        self.text_bias = text_bias
        self.offset: nn.Parameter | None = None
        self.kind = kind
        self.positives = tuple(positives)
        self.ignore = tuple(ignore)
        self.stated_only = self.states_facts = stated_only
        self.label_smoothing = label_smoothing
        self.tile = (tile[0], tile[1])

    def setup(self, *, image_width: int, text_width: int, embed_dim: int, fact_names: tuple[str, ...]) -> None:
        """Create the vector of the text bias, 0."""
        if self.text_bias:
            self.offset = nn.Parameter(torch.zeros(embed_dim))

    def forward(self, features: Features) -> Tensor:
        """Return the scalar loss.

        Raises:
            ConfigError: sigmoid without a `logit_bias`.
        """
        text, batch = features.text, features.batch
        if self.stated_only and batch.text_facts is not None:
            keep = (batch.text_facts >= 0).any(1)
            if not keep.any():
                return text.sum() * 0.0
            text, batch = text[keep], batch.with_texts(keep)
        pairs = Pairs.from_batch(batch, self.positives, self.ignore)
        if self.kind == "softmax":
            return self._softmax(features, text, pairs)
        if features.logit_bias is None:
            raise ConfigError("the sigmoid objective needs a bias: set model.encoder.logit_bias, e.g. to -10")
        image, scale, bias, share = features.image, features.logit_scale, features.logit_bias, features.share
        if self.offset is not None:
            image = image + whole_gradient(share, self.offset)
        if features.each is not None:
            image, text = scaled(image, text, batch.text_item, features.each, share, biased=True)
            scale, bias = image.new_ones(()), image.new_zeros(())
        return sigmoid_loss(image, text, scale, bias, pairs, self.tile, share)

    def _softmax(self, features: Features, text: Tensor, pairs: Pairs) -> Tensor:
        image, scale, each, share = features.image, features.logit_scale, features.each, features.share
        parts = image, text
        if each is not None:
            parts = scaled(image, text, pairs.owner, each, share, biased=False)
            scale = image.new_ones(())
        loss = softmax_loss(*parts, scale, pairs, self.tile, share)
        if not self.label_smoothing:
            return loss
        if each is not None:  # of this term every process computes all rows
            parts = scaled(image, text, pairs.owner, each, None, biased=False)
        return loss + self.label_smoothing * smoothing_term(*parts, scale, pairs, self.tile)

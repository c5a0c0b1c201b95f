"""Image-text matching: whether a text belongs to an image, asked about the pairs that are hard to tell (ALBEF).

Shape letters: B items, T texts, P pairs, N tokens of an image, L tokens of a text, W width of the fusion.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voxtile.errors import ConfigError
from voxtile.models.tower import ImageTower, TextTower, full_precision
from voxtile.objectives.base import ItemObjective
from voxtile.objectives.contrastive.item_scales import scaled
from voxtile.objectives.generative.cross_attention import check_sizes, cross_attention, require_tokens
from voxtile.objectives.keyed_random import uniform
from voxtile.objectives.pairs import IgnoredName, Pairs
from voxtile.types import Batch, Encoded, Features

_STREAM = 0x17A  # of the keyed numbers that draw negatives


class ImageTextMatching(ItemObjective):
    """Tells pairs that belong together from hard negatives (ALBEF, Li et al., NeurIPS 2021, section 3.2, eq. 4).

    Words and a class token look at the image's tokens; p is the class token's logistic probability that text and image
    match. For each text j of item i an own text's rival j' and an own image's rival i' are drawn with the probabilities
    of the contrastive softmax, softmax_j'(s·⟨x_i, y_j'⟩) and softmax_i'(s·⟨x_i', y_j⟩), over pairs that are no
    positives:

        L = −mean[ log p(i, j), log(1 − p(i, j')), log(1 − p(i', j)) ].

    Both tokens of a pair must be at hand, so rivals come from the items that are encoded together: the batch of a
    process, as in ALBEF, or the micro-batch of `model.batch`. With `group` they come from so many consecutive items,
    and then the loss is the same however a batch is split, over processes too.

    Args:
        width, heads, depth, dropout: of the layers.
        group: items that are each other's rivals; all that are encoded together where left out.
        ignore: pairs that are no rivals: an equal `text`, one `study` or `subject`, …, as in `Contrastive`.

    Raises:
        ConfigError: sizes that do not fit, or a group of one.

    Examples:
        >>> import torch
        >>> from voxtile.models import TextTransformer, ViTTower
        >>> from voxtile.objectives import ImageTextMatching
        >>> image, text = ViTTower(size=8, patch=4, width=16, depth=1, heads=2), TextTransformer(width=16, depth=1)
        >>> matching = ImageTextMatching(width=16)
        >>> matching.setup_towers(image, text)
        >>> pictures, words = image(torch.randn(2, 1, 8, 8), tokens=True), text(torch.tensor([[1, 7, 2], [1, 9, 2]]))
        >>> matching.match(pictures, words).shape  # a logit a pair
        torch.Size([2])
    """

    row_needs: ClassVar[frozenset[str]] = frozenset({"tokens"})
    couples_items: ClassVar[bool] = True

    def __init__(
        self,
        *,
        width: int = 128,
        heads: int = 4,
        depth: int = 2,
        dropout: float = 0.0,
        group: int | None = None,
        ignore: Sequence[IgnoredName] = ("text", "study"),
    ) -> None:
        super().__init__()
        check_sizes("ImageTextMatching", width=width, heads=heads, depth=depth, dropout=dropout)
        if group is not None and group < 2:
            raise ConfigError(f"ImageTextMatching needs a group of at least 2 items, not {group}")
        self.sizes = {"width": width, "heads": heads, "depth": depth}
        self.dropout, self.group, self.ignore = dropout, group, tuple(ignore)
        self.fusion: Fusion | None = None

    def setup_towers(self, image: ImageTower, text: TextTower) -> None:
        """Create the layers for the towers' tokens."""
        self.fusion = Fusion(image.width, text.width, **self.sizes, dropout=self.dropout)

    def match(self, image: Encoded, text: Encoded) -> Tensor:
        """[P] logits of P pairs, positive where text and image rather belong together; to rank what was found anew.

        Args:
            image: from the image tower, with `tokens`; one a pair.
            text: from the text tower, likewise.

        Raises:
            ConfigError: a tower gives no tokens, or the objective was not set up.
        """
        if self.fusion is None:
            raise ConfigError("ImageTextMatching was not set up; load a checkpoint or train the model first")
        logits: Tensor = self.fusion(
            *require_tokens(image, "ImageTextMatching", "image"), *require_tokens(text, "ImageTextMatching", "text")
        )
        return logits

    def rows(self, features: Features) -> Tensor:
        """Return [B, 2]: the summed cross-entropy of an item's pairs, and how many they are.

        Raises:
            ConfigError: as for `match`, or the items that are encoded together are no whole groups.
        """
        batch = features.batch
        if self.training and self.group and len(batch) % self.group:
            raise ConfigError(
                f"ImageTextMatching has groups of {self.group} items, but {len(batch)} are encoded together; make "
                "data.batch_size for each process (or model.batch.micro) a multiple of group"
            )
        own, texts = batch.text_item, torch.arange(len(batch.text_item), device=batch.text_item.device)
        rival_text, rival_image, asked = self._rivals(features)
        items, others = torch.cat([own, own, rival_image]), torch.cat([texts, rival_text, texts])
        logits = self.match(features.image_encoded.at(items), features.text_encoded.at(others))
        truth = torch.cat([torch.ones_like(logits[: len(own)]), torch.zeros_like(logits[len(own) :])])
        losses = F.binary_cross_entropy_with_logits(logits, truth, reduction="none") * asked
        made = torch.stack([losses, asked.to(losses.dtype)], 1)
        return made.new_zeros(len(batch), 2).index_add(0, own.repeat(3), made)

    @torch.no_grad()
    def _rivals(self, features: Features) -> tuple[Tensor, Tensor, Tensor]:
        """[T] rival texts, [T] rival images, and [3·T] bool: which of the pairs (own, texts', images') there are."""
        batch = features.batch
        own = batch.text_item
        every = slice(0, len(batch)), slice(0, len(own))
        candidates = Pairs.from_batch(batch, self.ignore, self.ignore).rivals(*every)
        if self.group:
            block = torch.arange(len(batch), device=own.device) // self.group
            candidates &= block.unsqueeze(1) == block[own]
        image, text, scale = features.image.double(), features.text.double(), features.logit_scale.double()
        if features.each is not None:
            image, text = scaled(image, text, own, features.each, None, biased=False)
            scale = scale.new_ones(())
        logits = scale * (image @ text.T)
        drawn = _uniform(batch)
        texts = hard_rivals(logits[own], candidates[own], drawn[:, 0])
        images = hard_rivals(logits.T, candidates.T, drawn[:, 1])
        there = candidates[own].gather(1, texts[:, None]), candidates.T.gather(1, images[:, None])
        return texts, images, torch.cat([torch.ones_like(own, dtype=torch.bool), *(part.squeeze(1) for part in there)])


class Fusion(nn.Module):
    """A class token and words that look at image tokens.

    Args:
        image_width, text_width: of the towers' tokens.
        width, heads, depth, dropout: of the layers.
    """

    def __init__(
        self, image_width: int, text_width: int, *, width: int, heads: int, depth: int, dropout: float
    ) -> None:
        super().__init__()
        self.image = nn.Linear(image_width, width)
        self.text = nn.Linear(text_width, width)
        self.token = nn.Parameter(torch.randn(width) * width**-0.5)
        self.layers = cross_attention(width=width, heads=heads, depth=depth, dropout=dropout)
        self.head = nn.Linear(width, 1)

    def forward(self, image: Tensor, image_padding: Tensor | None, text: Tensor, padding: Tensor | None) -> Tensor:
        """[P] logits from [P, N, ·] image tokens and [P, L, ·] words; padding is True where there is none."""
        words = self.text(text)
        words = torch.cat([self.token.to(words.dtype).expand(len(words), 1, -1), words], 1)
        padding = None if padding is None else F.pad(padding, (1, 0))
        seen: Tensor = self.layers(
            words,
            self.image(image),
            tgt_key_padding_mask=padding,
            memory_key_padding_mask=image_padding,
            tgt_is_causal=False,
        )
        return full_precision(self.head(seen[:, 0])).squeeze(1)


def hard_rivals(logits: Tensor, candidates: Tensor, drawn: Tensor) -> Tensor:
    """Draw a candidate of each row with the probabilities of its softmax over the candidates.

    Args:
        logits: [R, C].
        candidates: [R, C] bool.
        drawn: [R] in [0, 1).

    Returns:
        [R] columns; any where a row has no candidate.
    """
    shares = logits.masked_fill(~candidates, torch.finfo(logits.dtype).min).softmax(1) * candidates
    reached = shares.cumsum(1)
    aim = (drawn.to(reached.dtype) * reached[:, -1]).unsqueeze(1)
    return torch.searchsorted(reached, aim, right=True).squeeze(1).clamp(max=logits.shape[1] - 1)


def _uniform(batch: Batch) -> Tensor:
    """[T, 2] numbers of each text, keyed by its item's draw and its place among the item's texts."""
    own = batch.text_item
    first = torch.searchsorted(own, torch.arange(len(batch), device=own.device))
    place = torch.arange(len(own), device=own.device) - first[own]
    most = int(place.max()) + 1 if len(own) else 1
    numbers = uniform(batch.draws, 2 * most, _STREAM).view(len(batch), most, 2)
    return numbers[own, place]

"""Local alignment: each word looks at the regions of an image that it is about (GLoRIA, Huang et al., ICCV 2021).

Shape letters: B items, T texts, N tokens of an image, L words of a text, D the shared width; r and c rows and columns
of a tile.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from voxtile.errors import ConfigError
from voxtile.objectives.base import Objective
from voxtile.objectives.local.local_tokens import one_way, projected
from voxtile.objectives.pairs import IgnoredName, Pairs, RelationName
from voxtile.types import Features


class LocalAlignment(Objective):
    """Softmax contrast of words with the image regions that they attend to (GLoRIA, equations 1, 3, 4 and 6).

    With x_in and y_jl the projected, normalised tokens of image i and text j, each word gathers its regions and is
    compared with what it found,

        a_ijnl = softmax_n(α·⟨x_in, y_jl⟩),   c_ijl = Σ_n a_ijnl x_in,
        Z_ij = 1/β · log Σ_l exp(β · cos(c_ijl, y_jl)),
        L = ½ · softmax cross-entropy of s·Z over each row  +  ½ · over each column,

    with s the model's logit scale. Padding has no part in sums. Several positives a row and ignored pairs count as in
    `voxtile.objectives.contrastive.tiled`. Two things differ from the authors' code: it takes a softmax over words
    before that over regions, which the paper does not have, and products of vectors that are not normalised; with
    cosines α is the 9 of SCAN (Lee et al., ECCV 2018). Similarities of tokens are held for one tile at a time, in the
    backward pass too.

    Args:
        queries: `words` of a text, or whole texts (`sentences`), with their embedding as the only word; that goes well
            with `captions.unit: sentence`.
        attention: α, how narrowly a word attends.
        focus: β; the higher, the more the best word of a text decides.
        mean: take the mean over words in place of the sum, so that a long text gains nothing by its length.
        positives, ignore: as in `voxtile.objectives.Contrastive`.
        tile: images and texts that are compared at a time; changes memory and speed, never the result.

    Raises:
        ConfigError: numbers that are not positive, or queries that do not exist.

    Examples:
        >>> import torch
        >>> from voxtile.objectives import LocalAlignment
        >>> from voxtile.types import Encoded, Features
        >>> tokens = Encoded(torch.ones(4, 8), torch.ones(4, 3, 8))  # four items of three tokens that look the same
        >>> alike = Features.of_pairs(tokens.pooled, tokens.pooled, image_encoded=tokens, text_encoded=tokens)
        >>> objective = LocalAlignment()
        >>> objective.setup(image_width=8, text_width=8, embed_dim=8, fact_names=())
        >>> round(objective(alike).item(), 4)  # log 4: a guess among four
        1.3863
    """

    needs: ClassVar[frozenset[str]] = frozenset({"tokens"})
    couples_items: ClassVar[bool] = True

    def __init__(
        self,
        *,
        queries: Literal["words", "sentences"] = "words",
        attention: float = 9.0,
        focus: float = 5.0,
        mean: bool = False,
        positives: Sequence[RelationName] = (),
        ignore: Sequence[IgnoredName] = (),
        tile: tuple[int, int] = (16, 32),
    ) -> None:
        super().__init__()
        if queries not in ("words", "sentences"):
            raise ConfigError(f"LocalAlignment knows no queries '{queries}'; use words or sentences")
        if min(attention, focus, *tile) <= 0:
            raise ConfigError(
                f"LocalAlignment needs a positive attention, focus and tile, not {attention}, {focus}, {tuple(tile)}"
            )
        self.queries, self.attention, self.focus, self.mean = queries, attention, focus, mean
        self.positives, self.ignore, self.tile = tuple(positives), tuple(ignore), (int(tile[0]), int(tile[1]))
        self.image_projection: nn.Linear | None = None
        self.text_projection: nn.Linear | None = None

    def setup(self, *, image_width: int, text_width: int, embed_dim: int, fact_names: tuple[str, ...]) -> None:
        """Create the projections of the tokens."""
        self.image_projection = nn.Linear(image_width, embed_dim, bias=False)
        if self.queries == "words":
            self.text_projection = nn.Linear(text_width, embed_dim, bias=False)

    def forward(self, features: Features) -> Tensor:
        """Return the scalar loss.

        Raises:
            ConfigError: a tower gives no tokens, or the objective was not set up.
        """
        image = projected(features.image_encoded, self.image_projection, "image", "LocalAlignment")
        if self.queries == "words":
            text = projected(features.text_encoded, self.text_projection, "text", "LocalAlignment")
        else:
            words = features.text.unsqueeze(1)
            text = words, torch.ones(words.shape[:2], dtype=torch.bool, device=words.device)
        with torch.autocast(features.image.device.type, enabled=False):
            z = features.logit_scale * self._similarities(*image, *text)
            positive, valid = Pairs.from_batch(features.batch, self.positives, self.ignore).dense()
            return 0.5 * (one_way(z, positive, valid) + one_way(z.T, positive.T, valid.T))

    def _similarities(self, image: Tensor, image_real: Tensor, text: Tensor, text_real: Tensor) -> Tensor:
        """[B, T] Z from [B, N, D] and [T, L, D] tokens, tile by tile."""
        kind = torch.promote_types(image.dtype, text.dtype)
        image, text = image.to(kind), text.to(kind)
        rows = []
        for x, x_real in zip(torch.split(image, self.tile[0]), torch.split(image_real, self.tile[0]), strict=True):
            row = [
                checkpoint(self._matched, x, x_real, y, y_real, use_reentrant=False, preserve_rng_state=False)
                for y, y_real in zip(torch.split(text, self.tile[1]), torch.split(text_real, self.tile[1]), strict=True)
            ]
            rows.append(torch.cat(row, 1))
        return torch.cat(rows)

    def _matched(self, x: Tensor, x_real: Tensor, y: Tensor, y_real: Tensor) -> Tensor:
        """[r, c] Z of the [r, N, D] tokens of some images with the [c, L, D] words of some texts."""
        z = torch.einsum("rnd,cld->rcln", x, y)
        lowest = torch.finfo(z.dtype).min
        attention = (self.attention * z).masked_fill(~x_real[:, None, None], lowest).softmax(3)
        found = F.normalize(torch.einsum("rcln,rnd->rcld", attention, x), dim=3)
        alike = torch.einsum("rcld,cld->rcl", found, y)
        best = (self.focus * alike).masked_fill(~y_real, lowest).logsumexp(2)
        if self.mean:
            best = best - y_real.sum(1).clamp(min=1).log()
        return torch.where(y_real.any(1), best / self.focus, 0.0)

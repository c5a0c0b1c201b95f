"""Token-wise contrast: each patch looks for its word, and each word for its patch (FILIP, Yao et al., ICLR 2022).

Shape letters: B items, T texts, N tokens of an image, L tokens of a text, D the shared width; r and c rows and columns
of a tile.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from voxtile.errors import ConfigError
from voxtile.objectives.base import Objective
from voxtile.objectives.local.local_tokens import one_way, projected
from voxtile.objectives.pairs import IgnoredName, Pairs, RelationName
from voxtile.types import Features


class TokenWise(Objective):
    """Softmax contrast of token-wise maximum similarities (FILIP, section 3.1).

    With x_in and y_jl the projected, normalised tokens of image i and text j,

        s^I_ij = 1/N_i Σ_n max_l ⟨x_in, y_jl⟩,      s^T_ij = 1/L_j Σ_l max_n ⟨x_in, y_jl⟩,
        L = ½ · softmax cross-entropy of s·s^I over each row  +  ½ · of s·s^T over each column,

    where means and maxima run over real tokens only. Several positives a row and ignored pairs count as in
    `voxtile.objectives.contrastive.tiled`; s is the model's logit scale. The similarities of tokens are held for one
    tile at a time, in the backward pass too, where they are computed again; only s^I and s^T are kept, B×T numbers
    each.

    Args:
        positives, ignore: as in `voxtile.objectives.Contrastive`.
        tile: images and texts whose tokens are compared at a time; changes memory and speed, never the result.

    Raises:
        ConfigError: a tile that is not positive.

    Examples:
        >>> import torch
        >>> from voxtile.objectives import TokenWise
        >>> from voxtile.types import Encoded, Features
        >>> tokens = Encoded(torch.ones(4, 8), torch.ones(4, 3, 8))  # four items of three tokens that look the same
        >>> alike = Features.of_pairs(tokens.pooled, tokens.pooled, image_encoded=tokens, text_encoded=tokens)
        >>> objective = TokenWise()
        >>> objective.setup(image_width=8, text_width=8, embed_dim=8, fact_names=())
        >>> round(objective(alike).item(), 4)  # log 4: a guess among four
        1.3863
    """

    needs: ClassVar[frozenset[str]] = frozenset({"tokens"})
    couples_items: ClassVar[bool] = True

    def __init__(
        self,
        *,
        positives: Sequence[RelationName] = (),
        ignore: Sequence[IgnoredName] = (),
        tile: tuple[int, int] = (16, 32),
    ) -> None:
        super().__init__()
        if min(tile) < 1:
            raise ConfigError(f"the tile of a token-wise objective must be positive, not {tuple(tile)}")
        self.positives, self.ignore, self.tile = tuple(positives), tuple(ignore), (tile[0], tile[1])
        self.image_projection: nn.Linear | None = None
        self.text_projection: nn.Linear | None = None

    def setup(self, *, image_width: int, text_width: int, embed_dim: int, fact_names: tuple[str, ...]) -> None:
        """Create the projections of the tokens."""
        self.image_projection = nn.Linear(image_width, embed_dim, bias=False)
        self.text_projection = nn.Linear(text_width, embed_dim, bias=False)

    def forward(self, features: Features) -> Tensor:
        """Return the scalar loss.

        Raises:
            ConfigError: a tower gives no tokens, or the objective was not set up.
        """
        image = projected(features.image_encoded, self.image_projection, "image", "TokenWise")
        text = projected(features.text_encoded, self.text_projection, "text", "TokenWise")
        with torch.autocast(image[0].device.type, enabled=False):
            to_text, to_image = _similarities(*image, *text, self.tile)
            positive, valid = Pairs.from_batch(features.batch, self.positives, self.ignore).dense()
            scale = features.logit_scale
            rows = one_way(scale * to_text, positive, valid)
            return 0.5 * (rows + one_way(scale * to_image.T, positive.T, valid.T))


def _similarities(
    image: Tensor, image_real: Tensor, text: Tensor, text_real: Tensor, tile: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """[B, T] s^I and s^T from [B, N, D] and [T, L, D] tokens, tile by tile."""
    kind = torch.promote_types(image.dtype, text.dtype)
    image, text = image.to(kind), text.to(kind)
    rows = []
    for x, x_real in zip(torch.split(image, tile[0]), torch.split(image_real, tile[0]), strict=True):
        row = [
            checkpoint(_late, x, x_real, y, y_real, use_reentrant=False, preserve_rng_state=False)
            for y, y_real in zip(torch.split(text, tile[1]), torch.split(text_real, tile[1]), strict=True)
        ]
        rows.append(torch.cat(row, 2))
    to_text, to_image = torch.cat(rows, 1)
    return to_text, to_image


def _late(x: Tensor, x_real: Tensor, y: Tensor, y_real: Tensor) -> Tensor:
    """[2, r, c] s^I and s^T of the [r, N, D] tokens of some images with the [c, L, D] tokens of some texts."""
    z = (x.flatten(0, 1) @ y.flatten(0, 1).T).view(*x.shape[:2], *y.shape[:2])
    words = _best(z, y_real, 3)  # [r, N, c]
    patches = _best(z, x_real[:, :, None, None], 1)  # [r, c, L]
    to_text = (words * x_real.unsqueeze(2)).sum(1) / x_real.sum(1).clamp(min=1).unsqueeze(1)
    to_image = (patches * y_real).sum(2) / y_real.sum(1).clamp(min=1)
    return torch.stack([to_text, to_image])


def paired_similarities(x: Tensor, x_real: Tensor, y: Tensor, y_real: Tensor) -> Tensor:
    """[2, P] s^I and s^T of P pairs, as they are ranked by once the model is trained.

    Args:
        x: [P, N, D] projected, normalised tokens of each pair's image.
        x_real: [P, N] which are real.
        y: [P, L, D] of its text.
        y_real: [P, L].
    """
    z = x @ y.transpose(1, 2)
    words = _best(z, y_real.unsqueeze(1), 2) * x_real
    patches = _best(z, x_real.unsqueeze(2), 1) * y_real
    return torch.stack([
        words.sum(1) / x_real.sum(1).clamp(min=1), patches.sum(1) / y_real.sum(1).clamp(min=1)
    ])  # fmt: skip


def _best(z: Tensor, real: Tensor, axis: int) -> Tensor:
    """Largest similarity along an axis over real tokens; 0 where there is none."""
    best = z.masked_fill(~real, torch.finfo(z.dtype).min).amax(axis)
    return torch.where(best > -2, best, 0.0)  # a cosine is at least -1

"""Tokens of images and texts in a shared space, and the contrast of similarities that are made of them.

Shape letters: B items, T texts, D the shared width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voxtile.errors import ConfigError
from voxtile.models.tower import full_precision
from voxtile.types import Encoded


def projected(encoded: Encoded, projection: nn.Linear | None, side: str, objective: str) -> tuple[Tensor, Tensor]:
    """Project and normalise the tokens of one side.

    Args:
        encoded: what the tower gave.
        projection: to the shared space; None where the objective was not set up.
        side: `image` or `text`, for messages.
        objective: name of the objective, for messages.

    Returns:
        [·, tokens, D], 0 where there is only padding, and [·, tokens] bool, True where a token is real.

    Raises:
        ConfigError: the tower gives no tokens, or the objective was not set up.
    """
    if projection is None:
        raise ConfigError(f"{objective} was not set up; load a checkpoint or train the model first")
    if encoded.tokens is None:
        raise ConfigError(
            f"the {objective} objective needs tokens, which the {side} tower does not give; use a tower of voxtile "
            "such as WaveletTower or TextTransformer, or remove the objective"
        )
    tokens = F.normalize(full_precision(projection(encoded.tokens)), dim=2)
    real = encoded.mask
    if real is None:
        real = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
    return tokens.masked_fill(~real.unsqueeze(2), 0.0), real


def one_way(logits: Tensor, positive: Tensor, valid: Tensor) -> Tensor:
    """Mean over the rows with a positive of log Σ_valid exp z minus the mean z of the positives.

    Args:
        logits: [B, T].
        positive: [B, T] bool.
        valid: [B, T] bool, True where a pair is not ignored.
    """
    counts = positive.sum(1)
    wanted = torch.where(positive, logits, 0.0).sum(1) / counts.clamp(min=1)
    losses = logits.masked_fill(~valid, -torch.inf).logsumexp(1) - wanted
    live = counts > 0
    return losses[live].sum() / live.sum().clamp(min=1)

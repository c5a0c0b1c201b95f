"""From a tower's width to the shared one."""

from __future__ import annotations

from typing import Literal, TypeAlias

from torch import nn

from voxtile.errors import ConfigError

ProjectorName: TypeAlias = Literal["linear", "mlp"]

_HIDDEN = 4  # times the shared width, as in a transformer's feed-forward part


def projector(kind: ProjectorName, width: int, embed_dim: int) -> nn.Module:
    """Map [B, width] to [B, embed_dim].

    Args:
        kind: `linear` (CLIP, Radford et al. 2021), or `mlp` with one hidden layer, which can align frozen towers that
            never saw each other (From Unimodal to Multimodal, Maniparambil et al., arXiv 2409.19425).
        width: of the tower.
        embed_dim: the shared width.

    Raises:
        ConfigError: another kind.
    """
    if kind == "linear":
        return nn.Linear(width, embed_dim, bias=False)
    if kind == "mlp":
        hidden = _HIDDEN * embed_dim
        return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, embed_dim, bias=False))
    raise ConfigError(f"model.encoder.projector '{kind}' does not exist; use linear or mlp")

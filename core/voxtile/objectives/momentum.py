"""Momentum copies: networks that follow those in training, a little at each update."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from voxtile.models.tower import TextTower


class MomentumCopy(nn.Module):
    """Copies of networks whose weights are an exponential average: w̄ ← m·w̄ + (1 − m)·w (MoCo, He et al. 2020, eq. 2).

    They get no gradients and stay in evaluation mode. Statistics, such as those of BatchNorm, are taken over as they
    are. Each process holds them whole, also where FSDP2 shards the networks that they follow.

    Args:
        parts: the networks, by names that the checkpoint then has; tokenizers are shared, not copied.
    """

    def __init__(self, parts: Mapping[str, nn.Module]) -> None:
        super().__init__()
        shared = {id(part.tokenizer): part.tokenizer for part in parts.values() if isinstance(part, TextTower)}
        self.parts = nn.ModuleDict({name: copy.deepcopy(part, dict(shared)) for name, part in parts.items()})
        self.parts.requires_grad_(False).eval()

    def __getitem__(self, name: str) -> nn.Module:
        return self.parts[name]

    def train(self, mode: bool = True) -> MomentumCopy:
        """The copies stay in evaluation mode."""
        super().train(mode)
        self.parts.eval()
        return self

    @torch.no_grad()
    def follow(self, parts: Mapping[str, nn.Module], momentum: float) -> None:
        """Move the weights after an update.

        Args:
            parts: the networks that are followed, under the names of the copies.
            momentum: share m of the old weights that is kept.
        """
        for name, kept in self.parts.items():
            for old, new in zip(kept.parameters(), parts[name].parameters(), strict=True):
                old.lerp_(_whole(new).to(old.dtype), 1 - momentum)
            for statistic, now in zip(kept.buffers(), parts[name].buffers(), strict=True):
                statistic.copy_(_whole(now))


def _whole(value: Tensor) -> Tensor:
    return value.full_tensor() if isinstance(value, DTensor) else value

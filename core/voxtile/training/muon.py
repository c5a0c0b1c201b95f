"""Muon for the matrices of a network's blocks, AdamW for all else, as one optimiser."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from voxtile.errors import ConfigError

_NO_HIDDEN_MATRIX = re.compile(r"embed|token|position|projection|head|pool")


def by_muon(name: str, parameter: Tensor) -> bool:
    """Whether a parameter is a matrix between hidden features: no embedding, no projection, no head."""
    return parameter.ndim == 2 and not _NO_HIDDEN_MATRIX.search(name)


class MuonAndAdamW(torch.optim.Optimizer):
    """Two optimisers that share groups and state, so that schedules, checkpoints and clipping see one.

    Muon makes the step of a matrix orthogonal (Jordan et al. 2024, Muon: an optimizer for hidden layers) by PyTorch's
    own `torch.optim.Muon`, scaled to the size of AdamW's steps, so that one learning rate serves both (Liu et al. 2025,
    Muon is scalable for LLM training, section 2.2).

    Args:
        matrices: parameter groups for Muon.
        others: an AdamW with the rest.

    Raises:
        ConfigError: this PyTorch has no Muon, weights are sharded, or there is no matrix.
    """

    def __init__(self, matrices: Sequence[dict[str, Any]], others: torch.optim.AdamW) -> None:
        if not hasattr(torch.optim, "Muon"):
            raise ConfigError("optimizer.muon needs PyTorch 2.9 or newer; update it, or set muon to false")
        if not matrices:
            raise ConfigError(
                "optimizer.muon: no tower that learns has matrices between hidden features; set it to false"
            )
        if any(isinstance(p, DTensor) for group in matrices for p in group["params"]):
            raise ConfigError("optimizer.muon needs whole weights; use trainer.strategy ddp, or set it to false")
        self._muon = torch.optim.Muon(list(matrices), adjust_lr_fn="match_rms_adamw")
        self._others = others
        self._count = len(self._muon.param_groups)
        super().__init__([*self._muon.param_groups, *others.param_groups], {})
        self._share()

    def _share(self) -> None:
        """Have both work on this optimiser's groups and state."""
        self._muon.param_groups, self._others.param_groups = (
            self.param_groups[: self._count],
            self.param_groups[self._count :],
        )
        self._muon.state = self._others.state = self.state

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # noqa: ANN401 - the closure's
        """Update all parameters once."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self._muon.step()  # type: ignore[no-untyped-call]
        self._others.step()
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up a checkpoint's state."""
        super().load_state_dict(state_dict)
        self._share()

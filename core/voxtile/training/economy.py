"""Memory for work, and work for memory: activations that are computed again, and towers that are compiled."""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from voxtile.errors import ConfigError
from voxtile.models.blocks import blocks
from voxtile.models.dual import DualEncoder
from voxtile.objectives.views import statistics_kept


def recompute_activations(encoder: DualEncoder) -> int:
    """Keep only the input of each block of both towers for the gradient, and compute the rest again (Chen et al. 2016).

    A third more work for memory that no longer grows with all that happens within a block. Random numbers of the second
    pass are those of the first, so that gradients are the same. Names of weights do not change.

    Args:
        encoder: its towers are changed in place.

    Returns:
        The number of blocks.

    Raises:
        ConfigError: neither tower is made of blocks.
    """
    found = [block for tower in (encoder.image, encoder.text) for block in blocks(tower).values()]
    if not found:
        raise ConfigError("model.recompute needs a tower of blocks, such as a ViT; these towers have none; remove it")
    for block in found:
        block.forward = functools.partial(_recomputed, block, block.forward)
    return len(found)


def compile_towers(encoder: DualEncoder, backend: str) -> None:
    """Have PyTorch compile both towers at their first step (`torch.compile`); names of weights do not change.

    Args:
        encoder: its towers are changed in place.
        backend: of torch.compile, e.g. `inductor`.

    Raises:
        ConfigError: there is no such backend.
    """
    known = torch.compiler.list_backends(exclude_tags=())
    if backend not in known:
        raise ConfigError(f"model.compile '{backend}' is no backend of torch.compile; there are {', '.join(known)}")
    for tower in (encoder.image, encoder.text):
        tower.compile(backend=backend)


def _recomputed(block: nn.Module, forward: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as the block's
    if not (block.training and torch.is_grad_enabled()):
        return forward(*args, **kwargs)

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), statistics_kept(block)  # batch normalisation has noted this batch already

    return checkpoint(forward, *args, use_reentrant=False, context_fn=contexts, **kwargs)

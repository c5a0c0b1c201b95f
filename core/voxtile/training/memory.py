"""Memory for work, and work for memory: activations that are computed again, and towers that are compiled."""

from __future__ import annotations

import ctypes
import functools
import platform
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.plugins import DoublePrecision, HalfPrecision
from torch import nn
from torch.utils.checkpoint import checkpoint

from voxtile.errors import ConfigError
from voxtile.models.dual import DualEncoder
from voxtile.models.tuning import blocks
from voxtile.objectives.self_supervised.views import statistics_kept
from voxtile.types import Batch


def spare(encoder: DualEncoder, *, recompute: bool, backend: str | None) -> None:
    """Prepare both towers for training as a config says.

    Args:
        encoder: its towers are changed in place.
        recompute: whether activations are computed again.
        backend: of torch.compile; None leaves the towers as they are.

    Raises:
        ConfigError: as of `recompute_activations` and `compile_towers`.
    """
    if recompute:
        recompute_activations(encoder)
    if backend is not None:
        compile_towers(encoder, backend)


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
        block.forward = functools.partial(_again(block), block, block.forward)
    return len(found)


def compile_towers(encoder: DualEncoder, backend: str) -> None:
    """Have PyTorch compile both towers at their first step (`torch.compile`); names of weights do not change.

    Args:
        encoder: its towers are changed in place.
        backend: of torch.compile, e.g. `inductor`.

    Raises:
        ConfigError: there is no such backend, or it draws other random numbers where blocks are computed again.
    """
    known = torch.compiler.list_backends(exclude_tags=())
    if backend not in known:
        raise ConfigError(f"model.compile '{backend}' is no backend of torch.compile; there are {', '.join(known)}")
    for tower in (encoder.image, encoder.text):
        # torch hands the random numbers of blocks that are computed again to AOTAutograd, which these leave out.
        if "eager" in backend and not backend.startswith("aot") and any(map(_is_recomputed, blocks(tower).values())):
            raise ConfigError(
                f"model.compile {backend} would drop out other features where model.recompute computes a block again; "
                "take inductor or aot_eager"
            )
        tower.compile(backend=backend)


def _is_recomputed(block: nn.Module) -> bool:
    return isinstance(block.forward, functools.partial)


def _again(block: nn.Module) -> Callable[..., Any]:
    """How a block is computed again: torch.compile follows into it, but for what holds batch normalisation."""
    if any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in block.modules()):
        noted_once: Callable[..., Any] = torch.compiler.disable(_noted_once)  # type: ignore[no-untyped-call]
        return noted_once
    return _recomputed


def _recomputed(block: nn.Module, forward: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as the block's
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    return checkpoint(forward, *args, use_reentrant=False, **kwargs)


def _noted_once(block: nn.Module, forward: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as the block's
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), statistics_kept(block)  # batch normalisation has noted this batch already

    return checkpoint(forward, *args, use_reentrant=False, context_fn=contexts, **kwargs)


_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # mallopt(3)


def keep_freed_memory() -> None:
    """Have glibc take large blocks from the heap and never give the heap's end back; nothing on other C libraries.

    A CPU training step allocates and frees the same hundreds of megabytes each time; by default glibc maps them anew,
    and clearing the pages took a tenth of the step.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


class ConvertTensors:
    """What a precision plugin does with its inputs, done to the tensors of a batch directly.

    Lightning looks for tensors in whatever it is given, string by string, in every step.

    Args:
        convert: the plugin's own `convert_input`.
    """

    def __init__(self, convert: Callable[[Any], Any]) -> None:
        self._convert = convert

    def __call__(self, data: Any) -> Any:  # noqa: ANN401 - Lightning converts anything
        """The same for a batch, and the plugin's own for all else."""
        if not isinstance(data, Batch):
            return self._convert(data)
        return replace(data.mapped(self._convert), image_days=data.image_days)  # half precision would round years away


def convert_tensors_alone(trainer: pl.Trainer) -> None:
    """Have a trainer convert batches so, once."""
    plugin = trainer.precision_plugin
    if not isinstance(plugin.convert_input, ConvertTensors):
        plugin.convert_input = ConvertTensors(plugin.convert_input)  # type: ignore[method-assign]


def convert_weights(trainer: pl.Trainer, module: nn.Module) -> None:
    """Give weights the type that they are trained in, before a checkpoint's are loaded: Lightning does it afterwards.

    What is loaded would be rounded to float32, and an average that is kept beside the weights stay of that type.
    """
    plugin = trainer.precision_plugin
    if isinstance(plugin, DoublePrecision | HalfPrecision):
        plugin.convert_module(module)

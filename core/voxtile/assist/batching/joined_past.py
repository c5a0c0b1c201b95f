"""Keys and values of rows of different lengths in one batch, aligned at their last tokens.

Shape letters: R rows, L tokens that a batch holds of each row, those that are missing before a shorter one included.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor

from voxtile.assist.language import Language, Past

_LAYERS = ("DynamicLayer", "DynamicSlidingWindowLayer")
"""Layers of transformers' caches that hold keys and values as [R, heads, L, D] and nothing else."""


def can_join(language: Language) -> bool:
    """Whether rows that began at different times can go on together: its positions can be said, and rows padded."""
    decoder: Any = language.model.base_model
    layers = getattr(language.past().cache, "layers", None) or ()
    plain = all(type(layer).__name__ in _LAYERS for layer in layers)
    return bool(layers) and plain and "position_ids" in inspect.signature(type(decoder).forward).parameters


def joined(first: Past, second: Past) -> Past:
    """Rows of both, those of the first before; the shorter ones get zeros before their first token."""
    for own, other in _layers(first, second):
        length = max(own.get_seq_length(), other.get_seq_length())
        held = max(own.keys.shape[-2], other.keys.shape[-2])
        own.keys = torch.cat([_filled(own.keys, held), _filled(other.keys, held)])
        own.values = torch.cat([_filled(own.values, held), _filled(other.values, held)])
        _say_length(own, length)
    return first


def shortened(past: Past, length: int) -> Past:
    """Only the last tokens, [R, length]; those before are missing in every row."""
    for layer, _ in _layers(past, past):
        held = min(length, layer.keys.shape[-2])
        layer.keys, layer.values = (part[..., part.shape[-2] - held :, :] for part in (layer.keys, layer.values))
        _say_length(layer, length)
    return past


def aligned(first: Tensor, second: Tensor) -> Tensor:
    """[R, L] masks of two batches as one, aligned at their last tokens."""
    length = max(first.shape[1], second.shape[1])
    return torch.cat([torch.nn.functional.pad(part, (length - part.shape[1], 0)) for part in (first, second)])


def _layers(first: Past, second: Past) -> list[tuple[Any, Any]]:
    return list(zip(first.cache.layers, second.cache.layers, strict=True))


def _filled(held: Tensor, length: int) -> Tensor:
    return torch.nn.functional.pad(held, (0, 0, length - held.shape[-2], 0))


def _say_length(layer: Any, length: int) -> None:  # noqa: ANN401 - a layer of transformers
    if hasattr(layer, "cumulative_length"):  # of a window, which holds only the last tokens
        layer.cumulative_length = length

"""Padding that a text tower cannot see is not computed: half of a CLIP step, where captions are short."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.func import functional_call

_MULTIPLE = 8  # lengths are rounded up to it: few different shapes, and whole tiles of a tensor core


def without_padding(tower: nn.Module, tokens: Tensor) -> Tensor:
    """Tokens without the columns that are padding in all texts, where the tower's output is the same without them.

    That is so where each token attends to those before it alone and the end of the text is what is read, as in CLIP
    (Radford et al. 2021, section 2.4). Towers that read the last column or the mean, such as SigLIP's, keep their full
    length. Call it before tokens move to a device, since it reads them.

    Args:
        tower: the text tower that the tokens are for.
        tokens: [T, L] int64, 0 being padding.
    """
    if tokens.ndim != 2 or not len(tokens) or not _is_causal(getattr(tower, "text", None)):
        return tokens
    used = tokens.ne(0).any(0).nonzero()
    length = int(used[-1]) + 1 if len(used) else 1
    return tokens[:, : -(-length // _MULTIPLE) * _MULTIPLE]


def encode_text(part: nn.Module, tokens: Tensor) -> Any:  # noqa: ANN401 - pooled, or pooled and tokens, as it is set to
    """What the text part of an open_clip model gives for [T, L] tokens, also for fewer columns than its context.

    Args:
        part: its causal mask, if it has one, is of the context's size and is cut to L for the call.
        tokens: [T, L] int64.
    """
    mask: Any = getattr(part, "attn_mask", None)
    length = tokens.shape[1]
    if not isinstance(mask, Tensor) or not _is_causal(part) or length >= len(mask):
        return part(tokens)
    return functional_call(part, {"attn_mask": mask[:length, :length]}, (tokens,), tie_weights=False)


def _is_causal(part: nn.Module | None) -> bool:
    """Whether it is open_clip's text transformer in the form of CLIP: a causal mask, read at the end of the text."""
    if part is None or type(part).__name__ != "TextTransformer" or not type(part).__module__.startswith("open_clip."):
        return False
    return part.attn_mask is not None and part.cls_emb is None and part.pool_type in ("argmax", "eos")

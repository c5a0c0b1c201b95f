"""Losses on plain tensors, for training code that takes nothing else from voxtile.

Shape letters: B images, T texts, D embedding width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from voxtile.distributed import Share, place
from voxtile.errors import ConfigError
from voxtile.objectives.contrastive.tiled import TILE, sigmoid_loss, softmax_loss
from voxtile.objectives.pairs import Pairs, Relation, TiledRelation

__all__ = ["contrastive"]

_UNOWNED = -1


def contrastive(
    image: Tensor,
    text: Tensor,
    scale: Tensor | float,
    bias: Tensor | float | None = None,
    *,
    kind: Literal["softmax", "sigmoid"] | None = None,
    owner: Tensor | None = None,
    groups: Tensor | None = None,
    positives: Tensor | None = None,
    ignore: Tensor | None = None,
    tile: tuple[int, int] = TILE,
    across_ranks: bool = True,
) -> Tensor:
    """Contrastive loss of CLIP (softmax) or SigLIP (sigmoid), exact and in tiles: no B×T matrix of floats is held.

    The equations are in `voxtile.objectives.contrastive.tiled`. Without `owner`, `groups` and `positives` text j
    belongs to image j, and the loss and its gradients are those of open_clip's `ClipLoss` and `SigLipLoss`.

    Where `torch.distributed` is initialised, each process gives the images and texts that it encoded itself, and the
    loss is that of all of them together, the same in every process. Gradients are those that DistributedDataParallel
    averages to the gradient of the whole, as with `gather_with_grad` of open_clip.

    Args:
        image: [B, D] embeddings, normalised by the caller if they shall be.
        text: [T, D] embeddings.
        scale: multiplier of the similarities, already exponentiated.
        bias: added to the logits; needed for sigmoid. It cancels in a softmax.
        kind: sigmoid where there is a bias and softmax where there is none, when left out.
        owner: [T] int64, the image that each text belongs to, where an image has several texts or none; of this
            process's images in a distributed run.
        groups: [B] int64; images of one group (a study, a subject, a class) have each other's texts as positives.
        positives: [B, T] bool, the positive pairs, all of them, in place of `owner` and `groups`. Row or column without
            any serves as a negative alone. Single process only.
        ignore: [B, T] bool, pairs that are neither positive nor negative unless they are positive. Single process only.
        tile: rows and columns of a tile; changes memory and speed, never the result.
        across_ranks: False keeps to the images and texts of this process.

    Returns:
        The scalar loss, differentiable once with respect to `image`, `text`, `scale` and `bias`.

    Raises:
        ConfigError: shapes that do not fit, a kind that does not exist, sigmoid without a bias, or masks over ranks.

    Examples:
        >>> import torch
        >>> from voxtile.objectives.functional import contrastive
        >>> alike = torch.ones(4, 8) / 8**0.5  # four images and texts that look the same
        >>> round(contrastive(alike, alike, scale=14.0).item(), 4)  # log 4: a guess among four
        1.3863
        >>> round(contrastive(alike, alike, scale=10.0, bias=-10.0).item(), 4)  # sigmoid of 0: 4 · log 2 an image
        2.7726
    """
    chosen = _checked_kind(kind, bias)
    _check_shapes(image, text, owner, groups, positives, ignore, tile)
    for name, value in (("scale", scale), ("bias", bias)):
        if isinstance(value, Tensor) and value.numel() != 1:
            raise ConfigError(f"{name} must be one number, not a tensor of shape {list(value.shape)}")
    share = Share.of(len(image), image.device) if across_ranks and place()[1] > 1 else None
    if share is not None and (positives is not None or ignore is not None):
        raise ConfigError(
            "positives and ignore are masks over one process's pairs; over ranks give groups instead, or set "
            "across_ranks=False"
        )
    if positives is not None:
        owner = torch.full((len(text),), _UNOWNED, device=text.device)
    elif owner is None:
        owner = torch.arange(len(text), device=text.device)
    if share is not None:
        texts = Share.of(len(text), text.device)
        owner = texts.gather(torch.where(owner < 0, owner, owner + share.start))
        image, text = share.gather(image), texts.gather(text)
        groups = None if groups is None else share.gather(groups)
    pairs = Pairs(owner, len(image), _positive(owner, groups, positives), [] if ignore is None else [_Mask(ignore)])
    scale = (
        torch.as_tensor(scale, dtype=torch.float64, device=image.device) if isinstance(scale, float | int) else scale
    )
    if chosen == "softmax":
        return softmax_loss(image, text, scale, pairs, tile, share)
    offset = torch.as_tensor(bias, device=image.device) if not isinstance(bias, Tensor) else bias
    return sigmoid_loss(image, text, scale, offset, pairs, tile, share)


@dataclass(frozen=True)
class _Mask:
    """Pairs that the caller lists."""

    pairs: Tensor

    def tile(self, rows: slice, columns: slice) -> Tensor:
        """[r, c] bool."""
        return self.pairs[rows, columns]


def _positive(owner: Tensor, groups: Tensor | None, positives: Tensor | None) -> list[TiledRelation]:
    if positives is not None:
        return [_Mask(positives)]
    if groups is None:
        return []
    index = torch.unique(groups, return_inverse=True)[1].int()
    of_text = torch.where(owner < 0, _UNOWNED, index[owner.clamp(min=0)])
    return [Relation(index[:, None], of_text.int())]


def _checked_kind(kind: str | None, bias: Tensor | float | None) -> str:
    if kind is None:
        return "softmax" if bias is None else "sigmoid"
    if kind not in ("softmax", "sigmoid"):
        raise ConfigError(f"contrastive kind '{kind}' does not exist; use softmax or sigmoid")
    if kind == "sigmoid" and bias is None:
        raise ConfigError("the sigmoid loss needs a bias, for example -10")
    return kind


def _check_shapes(
    image: Tensor,
    text: Tensor,
    owner: Tensor | None,
    groups: Tensor | None,
    positives: Tensor | None,
    ignore: Tensor | None,
    tile: tuple[int, int],
) -> None:
    for side, given in (("image", image), ("text", text)):
        if not isinstance(given, Tensor):
            raise ConfigError(f"{side} must be a tensor, not {type(given).__name__}")
    if image.ndim != 2 or text.ndim != 2 or image.shape[1] != text.shape[1]:
        raise ConfigError(
            f"image and text must be [B, D] and [T, D] of one width, not {list(image.shape)} and {list(text.shape)}"
        )
    if min(tile) < 1:
        raise ConfigError(f"the tile of a contrastive loss must be positive, not {tuple(tile)}")
    if positives is not None and (owner is not None or groups is not None):
        raise ConfigError("positives lists all positive pairs; leave out owner and groups")
    if owner is None and positives is None and len(image) != len(text):
        raise ConfigError(
            f"{len(image)} images and {len(text)} texts do not pair off; say with owner which image each text is of"
        )
    for name, value, shape in (
        ("owner", owner, (len(text),)),
        ("groups", groups, (len(image),)),
        ("positives", positives, (len(image), len(text))),
        ("ignore", ignore, (len(image), len(text))),
    ):
        if value is not None and tuple(value.shape) != shape:
            raise ConfigError(f"{name} must have the shape {list(shape)}, not {list(value.shape)}")
    for name, value in (("positives", positives), ("ignore", ignore)):
        if value is not None and value.dtype != torch.bool:
            raise ConfigError(f"{name} must be bool, not {value.dtype}")
    if owner is not None and (owner.is_floating_point() or owner.dtype == torch.bool):
        raise ConfigError(f"owner must be whole numbers, not {owner.dtype}")
    if owner is not None and len(owner) and int(owner.max()) >= len(image):
        raise ConfigError(f"owner names image {int(owner.max())}, but there are {len(image)}, counted from 0")

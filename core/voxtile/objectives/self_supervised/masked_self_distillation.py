"""Masked self-distillation: what the teacher finds in a patch, from an image in which it is hidden (iBOT, DINOv2).

Shape letters: S images, N tokens, T hidden tokens of all images, W the tower's width, H the bottleneck, K prototypes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voxtile.errors import ConfigError
from voxtile.models.dual import DualEncoder
from voxtile.models.tower import HiddenPatches, ImageTower, TextTower
from voxtile.objectives.keyed_random import uniform
from voxtile.objectives.self_supervised.prototypes import Balance, PrototypeHead, cross_entropy
from voxtile.objectives.self_supervised.self_distillation import SelfDistillation
from voxtile.objectives.self_supervised.views import image_keys
from voxtile.types import Batch, Encoded

_STREAM = 130  # of the first view's mask


class MaskedSelfDistillation(SelfDistillation):
    """`SelfDistillation` whose student sees large views with blocks of patches hidden, and tells these patches, too.

    With u a large view, û the same with the patches M hidden, and P_t, P_s over the prototypes of their tokens (iBOT,
    Zhou et al., ICLR 2022, equations 2 and 3; DINOv2, Oquab et al., TMLR 2024, section 4):

        L = L_image + w · mean over u of 1/|M| Σ_{n∈M} −Σ_k P_t(u)_nk log P_s(û)_nk

    L_image is that of `SelfDistillation`, where the student's large views are the û. As in DINOv2 a view without a mask
    counts as 0 in the mean. With `balance: sinkhorn`, `separate_head: true` and `KoLeo` beside it this is DINOv2, and
    RAD-DINO on radiographs (Pérez-García et al., Nature Machine Intelligence 2025); beside the contrastive term, where
    the teacher sees whole images (`views: {crop: [1, 1]}`), it is in the manner of TIPS (Maninis et al., ICLR 2025).

    A `ViTTower`, in 2D and 3D, sees a learned token in place of a hidden patch. Other towers that give tokens on a
    grid, such as `ConvTower`, `WaveletTower` and timm's, see the view's mean where a token's cell is hidden: as their
    receptive fields overlap, a little of what is asked may be seen beside it.

    Args:
        probability: with which a large view is masked.
        ratio: smallest and largest share of its patches that are hidden.
        patch_weight: w.
        separate_head: tokens have a head of their own (DINOv2), not that of images (iBOT).
        arguments: those of `SelfDistillation`.

    Raises:
        ConfigError: numbers out of range.

    Examples:
        >>> import torch
        >>> from voxtile.models import TextBag, ViTTower
        >>> from voxtile.objectives import MaskedSelfDistillation
        >>> from voxtile.types import Features
        >>> objective = MaskedSelfDistillation(probability=1.0, prototypes=8, hidden=16, bottleneck=8)
        >>> objective.setup_towers(ViTTower(size=16, patch=4, width=16, depth=1, heads=2), TextBag())
        >>> _ = torch.nn.init.ones_(objective.head.prototypes)  # all alike
        >>> features = Features.of_pairs(torch.ones(2, 8), torch.ones(2, 8), images=torch.randn(2, 1, 16, 16))
        >>> features.rows[objective] = objective.rows(features)
        >>> round(objective(features).item(), 4)  # 2 · log 8: it can tell them apart neither of images nor of patches
        4.1589
    """

    def __init__(
        self,
        *,
        probability: float = 0.5,
        ratio: tuple[float, float] = (0.1, 0.5),
        patch_weight: float = 1.0,
        separate_head: bool = False,
        **arguments: Any,  # noqa: ANN401 - of the class above
    ) -> None:
        super().__init__(**arguments)
        low, high = ratio
        if not 0 < probability <= 1 or not 0 < low <= high < 1:
            raise ConfigError(
                f"MaskedSelfDistillation hides a share between 0 and 1 of the patches, with a probability above 0, not "
                f"{low} to {high} with {probability}"
            )
        if not patch_weight > 0:
            raise ConfigError(f"the patch_weight of MaskedSelfDistillation must be positive, not {patch_weight}")
        self.probability, self.ratio, self.patch_weight = probability, ratio, patch_weight
        self.patch_balance = Balance(self.balance.kind, self.widths[2], self.balance.temperature, self.balance.momentum)
        self.separate_head = separate_head
        self.patch_head: PrototypeHead | None = None
        self.mask_token: nn.Parameter | None = None

    def setup_towers(self, image: ImageTower, text: TextTower) -> None:
        """Make heads, mask token and teacher."""
        if self.separate_head:
            self.patch_head = PrototypeHead(image.width, *self.widths)
        if image.hides_patches:
            self.mask_token = nn.Parameter(torch.zeros(image.width))
        super().setup_towers(image, text)

    def prepare(self, parts: Sequence[Batch]) -> None:
        """Balance the targets of the whole batch, of images and of patches, where that is done by batch."""
        if not self.training or self.balance.kind != "sinkhorn":
            return
        head = self._teacher_part(self._patch_name)
        taught: list[Encoded] = []
        patches: list[Tensor] = []
        for part in parts:
            keys = image_keys(part)
            for number, view in enumerate(self._large(part.images, keys)):
                encoded = self._taught(view)
                places = _places(self._hidden(encoded, keys, number))
                patches.append(head.vectors(_tokens(encoded).flatten(0, 1)[places]))
                taught.append(Encoded(encoded.pooled))
        self._fit(taught)
        self.patch_balance.fit(torch.cat(patches), head)

    @torch.no_grad()
    def after_step(self, encoder: DualEncoder, step: int, steps: int) -> None:
        """Let the centres and the teacher follow."""
        self.patch_balance.follow(self._teacher_part(self._patch_name))
        super().after_step(encoder, step, steps)

    @property
    def _patch_name(self) -> str:
        return "head" if self.patch_head is None else "patch_head"

    def _parts(self, image: ImageTower) -> dict[str, nn.Module]:
        parts = super()._parts(image)
        return parts if self.patch_head is None else {**parts, "patch_head": self.patch_head}

    @torch.no_grad()
    def _taught(self, view: Tensor) -> Encoded:
        assert self.teacher is not None
        encoded: Encoded = self.teacher["image"](view, tokens=True)
        return encoded

    def _losses(self, images: Tensor, keys: Tensor) -> Tensor:
        tower, _ = self._student
        large = self._large(images, keys)
        taught = [self._taught(view) for view in large]
        hidden = [self._hidden(encoded, keys, number) for number, encoded in enumerate(taught)]
        seen = [self._masked(*each) for each in zip(large, hidden, taught, strict=True)]
        small = [tower(view) for view in self._small(images, keys)]
        loss = self._agreement([*seen, *small], [self._target(encoded) for encoded in taught])
        patches = [self._patch_losses(*each) for each in zip(seen, taught, hidden, strict=True)]
        return loss + self.patch_weight * torch.stack(patches).mean(0)

    def _hidden(self, taught: Encoded, keys: Tensor, view: int) -> Tensor:
        """[S, N] bool."""
        if taught.tokens is None or taught.grid is None:
            raise ConfigError(
                "MaskedSelfDistillation needs an image tower that gives tokens on a grid, such as ViTTower, ConvTower "
                "or TimmTower; for one without tokens there is SelfDistillation"
            )
        return block_masks(keys, taught.grid, _STREAM + view, probability=self.probability, ratio=self.ratio)

    def _masked(self, view: Tensor, hidden: Tensor, taught: Encoded) -> Encoded:
        """What the student makes of a view with patches hidden."""
        tower, _ = self._student
        if self.mask_token is not None:
            encoded: Encoded = tower(view, tokens=True, hidden=HiddenPatches(hidden, self.mask_token))
            return encoded
        assert taught.grid is not None
        cells = torch.unflatten(hidden, 1, (1, *taught.grid)).to(view.dtype)
        where = F.interpolate(cells, view.shape[2:]) > 0.5
        filled = view.mean(tuple(range(2, view.ndim)), keepdim=True)
        encoded = tower(torch.where(where, filled, view), tokens=True)
        return encoded

    def _patch_losses(self, seen: Encoded, taught: Encoded, hidden: Tensor) -> Tensor:
        """[S] mean over the hidden patches of an image; 0 where none is."""
        head = self._student[1] if self.patch_head is None else self.patch_head
        teacher, places = self._teacher_part(self._patch_name), _places(hidden)
        known = teacher.vectors(_tokens(taught).flatten(0, 1)[places]).detach()
        self.patch_balance.note(known)
        told = head.vectors(_tokens(seen).flatten(0, 1)[places])
        losses = cross_entropy(told, head, known, teacher, self.patch_balance, self.temperature)
        image = places // hidden.shape[1]
        means = losses / hidden.sum(1)[image]
        return losses.new_zeros(len(hidden)).index_add(0, image, means)


def _places(hidden: Tensor) -> Tensor:
    """[T] of the hidden patches among those of all images."""
    return hidden.flatten().nonzero().squeeze(1)


def _tokens(encoded: Encoded) -> Tensor:
    assert encoded.tokens is not None
    return encoded.tokens


_LEAST = 4  # patches of a block, where so many are still to be hidden; the numbers are those of BEiT and DINOv2
_ASPECT = 1 / 0.3  # a block is at most so many times longer along one axis than along another
_TRIES = 24  # blocks that are drawn; those that would hide too much are dropped


def block_masks(
    keys: Tensor, grid: Sequence[int], stream: int, *, probability: float, ratio: tuple[float, float]
) -> Tensor:
    """Draw which patches of each image are hidden.

    An image is masked with a probability, and then a share of its patches that is even between two limits; blocks of
    random size, shape and place are laid over each other until no more fits into that number.

    Args:
        keys: [S] int64, see `voxtile.objectives.self_supervised.views.image_keys`.
        grid: of the patches.
        stream: which mask of an image; another one is another mask.
        probability: with which an image is masked.
        ratio: smallest and largest share of its patches.

    Returns:
        [S, N] bool, True where hidden.
    """
    axes, places = len(grid), math.prod(grid)
    drawn = uniform(keys, 2 + _TRIES * (1 + 2 * axes), stream)
    low, high = ratio
    wanted = ((low + (high - low) * drawn[:, 1]) * places).floor().clamp(min=1, max=places)
    wanted = torch.where(drawn[:, 0] < probability, wanted, 0)
    sizes = torch.tensor(grid, device=keys.device)
    hidden = torch.zeros(len(keys), places, dtype=torch.bool, device=keys.device)
    for numbers in torch.unflatten(drawn[:, 2:], 1, (_TRIES, -1)).unbind(1):
        room = wanted - hidden.sum(1)
        area, shape, at = torch.split(numbers, [1, axes, axes], 1)
        least = room.clamp(max=_LEAST)
        volume = least + (room - least) * area[:, 0]
        longer = (shape - shape.mean(1, keepdim=True)) * math.log(_ASPECT)
        sides = (volume[:, None] ** (1 / axes) * longer.exp()).round().clamp(min=1).minimum(sizes)
        start = (at * (sizes - sides + 1)).floor()
        block = _inside(start, start + sides, grid)
        new = (block & ~hidden).sum(1)
        hidden |= block & ((new > 0) & (new <= room))[:, None]
    return hidden


def _inside(start: Tensor, stop: Tensor, grid: Sequence[int]) -> Tensor:
    """[S, N] bool, True within the box from [S, d] to before [S, d]."""
    inside = torch.ones(len(start), 1, dtype=torch.bool, device=start.device)
    for axis, size in enumerate(grid):
        at = torch.arange(size, device=start.device)
        along = (at >= start[:, axis, None]) & (at < stop[:, axis, None])
        inside = (inside[:, :, None] & along[:, None]).flatten(1)
    return inside

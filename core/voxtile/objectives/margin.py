"""Pairwise margins: each pair is more alike than the most alike wrong one, by a margin (VSE++; Deep Boosting).

Shape letters: B items, T texts, D the shared width, r rows of a slab.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal, TypeAlias

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from voxtile.errors import ConfigError
from voxtile.objectives.base import Objective
from voxtile.objectives.momentum import KeyName, MomentumObjective
from voxtile.objectives.pairs import Pairs, RelationName
from voxtile.types import Features

_Slab: TypeAlias = Callable[[slice], Tensor]
_SLAB = 256  # rows whose similarities are held at a time


class Margin(Objective):
    """Hinge of the cosine similarities, in both directions (VSE++, Faghri et al., BMVC 2018, eq. 5 and 6).

    With s_ij = ⟨x_i, y_j⟩, i the item of text j, and the wrong texts j' and items i',

        L = 1/T Σ_j { max_j' [m + s_ij' − s_ij]₊ + max_i' [m + s_i'j − s_ij]₊ },

    or sums in the place of the maxima. It has no temperature.

    Args:
        margin: m.
        hardest: the most alike wrong pair counts alone; False for all of them.
        ignore: pairs that are not wrong: an equal `text`, one `study` or `subject`, …, as in `Contrastive`.

    Raises:
        ConfigError: a margin that is not between 0 and 2.
    """

    couples_items: ClassVar[bool] = True

    def __init__(
        self, *, margin: float = 0.2, hardest: bool = True, ignore: Sequence[RelationName] = ("text",)
    ) -> None:
        super().__init__()
        self.margin = _margin("Margin", margin)
        self.hardest, self.ignore = hardest, tuple(ignore)

    def forward(self, features: Features) -> Tensor:
        """Return the scalar loss; 0 without texts."""
        image, text, owner = features.image, features.text, features.batch.text_item
        if not len(text):
            return image.sum() * 0.0
        pairs = Pairs.from_batch(features.batch, self.ignore, ())
        every = slice(0, len(image))

        def wrong(part: slice) -> Tensor:
            """[B, r] bool of some texts."""
            return ~pairs.masks(every, part)[0]

        def to_image(part: slice) -> Tensor:
            return self._hinge(text[part] @ image.T, owner[part], wrong(part).T)

        def to_text(part: slice) -> Tensor:
            mine = owner[part]
            first, last = int(mine.min()), int(mine.max()) + 1  # texts are sorted by their items
            positive = pairs.masks(slice(first, last), slice(0, len(text)))[0]
            places = torch.arange(len(text), device=text.device)[part]
            return self._hinge(image[mine] @ text.T, places, ~positive[mine - first])

        with torch.autocast(image.device.type, enabled=False):
            return (_slabs(to_text, len(text)) + _slabs(to_image, len(text))) / len(text)

    def _hinge(self, similarity: Tensor, own: Tensor, wrong: Tensor) -> Tensor:
        """Sum over rows; `own` is the column of each row's pair."""
        excess = self.margin + similarity - similarity.gather(1, own[:, None])
        return _worst(excess, wrong) if self.hardest else (excess.clamp(min=0) * wrong).sum()


class DeepBoosting(MomentumObjective):
    """Asks the model to be better than a momentum copy of itself by a margin (Diao et al., IEEE TIP 2024).

    The copy is the anchor branch, with similarities ŝ; the model is the target branch ("momentum synchronous"). s_ii is
    that of item i and its text, i' and j' are wrong partners. Relative distances grow:

        L = 1/B Σ_i { max_j' [m + (ŝ_ii − ŝ_ij') − (s_ii − s_ij')]₊ + the same over images i' },

    or absolute ones, with half the margin on each side:

        L = 1/B Σ_i { 2 [m/2 + ŝ_ii − s_ii]₊ + max_j' [m/2 + s_ij' − ŝ_ij']₊ + max_i' [m/2 + s_i'i − ŝ_i'i]₊ }.

    It stands beside `Margin` or `Contrastive`, which teach both branches.

    Args:
        kind: `relative` or `absolute`.
        margin: m.
        momentum: share of the copy's weights that an update keeps.
        ignore: pairs that are not wrong: an equal `text`, one `study` or `subject`.

    Raises:
        ConfigError: a kind that does not exist, or numbers out of range.
    """

    def __init__(
        self,
        *,
        kind: Literal["relative", "absolute"] = "relative",
        margin: float = 0.2,
        momentum: float = 0.9995,
        ignore: Sequence[KeyName] = ("text",),
    ) -> None:
        super().__init__(momentum=momentum, ignore=ignore)
        if kind not in ("relative", "absolute"):
            raise ConfigError(f"DeepBoosting has no kind '{kind}'; use relative or absolute")
        self.kind, self.margin = kind, _margin("DeepBoosting", margin)

    def forward(self, features: Features) -> Tensor:
        """Return the scalar loss."""
        drawn = self.pairs(features)
        keys, items = drawn.keys, len(drawn.keys)

        def one_way(rows: Tensor, columns: Tensor, kept_rows: Tensor, kept_columns: Tensor) -> _Slab:
            def slab(part: slice) -> Tensor:
                own = torch.arange(items, device=keys.device)[part]
                wrong = ~self.related(keys[part], keys)
                wrong[torch.arange(len(own)), own] = False
                return self._boosted(rows[part] @ columns.T, kept_rows[part] @ kept_columns.T, own, wrong)

            return slab

        with torch.autocast(keys.device.type, enabled=False):
            to_text = one_way(drawn.image, drawn.text, drawn.kept_image, drawn.kept_text)
            to_image = one_way(drawn.text, drawn.image, drawn.kept_text, drawn.kept_image)
            return (_slabs(to_text, items) + _slabs(to_image, items)) / items

    def _boosted(self, similarity: Tensor, anchor: Tensor, own: Tensor, wrong: Tensor) -> Tensor:
        """Sum over rows of one direction; `own` is the column of each row's pair."""
        pair, anchor_pair = similarity.gather(1, own[:, None]), anchor.gather(1, own[:, None])
        if self.kind == "relative":
            return _worst(self.margin + (anchor_pair - anchor) - (pair - similarity), wrong)
        nearer = (self.margin / 2 + anchor_pair - pair).clamp(min=0).sum()
        return nearer + _worst(self.margin / 2 + similarity - anchor, wrong)


def _worst(excess: Tensor, wrong: Tensor) -> Tensor:
    """Sum over rows of the largest positive excess of a wrong pair."""
    return excess.masked_fill(~wrong, 0.0).amax(1).clamp(min=0).sum()


def _slabs(slab: _Slab, rows: int) -> Tensor:
    """Sum of slabs of rows, each computed again in the backward pass."""
    parts = [slice(start, min(start + _SLAB, rows)) for start in range(0, rows, _SLAB)]
    made = [checkpoint(slab, part, use_reentrant=False, preserve_rng_state=False) for part in parts]
    return torch.stack(made).sum()


def _margin(name: str, margin: float) -> float:
    if not 0 <= margin <= 2:
        raise ConfigError(f"the margin of {name} is a difference of cosines, between 0 and 2, not {margin:g}")
    return margin

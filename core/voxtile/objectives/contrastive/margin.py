"""Pairwise margins: each pair is more alike than the most alike wrong one, by a margin (VSE++, Faghri et al. 2018).

Shape letters: B items, T texts, r rows of a slab, c columns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, TypeAlias

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from voxtile.errors import ConfigError
from voxtile.objectives.base import Objective
from voxtile.objectives.pairs import IgnoredName, Pairs
from voxtile.types import Features

Slab: TypeAlias = Callable[[slice], Tensor]
SLAB = 256  # rows whose similarities are held at a time


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

    Examples:
        >>> import torch
        >>> from voxtile.objectives import Margin
        >>> from voxtile.types import Features
        >>> alike = Features.of_pairs(torch.ones(4, 8), torch.ones(4, 8))  # all images and texts look the same
        >>> round(Margin(margin=0.2)(alike).item(), 4)  # the whole margin, in both directions
        0.4
        >>> Margin(margin=0.2)(Features.of_pairs(torch.eye(4), torch.eye(4))).item()
        0.0
    """

    couples_items: ClassVar[bool] = True

    def __init__(self, *, margin: float = 0.2, hardest: bool = True, ignore: Sequence[IgnoredName] = ("text",)) -> None:
        super().__init__()
        self.margin = check_margin("Margin", margin)
        self.hardest, self.ignore = hardest, tuple(ignore)

    def forward(self, features: Features) -> Tensor:
        """Return the scalar loss; 0 without texts."""
        image, text, owner = features.image, features.text, features.batch.text_item
        if not len(text):
            return image.sum() * 0.0
        pairs = Pairs.from_batch(features.batch, self.ignore, self.ignore)
        every = slice(0, len(image))

        def to_image(part: slice) -> Tensor:
            return self._hinge(text[part] @ image.T, owner[part], pairs.rivals(every, part).T)

        def to_text(part: slice) -> Tensor:
            mine = owner[part]
            first, last = int(mine.min()), int(mine.max()) + 1  # texts are sorted by their items
            wrong = pairs.rivals(slice(first, last), slice(0, len(text)))
            places = torch.arange(len(text), device=text.device)[part]
            return self._hinge(image[mine] @ text.T, places, wrong[mine - first])

        with torch.autocast(image.device.type, enabled=False):
            return (slabs(to_text, len(text)) + slabs(to_image, len(text))) / len(text)

    def _hinge(self, similarity: Tensor, own: Tensor, wrong: Tensor) -> Tensor:
        """Sum over rows; `own` is the column of each row's pair."""
        excess = self.margin + similarity - similarity.gather(1, own[:, None])
        return worst(excess, wrong) if self.hardest else (excess.clamp(min=0) * wrong).sum()


def worst(excess: Tensor, wrong: Tensor) -> Tensor:
    """Sum over rows of the largest positive excess of a wrong pair; [r, c], and [r, c] bool which are wrong."""
    return excess.masked_fill(~wrong, 0.0).amax(1).clamp(min=0).sum()


def slabs(slab: Slab, rows: int) -> Tensor:
    """Scalar sum of what `slab` gives of slabs of rows, each computed again in the backward pass."""
    parts = [slice(start, min(start + SLAB, rows)) for start in range(0, rows, SLAB)]
    made = [checkpoint(slab, part, use_reentrant=False, preserve_rng_state=False) for part in parts]
    return torch.stack(made).sum()


def check_margin(name: str, margin: float) -> float:
    """Return the margin.

    Raises:
        ConfigError: no margin of cosines can be so; names the objective.
    """
    if not 0 <= margin <= 2:
        raise ConfigError(f"the margin of {name} is a difference of cosines, between 0 and 2, not {margin:g}")
    return margin

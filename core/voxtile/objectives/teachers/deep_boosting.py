"""Deep boosting: pairs further apart than a slow copy of the model finds them, by a margin (Diao et al. 2024).

Shape letters: B items.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from voxtile.errors import ConfigError
from voxtile.objectives.contrastive.margin import Slab, check_margin, slabs, worst
from voxtile.objectives.teachers.momentum import KeyName, MomentumObjective
from voxtile.types import Features


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

    Examples:
        >>> import torch
        >>> from voxtile.objectives import DeepBoosting
        >>> from voxtile.types import Features
        >>> features, objective = Features.of_pairs(torch.eye(4), torch.eye(4)), DeepBoosting(margin=0.2)
        >>> features.rows[objective] = torch.cat([features.image, features.text], 1)  # a copy that finds the same
        >>> round(objective(features).item(), 4)  # the whole margin, in both directions: no better than its copy
        0.4
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
        self.kind, self.margin = kind, check_margin("DeepBoosting", margin)

    def forward(self, features: Features) -> Tensor:
        """Return the scalar loss."""
        drawn = self.pairs(features)
        keys, items = drawn.keys, len(drawn.keys)

        def one_way(rows: Tensor, columns: Tensor, kept_rows: Tensor, kept_columns: Tensor) -> Slab:
            def slab(part: slice) -> Tensor:
                own = torch.arange(items, device=keys.device)[part]
                wrong = ~self.related(keys[part], keys)
                wrong[torch.arange(len(own)), own] = False
                return self._boosted(rows[part] @ columns.T, kept_rows[part] @ kept_columns.T, own, wrong)

            return slab

        with torch.autocast(keys.device.type, enabled=False):
            to_text = one_way(drawn.image, drawn.text, drawn.kept_image, drawn.kept_text)
            to_image = one_way(drawn.text, drawn.image, drawn.kept_text, drawn.kept_image)
            return (slabs(to_text, items) + slabs(to_image, items)) / items

    def _boosted(self, similarity: Tensor, anchor: Tensor, own: Tensor, wrong: Tensor) -> Tensor:
        """Sum over rows of one direction; `own` is the column of each row's pair."""
        pair, anchor_pair = similarity.gather(1, own[:, None]), anchor.gather(1, own[:, None])
        if self.kind == "relative":
            return worst(self.margin + (anchor_pair - anchor) - (pair - similarity), wrong)
        nearer = (self.margin / 2 + anchor_pair - pair).clamp(min=0).sum()
        return nearer + worst(self.margin / 2 + similarity - anchor, wrong)

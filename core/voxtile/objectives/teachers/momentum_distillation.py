"""Momentum distillation: targets softened by what a slow copy of the model thinks (ALBEF, Li et al., NeurIPS 2021).

Shape letters: B items, M pairs in the queue, C = B + M columns, D the shared width, r rows of a slab.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from voxtile.errors import ConfigError
from voxtile.objectives.teachers.momentum import KEYS, KeyName, MomentumObjective
from voxtile.types import Features

if TYPE_CHECKING:
    from voxtile.models.dual import DualEncoder

_SLAB = 256  # rows whose similarities are held at a time
_NO_KEY = -1  # of places in the queue that are not filled yet; hashes are never negative


class MomentumDistillation(MomentumObjective):
    """Contrast with the pairs of a momentum copy, its own similarities being part of the target (ALBEF, eq. 1, 2, 6).

    With x_i, y_i the model's vectors of item i and its text, x'_c, y'_c those of the momentum copy for the batch and
    the queue, and s the model's scale,

        p_i = softmax_c(s·⟨x_i, y'_c⟩),   q_i = softmax_c(s·⟨x'_i, y'_c⟩),
        L(images → texts) = 1/B Σ_i [ −(1 − α) log p_ii + α KL(q_i ‖ p_i) ],

    L is the mean of this and of the same with images and texts exchanged. No gradient flows into q. It takes the place
    of `Contrastive`; with α = 0 it is MoCo's contrast with a queue.

    Args:
        alpha: share α of the soft targets.
        ramp: steps over which α rises from 0.
        queue: pairs of earlier steps that stay as columns; 0 for none.
        momentum: share of the copy's weights that an update keeps.
        ignore: columns that are neither right nor wrong for a row: an equal `text`, one `study` or `subject`.

    Raises:
        ConfigError: numbers out of range.

    Examples:
        >>> import torch
        >>> from voxtile.objectives import MomentumDistillation
        >>> from voxtile.types import Features
        >>> alike = Features.of_pairs(torch.ones(4, 8), torch.ones(4, 8))
        >>> objective = MomentumDistillation(alpha=0.4)
        >>> objective.setup(image_width=8, text_width=8, embed_dim=8, fact_names=())
        >>> alike.rows[objective] = torch.cat([alike.image, alike.text], 1)  # a copy that finds the same
        >>> round(objective(alike).item(), 4)  # 0.6 · log 4: a guess among four, as the copy's
        0.8318
    """

    queue: Tensor
    queue_keys: Tensor
    oldest: Tensor

    def __init__(
        self,
        *,
        alpha: float = 0.4,
        ramp: int = 0,
        queue: int = 0,
        momentum: float = 0.995,
        ignore: Sequence[KeyName] = (),
    ) -> None:
        super().__init__(momentum=momentum, ignore=ignore)
        if not 0 <= alpha <= 1 or ramp < 0 or queue < 0:
            raise ConfigError(
                f"MomentumDistillation needs an alpha from 0 to 1, and no negative ramp or queue, not {alpha:g}, "
                f"{ramp} and {queue}"
            )
        self.alpha, self.ramp, self.size = alpha, ramp, queue
        self._waiting: tuple[Tensor, Tensor] | None = None  # pairs of this step, for the queue

    def setup(self, *, image_width: int, text_width: int, embed_dim: int, fact_names: tuple[str, ...]) -> None:
        """Create the queue."""
        self.register_buffer("queue", torch.zeros(self.size, 2 * embed_dim))
        self.register_buffer("queue_keys", torch.full((self.size, KEYS), _NO_KEY))
        self.register_buffer("oldest", torch.zeros((), dtype=torch.int64))

    def forward(self, features: Features) -> Tensor:
        """Return the scalar loss."""
        drawn = self.pairs(features)
        kept = torch.cat([drawn.kept_image, drawn.kept_text], 1)
        image, text = torch.cat([kept, self.queue.to(kept.dtype)]).chunk(2, 1)
        keys = torch.cat([drawn.keys, self.queue_keys])
        if self.training:
            self._waiting = (kept, drawn.keys)
        alpha, scale = self._alpha(features.step), features.logit_scale
        with torch.autocast(kept.device.type, enabled=False):
            to_text = self._one_way(drawn.image, drawn.kept_image, text, keys, scale, alpha)
            return 0.5 * (to_text + self._one_way(drawn.text, drawn.kept_text, image, keys, scale, alpha))

    def after_step(self, encoder: DualEncoder, step: int, steps: int) -> None:
        """Let the copy follow, and put the pairs of the step into the queue, over the oldest ones."""
        super().after_step(encoder, step, steps)
        if self._waiting is None or not self.size:
            return
        kept, keys = (part[-self.size :] for part in self._waiting)
        places = (self.oldest + torch.arange(len(kept), device=kept.device)) % self.size
        self.queue[places] = kept.to(self.queue.dtype)
        self.queue_keys[places] = keys
        self.oldest.add_(len(kept)).remainder_(self.size)
        self._waiting = None

    def _alpha(self, step: int) -> float:
        return self.alpha * min(1.0, step / self.ramp) if self.ramp else self.alpha

    def _one_way(
        self, rows: Tensor, kept: Tensor, columns: Tensor, keys: Tensor, scale: Tensor, alpha: float
    ) -> Tensor:
        """The loss of one direction; a slab of rows is held at a time, and computed again in the backward pass."""
        total = rows.new_zeros(())
        for start in range(0, len(rows), _SLAB):
            part = slice(start, start + _SLAB)
            total = total + checkpoint(
                self._slab,
                rows[part], kept[part], columns, keys, start, scale, alpha,
                use_reentrant=False,
                preserve_rng_state=False,
            )  # fmt: skip
        return total / len(rows)

    def _slab(
        self, rows: Tensor, kept: Tensor, columns: Tensor, keys: Tensor, start: int, scale: Tensor, alpha: float
    ) -> Tensor:
        """Sum over the rows [r, D], of which row k has its own pair in column start + k."""
        own = torch.arange(len(rows), device=rows.device)
        left_out = self.related(keys[start : start + len(rows)], keys) | (keys[:, 0] == _NO_KEY)
        left_out[own, own + start] = False
        lowest = torch.finfo(rows.dtype).min / 2
        log_p = (scale * rows @ columns.T).masked_fill(left_out, lowest).log_softmax(1)
        log_q = (scale.detach() * kept @ columns.T).masked_fill(left_out, lowest).log_softmax(1)
        divergence = (log_q.exp() * (log_q - log_p)).sum()
        return alpha * divergence - (1 - alpha) * log_p[own, own + start].sum()

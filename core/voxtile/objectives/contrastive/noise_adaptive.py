"""Noise-adaptive contrast: pairs that are learned late are likely to be wrong, and are pulled together less.

Networks learn clean pairs before they memorise wrong ones, so that for a while the losses of both form two heaps.

Shape letters: B items, T texts, M losses that are remembered.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture
from torch import Tensor

from voxtile.errors import ConfigError
from voxtile.models.tower import full_precision
from voxtile.objectives.base import Objective
from voxtile.objectives.contrastive.row_slabs import Sums, item_rows, softmax_sums, text_rows
from voxtile.objectives.pairs import IgnoredName, Pairs, RelationName
from voxtile.types import Features

if TYPE_CHECKING:
    from voxtile.models.dual import DualEncoder

_FEWEST = 32  # losses that a mixture is fitted to
_FLOOR = 5e-4  # least variance of a component, of standardised losses (DivideMix, Li et al., ICLR 2020)


class NoiseAdaptive(Objective):
    """Softmax contrast whose targets are smoothed for each pair by the probability that it is noise (NEVLP, NLIP).

    A mixture of two Gaussians is fitted to the losses of the last pairs; ε_j, the noise probability of text j and its
    item, is the posterior of the component with the higher mean (NEVLP, Tao et al. 2024, after NLIP, Huang et al.,
    AAAI 2023). With ω_j = λ·ε_j, ω_i its mean over the texts of item i, P the positive and N the other valid pairs,

        L = ½ · 1/B' Σ_i [ log Σ_k exp z_ik − (1−ω_i) · mean_{P(i)} z_ij − ω_i · mean_{N(i)} z_ij ]
          + ½ · the same over columns with ω_j.

    The papers' ω is a rate of smoothing in (0, λ); we take the cross-entropy with targets 1−ω for the pair and ω/(B−1)
    for the others. They fit the mixture once, to the losses of the whole data set after a warm-up; here it follows the
    last `memory` losses, so that it costs no further pass and forgets what was learned since. Losses and mixture are in
    the checkpoint.

    Args:
        smoothing: λ, smoothing of a pair that is surely noise.
        memory: M.
        warmup: steps of plain contrast.
        refit: steps between two fits.
        positives, ignore: as in `voxtile.objectives.Contrastive`.

    Raises:
        ConfigError: numbers out of range.

    Examples:
        >>> import torch
        >>> from voxtile.objectives import NoiseAdaptive
        >>> from voxtile.types import Features
        >>> alike = Features.of_pairs(torch.ones(4, 8), torch.ones(4, 8))  # all images and texts look the same
        >>> round(NoiseAdaptive()(alike).item(), 4)  # log 4, a guess among four: at first it is plain contrast
        1.3863
    """

    couples_items: ClassVar[bool] = True
    losses: Tensor
    count: Tensor
    mixture: Tensor

    def __init__(
        self,
        *,
        smoothing: float = 0.5,
        memory: int = 4096,
        warmup: int = 500,
        refit: int = 50,
        positives: Sequence[RelationName] = (),
        ignore: Sequence[IgnoredName] = (),
    ) -> None:
        super().__init__()
        if not 0 <= smoothing < 1:
            raise ConfigError(f"the smoothing of NoiseAdaptive must be at least 0 and below 1, not {smoothing}")
        if memory < _FEWEST or warmup < 0 or refit < 1:
            raise ConfigError(
                f"NoiseAdaptive needs a memory of at least {_FEWEST}, a warmup of at least 0 and a refit of at least "
                f"1, not {memory}, {warmup}, {refit}"
            )
        self.smoothing, self.warmup, self.refit = smoothing, warmup, refit
        self.positives, self.ignore = tuple(positives), tuple(ignore)
        self.register_buffer("losses", torch.zeros(memory))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))  # of all losses ever
        self.register_buffer("mixture", torch.zeros(3, 2))  # weights, means, deviations; clean first; 0 until fitted

    def forward(self, features: Features) -> Tensor:
        """Return the scalar loss."""
        pairs = Pairs.from_batch(features.batch, self.positives, self.ignore)
        image, text, scale, owner = features.image, features.text, features.logit_scale, features.batch.text_item
        items = softmax_sums(image, text, scale, item_rows(pairs))
        texts = softmax_sums(text, image, scale, text_rows(pairs))
        with torch.no_grad():
            own = scale * (full_precision(image)[owner] * full_precision(text)).sum(1)
            losses = 0.5 * (items.total[owner] + texts.total) - own
            fitted = features.step >= self.warmup and bool(self.mixture[0].any())
            rate = self.smoothing * self.noise(losses) if fitted else torch.zeros_like(losses)
            counts = torch.bincount(owner, minlength=len(image)).clamp(min=1)
            item_rate = torch.zeros_like(items.total).index_add(0, owner, rate.to(items.total)) / counts
            if self.training:
                self._remember(losses)
        return 0.5 * (_smoothed(items, item_rate) + _smoothed(texts, rate))

    def noise(self, losses: Tensor) -> Tensor:
        """Probability that pairs with these losses are noise, by the mixture as it is now.

        Args:
            losses: of any shape.
        """
        weights, means, deviations = self.mixture.to(losses).unbind()
        z = (losses.unsqueeze(-1) - means) / deviations
        return (weights.log() - deviations.log() - 0.5 * z.square()).softmax(-1)[..., 1]

    def after_step(self, encoder: DualEncoder, step: int, steps: int) -> None:
        """Fit the mixture anew every few steps."""
        known = min(int(self.count), len(self.losses))
        if step % self.refit or known < _FEWEST:
            return
        self.mixture.copy_(fit_mixture(self.losses[:known]))

    def _remember(self, losses: Tensor) -> None:
        losses = losses[-len(self.losses) :]
        places = (self.count + torch.arange(len(losses), device=losses.device)) % len(self.losses)
        self.losses[places] = losses.to(self.losses.dtype)
        self.count += len(losses)


def fit_mixture(losses: Tensor) -> Tensor:
    """Fit two Gaussians to losses by maximum likelihood.

    Args:
        losses: [M].

    Returns:
        [3, 2] weights, means and standard deviations; the component with the lower mean first.
    """
    values = losses.double().cpu().numpy()
    centre, spread = values.mean(), max(values.std(), 1e-12)
    standard = ((values - centre) / spread)[:, None]
    mixture = GaussianMixture(
        2,
        weights_init=[0.5, 0.5],
        means_init=np.quantile(standard, [0.25, 0.75])[:, None],
        precisions_init=np.full((2, 1, 1), 4.0),
        reg_covar=_FLOOR,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the next fit starts from other losses anyway
        found = mixture.fit(standard)
    order = np.argsort(found.means_[:, 0], kind="stable")
    means, deviations = found.means_[order, 0], np.sqrt(found.covariances_[order, 0, 0])
    return torch.from_numpy(np.stack([found.weights_[order], centre + spread * means, spread * deviations]))


def _smoothed(rows: Sums, rate: Tensor) -> Tensor:
    """Mean over the live rows of their cross-entropy with smoothed targets."""
    losses = rows.total - (1 - rate) * rows.wanted - rate * rows.others
    live: Tensor = rows.live
    return torch.where(live, losses, 0.0).sum() / live.sum().clamp(min=1)

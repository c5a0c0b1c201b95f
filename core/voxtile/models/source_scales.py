"""A temperature for each source of a mixture, so that sources of unlike difficulty each learn theirs.

Shape letters: B items of a batch, K sources.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from voxtile.errors import ConfigError
from voxtile.types import Batch, ItemScales


class SourceScales(nn.Module):
    """Logit scales, and biases, by source.

    A batch of one source has that source's scale and bias, and every loss is what it would be with them alone. In a
    batch of several, image i and text j, whose items are of the sources σ(i) and σ(j), have the logit

        z_ij = √(s_σ(i) · s_σ(j)) · ⟨x_i, y_j⟩ + (b_σ(i) + b_σ(j)) / 2,

    so that a source's own pairs have its own scale and bias, and pairs of two sources their means, the same in both
    directions. The scale and bias of the model itself, which evaluation and export use, are the geometric mean of the
    scales and the mean of the biases.

    Args:
        names: of the sources.
        log_scale: logarithm of each one's first scale.
        bias: each one's first bias; None for a softmax-only model.

    Raises:
        ConfigError: a name occurs twice.
    """

    def __init__(self, names: Sequence[str], log_scale: float, bias: float | None) -> None:
        super().__init__()
        if len(set(names)) < len(names):
            raise ConfigError(f"model.encoder.source_scales names a source twice: {', '.join(names)}")
        self.names = tuple(names)
        self.log_scale = nn.Parameter(torch.full((len(names),), float(log_scale)))
        self.bias = None if bias is None else nn.Parameter(torch.full((len(names),), float(bias)))

    @torch.no_grad()
    def settle(self, limits: tuple[float, float], log_scale: Tensor, bias: Tensor | None) -> None:
        """Bring every scale back within its limits, and the model's own to the means.

        Args:
            limits: of the logarithms.
            log_scale: the model's own, which is changed in place.
            bias: likewise.
        """
        self.log_scale.clamp_(*limits)
        log_scale.copy_(self.log_scale.mean())
        if self.bias is not None and bias is not None:
            bias.copy_(self.bias.mean())

    def of(self, batch: Batch) -> tuple[Tensor, Tensor | None, ItemScales | None]:
        """Scale and bias of a batch that knows its sources, and those of its items where they are of several.

        Of several sources the first two are NaN, so that a loss that knows one scale alone gives no number.

        Raises:
            ConfigError: the batch has a source that has no scale.
        """
        assert batch.source is not None
        if unknown := sorted(set(batch.source_names) - set(self.names)):
            raise ConfigError(
                f"model.encoder.source_scales has no scale for the source '{unknown[0]}'; name it there, beside "
                f"{', '.join(self.names)}"
            )
        places = torch.tensor([self.names.index(name) for name in batch.source_names], device=batch.source.device)
        items = places[batch.source]
        if bool((items == items[0]).all()):
            return self.log_scale[items[0]].exp(), None if self.bias is None else self.bias[items[0]], None
        nowhere = self.log_scale.new_full((), math.nan)
        each = ItemScales(self.log_scale.exp()[items], None if self.bias is None else self.bias[items])
        return nowhere, None if self.bias is None else nowhere, each

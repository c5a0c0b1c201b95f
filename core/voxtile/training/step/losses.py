"""The terms of the loss, and their weighted sum."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from voxtile.errors import ConfigError
from voxtile.models.tower import full_precision
from voxtile.objectives.base import NEEDS, Objective
from voxtile.training.checks import check_scales
from voxtile.types import Features


class WeightedTerms:
    """Objectives by name with a factor each.

    Args:
        objectives: named terms of the loss.
        weights: factor of each term by its name; 1 where left out.

    Attributes:
        weights: factor of every term.

    Raises:
        ConfigError: no objective, one without `forward` or with unknown `needs`, a weight without an objective or
            below 0, or all 0.
    """

    def __init__(self, objectives: Mapping[str, Objective], weights: Mapping[str, float]) -> None:
        if not objectives:
            raise ConfigError("model.objectives is empty; add at least one, e.g. contrastive")
        if unknown := sorted(set(weights) - set(objectives)):
            raise ConfigError(
                f"model.weights names no objective: {', '.join(unknown)}; there are {', '.join(objectives)}"
            )
        for name, objective in objectives.items():
            if type(objective).forward is Objective.forward:
                raise ConfigError(f"the objective '{name}' ({type(objective).__name__}) has no forward; write one")
            if strange := sorted((objective.needs | objective.row_needs) - NEEDS):
                raise ConfigError(
                    f"the objective '{name}' ({type(objective).__name__}) needs '{strange[0]}', which nobody gives; "
                    f"there are {', '.join(sorted(NEEDS))}"
                )
        self.weights = {name: float(weights.get(name, 1.0)) for name in objectives}
        if not all(0 <= weight < math.inf for weight in self.weights.values()) or not any(self.weights.values()):
            raise ConfigError(
                f"model.weights must be numbers of at least 0, and not all 0, not {self.weights}; remove an objective "
                "that is not wanted"
            )
        self._objectives = objectives
        self._scales_checked = False

    def losses(self, features: Features) -> dict[str, Tensor]:
        """The unweighted terms by name.

        Raises:
            ConfigError: a term is no scalar, or knows one scale alone and the batch is of several sources that have
                their own.
        """
        losses = {name: objective(features) for name, objective in self._objectives.items()}
        for name, loss in losses.items():
            if not isinstance(loss, Tensor) or loss.ndim:
                found = f"a tensor of the shape {list(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
                raise ConfigError(
                    f"the objective '{name}' ({type(self._objectives[name]).__name__}) gives {found}, not a scalar "
                    "tensor; let its forward return the mean over what it compares"
                )
        if features.each is not None and not self._scales_checked:
            self._scales_checked = True
            if bool(features.image.isfinite().all()):  # else the model gives no numbers, and the loss is not at fault
                check_scales(losses)
        return losses

    def total(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum."""
        return torch.stack([self.weights[name] * full_precision(loss) for name, loss in losses.items()]).sum()

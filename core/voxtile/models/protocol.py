"""What evaluation needs of a model, wherever the model comes from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor

from voxtile.data.presets.base import Preset


@runtime_checkable
class GroundingModel(Protocol):
    """A model that shows phrases in images."""

    @property
    def grounds(self) -> bool:
        """Whether it was trained to."""

    def ground(self, images: Tensor, phrases: list[str]) -> tuple[Tensor, Tensor]:
        """[S, C, *G] and P phrases to [S, P, *G] probability of each voxel and [S, P] of there being a target."""


class EvaluationModel(Protocol):
    """A pair of encoders with its own preprocessing.

    Attributes:
        name: how tables call it.
    """

    name: str

    @property
    def preset(self) -> Preset:
        """The preprocessing that the model was trained with."""

    @property
    def logit_scale(self) -> float:
        """Multiplier of the cosine similarity (> 0)."""

    @property
    def fact_names(self) -> tuple[str, ...]:
        """Concepts that an auxiliary fact head predicts; empty without one."""

    def encode_images(self, images: Tensor) -> Tensor:
        """[S, C, *G] float32 to [S, D] L2-normalised embeddings. No gradient, evaluation mode."""

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """T texts to [T, D] L2-normalised embeddings. No gradient, evaluation mode."""

    def fact_logits(self, images: Tensor) -> Tensor:
        """[S, C, *G] to [S, F] logits of the auxiliary head, in the order of `fact_names`."""

"""How far an export's answers are from its source's."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from voxtile.errors import ExportError
from voxtile.export.source import Embedded

LIMIT = 1e-4
"""Largest difference of a number of a unit-length embedding, in float32."""


@dataclass(frozen=True)
class Comparison:
    """Largest absolute differences on real samples.

    Attributes:
        samples, texts: how many were compared.
        image, text: of the numbers of normalised embeddings.
        scale: of the logit scale, as a share of it.
        facts: of the probabilities of the fact head, None without one.
    """

    samples: int
    texts: int
    image: float
    text: float
    scale: float
    facts: float | None = None

    @property
    def largest(self) -> float:
        """The worst of them."""
        return max(self.image, self.text, self.scale, self.facts or 0.0)

    def to_json(self) -> dict[str, float | int | None]:
        """For the exported settings."""
        return asdict(self)


@dataclass(frozen=True)
class Loss:
    """What a quantised model loses against the same model in float32, on real samples.

    Attributes:
        image_cosine, text_cosine: lowest cosine of an embedding with its own in float32.
        similarity: mean absolute difference of the cosine similarities between images and texts.
        same_text: share of the images whose most similar text stays the same.
    """

    image_cosine: float
    text_cosine: float
    similarity: float
    same_text: float

    def to_json(self) -> dict[str, float]:
        """For the exported settings."""
        return asdict(self)


def compare(source: Embedded, export: Embedded) -> Comparison:
    """Compare what two models make of the same probes.

    Raises:
        ExportError: shapes differ, or a number is not finite.
    """
    image, text = _difference("image", source.images, export.images), _difference("text", source.texts, export.texts)
    facts = None
    if source.facts is not None and export.facts is not None:
        facts = _difference("fact", source.facts, export.facts)
    scale = abs(source.scale - export.scale) / source.scale
    return Comparison(len(source.images), len(source.texts), image, text, scale, facts)


def refuse_beyond(found: Comparison, target: str) -> None:
    """Raise ExportError where a difference is above `LIMIT`."""
    if not found.largest <= LIMIT:
        parts = {"image": found.image, "text": found.text, "logit scale": found.scale, "fact": found.facts or 0.0}
        worst = max(parts, key=lambda name: parts[name])
        raise ExportError(
            f"the {target} export answers otherwise than its source: the {worst} outputs differ by up to "
            f"{parts[worst]:.2g} on {found.samples} samples and {found.texts} texts, and {LIMIT:g} is allowed; nothing "
            "was written; report this with the model's config"
        )


def loss_of(full: Embedded, quantised: Embedded) -> Loss:
    """What quantising costs."""
    before, after = full.images @ full.texts.T, quantised.images @ quantised.texts.T
    return Loss(
        image_cosine=(full.images * quantised.images).sum(1).min().item(),
        text_cosine=(full.texts * quantised.texts).sum(1).min().item(),
        similarity=(before - after).abs().mean().item(),
        same_text=(before.argmax(1) == after.argmax(1)).float().mean().item(),
    )


def _difference(what: str, one: Tensor, other: Tensor) -> float:
    if one.shape != other.shape:
        raise ExportError(
            f"the export gives {what} outputs of shape {list(other.shape)} and its source {list(one.shape)}; nothing "
            "was written; report this with the model's config"
        )
    value = (one - other).abs().max().item()
    return value if torch.isfinite(torch.tensor(value)) else float("inf")

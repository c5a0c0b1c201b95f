"""An auxiliary head that predicts facts from the pooled image features."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from voxtile.errors import ConfigError
from voxtile.models.tower import full_precision
from voxtile.objectives.base import Objective
from voxtile.types import Features


class FactHead(Objective):
    """Linear head on `pooled`, binary cross-entropy over the known facts.

    It trains the image tower on what the text states, beside the contrastive term; its weights are in the checkpoint,
    and evaluation reports its figures apart from the purely contrastive ones. Alone and `exclusive` it is the usual
    supervised classifier, to hold a contrastive training of the same tower against.

    Args:
        positive_weight: factor on present facts: one number for all, or a mapping from concept to number; concepts that
            a mapping leaves out count 1.
        exclusive: each item shows one of the concepts, as scenes have one class: softmax cross-entropy over all
            concepts for each that is present. Items with none are left out.

    Examples:
        >>> import torch
        >>> from voxtile.objectives import FactHead
        >>> from voxtile.types import Features
        >>> head = FactHead()
        >>> head.setup(image_width=8, text_width=8, embed_dim=8, fact_names=("nodule", "effusion"))
        >>> _ = [torch.nn.init.zeros_(weight) for weight in head.parameters()]
        >>> facts = torch.tensor([[1, 0], [0, -1]], dtype=torch.int8)  # -1: not known, and left out
        >>> features = Features.of_pairs(torch.ones(2, 8), torch.ones(2, 8), facts=facts)
        >>> round(head(features).item(), 4)  # log 2: it knows nothing yet
        0.6931
        >>> classes = FactHead(exclusive=True)
        >>> classes.setup(image_width=8, text_width=8, embed_dim=8, fact_names=("forest", "field", "river", "town"))
        >>> _ = [torch.nn.init.zeros_(weight) for weight in classes.parameters()]
        >>> classes.logits(torch.ones(1, 8)).sigmoid()  # probabilities of the classes
        tensor([[0.2500, 0.2500, 0.2500, 0.2500]], grad_fn=<SigmoidBackward0>)
    """

    needs: ClassVar[frozenset[str]] = frozenset({"pooled", "facts"})
    reads_texts = False

    def __init__(self, *, positive_weight: float | Mapping[str, float] = 1.0, exclusive: bool = False) -> None:
        super().__init__()
        self.positive_weight, self.exclusive = positive_weight, exclusive
        self.fact_names: tuple[str, ...] = ()
        self.head: nn.Linear | None = None
        self.weight: Tensor
        self.register_buffer("weight", torch.ones(0), persistent=False)

    def setup(self, *, image_width: int, text_width: int, embed_dim: int, fact_names: tuple[str, ...]) -> None:
        """Create the head for these concepts.

        Raises:
            ConfigError: there are no facts or, exclusive, fewer than two, or a weight names a concept that does not
                exist.
        """
        if not fact_names:
            raise ConfigError(
                "the FactHead objective needs facts, and the corpus view has none; run 'voxtile facts' on the corpus, "
                "or remove the objective"
            )
        if self.exclusive and len(fact_names) < 2:
            raise ConfigError(
                f"an exclusive FactHead chooses among concepts, and the corpus view has only '{fact_names[0]}'; leave "
                "exclusive out"
            )
        if isinstance(self.positive_weight, Mapping):
            unknown = sorted(set(self.positive_weight) - set(fact_names))
            if unknown:
                raise ConfigError(f"positive_weight names no fact of the corpus: {', '.join(unknown)}")
            weights = [float(self.positive_weight.get(name, 1.0)) for name in fact_names]
        else:
            weights = [float(self.positive_weight)] * len(fact_names)
        self.fact_names = fact_names
        self.head = nn.Linear(image_width, len(fact_names))
        self.weight = torch.tensor(weights)

    def logits(self, pooled: Tensor) -> Tensor:
        """[B, D_tower] to [B, F] log-odds of each fact, in the order of `fact_names`."""
        scores = self._scores(pooled)
        return _log_odds(scores) if self.exclusive else scores

    def forward(self, features: Features) -> Tensor:
        """Mean cross-entropy over the facts that are not -1, or that are 1 where exclusive; 0 where there are none."""
        facts, scores = features.batch.facts, self._scores(features.image_encoded.pooled)
        if self.exclusive:
            present = (facts == 1).to(scores.dtype) * self.weight
            return -(present * scores.log_softmax(1)).sum() / present.sum().clamp(min=torch.finfo(scores.dtype).tiny)
        known = (facts >= 0).to(self.weight.dtype)
        loss = F.binary_cross_entropy_with_logits(
            scores, facts.clamp(min=0).to(self.weight.dtype), pos_weight=self.weight, reduction="none"
        )
        return (loss * known).sum() / known.sum().clamp(min=1)

    def _scores(self, pooled: Tensor) -> Tensor:
        if self.head is None:
            raise ConfigError("FactHead was not set up; load a checkpoint or train the model first")
        return full_precision(self.head(pooled))


def _log_odds(scores: Tensor) -> Tensor:
    """Log p / (1 − p) of the softmax of each row, whose sigmoid is that softmax, also where p rounds to 1."""
    first = scores.argmax(1, keepdim=True)
    largest = torch.zeros_like(scores, dtype=torch.bool).scatter(1, first, True)
    beside_largest = scores.masked_fill(largest, -torch.inf).logsumexp(1, keepdim=True)
    shares = scores.softmax(1).masked_fill(largest, 0)  # of one half at most
    return scores - torch.where(largest, beside_largest, scores.logsumexp(1, keepdim=True) + torch.log1p(-shares))

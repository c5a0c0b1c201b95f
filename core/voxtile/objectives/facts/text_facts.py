"""An auxiliary head on the text tower: what does a sentence state about each concept?"""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from voxtile.errors import ConfigError
from voxtile.models.tower import full_precision
from voxtile.objectives.base import Objective
from voxtile.types import Features

_SAYINGS = 3  # not stated, denied, stated


class TextFactHead(Objective):
    """Linear head on the text's `pooled`, cross-entropy over not stated, denied and stated for every concept.

    "No effusion" and "effusion" share their words, so that a text tower from scratch begins with nearly equal vectors
    for them; this term pulls texts apart by what they state within the first steps, whatever their wording. Its weights
    are in the checkpoint and take no part in evaluation.

    Raises:
        ConfigError: there are no facts.

    Examples:
        >>> import torch
        >>> from voxtile.objectives import TextFactHead
        >>> from voxtile.types import Features
        >>> head = TextFactHead()
        >>> head.setup(image_width=8, text_width=8, embed_dim=8, fact_names=("nodule",))
        >>> _ = [torch.nn.init.zeros_(weight) for weight in head.parameters()]
        >>> stated = torch.tensor([[1], [0]], dtype=torch.int8)  # "a nodule", "no nodule"
        >>> features = Features.of_pairs(torch.ones(2, 8), torch.ones(2, 8), text_facts=stated)
        >>> round(head(features).item(), 4)  # log 3: it knows nothing yet
        1.0986
    """

    needs: ClassVar[frozenset[str]] = frozenset({"pooled", "facts"})
    states_facts = True

    def __init__(self) -> None:
        super().__init__()
        self.head: nn.Linear | None = None

    def setup(self, *, image_width: int, text_width: int, embed_dim: int, fact_names: tuple[str, ...]) -> None:
        """Create the head for these concepts.

        Raises:
            ConfigError: there are none.
        """
        if not fact_names:
            raise ConfigError(
                "the TextFactHead objective needs facts with evidence; run 'voxtile facts --from reports' on the "
                "corpus, or remove the objective"
            )
        self.head = nn.Linear(text_width, _SAYINGS * len(fact_names))

    def forward(self, features: Features) -> Tensor:
        """Mean cross-entropy over texts, summed over concepts; 0 without texts that are evidence."""
        stated = features.batch.text_facts
        if stated is None or self.head is None:
            return features.text.sum() * 0.0
        logits = full_precision(self.head(features.text_encoded.pooled)).view(len(stated), -1, _SAYINGS)
        loss = F.cross_entropy(logits.flatten(0, 1), (stated.long() + 1).flatten(), reduction="sum")
        return loss / max(1, len(stated))

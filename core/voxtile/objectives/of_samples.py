"""Any objective over the samples of studies: patches with their captions, beside slides with their reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Literal

from torch import Tensor

from voxtile.errors import ConfigError
from voxtile.objectives.base import Objective
from voxtile.types import Features
from voxtile.words.names import name_key

FROM_CORPUS = "corpus"


class OfSamples(Objective):
    """Applies an objective to the samples of a batch of studies, each with its own texts and facts.

    It needs `data.unit: study` and `data.sample_captions`. The same pass through the image tower serves both levels.

    Args:
        objective: what to apply.
        concepts: the facts that it sees; all where empty. What is said of a whole study stays out of its samples.
            `corpus` takes those that `data.sample_facts_source` is about, whatever the corpus calls them.

    Raises:
        ConfigError: the objective reads local features, or the batches have no texts of samples.

    Examples:
        >>> import torch
        >>> from dataclasses import replace
        >>> from voxtile.objectives import Contrastive, OfSamples
        >>> from voxtile.types import Features
        >>> slides, patches = (Features.of_pairs(torch.ones(n, 8), torch.ones(n, 8)) for n in (2, 4))
        >>> features = replace(slides, samples=patches)
        >>> round(OfSamples(Contrastive())(features).item(), 4)  # log 4: a guess among four patches
        1.3863
    """

    needs: ClassVar[frozenset[str]] = frozenset({"samples", "pooled", "facts"})
    couples_items: ClassVar[bool] = True  # of a study's samples always, whatever the objective

    def __init__(self, objective: Objective, *, concepts: Literal["corpus"] | Sequence[str] = ()) -> None:
        super().__init__()
        if objective.needs & {"tokens", "samples"} or objective.has_rows:
            raise ConfigError(
                f"OfSamples cannot apply {type(objective).__name__}, which reads more than pooled vectors"
            )
        self.objective = objective
        self.states_facts = objective.states_facts
        self.positives, self.ignore = objective.positives, objective.ignore
        self.concepts = (FROM_CORPUS,) if concepts == FROM_CORPUS else tuple(concepts)

    def setup(self, *, image_width: int, text_width: int, embed_dim: int, fact_names: tuple[str, ...]) -> None:
        """Set up the objective for its concepts.

        Raises:
            ConfigError: a concept is no fact of the corpus view.
        """
        if self.concepts == (FROM_CORPUS,):  # without a corpus at hand, as where a step is planned
            self.concepts = fact_names
        named = {name_key(name): name for name in fact_names}
        unknown = sorted(name for name in self.concepts if name_key(name) not in named)
        if unknown:
            raise ConfigError(
                f"OfSamples names concepts that the corpus view has no facts about: {', '.join(unknown)}; there are "
                f"{', '.join(fact_names) or 'none'}"
            )
        self.concepts = tuple(named[name_key(name)] for name in self.concepts)
        self.objective.setup(
            image_width=image_width,
            text_width=text_width,
            embed_dim=embed_dim,
            fact_names=self.concepts or fact_names,
        )

    def forward(self, features: Features) -> Tensor:
        """Return the objective's loss over the samples; 0 where none of them has a text.

        Raises:
            ConfigError: the batch has no texts of single samples.
        """
        samples = features.samples
        if samples is None:
            raise ConfigError(
                "OfSamples needs texts of single samples; set data.unit: study and data.sample_captions, or remove it"
            )
        if not samples.batch.texts:
            return samples.image.sum() * 0.0
        if self.concepts:
            samples = replace(samples, batch=samples.batch.with_facts(self.concepts))
        loss: Tensor = self.objective(samples)
        return loss

"""What objectives have learned that other commands use: heads of facts, and what shows phrases in images."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from voxtile.objectives.facts.head import FactHead
from voxtile.objectives.local.grounding import Grounding
from voxtile.objectives.of_samples import OfSamples


def fact_head_of(objectives: Iterable[nn.Module]) -> FactHead | None:
    """The head for single samples, if there is one: that of `OfSamples`, or that of the items."""
    parts = list(objectives)
    inner = (part.objective for part in parts if isinstance(part, OfSamples))
    head = next((part for part in inner if isinstance(part, FactHead)), None)
    return study_fact_head_of(parts) if head is None else head


def study_fact_head_of(objectives: Iterable[nn.Module]) -> FactHead | None:
    """The head for items, if there is one."""
    return next((part for part in objectives if isinstance(part, FactHead)), None)


def grounding_of(objectives: Iterable[nn.Module]) -> Grounding | None:
    """What shows phrases in images, if there is such: an objective, or what one of them holds."""
    own = list(objectives)
    parts = [*own, *(getattr(part, "grounding", None) for part in own)]
    return next((part for part in parts if isinstance(part, Grounding)), None)

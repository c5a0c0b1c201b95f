"""Concepts that a config leaves to the corpus, taken from it before anything is built on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voxtile.errors import ConfigError
from voxtile.objectives.base import Objective
from voxtile.objectives.of_samples import FROM_CORPUS, OfSamples


def take_concepts(objectives: Mapping[str, Objective], data: object, config: dict[str, Any] | None) -> None:
    """Give objectives with `concepts: corpus` what the facts of single samples are about.

    The config is changed with them, so that a checkpoint names the concepts that it was trained on.

    Args:
        objectives: by name.
        data: the datamodule.
        config: what made the module, or None.

    Raises:
        ConfigError: no fact is of single samples.
    """
    for name, objective in objectives.items():
        if not isinstance(objective, OfSamples) or objective.concepts != (FROM_CORPUS,):
            continue
        found = tuple(getattr(data, "sample_fact_names", ()))
        if not found:
            raise ConfigError(
                f"the objective '{name}' takes its concepts from the facts of single samples "
                "(data.sample_facts_source), and the corpus view has none; add some, e.g. with 'voxtile facts CORPUS "
                f"--from annotations', or print the config with 'voxtile config' and remove '{name}' from it"
            )
        objective.concepts = found
        if config is not None:
            config["objectives"][name]["init_args"]["concepts"] = list(found)

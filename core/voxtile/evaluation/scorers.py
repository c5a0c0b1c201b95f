"""Names of what scores an image and a text by the tokens of both, see `voxtile.evaluation.pair_scores`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from voxtile.errors import ConfigError, nearest
from voxtile.evaluation.tasks.place import Place

LATE_INTERACTION, MATCHING = "late-interaction", "matching"
SCORERS = (LATE_INTERACTION, MATCHING)
RERANK = 128
"""Candidates of each query that are ordered anew, as in ALBEF's retrieval."""


def checked_scorers(names: Sequence[str]) -> tuple[str, ...]:
    """The names, if there are such scorers, each once.

    Raises:
        ConfigError: there is none of a name.
    """
    for name in names:
        if name not in SCORERS:
            raise ConfigError(f"there is no scorer '{name}'; there are {', '.join(SCORERS)}{nearest(name, SCORERS)}")
    return tuple(dict.fromkeys(names))


def scorers_of(place: Place, task: Mapping[str, Any]) -> tuple[str, ...]:
    """The value of a task's key `scorers`.

    Raises:
        ConfigError: it is no list, or there is no such scorer.
    """
    names = place.words(task, "scorers")
    try:
        return checked_scorers(names)
    except ConfigError as error:
        raise place.at("scorers").error(str(error)) from None

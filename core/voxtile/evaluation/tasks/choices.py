"""Words that tasks and commands choose among, checked before anything is loaded: scorers, changed images, protocols."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from voxtile.errors import ConfigError
from voxtile.errors import nearest as did_you_mean
from voxtile.evaluation.tasks.place import Place, nearest

LATE_INTERACTION, MATCHING = "late-interaction", "matching"
SCORERS = (LATE_INTERACTION, MATCHING)
"""What scores an image and a text by the tokens of both, see `voxtile.evaluation.pair_scores`."""

RERANK = 128
"""Candidates of each query that are ordered anew, as in ALBEF's retrieval."""

CHANGES = ("flip", "orientation", "resampling", "noise", "scanner")
"""Changes of the images under which a model is tried again, see `voxtile.evaluation.inputs.robustness`."""

MISSING = "missing="
"""Before the names of bands, joined by +, that a changed image lacks."""

PROTOCOLS: Mapping[str, str] = {
    "ct-clip": "findings (multi-label or two classes) with a validation split",
    "conch": "single-label tasks of studies (slides) with a validation split",
    "mi-zero": "single-label tasks of studies (slides) with a validation split",
    "plip": "single-label tasks with training and validation splits",
    "clip-benchmark": "tasks with classes, and retrieval",
}
"""Published rules by which figures are computed again, and what each is about."""


def checked_scorers(names: Sequence[str]) -> tuple[str, ...]:
    """The names, if there are such scorers, each once.

    Raises:
        ConfigError: there is none of a name.
    """
    for name in names:
        if name not in SCORERS:
            there = ", ".join(SCORERS)
            raise ConfigError(f"there is no scorer '{name}'; there are {there}{did_you_mean(name, SCORERS)}")
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


def checked_changes(names: Sequence[str]) -> tuple[str, ...]:
    """The names, if there are such changes of images.

    Raises:
        ConfigError: there is none.
    """
    for name in names:
        if name not in CHANGES and not name.startswith(MISSING):
            hint = nearest(name, [*CHANGES, f"{MISSING}BAND+BAND"])
            raise ConfigError(f"there is no robustness check '{name}'; {hint}")
    return tuple(names)


def changes_of(place: Place, task: Mapping[str, Any]) -> tuple[str, ...]:
    """The value of a task's key `robustness`.

    Raises:
        ConfigError: it is no list, or there is no such change.
    """
    names = place.words(task, "robustness")
    try:
        return checked_changes(names)
    except ConfigError as error:
        raise place.at("robustness").error(str(error)) from None


def checked_protocols(names: Sequence[str]) -> tuple[str, ...]:
    """The published protocols, if there are such.

    Raises:
        ConfigError: there is none.
    """
    for name in names:
        if name not in PROTOCOLS:
            raise ConfigError(f"--compat knows no protocol '{name}'; {nearest(name, PROTOCOLS)}")
    return tuple(names)

"""What objectives take from the data before training, such as a vocabulary, and keep in checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voxtile.bounded_text import BoundsError, check_plain
from voxtile.distributed import made_by_rank_0
from voxtile.errors import CheckpointError
from voxtile.objectives.base import Objective

KEY = "voxtile_objectives"
_MOST_VALUES = 2_000_000  # of all objectives; the tokens of a vocabulary are under half a million


def take_states(objectives: Mapping[str, Objective], data: object) -> None:
    """Give each objective what it takes from the training data; one process reads it for all.

    Args:
        objectives: by name, set up.
        data: the datamodule.
    """
    for objective in objectives.values():
        if not reads_data(objective):
            continue
        state = made_by_rank_0(lambda objective=objective: objective.state_from(data))  # type: ignore[misc]
        if state is not None:
            objective.take_state(state)


def reads_data(objective: Objective) -> bool:
    """Whether an objective takes anything from the training data before the first step."""
    return type(objective).state_from is not Objective.state_from


def states_of(objectives: Mapping[str, Objective]) -> dict[str, Any]:
    """By name what a checkpoint keeps of objectives that have anything beside weights."""
    states = {name: objective.state() for name, objective in objectives.items()}
    return {name: dict(state) for name, state in states.items() if state is not None}


def checked_states(states: object) -> Mapping[str, Any]:
    """What a checkpoint keeps of its objectives, by name.

    Raises:
        CheckpointError: it is damaged.
    """
    try:
        check_plain(states, _MOST_VALUES)
    except BoundsError as error:
        raise CheckpointError(f"what the checkpoint keeps of its objectives cannot be read: {error}") from error
    return states if isinstance(states, Mapping) else {}


def give_states(objectives: Mapping[str, Objective], states: object) -> None:
    """Give objectives what a checkpoint keeps of them.

    Args:
        objectives: by name, set up.
        states: of the checkpoint.

    Raises:
        CheckpointError: it is damaged, or lacks what an objective needs.
    """
    found = checked_states(states)
    for name, objective in objectives.items():
        if type(objective).state is Objective.state:
            continue
        if not isinstance(state := found.get(name), Mapping):
            raise CheckpointError(
                f"the checkpoint keeps nothing of the objective '{name}', which cannot work without; use a checkpoint "
                "that was trained with it"
            )
        objective.take_state(state)

"""Whether a checkpoint and the config of the run that goes on from it belong together."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor
from torch.optim import Optimizer

from voxtile.errors import CheckpointError

_ELSE = "go on with the config of its run (config.yaml in the run's folder), or start a new run with another --name"


def check_weights(own: Mapping[str, Tensor], stored: Mapping[str, Tensor]) -> None:
    """Refuse weights of another model before any is loaded.

    Args:
        own: of the model that the config describes.
        stored: of the checkpoint.

    Raises:
        CheckpointError: names the first weight that is missing, unknown or of another shape.
    """
    for name in [*own, *stored]:
        if name not in stored:
            said = f"it has no '{name}'"
        elif name not in own:
            said = f"its '{name}' has no place in this model"
        elif own[name].shape != stored[name].shape:
            said = f"'{name}' is {tuple(stored[name].shape)} there and {tuple(own[name].shape)} here"
        else:
            continue
        raise CheckpointError(f"the checkpoint is of another model than the config describes: {said}; {_ELSE}")


def check_preset(own: Mapping[str, Any], stored: Mapping[str, Any]) -> None:
    """Refuse a checkpoint whose images were prepared otherwise.

    Args:
        own: class_path and init_args of data.preset.
        stored: those of the checkpoint.

    Raises:
        CheckpointError: names the settings that differ.
    """
    if own == stored:
        return
    one, other = stored["init_args"], own["init_args"]
    if own["class_path"] != stored["class_path"]:
        said = f"{stored['class_path']} there, {own['class_path']} here"
    else:
        names = [name for name in [*one, *(n for n in other if n not in one)] if one.get(name) != other.get(name)]
        said = ", ".join(f"{name} {one.get(name)} there and {other.get(name)} here" for name in names)
    raise CheckpointError(f"the checkpoint was trained with another preset: {said}; use the same, or start a new run")


@dataclass(frozen=True)
class Planned:
    """How long a run is, by which its schedule goes.

    Attributes:
        steps: updates in all.
        batch_size: items of each.
    """

    steps: int
    batch_size: int

    def to_checkpoint(self) -> dict[str, int]:
        """Numbers alone."""
        return asdict(self)


def check_planned(own: Planned, stored: Mapping[str, int] | None) -> None:
    """Refuse to go on with a batch size that moves the schedule, and say where another length of the run does.

    Args:
        own: of this run.
        stored: of the checkpoint's; None where it does not say.

    Raises:
        CheckpointError: the batch size is another one, and so is the number of updates.
    """
    if stored is None or own.steps == (before := Planned(**stored)).steps:
        return
    if own.batch_size != before.batch_size:
        raise CheckpointError(
            f"data.batch_size: the checkpoint's run takes {before.batch_size} items a step and {before.steps} steps, "
            f"this one would take {own.batch_size} and {own.steps}, so that the learning rate would jump; go on with "
            f"--data.batch_size {before.batch_size}, or with --trainer.max_epochs -1 --trainer.max_steps {before.steps}"
        )
    rank_zero_only(print)(
        f"note: the run is of {own.steps} steps now, not of {before.steps} as the checkpoint's was, and its learning "
        "rate goes by that",
        file=sys.stderr,
    )


def group_sizes(state: Mapping[str, Any]) -> list[int]:
    """Parameters in each group of an optimizer, from its state."""
    return [len(group["params"]) for group in state["param_groups"]]


def check_groups(optimizer: Optimizer, stored: Sequence[int]) -> None:
    """Refuse the state of an optimizer that learns other parameters, or in other groups.

    Args:
        optimizer: of the run.
        stored: `group_sizes` of the checkpoint's.

    Raises:
        CheckpointError: they differ.
    """
    check_group_sizes(group_sizes(optimizer.state_dict()), stored)


def check_group_sizes(own: Sequence[int], stored: Sequence[int]) -> None:
    """The same by the sizes of the run's groups, where its optimizer has others than a checkpoint's."""
    if list(own) != list(stored):
        raise CheckpointError(
            "the checkpoint's optimizer learned other weights, or in other groups, than model.optimizer and the tuning "
            f"of the towers ask for now; {_ELSE}"
        )

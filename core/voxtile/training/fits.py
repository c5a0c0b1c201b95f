"""Whether a checkpoint and the config of the run that goes on from it belong together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

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

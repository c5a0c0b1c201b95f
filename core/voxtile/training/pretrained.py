"""A run that begins with the towers of another run's checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lightning.pytorch.utilities import rank_zero_info

from voxtile.errors import CheckpointError
from voxtile.listed_classes import with_current_names
from voxtile.models.dual import DualEncoder
from voxtile.objectives.base import Objective
from voxtile.training.checkpoint import read_checkpoint
from voxtile.training.checks import check_preset
from voxtile.training.objective_states import KEY, checked_states

_ENCODER = "encoder."
_OBJECTIVES = "objectives."


def begin_towers(encoder: DualEncoder, path: str | None, preset: Mapping[str, Any], *, frozen: bool) -> None:
    """Take towers from a checkpoint, if one is named, and say where they stand still without.

    Args:
        encoder: of the run; changed in place.
        path: of the checkpoint, or None.
        preset: of the run's images, which must be the checkpoint's.
        frozen: whether the towers stand still.

    Raises:
        CheckpointError: as `begin_with`.
    """
    if path is not None:
        begin_with(encoder, path, preset)
    elif frozen:
        _say_frozen_as_made(encoder)


def begin_with(encoder: DualEncoder, path: str, preset: Mapping[str, Any]) -> None:
    """Take towers, projections, scale and vocabulary from a checkpoint.

    Args:
        encoder: of the run; changed in place.
        path: of the checkpoint.
        preset: of the run's images, which must be the checkpoint's.

    Raises:
        CheckpointError: it cannot be read, is of other towers, or saw images that were prepared otherwise.
    """
    checkpoint = read_checkpoint(path)
    try:
        check_preset(preset, with_current_names(checkpoint["voxtile_preset"]))
    except CheckpointError as error:
        raise CheckpointError(f"model.pretrained '{path}' is of other images than data.preset makes: {error}") from None
    weights = checkpoint["state_dict"]
    stored = {name.removeprefix(_ENCODER): part for name, part in weights.items() if name.startswith(_ENCODER)}
    own = encoder.state_dict()
    for name in [*own, *stored]:
        if name not in stored or name not in own or own[name].shape != stored[name].shape:
            raise CheckpointError(
                f"model.pretrained '{path}' has other towers than model.encoder describes ('{name}' differs); give a "
                "checkpoint of this config's towers, or describe those of the checkpoint"
            )
    if checkpoint["voxtile_tokenizer"] is not None:
        encoder.text.tokenizer.from_json(checkpoint["voxtile_tokenizer"])
    encoder.load_state_dict(stored)
    rank_zero_info("%s", f"the towers are those of '{path}'")


def begin_objectives(objectives: Mapping[str, Objective], path: str | None) -> None:
    """Offer objectives what those of a checkpoint learned, as a decoder.

    Args:
        objectives: of the run, set up; changed in place.
        path: of the checkpoint; nothing is offered where it is None.

    Raises:
        CheckpointError: it cannot be read, or what an objective takes of it does not fit.
    """
    if path is None or all(type(objective).begin_with is Objective.begin_with for objective in objectives.values()):
        return
    checkpoint = read_checkpoint(path)
    weights, states = checkpoint["state_dict"], checked_states(checkpoint.get(KEY))
    learned = {name.removeprefix(_OBJECTIVES): part for name, part in weights.items() if name.startswith(_OBJECTIVES)}
    for objective in objectives.values():
        objective.begin_with_states(states)
        objective.begin_with(learned)


def _say_frozen_as_made(encoder: DualEncoder) -> None:
    """Say that towers stand still whose weights no checkpoint gave, unless they come from a hub."""
    if all(getattr(tower, "load_report", None) is None for tower in (encoder.image, encoder.text)):
        rank_zero_info(
            "model.freeze_encoder without model.pretrained: the towers stand still as they were drawn at random, "
            "unless the run goes on from a checkpoint; name one of trained towers in model.pretrained"
        )

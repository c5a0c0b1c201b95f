"""What a checkpoint says of its module, and the module made from it; only listed and trusted classes are used."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any, cast

import jsonargparse
from jsonargparse import ArgumentError

import voxtile
from voxtile.data.seen_samples import KEY as MARKS
from voxtile.data.seen_samples import TrainingMarks
from voxtile.errors import CheckpointError, ConfigError, VoxtileError
from voxtile.listed_classes import public_path, with_current_names
from voxtile.models.hub.safe_loading import weights_to_come
from voxtile.models.tower import HUBS
from voxtile.objectives.base import Objective
from voxtile.short_class_names import full_name, nearest_class
from voxtile.training.checkpoint import FORMAT, Checkpoint, read_checkpoint
from voxtile.training.checks import check_preset
from voxtile.training.foreign_model import check_model
from voxtile.training.objective_states import KEY as STATES
from voxtile.training.objective_states import give_states, states_of
from voxtile.training.short_names import short_names
from voxtile.written_by import KEY as VERSION

if TYPE_CHECKING:
    from voxtile.training.module import ContrastiveModule


_HAD_CHECKPOINTING = (
    "voxtile.models.ViTTower",
    "voxtile.models.TimmTower",
    "voxtile.models.MonaiTower",
)


def description_of(module: ContrastiveModule) -> Checkpoint:
    """What a checkpoint holds beside weights so that they can be used elsewhere."""
    described: Checkpoint = {
        "voxtile_format": FORMAT,
        VERSION: voxtile.__version__,
        "voxtile_model": module.config,
        "voxtile_preset": module.preset_config,
        "voxtile_tokenizer": module.encoder.text.tokenizer.to_json(),
        "voxtile_facts": list(module.fact_names or ()),
    }
    if module.training_marks is not None:
        described[MARKS] = module.training_marks.to_checkpoint()
    if states := states_of(_objectives(module)):
        described[STATES] = states
    return described


def take_description(module: ContrastiveModule, checkpoint: Checkpoint) -> None:
    """Give a module what a checkpoint says of it: preset, marks, vocabulary, facts and what objectives learned.

    Raises:
        CheckpointError: it was trained with another preset or other facts than this run's, or is of another model.
    """
    stored = with_current_names(checkpoint["voxtile_preset"])
    if module.preset_config is not None:
        check_preset(module.preset_config, stored)
    module.preset_config = stored
    if MARKS in checkpoint:
        marks = TrainingMarks.from_checkpoint(checkpoint[MARKS])
        module.training_marks = marks if module.training_marks is None else marks | module.training_marks
    module.encoder.text.tokenizer.from_json(checkpoint["voxtile_tokenizer"])
    module.setup_objectives(tuple(checkpoint["voxtile_facts"]))
    give_states(_objectives(module), checkpoint.get(STATES, {}))


def _objectives(module: ContrastiveModule) -> dict[str, Objective]:
    return cast(dict[str, Objective], dict(module.objectives.items()))


def module_from_checkpoint(
    kind: type[ContrastiveModule], path: str | os.PathLike[str], trusted: Collection[str] = ()
) -> ContrastiveModule:
    """Rebuild a trained module of a class in evaluation mode, on the CPU.

    Args:
        kind: the class.
        path: of the checkpoint.
        trusted: top-level packages whose classes it may name beside those that are listed.

    Raises:
        CheckpointError: the checkpoint is unsafe, damaged, newer, or does not fit the code that is installed.
    """
    checkpoint = read_checkpoint(path)
    config = checkpoint.get("voxtile_model")
    if not isinstance(config, dict):
        raise CheckpointError(
            f"checkpoint '{path}' does not say what model it is, since it was not trained through 'lightning fit'; "
            "load its weights into the module that was trained"
        )
    check_model(config, kind, str(path), trusted)
    config = _as_now(with_current_names(config))
    module = _made(kind, without_weights(config), path)
    module.config = config
    module.on_load_checkpoint(checkpoint)
    _load_weights(module, checkpoint, path)
    return module.eval()


def _made(kind: type[ContrastiveModule], config: dict[str, Any], path: str | os.PathLike[str]) -> ContrastiveModule:
    try:
        with weights_to_come():
            return module_from_config(kind, config)
    except VoxtileError:
        raise
    except Exception as error:  # jsonargparse and constructors raise many types
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(
            f"the model of checkpoint '{path}' cannot be built with this version of voxtile: {reason}"
        ) from error


def _load_weights(module: ContrastiveModule, checkpoint: Checkpoint, path: str | os.PathLike[str]) -> None:
    try:
        module.load_state_dict(checkpoint["state_dict"])
    except (RuntimeError, KeyError) as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(f"the weights of checkpoint '{path}' do not fit its own model: {reason}") from error


def _as_now(config: dict[str, Any]) -> dict[str, Any]:
    """The config in today's terms: `checkpointing` of single towers has become `model.recompute`."""
    asked = []

    def today(part: Any) -> Any:  # noqa: ANN401
        if isinstance(part, list | tuple):
            return [today(value) for value in part]
        if not isinstance(part, Mapping):
            return part
        made = {key: today(value) for key, value in part.items()}
        if made.get("class_path") in _HAD_CHECKPOINTING and isinstance(made.get("init_args"), dict):
            asked.append(made["init_args"].pop("checkpointing", False))
        return made

    made: dict[str, Any] = today(config)
    return {**made, "recompute": True} if any(asked) else made


def without_weights(config: Any) -> Any:  # noqa: ANN401
    """The config without sources of weights, which come from the checkpoint, and without trust, which no file gives."""
    if isinstance(config, Mapping):
        return {k: None if k in ("pretrained", "trust_packages") else without_weights(v) for k, v in config.items()}
    if isinstance(config, list | tuple):
        return [without_weights(value) for value in config]
    # What follows the slash is a file or a tag; in a name of Hugging Face it is the name itself.
    if isinstance(config, str) and config.partition(":")[0] in set(HUBS) - {"hf"} and config.count(":") == 1:
        return config.partition("/")[0]
    return config


def module_from_config(kind: type[ContrastiveModule], config: Mapping[str, Any]) -> ContrastiveModule:
    """Make a module of a class from the `model` part of a config, and keep the config for its checkpoints.

    Args:
        kind: the class.
        config: nested mappings with class_path and init_args, as `--print_config` shows them; short names of classes
            are kept in full.

    Raises:
        ConfigError: no package has a class of a short name, or two have.
    """
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind, "model")
    described: dict[str, Any] = with_current_names(config)
    try:
        with short_names():
            parsed = parser.parse_object({"model": deepcopy(described)})  # it is changed in parsing
    except ArgumentError as error:
        if unknown := re.search(r"Expected a dot import path string: (\w+)", str(error)):
            raise ConfigError(f"there is no class '{unknown[1]}'{nearest_class(unknown[1])}") from error
        raise
    described = _in_full(described, parsed.model)
    module: ContrastiveModule = parser.instantiate(parsed).model
    module.config = deepcopy(described)
    return module


def _in_full(described: Any, parsed: Any) -> Any:  # noqa: ANN401 - what a config holds
    """A description with the full name of each class that it names in short, as checkpoints keep it."""
    if isinstance(described, str) and isinstance(parsed, jsonargparse.Namespace) and "class_path" in parsed:
        return {"class_path": _public(described, parsed)}
    if isinstance(described, list) and isinstance(parsed, list):
        return [_in_full(*pair) for pair in zip(described, parsed, strict=True)]
    if not isinstance(described, Mapping) or not isinstance(parsed, jsonargparse.Namespace | Mapping):
        return described
    if "class_path" in parsed and "class_path" not in described:  # arguments of the class that the place is for
        return _in_full(described, parsed["init_args"])
    made = {key: _in_full(value, parsed.get(key)) for key, value in described.items()}
    return {**made, "class_path": _public(described["class_path"], parsed)} if "class_path" in made else made


def _public(written: str, parsed: Any) -> str:  # noqa: ANN401
    return public_path(written if "." in written else full_name(written) or parsed["class_path"])

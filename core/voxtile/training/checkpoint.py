"""Checkpoints: written atomically, read without running anything that is inside."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from voxtile.errors import CheckpointError

FORMAT = 1  # raised when a checkpoint of this version could not be read by the one before

Checkpoint = dict[str, Any]


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a checkpoint that voxtile wrote, tensors on the CPU.

    Raises:
        CheckpointError: the file is missing or damaged, holds objects that could run code, is not voxtile's, or was
            written by a newer version.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"checkpoint '{path}' does not exist; give the path of a .ckpt file that training wrote")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise CheckpointError(
            f"checkpoint '{path}' holds objects other than tensors and plain values and was not loaded, since they "
            "could run code; use a checkpoint that voxtile wrote"
        ) from None
    except (
        RuntimeError,
        EOFError,
        ValueError,
        KeyError,
        AttributeError,
        IndexError,
        zipfile.BadZipFile,
        OSError,
    ) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise CheckpointError(
            f"checkpoint '{path}' is damaged or no checkpoint ({reason}); use another file of the run"
        ) from None
    return check_format(checkpoint, path)


def check_format(checkpoint: object, path: str | os.PathLike[str]) -> Checkpoint:
    """Return the checkpoint if this version can read it.

    Raises:
        CheckpointError: not voxtile's, or newer.
    """
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get("voxtile_format"), int):
        raise CheckpointError(
            f"'{path}' was not written by voxtile; name models of other libraries like open_clip:ViT-B-32/PATH instead"
        )
    if checkpoint["voxtile_format"] > FORMAT:
        raise CheckpointError(
            f"checkpoint '{path}' was written by a newer version of voxtile ({checkpoint.get('voxtile_version')}); "
            "upgrade with: pip install -U voxtile"
        )
    return checkpoint


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes to a temporary name, fsyncs and renames, so that a killed run leaves the previous checkpoint whole."""

    def save_checkpoint(self, checkpoint: Checkpoint, path: Any, storage_options: Any | None = None) -> None:  # noqa: ANN401
        """Write the checkpoint under its final name only when all of it is on disk."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            with temporary.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise CheckpointError(
                f"checkpoint '{target}' cannot be written ({error.strerror}); free some space, or run in another folder"
            ) from error
        _fsync_folder(target.parent)

    def load_checkpoint(
        self,
        path: Any,  # noqa: ANN401
        map_location: Any = None,  # noqa: ANN401
        weights_only: bool | None = None,
    ) -> Checkpoint:
        """Read safely, whatever the caller asks for."""
        return read_checkpoint(path)


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

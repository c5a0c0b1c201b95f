"""Checkpoints: written atomically with their hash, read without running anything that is inside.

Beside `last.ckpt` stands `last.ckpt.sha256`, in the form of sha256sum. It is written first and names two files of that
name, the one that was there and the one that takes its place, so that a run killed between the two writes leaves a
checkpoint that is whole and known. The one before stays as `previous.ckpt`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from voxtile.corpus.drafts import draft
from voxtile.errors import CheckpointError, cause_of
from voxtile.file_edges import file_sha256
from voxtile.models.hub.safe_loading import load_tensors
from voxtile.training.named_inputs import require_checkpoint
from voxtile.written_by import KEY, newer, refuse_newer

LAST, PREVIOUS = "last.ckpt", "previous.ckpt"

FORMAT = 1  # raised when a checkpoint of this version could not be read by the one before

Checkpoint = dict[str, Any]


def read_checkpoint(path: str | os.PathLike[str], *, mapped: bool = False) -> Checkpoint:
    """Read a checkpoint that voxtile wrote, tensors on the CPU.

    Args:
        path: of the file.
        mapped: leave its tensors in the file until they are read.

    Raises:
        CheckpointError: the file is missing or damaged, is not what its hash was taken of, holds objects that could
            run code, is not voxtile's, or was written by a newer version.
    """
    path = Path(path)
    require_checkpoint(path)
    known = _recorded(path)
    if known and file_sha256(path) not in known:
        raise CheckpointError(
            f"checkpoint '{path}' is torn: it is not the file that '{_hashes(path).name}' was written for; use another "
            "file of the run"
        )
    read = load_tensors(path, "checkpoint", "use another checkpoint, one that voxtile wrote", mapped=mapped)
    return check_format(read, path)


def check_format(checkpoint: object, path: str | os.PathLike[str]) -> Checkpoint:
    """Return the checkpoint if this version can read it.

    Raises:
        CheckpointError: not voxtile's, or newer.
    """
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get("voxtile_format"), int):
        raise CheckpointError(
            f"'{path}' was not written by voxtile; name models of other libraries like open_clip:ViT-B-32/PATH instead"
        )
    what, written = f"checkpoint '{path}'", checkpoint.get(KEY)
    if checkpoint["voxtile_format"] > FORMAT:
        raise CheckpointError(newer(what, written, f" in format {checkpoint['voxtile_format']}"))
    refuse_newer(written, what, CheckpointError)
    return checkpoint


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes to a temporary name, fsyncs and renames, so that a killed run leaves the one before whole."""

    def save_checkpoint(self, checkpoint: Checkpoint, path: Any, storage_options: Any | None = None) -> None:  # noqa: ANN401
        """Write the checkpoint under its final name only when all of it is on disk; keep the one before.

        Raises:
            CheckpointError: there is no room, or the folder cannot be written.
        """
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with draft(target) as temporary:
                with temporary.open("wb") as file:
                    torch.save(checkpoint, file)
                    file.flush()
                    os.fsync(file.fileno())
                if target.name == LAST:
                    _keep_before(target)
                _install(temporary, target, [file_sha256(temporary)])
        except (OSError, RuntimeError) as error:  # torch's writer has its own words for a full disk
            raise CheckpointError(
                f"checkpoint '{target}' cannot be written ({_reason(error)}); free some space, or run in another folder"
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


def _reason(error: BaseException) -> str:
    """The system's words, also where torch's writer speaks of positions in its file instead."""
    below: BaseException | None = error
    while below is not None and not isinstance(below, OSError):
        below = below.__cause__ or below.__context__
    return cause_of(below if isinstance(below, OSError) else Exception(str(error).partition("\n")[0][:200]))


def resumable(folder: Path) -> Iterator[Path]:
    """Checkpoints in the versions of a run, the newest first: of the latest version, its last one, then by step.

    Names say it, and times of files do not: a copy of a folder has others.
    """
    found = [*folder.glob(f"version_*/checkpoints/{LAST}"), *folder.glob(f"version_*/checkpoints/{PREVIOUS}")]
    found += folder.glob("version_*/checkpoints/step-*.ckpt")
    yield from sorted(found, key=lambda path: (version_of(path), path.name == LAST, _number(path.stem)), reverse=True)


def version_of(path: Path) -> int:
    """Which start of its run wrote a checkpoint, counted from 0; -1 where its folder does not say."""
    return _number(path.parents[1].name)


def _number(name: str) -> int:
    digits = re.split("[-_]", name)[-1]
    return int(digits) if digits.isdecimal() else -1


def step_of(path: Path) -> int:
    """After how many steps a checkpoint was written; 0 where it cannot be read or does not say."""
    try:
        content = load_tensors(path, "checkpoint", "use another", mapped=True)
    except CheckpointError:
        return 0
    step = content.get("global_step") if isinstance(content, dict) else None
    return step if isinstance(step, int) else 0


def hash_of(path: Path) -> str:
    """SHA-256 of a checkpoint, in hexadecimal: as it was recorded, where the file has been compared with that."""
    known = _recorded(path)
    return known[0] if len(known) == 1 else file_sha256(path)


def _hashes(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _recorded(path: Path) -> list[str]:
    """Hashes that a file of this name may have; none where nothing was recorded."""
    try:
        return [line.split()[0] for line in _hashes(path).read_text("utf-8").splitlines() if line.strip()]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _install(temporary: Path, target: Path, hashes: Sequence[str]) -> None:
    """Give a finished file its name. Until then its hash stands beside that of the file that has the name."""
    _record(target, [*_recorded(target), *hashes])
    temporary.replace(target)
    _record(target, hashes)


def _record(path: Path, hashes: Sequence[str]) -> None:
    with draft(_hashes(path)) as temporary:
        with temporary.open("w", encoding="utf-8") as file:
            file.writelines(f"{digest}  {path.name}\n" for digest in hashes)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(_hashes(path))


def _keep_before(target: Path) -> None:
    """Give the checkpoint that is to be replaced a second name; not on file systems without links."""
    link = target.with_name(f".{PREVIOUS}.tmp")
    link.unlink(missing_ok=True)
    try:
        os.link(target, link)
    except OSError:
        return
    _install(link, target.with_name(PREVIOUS), _recorded(target))


def _fsync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Where runs and their checkpoints lie."""

from __future__ import annotations

import atexit
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.utilities import rank_zero_only

from voxtile.console import note
from voxtile.errors import CheckpointError
from voxtile.folders import under_output_root
from voxtile.training.checkpoint import LAST, read_checkpoint, resumable, step_of, version_of

RUNS = "runs"


class RunLogger(CSVLogger):
    """Lightning's, in a folder `version_N` that no other run of the same name has: it is made when it is chosen.

    A process that ends before anything is in it takes it away, so that the run after a mistyped option is `version_0`.
    """

    def _get_next_version(self) -> int:
        version = int(super()._get_next_version())
        while not getattr(rank_zero_only, "rank", 0):  # the other ranks are told which by the first
            folder = Path(self.root_dir, f"version_{version}").absolute()
            try:
                os.makedirs(folder)
            except FileExistsError:
                version += 1
            else:
                atexit.register(_remove_unused, folder)
                break
        return version


def _remove_unused(folder: Path) -> None:
    with suppress(OSError):  # there is something in it
        folder.rmdir()


def runs_folder(trainer: Mapping[str, Any]) -> Path:
    """The folder of all runs: `runs` in `trainer.default_root_dir`, or in the root of outputs without it."""
    return under_output_root(Path(trainer.get("default_root_dir") or ".")) / RUNS


def checkpoint_to_load(path: str | None, run: Path, *, fit: bool) -> str | None:
    """The file that `--ckpt_path` means; None where training begins anew.

    Args:
        path: as it was given; `last` for the newest whole checkpoint of the run.
        run: folder of the run.
        fit: the run may begin anew.

    Raises:
        CheckpointError: there is none, or it cannot be used.
    """
    if path != "last":
        if path:
            read_checkpoint(path)
        elif not fit:
            rank_zero_only(note)("no checkpoint was named with --ckpt_path: the model is taken as the config makes it")
        return path
    found = last_checkpoint(run)
    if found is None:
        none = f"there is no checkpoint under '{run}'"
        if not fit:
            raise CheckpointError(f"{none}; run fit first")
        rank_zero_only(note)(f"{none}; a new run begins")
    return None if found is None else str(found)


def last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint under a run's folder, None when there is none yet.

    It is of the latest version of the run; a note says where an earlier version went further.

    Raises:
        CheckpointError: there are some, and none of them is whole.
    """
    found = list(resumable(folder))
    for path in found:
        try:
            read_checkpoint(path)
        except CheckpointError as error:
            rank_zero_only(note)(str(error))
        else:
            _tell_of_further(path, found)
            return path
    if found:
        raise CheckpointError(f"no checkpoint under '{folder}' is whole; start a new run, with another --name")
    return None


def _tell_of_further(path: Path, found: Sequence[Path]) -> None:
    """Say where an earlier version of the run has more steps: the latest one was begun anew, or from before them."""
    earlier = [other for other in found if other.name == LAST and version_of(other) < version_of(path)]
    if not earlier:
        return
    own, (furthest, other) = step_of(path), max((step_of(one), one) for one in earlier)
    if furthest > own:
        rank_zero_only(note)(
            f"last is '{path}', of step {own}, since it is of the latest start of this run; an earlier one went "
            f"further, to step {furthest}: take that with --ckpt_path {other}"
        )

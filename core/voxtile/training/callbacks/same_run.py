"""All processes of a run do the same: one config, one version, one checkpoint. Nothing else would tell otherwise.

A process with another learning rate, seed or preset trains along without a word, one that goes on from another step
(a folder that its machine has for itself, a file system that is behind) waits for others that do not come.
"""

from __future__ import annotations

import platform
import re
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment

from voxtile import __version__
from voxtile.console import note
from voxtile.distributed import made_by_each, made_by_rank_0, place
from voxtile.errors import CheckpointError, ConfigError
from voxtile.training.checkpoint import hash_of, step_of

_WAIT_S = 60.0  # after which it is said that the others have not come

# What may differ between machines without changing what is learned: where things lie, how they are read and shown.
_OWN = re.compile(
    r"(config|name|ckpt_path|telemetry|ranks|evaluate|print_config)(\.|$)|"
    r"trainer\.(default_root_dir|devices|enable_\w+|logger|profiler)(\.|$)|"
    r"data\.(num_workers|pin_memory|cache_in_memory|worker_timeout)$|"
    r".*\.(corpus|view_folder)(\.|$)"
)
_LONGEST = 80  # characters of a value in a message


class SameRun(pl.Callback):
    """Refuses a run whose processes differ in what decides its result, in all of them with one sentence.

    Args:
        config: of the command, nested, with the path of its checkpoint; null compares versions alone.

    Raises:
        ConfigError: a setting, or the version of voxtile or torch, is another one in some process.
        CheckpointError: some process goes on from another checkpoint than rank 0.
    """

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        self.config = config
        self._waiting: threading.Timer | None = None

    def wait(self, trainer: pl.Trainer) -> None:
        """From now on the processes look for each other; say so if that takes long."""
        environment = getattr(trainer.strategy, "cluster_environment", None)
        if trainer.world_size > 1 and isinstance(environment, ClusterEnvironment):
            sentence = (
                f"rank {trainer.global_rank} of {trainer.world_size} waits for the others at "
                f"{environment.main_address}:{environment.main_port} since {_WAIT_S:.0f} s: see whether all have "
                "started, what they say, and whether they reach that address"
            )
            self._waiting = threading.Timer(_WAIT_S, note, (sentence,))
            self._waiting.daemon = True
            self._waiting.start()

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Compare each process with rank 0."""
        if self._waiting is not None:
            self._waiting.cancel()
        if trainer.world_size == 1 or place()[1] != trainer.world_size:
            return
        path = (self.config or {}).get("ckpt_path")  # the trainer knows it later
        own = {"host": platform.node(), "settings": self._settings(), "checkpoint": _checkpoint(path)}
        first = made_by_rank_0(lambda: own)
        made_by_each(lambda: _check(own, first))

    def _settings(self) -> dict[str, str]:
        versions = {"the version of voxtile": __version__, "the version of torch": torch.__version__}
        return versions | {name: str(value) for name, value in _flat(self.config or {}) if not _OWN.match(name)}


def _flat(part: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Settings by dotted names."""
    for name, value in part.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _checkpoint(path: str | None) -> tuple[str, str]:
    """What is in it, and how it is called in messages."""
    return ("", "no checkpoint") if path is None else (hash_of(Path(path)), f"'{path}' (step {step_of(Path(path))})")


def _check(own: Mapping[str, Any], first: Mapping[str, Any]) -> None:
    here = f"rank {place()[0]} (on {own['host']})"
    ours, theirs = own["settings"], first["settings"]
    for name in [*theirs, *(name for name in ours if name not in theirs)]:
        if (mine := ours.get(name, "not set")) != (other := theirs.get(name, "not set")):
            raise ConfigError(
                f"{here} has {mine[:_LONGEST]} for {name} where rank 0 (on {first['host']}) has {other[:_LONGEST]}; "
                "start all processes of a run with the same config, options and packages"
            )
    (mine, said), (other, said_there) = own["checkpoint"], first["checkpoint"]
    if mine != other:
        raise CheckpointError(
            f"{here} goes on from {said} where rank 0 (on {first['host']}) goes on from {said_there}; let runs lie "
            "where all machines read the same (--trainer.default_root_dir), and start again once they do"
        )

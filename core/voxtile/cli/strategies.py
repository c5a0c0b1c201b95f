"""Strategies by the names of configs, those with which a training is not exact, and errors of lost processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import lightning.pytorch as pl
import torch.distributed as dist
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch.strategies import (
    DDPStrategy,
    DeepSpeedStrategy,
    FSDPStrategy,
    ModelParallelStrategy,
    Strategy,
)

from voxtile.errors import ConfigError, TrainingError, VoxtileError


def _fsdp2(trainer: Mapping[str, Any]) -> Strategy:
    """Towers sharded over all processes of the run, one file a checkpoint (PyTorch's FSDP2, `fully_shard`)."""
    from voxtile.training.sharded import ShardedTowers

    devices = str(trainer["devices"])
    if not devices.isdecimal():
        raise ConfigError(f"trainer.strategy fsdp2 needs trainer.devices as a number, not {devices}; set it, e.g. to 8")
    return ShardedTowers(int(devices) * int(trainer["num_nodes"] or 1))


# Names of strategies that Lightning gives another meaning, or none. Towers have parts that only some objectives read.
STRATEGIES: Mapping[str, Callable[[Mapping[str, Any]], Strategy | str]] = {
    "ddp": lambda _: "ddp_find_unused_parameters_true",
    "fsdp2": _fsdp2,
}


def settle_strategy(trainer: pl.Trainer) -> None:
    """Have what `auto` found take weights without a gradient as `ddp` does, and refuse what would learn otherwise.

    Lightning's way of queueing a job of Slurm again is turned off.

    Args:
        trainer: that is to fit.

    Raises:
        ConfigError: weights are spread in a way in which the logit scale and the averages of a large batch would not be
            those of one process, or processes are started in a way that a run of voxtile cannot be handed over by.
    """
    strategy = trainer.strategy
    environment = getattr(strategy, "cluster_environment", None)
    if isinstance(environment, SLURMEnvironment):
        environment.auto_requeue = False  # `Preemption` answers
    if isinstance(strategy, FSDPStrategy | DeepSpeedStrategy) or type(strategy) is ModelParallelStrategy:
        raise ConfigError(
            f"trainer.strategy: {type(strategy).__name__} spreads weights in its own way, in which voxtile's loss is "
            "not that of one process; take fsdp2, or ddp"
        )
    if isinstance(strategy, DDPStrategy):
        if strategy._start_method != "popen":
            raise ConfigError(
                f"trainer.strategy: processes that start by {strategy._start_method} cannot take over a run that is "
                "made; take ddp, or start them with torchrun"
            )
        strategy._ddp_kwargs.setdefault("find_unused_parameters", True)


def told_of_processes(error: Exception) -> VoxtileError | None:
    """What to say of an error of processes that train together; None for other errors.

    Some other process has ended, which says more, or weights have no gradient where all must have one.
    """
    said = " ".join(str(error).split())
    if "parameters that were not used in producing the loss" in said:
        return ConfigError("trainer.strategy: some weights are in no term of the loss, which this one cannot; take ddp")
    if not isinstance(error, dist.DistError) and "gloo" not in said.partition("]")[0]:
        return None
    how = said.partition("] ")[2] or said
    found = TrainingError(
        "another process of the run has ended, or its machine cannot be reached "
        f"({how.partition('. ')[0][:100]}); see what the other processes say, and go on with --ckpt_path last"
    )
    found.exit_status = 1  # of a process that leaves since another one is gone
    return found

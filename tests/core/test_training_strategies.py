"""Strategies of a run: what `auto` finds, and those with which a loss would not be that of one process."""

import lightning.pytorch as pl
import pytest
import torch.distributed as dist
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch.strategies import DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy

from voxtile.cli.strategies import STRATEGIES, settle_strategy, told_of_processes
from voxtile.errors import ConfigError


def trainer(strategy):
    return pl.Trainer(accelerator="cpu", devices=2, strategy=strategy, logger=False, enable_checkpointing=False)


@pytest.mark.parametrize(
    ("strategy", "finds"),
    [("auto", True), (STRATEGIES["ddp"]({}), True), ("ddp_find_unused_parameters_false", False)],
)
def test_towers_may_have_weights_without_a_gradient_unless_somebody_says_not(strategy, finds):
    made = trainer(strategy)
    settle_strategy(made)
    assert made.strategy._ddp_kwargs["find_unused_parameters"] == finds


@pytest.mark.parametrize("start", ["spawn", "fork"])
def test_processes_that_cannot_take_over_are_refused(start):
    with pytest.raises(ConfigError, match=f"processes that start by {start} cannot .* take ddp, or start"):
        settle_strategy(trainer(f"ddp_{start}_find_unused_parameters_true"))


@pytest.mark.parametrize("kind", [FSDPStrategy, DeepSpeedStrategy, ModelParallelStrategy])
def test_weights_spread_in_another_way_are_refused(kind):
    made = trainer("auto")
    made._accelerator_connector.strategy = object.__new__(kind)
    with pytest.raises(ConfigError, match=f"{kind.__name__} spreads weights in its own way, .* take fsdp2, or ddp"):
        settle_strategy(made)


def test_errors_of_communication_say_that_another_process_has_ended():
    gloo = RuntimeError(
        "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:18607. It"
    )
    for error in (gloo, dist.DistBackendError("NCCL error: remote process exited or there was a network error")):
        told = told_of_processes(error)
        assert str(told).startswith("another process of the run has ended, or its machine cannot be reached (")
        assert told.exit_status == 1
    assert "(Connection closed by peer [127.0.0.1]:18607)" in str(told_of_processes(gloo))
    assert told_of_processes(RuntimeError("mat1 and mat2 must have the same dtype")) is None
    unused = RuntimeError("It looks like your LightningModule has parameters that were not used in producing the loss")
    assert isinstance(told_of_processes(unused), ConfigError)


def test_a_job_of_slurm_leaves_no_checkpoint_that_another_run_would_go_on_from():
    made = trainer("auto")
    made.strategy.cluster_environment = SLURMEnvironment()
    assert made.strategy.cluster_environment.auto_requeue
    settle_strategy(made)
    assert not made.strategy.cluster_environment.auto_requeue

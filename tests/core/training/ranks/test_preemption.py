"""How often processes ask each other whether one was told to end."""

import os
import signal
from types import SimpleNamespace

import pytest
import torch
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.exceptions import SIGTERMException

from voxtile.training.callbacks import preemption
from voxtile.training.callbacks.preemption import Preemption, steps_apart


@pytest.mark.parametrize(("pace", "steps"), [(0.0, 1), (0.01, 8), (0.25, 8), (0.5, 4), (1.9, 1), (40.0, 1)])
def test_steps_apart(pace, steps):
    assert steps_apart(pace) == steps


@pytest.mark.parametrize(("seconds", "slowest", "left"), [(10.0, 10.0, 7), (0.1, 0.1, 10), (0.1, 1.0, 8)])
def test_a_run_of_slow_steps_ends_with_the_step(monkeypatch, seconds, slowest, left):
    """Asked in step 7: at its end where steps are long, and else by the pace of the slowest."""
    now, asked_at = [0.0], []

    def reduced(told, op):
        asked_at.append(trainer.global_step)
        told[1] = max(told[1], slowest if len(asked_at) > 1 else 0)

    monkeypatch.setattr(preemption.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(preemption.dist, "all_reduce", reduced)
    trainer = SimpleNamespace(
        world_size=2, global_step=0, checkpoint_callbacks=[], is_global_zero=False, validating=False
    )
    module, watch = SimpleNamespace(device=torch.device("cpu")), Preemption()
    watch._next = 1
    for step in range(1, 40):
        now[0] += seconds
        trainer.global_step = step
        watch._asked |= step == 7
        try:
            watch.on_train_batch_end(trainer, module, None, None, 0)
        except SIGTERMException:
            break
    assert trainer.global_step == left
    assert asked_at[:2] == [1, 2]


def test_processes_agree_between_batches_of_a_validation(monkeypatch):
    """Asked in batch 2 of one: all leave at its end, whatever the step; a check of the loader before has no answer."""
    asked_at = []
    monkeypatch.setattr(preemption.dist, "all_reduce", lambda told, op: asked_at.append(told[0].item()))
    trainer = SimpleNamespace(
        world_size=2, global_step=700, checkpoint_callbacks=[], is_global_zero=False, validating=True
    )
    trainer.state, trainer.sanity_checking = SimpleNamespace(fn=TrainerFn.FITTING), True
    module, watch = SimpleNamespace(device=torch.device("cpu")), Preemption()
    watch.on_validation_batch_end(trainer, module, None, None, 0)
    trainer.sanity_checking = False
    watch.on_validation_start(trainer, module)
    watch.on_validation_batch_end(trainer, module, None, None, 0)
    watch._asked = True
    with pytest.raises(SIGTERMException):
        watch.on_validation_batch_end(trainer, module, None, None, 1)
    assert asked_at == [0.0, 1.0]
    assert watch.state_dict() == {"left_validation": True}


@pytest.mark.parametrize("asking", [signal.SIGTERM, signal.SIGUSR1])
def test_of_slurm_both_signals_ask_for_the_machine(asking):
    before = signal.getsignal(asking)
    strategy = SimpleNamespace(cluster_environment=SLURMEnvironment(), launcher=None)
    trainer, watch = SimpleNamespace(global_step=3, strategy=strategy), Preemption()
    watch.on_train_start(trainer, None)
    try:
        os.kill(os.getpid(), asking)
        assert watch._asked
    finally:
        watch.teardown(trainer, None, "fit")
    assert signal.getsignal(asking) == before

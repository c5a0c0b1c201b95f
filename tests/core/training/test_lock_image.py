"""The image tower is locked for the last share of a run: it stands still, and the rest has a cycle of its own."""

from types import SimpleNamespace

import pytest

from voxtile.errors import ConfigError
from voxtile.models.dual import DualEncoder
from voxtile.models.image.wavelet import WaveletTower
from voxtile.models.text import TextBag
from voxtile.objectives.contrastive.contrastive import Contrastive
from voxtile.training.module import ContrastiveModule
from voxtile.training.optimisers import OneCycle

TOTAL, LOCK = 20, 12


class Clock:
    """What the module asks of a trainer."""

    estimated_stepping_batches = TOTAL
    global_step = 0
    world_size = 1
    strategy = SimpleNamespace(model=None)
    datamodule = SimpleNamespace(batch_size=2)


def module(share):
    encoder = DualEncoder(
        image=WaveletTower(dimensions=2, channels=1, widths=(4,), blocks=(1,), width=8),
        text=TextBag(vocabulary=300, context=8, width=8),
        embed_dim=4,
    )
    return ContrastiveModule(
        encoder=encoder, objectives={"contrastive": Contrastive()}, schedule=OneCycle(rise=0.25), lock_image_after=share
    )


def rates(share):
    """Learning rate over its peak by update: of the image tower, of all else."""
    model, clock = module(share), Clock()
    model.trainer = clock
    found = model.configure_optimizers()
    optimizer, schedule = found["optimizer"], found["lr_scheduler"]["scheduler"]
    groups = {group["tower"]: group for group in optimizer.param_groups}
    image, other = [], []
    for _ in range(TOTAL):
        image.append(groups["image"]["lr"] / groups["image"]["initial_lr"])
        other.append(groups["other"]["lr"] / groups["other"]["initial_lr"])
        optimizer.step()
        schedule.step()
    return image, other


def test_a_run_without_an_end_is_refused(monkeypatch):
    """`--trainer.max_epochs -1` alone was an OverflowError."""
    monkeypatch.setattr(Clock, "estimated_stepping_batches", float("inf"))
    with pytest.raises(ConfigError, match="a run needs an end: give"):
        rates(1.0)


def test_the_tower_has_one_cycle_and_the_rest_two():
    cycle, rest = OneCycle(rise=0.25), TOTAL - LOCK
    image, other = rates(0.6)
    first = [cycle.factor(step, LOCK) for step in range(LOCK)]
    assert image == pytest.approx([*first, *[0.0] * rest])
    assert other == pytest.approx([*first, *[cycle.factor(step, rest) for step in range(rest)]])


def test_without_a_lock_all_share_one_cycle():
    image, other = rates(1.0)
    assert image == other == pytest.approx([OneCycle(rise=0.25).factor(step, TOTAL) for step in range(TOTAL)])


def test_a_locked_tower_stands_still_with_its_statistics():
    model, clock = module(0.6), Clock()
    model.trainer = clock
    for step in range(TOTAL):
        clock.global_step = step
        model.train()  # as Lightning does at the start of every epoch
        model.on_train_batch_start(None, step)
        tower = model.encoder.image
        assert tower.training == (step < LOCK)
        assert any(p.requires_grad for p in tower.parameters()) == (step < LOCK)
        assert model.encoder.image_projection.weight.requires_grad
        assert model.encoder.text.training


@pytest.mark.parametrize("share", [0.0, -0.1, 1.5])
def test_a_share_outside_the_run_is_refused(share):
    with pytest.raises(ConfigError, match=f"not {share}"):
        module(share)

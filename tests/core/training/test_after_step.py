"""What follows the weights does so once an update, before anything is saved."""

from types import SimpleNamespace

import lightning.pytorch as pl
import pytest
import torch

from voxtile.models.dual import DualEncoder
from voxtile.models.image.wavelet import WaveletTower
from voxtile.models.text import TextBag
from voxtile.objectives.base import ItemObjective
from voxtile.objectives.generative.captioning import Captioning
from voxtile.objectives.generative.image_text_matching import ImageTextMatching
from voxtile.objectives.teachers.deep_boosting import DeepBoosting
from voxtile.objectives.teachers.momentum_distillation import MomentumDistillation
from voxtile.training.module import ContrastiveModule
from voxtile.types import Batch


class Data(pl.LightningDataModule):
    """Six batches of two items."""

    preset = SimpleNamespace(channels=1, grid=(8, 8), to_config=dict)
    fact_names = ()

    def training_texts(self):
        return ["a nodule", "no nodule"]

    def train_dataloader(self):
        return torch.utils.data.DataLoader(range(6), batch_size=None, collate_fn=self.batch)

    def batch(self, number):
        return Batch(
            images=torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(number)),
            image_item=torch.arange(2),
            texts=self.training_texts(),
            text_item=torch.arange(2),
            study=torch.arange(2),
            subject=torch.arange(2),
            text_hash=torch.arange(2),
            facts=torch.zeros(2, 0, dtype=torch.int8),
            fact_names=(),
            uids=["a", "b"],
            draws=torch.arange(2) + 2 * number,
        )


class Follows(ItemObjective):
    """Keeps the weights that it is shown."""

    def __init__(self):
        super().__init__()
        self.shown = []
        self.register_buffer("last", torch.zeros(()))

    def setup_encoder(self, encoder):
        super().setup_encoder(encoder)
        self.first = encoder.image_projection.weight.clone()

    def setup_towers(self, image, text):
        self.width = image.width

    def after_step(self, encoder, step, steps):
        self.shown.append((step, steps))
        self.last = encoder.image_projection.weight.detach().sum()

    def rows(self, features):
        return torch.stack([features.image.sum(1) * 10, torch.ones(len(features.image))], 1)


class Saved(pl.Callback):
    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, module, *rest):
        state = module.state_dict()
        self.seen.append((trainer.global_step, state["objectives.it.last"].clone(), state["encoder.log_scale"].clone()))


@pytest.mark.parametrize("accumulate", [1, 2])
def test_once_an_update_before_anything_is_saved(accumulate):
    encoder = DualEncoder(
        image=WaveletTower(dimensions=2, widths=(4,), blocks=(1,), width=8),
        text=TextBag(vocabulary=300, context=8, width=8),
        embed_dim=4,
        logit_scale=2.0,
        logit_scale_limits=(1.0, 2.0),
    )
    objective, saved = Follows(), Saved()
    module = ContrastiveModule(encoder=encoder, objectives={"it": objective})
    with torch.no_grad():
        encoder.log_scale += 1  # beyond its limit, until the first update
    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accumulate_grad_batches=accumulate,
        callbacks=[saved],
    )
    trainer.fit(module, datamodule=Data(), weights_only=True)
    updates = 6 // accumulate
    assert objective.width == 8
    assert objective.shown == [(step + 1, updates) for step in range(updates)]
    assert objective.last == encoder.image_projection.weight.sum()
    assert not torch.equal(encoder.image_projection.weight, objective.first)
    after = [last for step, last, _ in saved.seen]
    assert [step for step, _, _ in saved.seen] == [(n + 1) // accumulate for n in range(6)]
    assert after[-1] == objective.last
    assert len(set(map(float, after[accumulate - 1 :: accumulate]))) == updates
    assert all(scale <= encoder.scale_limits[1] + 1e-6 for step, _, scale in saved.seen if step)


class SaveAt(pl.Callback):
    def __init__(self, step, path):
        self.step, self.path = step, path

    def on_train_batch_end(self, trainer, module, *rest):
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)


def run(tmp_path, *, resume=None, save=()):
    """Two epochs of all that has a copy, a queue or a decoder, with dropout."""
    torch.manual_seed(0)
    encoder = DualEncoder(
        image=WaveletTower(dimensions=2, widths=(4,), blocks=(1,), width=8),
        text=TextBag(vocabulary=300, context=8, width=8, dropout=0.2),
        embed_dim=4,
    )
    small = {"width": 8, "heads": 2, "depth": 1, "dropout": 0.2}
    objectives = {
        "distilled": MomentumDistillation(queue=5, momentum=0.7, ramp=8),
        "boosted": DeepBoosting(momentum=0.7),
        "told": Captioning(**small),
        "matched": ImageTextMatching(**small),
    }
    module = ContrastiveModule(encoder=encoder, objectives=objectives)
    trainer = pl.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[SaveAt(step, tmp_path / f"{step}.ckpt") for step in save],
    )
    trainer.fit(module, datamodule=Data(), weights_only=True, ckpt_path=resume)
    return module


def test_copies_and_queues_are_resumed_to_the_bit(tmp_path):
    whole = run(tmp_path, save=(6, 12)).state_dict()
    resumed = run(tmp_path, resume=tmp_path / "6.ckpt").state_dict()
    assert whole.keys() == resumed.keys()
    assert {name for name, value in whole.items() if not torch.equal(value, resumed[name])} == set()
    stored = torch.load(tmp_path / "12.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(stored[name], value) for name, value in whole.items())
    early = torch.load(tmp_path / "6.ckpt", weights_only=True)["state_dict"]
    moved = {name for name, value in whole.items() if not torch.equal(value, early[name])}
    assert {"objectives.distilled.queue", "objectives.distilled.oldest", "objectives.distilled.queue_keys"} <= moved
    assert any(name.startswith("objectives.boosted.kept") for name in moved)
    assert any(name.startswith("objectives.told.decoder") for name in moved)

"""What the module writes down: at Lightning's interval, at the first and at the last step, and nowhere else."""

import csv

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import CSVLogger

from voxtile.data.presets import ImagePreset
from voxtile.models.conv import ConvTower
from voxtile.models.dual import DualEncoder
from voxtile.models.text import TextBag
from voxtile.objectives.contrastive import Contrastive
from voxtile.training import logged
from voxtile.training.module import ContrastiveModule
from voxtile.types import Batch

ITEMS, STEPS, EVERY = 4, 8, 3
TEXTS = [f"thing number {n}" for n in range(ITEMS)]


class Counting(ContrastiveModule):
    """Notes the steps at which it logs the loss, and every loss."""

    def __init__(self):
        encoder = DualEncoder(
            image=ConvTower(dimensions=2, channels=3, widths=(4,), blocks=(1,), width=8),
            text=TextBag(vocabulary=300, context=8, width=8),
            embed_dim=4,
        )
        super().__init__(encoder=encoder, objectives={"contrastive": Contrastive()})
        self.steps, self.all = [], []

    def log(self, name, *args, **kwargs):
        if name == "loss":
            self.steps.append(self.global_step)
        super().log(name, *args, **kwargs)

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        self.all.append(float(loss.detach()))
        return loss


class Noise(pl.LightningDataModule):
    preset, fact_names, batch_size = ImagePreset(size=(16, 16)), (), ITEMS

    def training_texts(self):
        return TEXTS

    def train_dataloader(self):
        number = torch.arange(ITEMS)
        images = torch.randn(STEPS, ITEMS, 3, 16, 16, generator=torch.Generator().manual_seed(0))
        made = [
            Batch(
                part, number, TEXTS, number, number, number, number,
                torch.zeros(ITEMS, 0, dtype=torch.int8), (), TEXTS, number,
            )
            for part in images
        ]  # fmt: skip
        return torch.utils.data.DataLoader(made, batch_size=None)


def fit(tmp_path):
    module = Counting()
    trainer = pl.Trainer(
        max_epochs=1, accelerator="cpu", logger=CSVLogger(tmp_path, name="run"), log_every_n_steps=EVERY,
        limit_val_batches=0, enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
    )  # fmt: skip
    trainer.fit(module, datamodule=Noise())
    with (tmp_path / "run" / "version_0" / "metrics.csv").open() as file:
        rows = {int(row["step"]): float(row["train/contrastive"]) for row in csv.DictReader(file)}
    assert rows == {step: module.all[step] for step in (2, 5)}
    assert float(trainer.callback_metrics["loss"]) == module.all[-1] == float(module.terms["contrastive"])
    return module.steps


def test_figures_are_written_down_at_the_interval_the_first_and_the_last_step(tmp_path, monkeypatch):
    monkeypatch.setattr(logged, "SECONDS", float("inf"))
    assert fit(tmp_path) == [0, 2, 5, 7]


def test_slow_steps_are_shown_in_between(tmp_path, monkeypatch):
    monkeypatch.setattr(logged, "SECONDS", 0.0)
    assert fit(tmp_path) == list(range(STEPS))

"""What the module writes down: at Lightning's interval, at the first and at the last step, and nowhere else."""

import csv

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import CSVLogger
from tests.core.training.noise import Noise

from voxtile.models.dual import DualEncoder
from voxtile.models.image.conv import ConvTower
from voxtile.models.text import TextBag
from voxtile.objectives.contrastive.contrastive import Contrastive
from voxtile.training.callbacks import telemetry
from voxtile.training.callbacks.telemetry import Telemetry
from voxtile.training.module import ContrastiveModule
from voxtile.training.step import logged_steps as logged

STEPS, EVERY = 8, 3


class CountingLog(logged.StepLog):
    """Notes the steps at which it logs the loss."""

    def __init__(self, encoder):
        super().__init__(encoder)
        self.steps = []

    def _write(self, module, *args):
        self.steps.append(module.global_step)
        super()._write(module, *args)


class Counting(ContrastiveModule):
    """Notes the steps at which it logs the loss, and every loss."""

    def __init__(self):
        encoder = DualEncoder(
            image=ConvTower(dimensions=2, channels=3, widths=(4,), blocks=(1,), width=8),
            text=TextBag(vocabulary=300, context=8, width=8),
            embed_dim=4,
        )
        super().__init__(encoder=encoder, objectives={"contrastive": Contrastive()})
        self.step_log, self.all = CountingLog(encoder), []

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        self.all.append(float(loss.detach()))
        return loss


def trained(tmp_path, epochs, *callbacks):
    torch.manual_seed(0)
    module = Counting()
    trainer = pl.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=CSVLogger(tmp_path, name="run"), log_every_n_steps=EVERY,
        limit_val_batches=0, enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
        callbacks=list(callbacks),
    )  # fmt: skip
    trainer.fit(module, datamodule=Noise(STEPS))
    with (tmp_path / "run" / "version_0" / "metrics.csv").open() as file:
        return module, trainer, list(csv.DictReader(file))


def fit(tmp_path):
    module, trainer, table = trained(tmp_path, 1)
    rows = {int(row["step"]): float(row["train/contrastive"]) for row in table}
    assert rows == {step: module.all[step] for step in (2, 5)}
    assert float(trainer.callback_metrics["loss"]) == module.all[-1] == float(module.terms["contrastive"])
    return module.step_log.steps


def test_figures_are_written_down_at_the_interval_the_first_and_the_last_step(tmp_path, monkeypatch):
    monkeypatch.setattr(logged, "SECONDS", float("inf"))
    assert fit(tmp_path) == [0, 2, 5, 7]


def test_slow_steps_are_shown_in_between(tmp_path, monkeypatch):
    monkeypatch.setattr(logged, "SECONDS", 0.0)
    assert fit(tmp_path) == list(range(STEPS))


class Progress(pl.Callback):
    """What a bar or line would show after each step, without what depends on the clock."""

    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        timed = ("images_per_second", "data_wait", "memory_gb")
        metrics = {**trainer.callback_metrics, "bar": sorted(trainer.progress_bar_metrics)}
        self.seen.append({name: value for name, value in metrics.items() if name not in timed})


def test_figures_are_those_that_the_slower_way_of_lightning_writes(tmp_path, monkeypatch):
    monkeypatch.setattr(logged, "SECONDS", float("inf"))
    fast, slow = Progress(), Progress()
    *_, quick = trained(tmp_path / "fast", 2, Telemetry(), fast)

    def plain(module, figures, items, *, prog_bar=False):
        for name, value in figures.items():
            module.log(name, value, prog_bar=prog_bar, batch_size=items)

    monkeypatch.setattr(logged, "log_figures", plain)
    monkeypatch.setattr(telemetry, "log_figures", plain)
    *_, long = trained(tmp_path / "slow", 2, Telemetry(), slow)
    assert fast.seen == slow.seen
    assert len(fast.seen) == 2 * STEPS
    names = ["step", "epoch", "loss", "grad_norm", "train/contrastive", "train/lr", "train/scale", "train/cut_texts"]
    assert [[row[name] for name in names] for row in quick] == [[row[name] for name in names] for row in long]
    assert [int(row["step"]) for row in quick] == [2, 5, 8, 11, 14]
    assert quick[0].keys() == long[0].keys()

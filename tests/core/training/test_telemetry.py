"""What a run says of itself: figures that add up, samples named where a loss is no number, loggers side by side."""

import csv
from types import SimpleNamespace

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import RichProgressBar
from lightning.pytorch.loggers import CSVLogger

from voxtile.errors import ConfigError, TrainingError
from voxtile.training.callbacks.guard import FiniteLoss
from voxtile.training.callbacks.progress import ProgressBar, ProgressLines, duration, figures, progress
from voxtile.training.callbacks.telemetry import Telemetry

WIDTH, ITEMS, STEPS = 8, 4, 6


class Linear(pl.LightningModule):
    """One matrix; its loss, gradients and operations are known in closed form."""

    def __init__(self, wrong_at=None):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(WIDTH, WIDTH))
        self.wrong_at = wrong_at

    def training_step(self, batch, batch_idx):
        loss = (batch.images @ self.weight).sum()
        if self.global_step == self.wrong_at:
            loss = loss / 0
        self.log("loss", loss.detach(), batch_size=1)
        self.terms = {"contrastive": loss.detach(), "facts": torch.tensor(1.0)}
        self.log("train/scale", 20.0, batch_size=1)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.0)


def batches(images=None):
    for step in range(STEPS):
        given = torch.ones(ITEMS, WIDTH) if images is None else images
        yield SimpleNamespace(
            images=given, image_item=torch.arange(ITEMS), uids=[f"{step}-{item}" for item in range(ITEMS)]
        )


def fit(tmp_path, callbacks, module=None, data=None, every=2):
    trainer = pl.Trainer(
        default_root_dir=tmp_path, logger=CSVLogger(tmp_path, name="run"), callbacks=callbacks, max_epochs=1,
        accelerator="cpu", log_every_n_steps=every, enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=False,
    )  # fmt: skip
    loader = torch.utils.data.DataLoader(list(data or batches()), batch_size=None, collate_fn=lambda batch: batch)
    trainer.fit(module or Linear(), loader)
    with (tmp_path / "run" / "version_0" / "metrics.csv").open() as file:
        return [row for row in csv.DictReader(file) if row["images_per_second"]]


def test_figures_of_a_step_equal_their_definitions(tmp_path):
    peak = 1e-3  # TFLOPS
    rows = fit(tmp_path, [Telemetry(peak_tflops=peak)])
    assert len(rows) == STEPS // 2
    for row in rows:
        rate = float(row["images_per_second"])
        # d loss / d W[i, j] is the sum of inputs i over the items: ITEMS in each of WIDTH² places.
        assert float(row["grad_norm"]) == pytest.approx(ITEMS * WIDTH)
        assert 0 < float(row["data_wait"]) < 1
        assert float(row["memory_gb"]) > 0.05
        # One product forward and one for the weight backward, a multiplication and an addition each.
        operations = 2 * 2 * WIDTH * WIDTH * rate
        assert float(row["mfu"]) == pytest.approx(operations / (peak * 1e12), rel=1e-3)


def test_a_run_that_is_shorter_than_the_interval_has_a_table_too(tmp_path):
    (row,) = fit(tmp_path, [Telemetry()], every=STEPS + 1)
    assert int(row["step"]) == STEPS - 1


def test_without_a_known_peak_there_is_no_mfu(tmp_path):
    assert "mfu" not in fit(tmp_path, [Telemetry()])[0]
    with pytest.raises(ConfigError, match="above 0"):
        Telemetry(peak_tflops=0)


def test_a_loss_that_is_no_number_stops_the_run_with_its_samples_and_terms(tmp_path):
    module = Linear(wrong_at=3)
    with pytest.raises(TrainingError, match=r"step 3 is inf \(by contrastive\), on samples 3-0, 3-1, 3-2, 3-3"):
        fit(tmp_path, [Telemetry(), FiniteLoss()], module)
    assert torch.isfinite(module.weight).all()


def test_the_sample_at_fault_is_named_alone(tmp_path):
    images = torch.ones(ITEMS, WIDTH)
    images[2, 5] = torch.nan
    with pytest.raises(TrainingError, match=r"on sample 0-2, whose image"):
        fit(tmp_path, [FiniteLoss()], data=batches(images))


def test_broken_weights_are_laid_on_the_step_before(tmp_path):
    class Breaks(pl.Callback):
        def on_before_zero_grad(self, trainer, pl_module, optimizer):
            if trainer.global_step == 2:
                pl_module.weight.data[0, 0] = torch.nan

    with pytest.raises(TrainingError, match=r"not finite since the update before step \d, on samples [12]-0"):
        fit(tmp_path, [FiniteLoss(), Breaks()])


def test_the_views_show_the_same(tmp_path, capsys):
    logged = {"loss": 0.51234, "train/scale": 20.0, "grad_norm": 1.5, "data_wait": 0.034, "images_per_second": 123.4,
              "memory_gb": 1.25, "mfu": 0.41, "other": 3}  # fmt: skip
    assert figures(logged) == {
        "loss": "0.5123", "scale": "20", "gradient": "1.5", "wait": "3%", "images/s": "123", "memory": "1.2 GB",
        "MFU": "41%",
    }  # fmt: skip
    fit(tmp_path, [Telemetry(), ProgressLines(seconds=0)])
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("step ")]
    assert len(lines) == STEPS
    assert lines[-1].startswith(f"step {STEPS} of {STEPS}: loss {ITEMS * WIDTH * WIDTH}, scale 20, gradient")
    assert isinstance(progress(live=True), RichProgressBar)
    assert isinstance(progress(live=False), ProgressLines)


def test_the_live_bar_shows_figures_first_and_then_what_is_validated():
    trainer = SimpleNamespace(
        callback_metrics={"loss": torch.tensor(2.0)}, progress_bar_metrics={"loss": 2.0, "val/loss": 1.5, "v_num": 3}
    )
    assert ProgressBar().get_metrics(trainer, None) == {"loss": "2", "val/loss": "1.5"}


def test_lines_in_a_pipe_say_how_long_it_will_take(tmp_path, capfd, monkeypatch):
    """By a clock on which each step takes 50 s."""
    now = iter(range(0, 50 * STEPS * 2, 50))
    clock = SimpleNamespace(monotonic=lambda: float(next(now)))
    monkeypatch.setattr("voxtile.training.callbacks.progress.time", clock)
    fit(tmp_path, [Telemetry(), ProgressLines(seconds=0)])
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("step ")]
    assert len(lines) == STEPS
    assert "left" not in lines[0] + lines[-1], "after one step nothing is known, after the last nothing is left"
    for step, line in list(enumerate(lines, 1))[1:-1]:
        assert line.endswith(f", {duration(50.0 * (STEPS - step))} left")
    assert [duration(s) for s in (40, 89.6, 700, 5_390, 19_200)] == [
        "40 s",
        "90 s",
        "12 min",
        "1 h 30 min",
        "5 h 20 min",
    ]

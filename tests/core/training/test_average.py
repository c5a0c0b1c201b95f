"""The weight average against a loop, through validation and checkpoints."""

import lightning.pytorch as pl
import pytest
import torch

from voxtile.errors import ConfigError
from voxtile.training.callbacks.average import WeightAverage
from voxtile.training.memory import convert_weights


class Line(pl.LightningModule):
    """One weight that every step moves by one."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.validated = []

    def training_step(self, batch, batch_idx):
        return -self.weight.sum()

    def validation_step(self, batch, batch_idx):
        self.validated.append(self.weight.item())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1.0)


def expected(steps, decay):
    average = 0.0
    for step in range(1, steps + 1):
        kept = min(decay, (1 + step) / (10 + step))
        average = kept * average + (1 - kept) * step
    return average


def trainer(epochs, decay=0.5, **options):
    return pl.Trainer(
        **options,
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=[WeightAverage(decay=decay)],
    )


def fit(run, module, **arguments):
    loader = torch.utils.data.DataLoader(torch.zeros(5, 1))
    run.fit(module, loader, torch.utils.data.DataLoader(torch.zeros(1, 1)), weights_only=True, **arguments)


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.9])
def test_average_is_validated_saved_and_left_in_the_module(tmp_path, decay):
    module, run = Line(), trainer(2, decay)
    fit(run, module)
    assert module.validated == pytest.approx([expected(5, decay), expected(10, decay)], rel=1e-5)
    assert module.weight.item() == pytest.approx(expected(10, decay), rel=1e-5)


def test_of_accumulated_gradients_a_step_counts_once():
    module = Line()
    fit(trainer(1, accumulate_grad_batches=2), module)  # five batches, three steps, the last of them half as long
    average = expected(2, 0.5)
    kept = min(0.5, 4 / 13)
    assert module.weight.item() == pytest.approx(kept * average + (1 - kept) * 2.5, rel=1e-5)


class Save(pl.Callback):
    """Saves after the first epoch's last step."""

    def __init__(self, path):
        self.path = path

    def on_train_batch_end(self, trainer, module, *rest):
        if trainer.global_step == 5:
            trainer.save_checkpoint(self.path)


class Third(Line):
    """Weights that float32 cannot hold, converted as those of the product's module are."""

    def training_step(self, batch, batch_idx):
        return -self.weight.sum() / 3

    def configure_model(self):
        convert_weights(self.trainer, self)


def test_a_resumed_run_keeps_weights_and_average_in_the_precision_of_the_run(tmp_path):
    run, whole, resumed = trainer(2, precision="64-true"), Third(), Third()
    run.callbacks.append(Save(tmp_path / "a.ckpt"))
    fit(run, whole)
    fit(trainer(2, precision="64-true"), resumed, ckpt_path=tmp_path / "a.ckpt")
    assert resumed.weight.dtype == torch.float64
    assert resumed.weight.item() == whole.weight.item()


def test_a_resumed_run_goes_on_from_both(tmp_path):
    run = trainer(2)
    saved = tmp_path / "a.ckpt"

    run.callbacks.append(Save(saved))
    whole = Line()
    fit(run, whole)
    checkpoint = torch.load(saved, weights_only=True)
    assert checkpoint["state_dict"]["weight"].item() == pytest.approx(expected(5, 0.5))
    resumed = Line()
    fit(trainer(2), resumed, ckpt_path=saved)
    assert resumed.weight.item() == whole.weight.item() == pytest.approx(expected(10, 0.5))


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_impossible_decays_are_refused(decay):
    with pytest.raises(ConfigError, match="decay"):
        WeightAverage(decay=decay)

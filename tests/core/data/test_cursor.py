"""Where a run is in its data, when a checkpoint is saved in the midst of accumulated gradients."""

import lightning.pytorch as pl
import pytest
import torch

from voxtile.data.cursor import Cursor, CursorCallback

BATCH, BATCHES, ACCUMULATED, EPOCHS = 3, 7, 4, 2  # two steps an epoch, the second of three batches


class Numbers:
    """Batches of an epoch from where the cursor stands, each the number of its first draw."""

    def __init__(self, cursor):
        self.cursor = cursor

    def __len__(self):
        return BATCHES

    def __iter__(self):
        epoch, start = self.cursor.epoch, self.cursor.consumed // BATCH
        yield from (torch.tensor(float(epoch * BATCHES + number)) for number in range(start, BATCHES))


class Summed(pl.LightningModule):
    """Its weight follows from all batches, in whichever steps they come."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def training_step(self, batch, batch_idx):
        return (self.weight * (1 + batch)).square().sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1e-3)


class Saved(pl.Callback):
    """Saves after the n-th batch of the run."""

    def __init__(self, path, after):
        self.path, self.after = path, after

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if int(batch) == self.after:
            trainer.save_checkpoint(self.path)


def fit(cursor, *callbacks, epochs=EPOCHS, **arguments):
    trainer = pl.Trainer(
        max_epochs=epochs, accumulate_grad_batches=ACCUMULATED, accelerator="cpu", logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        callbacks=[CursorCallback(cursor, BATCH, BATCH * BATCHES), *callbacks],
    )  # fmt: skip
    module = Summed()
    trainer.fit(module, Numbers(cursor), weights_only=True, **arguments)
    return module.weight.item()


@pytest.mark.parametrize("after", [3, 4, 5, 6, 9, 12])
def test_batches_whose_gradient_was_not_used_yet_come_again(tmp_path, after):
    whole, cursor = Cursor(0, ""), Cursor(0, "")

    class Noted(pl.Callback):
        def on_save_checkpoint(self, trainer, module, checkpoint):
            checkpoint["at"] = cursor.state_dict()

    path = tmp_path / "saved.ckpt"
    expected = fit(whole)
    fit(cursor, Saved(path, after), Noted())
    state = torch.load(path, weights_only=True)["at"]
    done = after + 1 - (after % BATCHES + 1) % ACCUMULATED * (after % BATCHES != BATCHES - 1)
    assert (state["epoch"], state["consumed"]) == (done // BATCHES, done % BATCHES * BATCH)
    again = Cursor(0, "")
    again.load_state_dict(state)
    assert fit(again, ckpt_path=path) == expected
    assert again == whole


def test_a_run_that_is_resumed_at_the_end_of_each_epoch_trains_no_epoch_more(tmp_path):
    whole, cursor, path = Cursor(0, ""), Cursor(0, ""), None
    expected = fit(whole, epochs=3)
    for end in (1, 2, 3):
        saved = tmp_path / f"{end}.ckpt"
        assert fit(cursor, Saved(saved, end * BATCHES - 1), epochs=3, ckpt_path=path) == expected
        assert cursor == whole
        cursor, path = Cursor(0, "", epoch=end), saved
    assert fit(cursor, epochs=3, ckpt_path=path) == expected

"""`model.weights`: the loss and every gradient of a run are the weighted sums of those of runs with one term alone."""

import lightning.pytorch as pl
import pytest
import torch

from voxtile.data.presets.image import ImagePreset
from voxtile.models.dual import DualEncoder
from voxtile.models.image.conv import ConvTower
from voxtile.models.text import TextBag
from voxtile.objectives.contrastive.contrastive import Contrastive
from voxtile.objectives.contrastive.margin import Margin
from voxtile.training.module import ContrastiveModule
from voxtile.types import Batch

ITEMS = 4
TEXTS = [f"thing number {n}" for n in range(ITEMS)]


class OneBatch(pl.LightningDataModule):
    preset, fact_names, batch_size = ImagePreset(size=(16, 16)), (), ITEMS

    def training_texts(self):
        return TEXTS

    def train_dataloader(self):
        number = torch.arange(ITEMS)
        images = torch.randn(ITEMS, 3, 16, 16, generator=torch.Generator().manual_seed(0))
        facts = torch.zeros(ITEMS, 0, dtype=torch.int8)
        batch = Batch(images, number, TEXTS, number, number, number, number, facts, (), TEXTS, number)
        return torch.utils.data.DataLoader([batch], batch_size=None)


class Kept(pl.Callback):
    def on_before_optimizer_step(self, trainer, module, optimizer):
        self.gradients = {n: p.grad.clone() for n, p in module.named_parameters() if p.grad is not None}

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.loss = float(outputs["loss"])


def trained(tmp_path, weights, batch):
    torch.manual_seed(0)
    encoder = DualEncoder(
        image=ConvTower(dimensions=2, channels=3, widths=(4,), blocks=(1,), width=8),
        text=TextBag(vocabulary=300, context=8, width=8),
        embed_dim=4,
    )
    terms = {"softmax": Contrastive(), "hinge": Margin(margin=0.5)}
    module, kept = ContrastiveModule(encoder=encoder, objectives=terms, weights=weights, batch=batch), Kept()
    options = {"accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = pl.Trainer(max_steps=1, default_root_dir=tmp_path, callbacks=[kept], **options)
    trainer.fit(module, OneBatch())
    return kept


@pytest.mark.parametrize("batch", [None, {"global": ITEMS, "micro": 2}], ids=["whole", "large"])
def test_each_term_counts_by_its_weight(tmp_path, batch):
    first, second, both = (
        trained(tmp_path, weights, batch)
        for weights in ({"softmax": 1.0, "hinge": 0.0}, {"softmax": 0.0, "hinge": 1.0}, {"softmax": 0.5, "hinge": 3.0})
    )
    assert first.loss != pytest.approx(second.loss, rel=0.05)
    assert both.loss == pytest.approx(0.5 * first.loss + 3 * second.loss, rel=1e-5)
    assert both.gradients.keys() == first.gradients.keys() == second.gradients.keys()
    for name, gradient in both.gradients.items():
        expected = 0.5 * first.gradients[name] + 3 * second.gradients[name]
        torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-6, msg=name)
    assert any(gradient.abs().max() > 1e-3 for gradient in first.gradients.values())

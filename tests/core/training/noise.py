"""Noise to train on: pictures that show nothing, each with a text of its own."""

import lightning.pytorch as pl
import torch

from voxtile.data.presets.image import ImagePreset
from voxtile.types import Batch

ITEMS, SIZE = 4, 16
TEXTS = [f"thing number {n}" for n in range(ITEMS)]


class Noise(pl.LightningDataModule):
    """So many batches an epoch, the same at every epoch."""

    preset, fact_names, batch_size = ImagePreset(size=(SIZE, SIZE)), (), ITEMS

    def __init__(self, batches: int) -> None:
        super().__init__()
        self.batches = batches

    def training_texts(self) -> list[str]:
        return TEXTS

    def train_dataloader(self) -> torch.utils.data.DataLoader:
        number = torch.arange(ITEMS)
        images = torch.randn(self.batches, ITEMS, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
        made = [
            Batch(
                part, number, TEXTS, number, number, number, number,
                torch.zeros(ITEMS, 0, dtype=torch.int8), (), TEXTS, number,
            )
            for part in images
        ]  # fmt: skip
        return torch.utils.data.DataLoader(made, batch_size=None)

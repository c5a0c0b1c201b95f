"""Tensors of a batch are converted as the precision plugin wants, and nothing else of it is looked at."""

from types import SimpleNamespace

import torch
from lightning.pytorch.plugins.precision import HalfPrecision

from voxtile.training.memory import convert_tensors_alone
from voxtile.types import Batch, Regions


def test_a_batch_is_converted_as_the_plugin_would():
    items = torch.arange(2)
    batch = Batch(
        torch.ones(2, 1, 4, 4), items, ["a", "b"], items, items, items, items,
        torch.zeros(2, 0, dtype=torch.int8), (), ["x", "y"], items,
        regions=Regions(["a"], items[:1], torch.ones(1, 4, 4), torch.zeros(1, dtype=torch.bool), torch.ones(1)),
    )  # fmt: skip
    trainer = SimpleNamespace(precision_plugin=HalfPrecision("bf16-true"))
    expected = trainer.precision_plugin.convert_input(batch)
    convert_tensors_alone(trainer)
    convert_tensors_alone(trainer)
    found = trainer.precision_plugin.convert_input(batch)
    assert found.images.dtype == found.regions.masks.dtype == torch.bfloat16
    assert found.image_item.dtype == torch.int64
    assert found.texts is batch.texts
    for name in ("images", "image_item", "facts", "draws", "text_hash"):
        ours, theirs = getattr(found, name), getattr(expected, name)
        assert ours.dtype == theirs.dtype
        assert torch.equal(ours, theirs)
    assert torch.equal(found.regions.masks, expected.regions.masks)
    assert trainer.precision_plugin.convert_input([torch.ones(1)])[0].dtype == torch.bfloat16

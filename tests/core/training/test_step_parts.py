"""The module is one class that holds the parts of a step: none is inherited, and none is in the checkpoint."""

import copy
import gc
import weakref

import lightning.pytorch as pl
import pytest
import torch

from voxtile.models.dual import DualEncoder
from voxtile.models.image.conv import ConvTower
from voxtile.models.text import TextBag
from voxtile.objectives.contrastive.contrastive import Contrastive
from voxtile.objectives.facts.head import FactHead
from voxtile.training.module import ContrastiveModule
from voxtile.training.step.encoding import OnePass
from voxtile.training.step.large_batch import LargeBatch, MicroBatches
from voxtile.types import Batch

ITEMS = 4


@pytest.fixture
def module():
    torch.manual_seed(0)
    encoder = DualEncoder(
        image=ConvTower(dimensions=2, widths=(4,), blocks=(1,), width=8),
        text=TextBag(vocabulary=300, context=8, width=8),
        embed_dim=4,
    )
    encoder.text.tokenizer.train(["a thing", "no thing"])
    made = ContrastiveModule(encoder=encoder, objectives={"contrastive": Contrastive(), "facts": FactHead()})
    made.setup_objectives(("a",))
    return made.double()


def batch():
    number = torch.arange(ITEMS)
    return Batch(
        images=torch.randn(ITEMS, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0)),
        image_item=number,
        texts=["a thing", "no thing"] * 2,
        text_item=number,
        study=number,
        subject=number,
        text_hash=number,
        facts=torch.tensor([[1], [0], [1], [0]], dtype=torch.int8),
        fact_names=("a",),
        uids=list("abcd"),
        draws=number,
    )


def gradients(made):
    made.zero_grad()
    made.total(made.losses(made.features(batch()))).backward()
    return {name: p.grad.clone() for name, p in made.named_parameters() if p.grad is not None}


def test_it_inherits_from_lightning_alone_and_saves_towers_and_objectives_alone(module):
    assert ContrastiveModule.__bases__ == (pl.LightningModule,)
    assert {name for name, _ in module.named_children()} == {"encoder", "objectives"}
    assert {name.partition(".")[0] for name in module.state_dict()} == {"encoder", "objectives"}


def test_another_way_of_encoding_takes_the_place_of_the_first(module):
    assert isinstance(module.encoding, OnePass)
    whole = gradients(module)
    module.large_batch = LargeBatch(ITEMS, 2)
    assert isinstance(module.encoding, MicroBatches)
    assert len(module.encoding.parts(batch())) == 2
    for name, grad in gradients(module).items():
        torch.testing.assert_close(grad, whole[name], rtol=1e-9, atol=1e-12, msg=name)
    module.large_batch = None
    assert isinstance(module.encoding, OnePass)


def test_a_copy_has_parts_of_its_own(module):
    """As weight averages make them: a part that still read the first module's towers would train the wrong ones."""
    twin, before = copy.deepcopy(module), gradients(module)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    for name, grad in gradients(twin).items():
        torch.testing.assert_close(grad, before[name], rtol=0, atol=0, msg=name)


def test_it_is_freed_as_soon_as_it_is_dropped(module):
    """Parts that held the module would keep its weights in memory until the garbage collector comes by."""
    made = copy.deepcopy(module)
    gone = weakref.ref(made)
    gc.disable()
    try:
        del made
        assert gone() is None
    finally:
        gc.enable()

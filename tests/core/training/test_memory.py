"""Towers that recompute or are compiled are trained to the same weights, under the same names."""

import lightning.pytorch as pl
import pytest
import torch
from tests.core.training.noise import SIZE, Noise

from voxtile.errors import ConfigError
from voxtile.models.dual import DualEncoder
from voxtile.models.image.conv import ConvTower
from voxtile.models.image.vit import ViTTower
from voxtile.models.image.wavelet import WaveletTower
from voxtile.models.text import TextBag, TextTransformer
from voxtile.models.tuning import blocks
from voxtile.objectives.contrastive.contrastive import Contrastive
from voxtile.training.memory import compile_towers, recompute_activations
from voxtile.training.module import ContrastiveModule


def encoder():
    torch.manual_seed(0)
    return DualEncoder(
        image=ViTTower(channels=3, size=SIZE, patch=4, width=16, depth=3, heads=2, dropout=0.1, drop_path=0.1),
        text=TextTransformer(vocabulary=300, context=16, width=16, depth=2, heads=2, dropout=0.1),
        embed_dim=8,
    )


def trained(tmp_path, **options):
    module = ContrastiveModule(encoder=encoder(), objectives={"contrastive": Contrastive()}, **options)
    pl.Trainer(
        default_root_dir=tmp_path, max_epochs=1, accelerator="cpu", limit_val_batches=0, logger=False,
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
    ).fit(module, datamodule=Noise(2))  # fmt: skip
    return module


def test_weights_after_training_are_the_same(tmp_path):
    plain = trained(tmp_path).state_dict()
    for options in ({"recompute": True}, {"compile": "eager"}, {"recompute": True, "batch": {"global": 4, "micro": 4}}):
        other = trained(tmp_path, **options).state_dict()
        assert other.keys() == plain.keys()
        if "batch" not in options:  # whose dropout is drawn by micro-batch
            assert all(torch.allclose(other[name], plain[name], rtol=1e-5, atol=1e-7) for name in plain), options
    cached = trained(tmp_path, batch={"global": 4, "micro": 4}).state_dict()
    assert all(torch.allclose(other[name], cached[name], rtol=1e-5, atol=1e-7) for name in cached)


def kept(made):
    """Bytes that a forward pass of the image tower keeps."""
    found = {}

    def pack(value):
        found[value.untyped_storage().data_ptr()] = value.untyped_storage().nbytes()
        return value

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
        pooled = made.image.train()(torch.randn(8, 3, SIZE, SIZE)).pooled
    return sum(found.values()), pooled


def test_less_is_kept_and_evaluation_is_as_before():
    made = encoder()
    images = torch.randn(2, 3, SIZE, SIZE)
    before, _ = kept(made)
    expected = made.eval().image(images).pooled
    assert recompute_activations(made) == 5
    after, pooled = kept(made)
    assert after < 0.3 * before
    pooled.sum().backward()
    assert torch.equal(made.eval().image(images).pooled, expected)


def test_the_outermost_blocks_are_found_in_open_clip_too():
    from open_clip.transformer import TextTransformer as Peer

    assert len(list(blocks(Peer(context_length=8, vocab_size=10, width=16, heads=2, layers=3)))) == 3


@pytest.mark.sweep(ci=True)
def test_what_is_recomputed_can_be_compiled():
    def gradients(image, **options):
        torch.manual_seed(0)
        text = TextBag(vocabulary=300, context=8, width=8)
        made = DualEncoder(image=image(), text=text, embed_dim=8).train()
        if options.get("recompute"):
            recompute_activations(made)
        if options.get("compile"):
            compile_towers(made, options["compile"])
        torch.manual_seed(1)
        images = torch.linspace(-1, 1, 2 * 3 * 8 * 8).view(2, 3, 8, 8)
        made.image(images).pooled.square().sum().backward()
        found = {name: p.grad for name, p in made.image.named_parameters() if p.grad is not None}
        return found | dict(made.image.named_buffers())

    def vit():
        return ViTTower(channels=3, size=8, patch=4, width=8, depth=1, heads=2, dropout=0.5)

    def normalised():  # compiled but for its blocks
        return WaveletTower(dimensions=2, channels=3, widths=[4], blocks=[1], width=8)

    for image in (vit, normalised):
        plain = gradients(image)
        found = gradients(image, recompute=True, compile="aot_eager")
        assert found.keys() == plain.keys()
        for name, value in plain.items():
            assert torch.allclose(found[name], value, rtol=1e-4, atol=1e-6), (image.__name__, name)


def test_what_cannot_be_is_refused():
    bare = DualEncoder(
        image=ConvTower(dimensions=2, channels=3, widths=(4,), blocks=(0,), width=8),
        text=TextBag(vocabulary=300, context=8, width=8),
        embed_dim=4,
    )
    with pytest.raises(ConfigError, match="needs a tower of blocks"):
        recompute_activations(bare)
    with pytest.raises(ConfigError, match=r"'nothing' is no backend of torch\.compile; there are"):
        compile_towers(bare, "nothing")
    again = encoder()
    recompute_activations(again)
    with pytest.raises(ConfigError, match="take inductor or aot_eager"):
        compile_towers(again, "eager")


def test_batch_normalisation_notes_a_batch_once():
    def statistics(again):
        torch.manual_seed(0)
        image = WaveletTower(dimensions=2, channels=1, widths=[4, 8], blocks=[1, 1], width=8)
        made = DualEncoder(image=image, text=TextBag(vocabulary=300, context=16, width=8), embed_dim=8).train()
        if again:
            recompute_activations(made)
        made.encode_samples(torch.randn(4, 1, 16, 16, requires_grad=True))[0].sum().backward()
        return {name: value for name, value in made.named_buffers()}

    plain, again = statistics(False), statistics(True)
    assert plain
    assert all(torch.equal(again[name], value) for name, value in plain.items())

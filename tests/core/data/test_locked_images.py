"""A locked image tower encodes each training item once; without augmentation that changes no weight."""

from types import SimpleNamespace

import lightning.pytorch as pl
import pytest
import torch

from voxtile.data.captions import CaptionPolicy
from voxtile.data.datamodule import CorpusDataModule
from voxtile.data.draws import DrawDataset
from voxtile.data.presets.volume import VolumePreset
from voxtile.errors import ConfigError
from voxtile.models.dual import DualEncoder
from voxtile.models.image.wavelet import WaveletTower
from voxtile.models.text import TextBag
from voxtile.objectives.contrastive.contrastive import Contrastive
from voxtile.objectives.local.token_wise import TokenWise
from voxtile.training.module import ContrastiveModule
from voxtile.training.step import locked_images
from voxtile.training.step.locked_images import LockedImages
from voxtile.types import Encoded

PRESET = VolumePreset(shape=(8, 8, 8), spacing=(2.0, 2.0, 2.0))


def fit(corpus, *, cache, unit="sample", objective=None):
    """Five epochs, locked after the second; returns the module."""
    torch.manual_seed(0)
    encoder = DualEncoder(
        image=WaveletTower(dimensions=3, channels=1, widths=(4,), blocks=(1,), width=8),
        text=TextBag(vocabulary=300, context=16, width=8),
        embed_dim=4,
    )
    objectives = {"contrastive": objective or Contrastive(positives=["text"])}
    module = ContrastiveModule(encoder=encoder, objectives=objectives, lock_image_after=0.4, cache_locked=cache)
    data = CorpusDataModule(
        PRESET,
        [str(root) for root in corpus.roots],
        batch_size=4,
        unit=unit,
        captions=CaptionPolicy(unit="sentence"),
        seed=3,
    )
    run = pl.Trainer(
        max_epochs=5,
        accelerator="cpu",
        limit_val_batches=0,
        num_sanity_val_steps=0,
        enable_model_summary=False,
    )
    run.fit(module, data)
    return module


@pytest.fixture
def loaded(monkeypatch):
    """The uids of all images that are loaded, in order."""
    uids, load = [], DrawDataset._image

    def image(self, preset, entry, rng):
        if self.with_images:
            uids.append(entry.uid)
        return load(self, preset, entry, rng)

    monkeypatch.setattr(DrawDataset, "_image", image)
    return uids


def test_each_image_is_encoded_once_and_the_weights_are_those_of_encoding_it_at_every_step(
    volume_corpus, loaded, monkeypatch
):
    plain = fit(volume_corpus, cache=False).state_dict()
    loaded.clear()
    seen, encode = [], DualEncoder.encode_samples

    def count(self, images, tokens=False):
        seen.append(self.training)
        return encode(self, images, tokens)

    monkeypatch.setattr(DualEncoder, "encode_samples", count)
    module = fit(volume_corpus, cache=True)
    for name, value in module.state_dict().items():
        torch.testing.assert_close(value, plain[name], rtol=1e-4, atol=1e-6, msg=name)
    before_lock, data = 2 * module.global_step // 5, module.trainer.datamodule
    assert sum(seen) == before_lock
    assert len(loaded) <= (before_lock + 2) * data.batch_size + data._epoch_items()  # two batches were loaded ahead


def test_what_needs_more_than_a_vector_an_item_is_refused(volume_corpus):
    with pytest.raises(ConfigError, match="several images"):
        fit(volume_corpus, cache=True, unit="study")
    with pytest.raises(ConfigError, match="TokenWise needs tokens"):
        fit(volume_corpus, cache=True, objective=TokenWise())


class Batches(list):
    """Items a, b, c and d, two a batch."""

    class Two(SimpleNamespace):
        def __len__(self):
            return 2

    def __init__(self, images):
        super().__init__(self.Two(images=images[n : n + 2], uids=list("abcd"[n : n + 2])) for n in (0, 2))


def test_tokens_are_kept_by_item_and_are_what_the_tower_gives(monkeypatch):
    tower = WaveletTower(dimensions=2, channels=1, widths=(4,), blocks=(1,), width=8).eval()
    images = torch.randn(4, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    encoder = SimpleNamespace(image=tower)
    kept = LockedImages(encoder, Batches(images), torch.device("cpu"), tokens=True).of(["d", "a", "d"])
    own = tower(images[[3, 0, 3]], tokens=True)
    torch.testing.assert_close(kept.pooled, own.pooled)
    torch.testing.assert_close(kept.tokens, own.tokens)
    assert (kept.grid, kept.mask, kept.levels) == (own.grid, None, None)
    assert LockedImages(encoder, Batches(images), torch.device("cpu")).of(["b"]).tokens is None
    monkeypatch.setattr(locked_images, "_MOST_BYTES", 100)
    with pytest.raises(ConfigError, match="more than 0 GiB of tokens in memory; set it to false"):
        LockedImages(encoder, Batches(images), torch.device("cpu"), tokens=True)
    encoder.image = lambda images, tokens: Encoded(images.flatten(1))
    with pytest.raises(ConfigError, match="keeps as many tokens of every image"):
        LockedImages(encoder, Batches(images), torch.device("cpu"), tokens=True)

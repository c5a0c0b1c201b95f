"""Optical and radar tiles of one place as one study: one preset, one tower, each sample with the bands that it has."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from voxtile.corpus.identity import sample_uid
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.view.view import compile_view
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.data.batches.dataset import Draws
from voxtile.data.captions import CaptionPolicy
from voxtile.data.draws import DrawDataset
from voxtile.data.presets.tile import TileAugment, TilePreset
from voxtile.models.dual import DualEncoder
from voxtile.models.image.wavelength import C_BAND_NM, WavelengthTower
from voxtile.models.text import TextBag

OPTICAL, RADAR = ("B04", "B08", "B11"), ("VV", "VH")
PRESET = TilePreset(bands=(*OPTICAL, *RADAR), size=(8, 8), missing="fill", mean=(0.0,), std=(100.0,))


def uid_of(place, kind):
    return sample_uid(f"{place} {kind}")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Six places with an optical and a radar tile each; captions of even places name a direction."""
    root = tmp_path_factory.mktemp("pairs") / "corpus"
    new_corpus(root)
    writer = JobWriter(root, "job")
    for place in range(6):
        for kind, names in (("MSI", OPTICAL), ("SAR", RADAR)):
            uid = uid_of(place, kind)
            row = {"uid": uid, "subject": f"p{place}", "study": f"p{place}", "kind": "tile", "modality": kind}
            row |= {"axes": "CYX", "gsd_m": 10.0, "channels": [{"name": name} for name in names]}
            values = np.random.default_rng([place, len(names)]).integers(1, 500, (len(names), 8, 8)).astype(np.uint16)
            writer.add(Sample(row, values))
        text = f"Place {place} with a road along its northern edge." if place % 2 == 0 else f"Place {place} has a lake."
        caption = {"caption_id": f"c{place}", "uid": uid_of(place, "MSI"), "text": text, "kind": "raw"}
        writer.add_rows("captions", [caption])
        writer.add_rows("splits", [{"scheme": "default", "subject": f"p{place}", "split": "train"}])
    writer.publish()
    return Corpus(root)


def batch_of(corpus, preset, numbers=None):
    view = compile_view(corpus)
    dataset = DrawDataset(view, preset, CaptionPolicy(), split="train", unit="study")
    items = np.arange(6)
    return dataset, dataset.load(Draws(items, numbers))


def test_a_study_has_both_samples_with_the_missing_bands_at_their_mean(pairs):
    _, batch = batch_of(pairs, PRESET)
    assert batch.image_item.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    filled = (batch.images == 0).flatten(2).all(2)
    assert sorted({tuple(row.tolist()) for row in filled}) == [
        (False, False, False, True, True),
        (True, True, True, False, False),
    ]
    assert len(batch.texts) == 6


def test_one_tower_encodes_the_pair_and_the_study_is_their_mean(pairs):
    torch.manual_seed(0)
    tower = WavelengthTower(
        wavelengths_nm=[665, 833, 1614, C_BAND_NM, C_BAND_NM],
        polarisations=["", "", "", "VV", "VH"],
        widths=[8],
        blocks=[1],
        features=8,
        width=16,
    )
    encoder = DualEncoder(image=tower, text=TextBag(vocabulary=300, context=8, width=8), embed_dim=12).eval()
    _, batch = batch_of(pairs, PRESET)
    single, _ = encoder.encode_samples(batch.images)
    study, _ = encoder.encode_items(batch.images, batch.image_item, 6)
    by_hand = functional.normalize(single.view(6, 2, -1).mean(1), dim=1)
    torch.testing.assert_close(study, by_hand)
    assert (single[0] - single[1]).abs().max() > 1e-3


def test_tiles_stay_upright_under_texts_that_name_a_direction(pairs):
    turning = TilePreset(
        bands=(*OPTICAL, *RADAR), size=(8, 8), missing="fill", std=(100.0,), augment=TileAugment(flip=0.5, turn=True)
    )
    _, plain = batch_of(pairs, turning)
    turned = set()
    for start in range(0, 60, 6):
        _, batch = batch_of(pairs, turning, np.arange(start, start + 6))
        for image, (item, still) in enumerate(zip(batch.image_item.tolist(), plain.images, strict=True)):
            same = torch.equal(batch.images[image], still)
            if "northern" in batch.texts[item]:
                assert same
            elif not same:
                turned.add(item)
    assert turned == {item for item, text in enumerate(plain.texts) if "lake" in text}

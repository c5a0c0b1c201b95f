"""Stains: known mixtures are found again, augmentation is keyed and neutral at zero, scores land in the table."""

import numpy as np
import pytest
import torch
from PIL import Image

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.data.presets.load import preset_from_config
from voxtile.errors import InputError, PresetError
from voxtile_pathology.stain.augment import StainAugment
from voxtile_pathology.stain.density import RUIFROK, density, light
from voxtile_pathology.stain.estimate import macenko, reinhard, vahadane
from voxtile_pathology.stain.preset import HistologyPreset
from voxtile_pathology.stain.scores import score_stain

pytest.importorskip("torchstain")

LABORATORIES = {
    "macenko": np.array([[0.56, 0.72, 0.41], [0.22, 0.80, 0.56]]),
    "pink": np.array([[0.55, 0.76, 0.35], [0.25, 0.95, 0.26]]),
    "blue": np.array([[0.75, 0.62, 0.22], [0.30, 0.85, 0.42]]),
}


def mixture(vectors, seed=0, side=64):
    """A patch of nuclei (mostly haematoxylin), stroma (mostly eosin) and both."""
    rng = np.random.default_rng(seed)
    vectors = np.asarray(vectors) / np.linalg.norm(vectors, axis=1, keepdims=True)
    h = np.where(rng.random((side, side)) < 0.45, rng.uniform(0.6, 1.6, (side, side)), 0.0)
    e = np.where((h == 0) | (rng.random((side, side)) < 0.2), rng.uniform(0.8, 1.3, (side, side)), 0.0)
    densities = h[..., None] * vectors[0] + e[..., None] * vectors[1]
    return np.clip(np.rint(light(densities)), 0, 255).astype(np.uint8), vectors


def degrees(a, b):
    return np.degrees(np.arccos(np.clip((a * b).sum(axis=1), -1, 1)))


@pytest.mark.parametrize(
    ("method", "laboratory", "tolerance"), [*((macenko, name, 3) for name in LABORATORIES), (vahadane, "blue", 6)]
)
def test_known_stains_are_found(method, laboratory, tolerance):
    pixels, vectors = mixture(LABORATORIES[laboratory])
    stains = method(pixels)
    assert degrees(stains.vectors, vectors).max() < tolerance
    assert stains.vectors[0, 0] > stains.vectors[1, 0]  # haematoxylin first
    assert 1.3 < stains.strongest[0] < 1.9
    assert 0.9 < stains.strongest[1] < 1.5


@pytest.mark.parametrize("method", [macenko, vahadane])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_without_tissue_there_is_no_estimate(method, value):
    assert method(np.full((64, 64, 3), value, np.uint8)) is None


def test_reinhards_statistics_of_colours_with_known_lab():
    # CIE L*a*b* (D65) of sRGB red and green, from any colour table.
    red, green = np.array([53.24, 80.09, 67.20]), np.array([87.73, -86.18, 83.18])
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[:16, :, 0] = pixels[16:, :, 1] = 255
    lab = reinhard(pixels)
    np.testing.assert_allclose(lab.mean, (red + green) / 2, atol=0.1)
    np.testing.assert_allclose(lab.deviation, np.abs(red - green) / 2, atol=0.1)


@pytest.mark.parametrize("method", ["ruifrok", "macenko", "vahadane", "reinhard"])
def test_augmentation_is_keyed_and_neutral_at_zero(method):
    pixels, _ = mixture(LABORATORIES["pink"], side=32)
    change = StainAugment(method)
    first = change(pixels, np.random.default_rng(1))
    np.testing.assert_array_equal(first, change(pixels, np.random.default_rng(1)))
    assert (first != change(pixels, np.random.default_rng(2))).mean() > 0.2
    assert first.dtype == np.uint8
    assert first.shape == pixels.shape
    neutral = StainAugment(method, scale=0, shift=0)(pixels, np.random.default_rng(1))
    assert np.abs(neutral.astype(int) - pixels).max() <= 1
    assert StainAugment(method, probability=0)(pixels, np.random.default_rng(1)) is pixels


def test_augmentation_scales_the_amount_of_each_stain():
    pixels, vectors = mixture(RUIFROK)
    amounts = {}
    for seed in range(20):
        changed = StainAugment("ruifrok", scale=0.3, shift=0)(pixels, np.random.default_rng(seed))
        rng = np.random.default_rng(seed)
        rng.random()
        expected = 1 + 0.3 * rng.uniform(-1, 1, 6)[:2]
        before, after = (density(p) @ np.linalg.pinv(vectors) for p in (pixels, changed))
        clear = (changed.reshape(-1, 3).min(axis=1) > 8) & (before.min(axis=1) > 0.4)
        amounts[seed] = np.abs(np.median(after[clear] / before[clear], axis=0) - expected).max()
    assert max(amounts.values()) < 0.03


def test_glass_stays_glass():
    white = np.full((32, 32, 3), 255, np.uint8)
    np.testing.assert_array_equal(StainAugment("ruifrok")(white, np.random.default_rng(0)), white)
    assert StainAugment("macenko")(white, np.random.default_rng(0)) is white


def png(pixels):
    import io

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


class Source:
    meta = {"kind": "patch", "axes": "YXC", "codec": "png", "shape": [64, 64, 3]}  # noqa: RUF012

    def encoded(self):
        return png(mixture(RUIFROK)[0])


def test_the_preset_changes_stains_only_in_training_and_survives_a_checkpoint():
    preset = HistologyPreset(size=(48, 48), stain={"method": "macenko"}, augment={"crop": "none"})
    again = preset_from_config(preset.to_config())
    assert again == preset
    plain = HistologyPreset(size=(48, 48), augment={"crop": "none"})
    assert torch.equal(preset(Source(), None), plain(Source(), None))
    drawn = preset(Source(), np.random.default_rng(0))
    assert drawn.shape == (3, 48, 48)
    assert torch.equal(drawn, again(Source(), np.random.default_rng(0)))
    assert not torch.equal(drawn, plain(Source(), np.random.default_rng(0)))
    with pytest.raises(PresetError, match="not one of none, ruifrok"):
        HistologyPreset(stain={"method": "sepia"})
    with pytest.raises(PresetError, match="channels: 3"):
        HistologyPreset(stain={"method": "ruifrok"}, channels=1, mean=(0.5,), std=(0.5,))


def test_scores_of_a_corpus(tmp_path):
    new_corpus(tmp_path)
    writer = JobWriter(tmp_path, "made-by-hand")
    patches = {"a": mixture(LABORATORIES["blue"])[0], "b": np.full((64, 64, 3), 255, np.uint8)}
    for uid, pixels in patches.items():
        writer.add(Sample({"uid": uid, "subject": uid, "kind": "patch", "axes": "YXC"}, png(pixels)))
    grey = {"uid": "c", "subject": "c", "kind": "image", "axes": "YX"}
    writer.add(Sample(grey, np.zeros((8, 8), np.uint8)))
    writer.publish()
    score_stain(tmp_path, engine="inline")
    score_stain(tmp_path, method="reinhard", engine="inline")
    score_stain(tmp_path, engine="inline")  # a second run adds nothing
    scores = Corpus(tmp_path).table("scores").to_pylist()
    mine = {row["name"]: row["value"] for row in scores if row["producer"] == "stain-macenko@1"}
    assert len([row for row in scores if row["producer"] == "stain-macenko@1"]) == 8
    stains = macenko(patches["a"])
    found = [mine[f"{stain}_{c}"] for stain in ("haematoxylin", "eosin") for c in ("red", "green", "blue")]
    np.testing.assert_allclose(found, stains.vectors.ravel())
    assert {row["uid"] for row in scores if row["producer"] == "stain-reinhard@1"} == {"a", "b"}


def test_a_corpus_without_colour_is_refused(tmp_path):
    new_corpus(tmp_path)
    with pytest.raises(InputError, match="no colour pictures"):
        score_stain(tmp_path, engine="inline")

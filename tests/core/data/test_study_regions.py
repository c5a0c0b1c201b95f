"""Regions of whole studies: masks of samples on grids of their own lie on the study's grid as their pixels do."""

import numpy as np
import pytest
import torch

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Mask, Sample
from voxtile.corpus.view.view import compile_view
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.data.batches.dataset import Draws
from voxtile.data.captions import CaptionPolicy
from voxtile.data.draws import DrawDataset
from voxtile.data.presets.image import ImagePreset
from voxtile.data.presets.study import RoleVolume, StudyPreset
from voxtile.data.regions.policy import RegionPolicy
from voxtile.data.regions.regions import RegionDraws
from voxtile.errors import ConfigError

STUDIES, BRIGHT = 4, 1000
GRIDS = {"CT": ((24, 30, 36), (2.0, 1.5, 1.5)), "PT": ((13, 16, 15), (4.0, 3.1, 3.7))}
PRESET = StudyPreset(
    roles={role: RoleVolume(windows=((0.0, float(BRIGHT)),)) for role in ("ct", "pt")},
    shape=(10, 12, 14),
    spacing=(4.0, 4.0, 3.5),
    value_range=(0.0, 1.0),
    shift=(2, 2, 3),
    flip=("x", "z"),
)


def affine(spacing, origin):
    z, y, x = spacing
    return [x, 0, 0, origin[0], 0, y, 0, origin[1], 0, 0, z, origin[2], 0, 0, 0, 1]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """CT and PET of each study, the PET off the CT's corner; the bright voxels of each are the masks of its regions."""
    root = tmp_path_factory.mktemp("studies") / "corpus"
    new_corpus(root)
    writer, rng = JobWriter(root, "made"), np.random.default_rng(0)
    for number in range(STUDIES):
        for part, (modality, (shape, spacing)) in enumerate(GRIDS.items()):
            uid, values = f"{number:016x}{part:016x}", np.zeros(shape, np.int16)
            low = [int(rng.integers(size // 4, size // 2)) for size in shape]
            values[tuple(slice(a, a + size // 4) for a, size in zip(low, shape, strict=True))] = BRIGHT
            origin = rng.uniform(-30, 30, 3) if modality == "CT" else origin + rng.uniform(-3, 3, 3)  # noqa: F821
            row = {"uid": uid, "subject": f"p{number}", "study": f"s{number}", "kind": "volume", "modality": modality}
            row |= {"axes": "ZYX", "units": "a.u.", "spacing": list(spacing), "affine": affine(spacing, origin)}
            writer.add(Sample(row, values))
            for phrase in ("lesion", f"left {modality.lower()} focus"):
                region = {
                    "region_id": f"{uid[-9:]}{number}{phrase.replace(chr(32), chr(45))}",
                    "uid": uid,
                    "phrase": phrase,
                }
                writer.add_mask(Mask(region | {"source": f"{modality.lower()}@1"}, values > 0))
            sure = {"name": f"sureness/{uid[-9:]}{number}lesion", "value": 0.5 + part / 4, "producer": "made@1"}
            writer.add_rows("scores", [{"uid": uid} | sure])
            writer.add_rows("facts", [{"uid": uid, "concept": "cyst", "polarity": "absent", "source": "reports@1"}])
        writer.add_rows("regions", [{"region_id": f"c{number}", "uid": f"{99:032x}", "phrase": "right cyst"}])
        writer.add_rows("splits", [{"scheme": "default", "subject": f"p{number}", "split": "train"}])
    writer.publish()
    return Corpus(root)


def dataset(corpus, preset=PRESET, unit="study", **policy):
    view = compile_view(corpus)
    draws = RegionDraws(corpus, RegionPolicy(**policy), preset, view.concepts)
    return DrawDataset(view, preset, CaptionPolicy(), unit=unit, split="train", regions=draws)


def test_masks_of_every_sample_lie_where_its_pixels_lie_in_every_draw(corpus):
    data, moved = dataset(corpus, present=3), []
    for start in range(0, 40, STUDIES):
        batch = data.load(Draws(np.arange(STUDIES), np.arange(STUDIES) + start))
        assert sorted(set(batch.regions.phrases)) == ["left ct focus", "left pt focus", "lesion", "right cyst"]
        for phrase, item, mask in zip(batch.regions.phrases, batch.regions.item, batch.regions.masks, strict=True):
            ct, pt = batch.images[item]
            shown = {"left ct focus": ct, "left pt focus": pt, "lesion": torch.maximum(ct, pt)}
            expected = shown.get(phrase, torch.zeros_like(ct))
            assert (mask - expected).abs().max() < 0.01  # bytes and half precision
            assert bool(mask.any()) == (phrase in shown)
        moved.append(batch.regions.masks[0])
    assert len({tuple(mask.flatten().tolist()) for mask in moved}) > 3, "the draws must move"


def test_a_region_counts_by_its_source_and_by_its_own_score(corpus):
    def weights(**policy):
        batch = dataset(corpus, phrases=("lesion",), absent=0, **policy).load(Draws(np.arange(STUDIES), None))
        return batch.regions.weight.tolist()

    assert weights() == [1.0] * STUDIES
    # Of the regions that a phrase joins the least certain counts: the CT's.
    assert weights(confidence_score="sureness") == [0.5] * STUDIES
    assert weights(confidence_score="sureness", sources=("pt",)) == [0.75] * STUDIES
    assert weights(confidence_score="sureness", sources=("pt",), confidence={"pt": 0.4}) == pytest.approx([0.3] * 4)
    with pytest.raises(ConfigError, match="no score 'certainty' of a region"):
        weights(confidence_score="certainty")


def test_a_phrase_with_a_side_is_denied_by_the_finding_without_it(corpus):
    data = dataset(corpus)
    batch = data.load(Draws(np.arange(STUDIES), None))
    assert batch.regions.phrases.count("right cyst") == STUDIES
    assert "cyst" in batch.fact_names


def test_masks_need_one_image_an_item(corpus):
    with pytest.raises(ConfigError, match="masks lie on one image"):
        dataset(corpus, preset=ImagePreset(size=(8, 8)))

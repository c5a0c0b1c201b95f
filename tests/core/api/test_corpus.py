"""`voxtile.open_corpus` against what was put into the corpora."""

import pickle

import numpy as np
import pytest
import torch
from tests.core.api.conftest import VOLUMES, volumes

import voxtile
from voxtile.corpus.identity import sample_uid
from voxtile.errors import ConfigError, CorpusError, PresetError


def test_samples_have_physical_values_geometry_facts_and_captions(ct_corpus):
    corpus = voxtile.open_corpus(ct_corpus)
    samples = {sample.uid: sample for sample in corpus}
    assert len(corpus) == len(samples) == 6
    for n, values in enumerate(volumes()):
        sample = samples[sample_uid(f"ct {n}")]
        assert (sample.kind, sample.modality, sample.units) == ("volume", "CT", "HU")
        np.testing.assert_array_equal(sample.image, values.astype(np.float32))
        assert sample.geometry.spacing_mm == (3.0, 2.0, 1.5)
        np.testing.assert_array_equal(sample.geometry.affine, np.diag([1.5, 2.0, 3.0, 1.0]))
        assert sample.geometry.shape == (6, 12, 10)
        assert [(f.concept, f.polarity) for f in sample.facts] == [("nodule", "present" if n % 2 else "absent")]
        assert [c.text for c in sample.captions] == [f"nodule of subject {n}", f"no effusion in {n}"]
        assert [(f.attributes, f.code) for f in sample.facts] == [({"laterality": "left"}, "SCT:1")]
        assert sample.uid in corpus
        assert sample in corpus
    assert sample_uid("ct 6") not in corpus
    assert 0 not in corpus
    judged = samples[sample_uid("ct 2")].captions[1]
    assert judged.verdict == "contradicted"  # by version 1.10, which is newer than 1.9
    assert corpus[judged_uid := sample_uid("ct 2")].uid == judged_uid


def test_a_tile_has_reflectance_by_band_and_nan_where_it_has_no_value(tile_corpus):
    [sample] = voxtile.open_corpus(str(tile_corpus))
    stored = np.arange(3 * 40 * 40, dtype=np.float64).reshape(3, 40, 40) + 1
    expected = stored * np.array([1e-4, 2e-4, 3e-4])[:, None, None] + np.array([0, -0.1, -0.2])[:, None, None]
    expected[:, :4, :4] = np.nan
    np.testing.assert_allclose(sample.image, expected, rtol=1e-5, atol=1e-6)
    assert sample.channels == ["B02", "B03", "B04"]
    assert (sample.geometry.gsd_m, sample.geometry.crs) == (10.0, "EPSG:32635")
    assert sample.geometry.bounds == (0.0, 0.0, 400.0, 400.0)
    assert sample.geometry.spacing_mm is None


def test_several_corpora_are_one(ct_corpus, tile_corpus):
    corpus = voxtile.open_corpus([tile_corpus, ct_corpus])
    kinds = [sample.kind for sample in corpus]
    assert kinds == ["tile", *["volume"] * 6]
    assert [len(sample.captions) for sample in corpus] == [0, *[2] * 6]
    assert next(iter(corpus)).image.shape == (3, 40, 40)


@pytest.mark.parametrize("workers", [0, 2])
def test_the_dataset_gives_what_the_preset_makes_of_each_sample(ct_corpus, workers):
    corpus = voxtile.open_corpus(ct_corpus)
    dataset = corpus.dataset(preset=VOLUMES)
    assert len(dataset) == 6
    loader = torch.utils.data.DataLoader(dataset, 4, collate_fn=dataset.collate, num_workers=workers)
    batches = list(loader)
    images = torch.cat([batch["image"] for batch in batches])
    assert images.shape == (6, 1, 8, 8, 8)
    uids = [uid for batch in batches for uid in batch["uid"]]
    for uid, image in zip(uids, images, strict=True):
        torch.testing.assert_close(image, dataset.preset(corpus[uid].source, None))
    first = batches[0]
    owned = [[t for t, o in zip(first["texts"], first["owner"].tolist(), strict=True) if o == k] for k in range(4)]
    kept = [[c.text for c in corpus[uid].captions if c.verdict != "contradicted"] for uid in first["uid"]]
    assert owned == kept
    assert dataset.fact_names == ("nodule",)
    known = {sample_uid(f"ct {n}"): n % 2 for n in range(6)}
    assert [int(f) for batch in batches for f in batch["facts"][:, 0]] == [known[uid] for uid in uids]


def test_the_dataset_can_be_narrowed_pickled_and_indexed(ct_corpus):
    corpus = voxtile.open_corpus(ct_corpus)
    test = corpus.dataset(preset=VOLUMES, split="test", texts=1)
    assert {test[k]["uid"] for k in range(len(test))} == {sample_uid("ct 2"), sample_uid("ct 5")}
    assert [len(item["texts"]) for item in test] == [1, 1]
    assert torch.equal(pickle.loads(pickle.dumps(test))[-1]["image"], test[1]["image"])
    assert len(corpus.dataset(preset=VOLUMES, where="study = 't1'")) == 1


def test_a_corpus_stays_the_one_that_was_opened_when_the_current_folder_changes(ct_corpus, tmp_path, monkeypatch):
    monkeypatch.chdir(ct_corpus.parent)
    corpus = voxtile.open_corpus(ct_corpus.name)
    wanted = {sample.uid: sample.image for sample in voxtile.open_corpus(ct_corpus)}
    monkeypatch.chdir(tmp_path)
    assert all(np.array_equal(corpus[uid].image, image) for uid, image in wanted.items())
    assert len(corpus.dataset(preset=VOLUMES)) == len(corpus) == 6
    assert not any(tmp_path.iterdir())


def test_what_cannot_be_loaded_is_one_sentence(ct_corpus, tile_corpus, tmp_path):
    with pytest.raises(CorpusError, match="is not a corpus"):
        voxtile.open_corpus(tmp_path)
    with pytest.raises(CorpusError, match="no sample has the uid 'x'"):
        voxtile.open_corpus(ct_corpus)["x"]
    with pytest.raises(CorpusError, match="a sample is named by its uid, a text, not by 0"):
        voxtile.open_corpus(ct_corpus)[0]
    with pytest.raises(CorpusError, match="is not a corpus"):
        voxtile.open_corpus(__file__)
    with pytest.raises(ConfigError, match="None is no preset"):
        voxtile.open_corpus(ct_corpus).dataset(preset=None)
    with pytest.raises(PresetError, match="this model reads volumes"):
        voxtile.open_corpus(tile_corpus).dataset(preset=VOLUMES)
    with pytest.raises(ConfigError, match="no config named 'medical/nothing'"):
        voxtile.open_corpus(ct_corpus).dataset(preset="medical/nothing")

"""Vectors of CT volumes and Sentinel-2 tiles, by the command, and what curation does with them."""

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.data.presets.load import preset_from_config
from voxtile.inference.load import load_model
from voxtile.training.checkpoint import AtomicCheckpointIO
from voxtile.training.module import ContrastiveModule

pytestmark = pytest.mark.sweep(ci=True)  # the suite has test_embed.py of the core
TEXT = {"class_path": "voxtile.models.TextBag", "init_args": {"vocabulary": 300, "width": 12}}
MADE = {
    "ct": (
        "dicom",
        {
            "class_path": "voxtile.data.VolumePreset",
            "init_args": {"shape": [16, 16, 16], "spacing": [8.0, 8.0, 8.0], "windows": [[-160.0, 240.0]]},
        },
    ),
    "sentinel2": (
        "geotiff",
        {
            "class_path": "voxtile.data.TilePreset",
            "init_args": {"size": [32, 32], "bands": ["B02", "B04|red", "B08"], "units": "reflectance"},
        },
    ),
}


def run(*line):
    return main([str(word) for word in line])


def checkpoint(path, preset):
    """A random model that reads what a preset makes."""
    reads = preset_from_config(preset)
    torch.manual_seed(0)
    dimensions, channels = len(reads.grid), reads.channels
    image = {
        "class_path": "voxtile.models.ConvTower",
        "init_args": {"channels": channels, "dimensions": dimensions, "widths": [4, 8], "blocks": [1, 1]},
    }
    objectives = {"contrastive": {"class_path": "voxtile.objectives.Contrastive"}}
    module = ContrastiveModule.from_config(
        {"encoder": {"image": image, "text": TEXT, "embed_dim": 8}, "objectives": objectives}
    )
    module.encoder.text.tokenizer.train(["a nodule", "a river beside a field"])
    module.setup_objectives(())
    module.preset_config = preset
    content = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(content)
    AtomicCheckpointIO().save_checkpoint(content, path)
    return path


@pytest.fixture(scope="module", params=MADE)
def embedded(request, tmp_path_factory):
    """A phantom corpus of 22 training subjects with captions, embedded by the command."""
    folder, (converted, preset) = tmp_path_factory.mktemp(request.param), MADE[request.param]
    raw, corpus, model = folder / "raw", folder / "corpus", checkpoint(folder / "tiny.ckpt", preset)
    assert run("phantom", request.param, raw, "--n", 22) == 0
    how = ["--engine", "inline", "--split-fractions", "1,0,0"]
    if converted == "dicom":
        assert run("convert", "dicom", raw, corpus, *how, "--reports", raw / "reports.csv") == 0
        assert run("embed", corpus, model) == 0
    else:
        assert (
            run("convert", "geotiff", raw / "scenes", corpus, *how, "--no-previews", "--bands", "B02,B04,B08,B11") == 0
        )
        assert run("facts", corpus, "--from", "metadata", "--engine", "inline") == 0
        assert run("caption", corpus, "--provider", "template", "--engine", "inline") == 0
        assert run("embed", corpus, model, "--where", "gsd_m = 10") == 0
    return corpus, model, preset


def stored(corpus):
    """[n] uids and [n, D] normalised vectors, in the order of the uids."""
    found = {row["uid"]: row["vector"] for row in Corpus(corpus).table("embeddings").to_pylist()}
    values = np.array([found[uid] for uid in sorted(found)], np.float64)
    return sorted(found), values / np.linalg.norm(values, axis=1, keepdims=True)


def scores(corpus, name):
    return {row["uid"]: row["value"] for row in Corpus(corpus).table("scores").to_pylist() if row["name"] == name}


def chosen(corpus, view):
    return {row["uid"] for row in pq.read_table(corpus / "views" / f"{view}.selection/selection.parquet").to_pylist()}


def test_vectors_are_those_of_the_model(embedded):
    corpus, model, preset = embedded
    store, own, prepared = Corpus(corpus), load_model(str(model)), preset_from_config(preset)
    found = {row["uid"]: np.array(row["vector"], np.float32) for row in store.table("embeddings").to_pylist()}
    rows = [row for row in store.table("samples", with_root=True).to_pylist() if row["gsd_m"] in (None, 10)]
    assert set(found) == {row["uid"] for row in rows}
    assert len(rows) >= 20
    for row in rows[:5]:
        expected = own.encode_images(prepared(store.source(row), None)[None])[0].numpy()
        np.testing.assert_allclose(found[row["uid"]], expected, atol=2e-3)
    assert np.ptp(np.stack(list(found.values())), axis=0).max() > 0.01


def test_clip_scores_are_cosines_of_captions_with_their_samples(embedded):
    corpus, model, _ = embedded
    assert run("score", corpus, "--from", "clip", "--model", model) == 0
    names, vectors = stored(corpus)
    own, by_caption = load_model(str(model)), {}
    for row in Corpus(corpus).table("captions").to_pylist():
        if row["uid"] in names:
            text = own.encode_texts([row["text"]])[0].numpy()
            by_caption[row["caption_id"]] = float(vectors[names.index(row["uid"])] @ text)
    found = scores(corpus, "clip")  # by caption
    assert found == pytest.approx(by_caption, abs=2e-3)
    assert len(found) >= 20


def test_a_learned_filter_reads_them(embedded):
    corpus, _, _ = embedded
    names, vectors = stored(corpus)
    middle = names[len(names) // 2]
    assert run("score", corpus, "--from", "learned", "--good", f"uid < '{middle}'") == 0
    good = np.array([name < middle for name in names])
    fitted = LogisticRegression(max_iter=1000, class_weight="balanced").fit(vectors, good)
    expected = dict(zip(names, fitted.predict_proba(vectors)[:, 1].tolist(), strict=True))
    assert scores(corpus, "learned") == pytest.approx(expected, abs=5e-3)


def test_duplicates_and_clusters_are_found_by_them(embedded):
    corpus, _, _ = embedded
    names, vectors = stored(corpus)
    cosines = vectors @ vectors.T
    least = float(np.quantile(cosines[np.triu_indices(len(names), 1)], 0.7))
    assert run("curate", corpus, "--view", "few", "--dedup", f"embedding:{least}") == 0
    kept = chosen(corpus, "few") & set(names)
    assert 1 <= len(kept) < len(names)
    places = [names.index(name) for name in kept]
    assert (cosines[np.ix_(places, places)] - 2 * np.eye(len(places))).max() < least + 1e-3  # no two of them are alike
    gone = [place for place in range(len(names)) if place not in places]
    assert cosines[np.ix_(gone, places)].max(1).min() > least - 1e-3  # and what went was like one that stayed
    assert run("curate", corpus, "--view", "near", "--clusters", 3, "--per-cluster", 1) == 0
    assert 1 <= len(chosen(corpus, "near") & set(names)) <= 3


def test_samples_that_the_model_does_not_take_are_refused_with_what_to_do(embedded, capsys):
    corpus, model, preset = embedded
    if preset["class_path"].endswith("VolumePreset"):
        pytest.skip("all volumes are of one kind")
    assert run("embed", corpus, model) == 2
    said = capsys.readouterr().err
    assert "needs the band B02" in said
    assert "--where" in said

"""ONNX exports: onnxruntime gives the checkpoint's numbers for any tower, and 8 bits state what they lose."""

import json
import shutil

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from onnx import numpy_helper
from tests.core.export import text_folders
from tokenizers import Tokenizer

from voxtile.cli.main import main
from voxtile.errors import ConfigError, ExportError
from voxtile.export import command
from voxtile.export.command import export_onnx
from voxtile.export.comparison import loss_of
from voxtile.export.onnx import _means_over_cells
from voxtile.export.source import Embedded, read_probes
from voxtile.inference.load import load_model

VOLUMES = {
    "class_path": "voxtile.data.VolumePreset",
    "init_args": {"shape": [8, 10, 12], "spacing": [3, 3, 3], "windows": [[-1000, 400], [-160, 240]], "units": "HU"},
}
WAVELETS = {"widths": [8], "blocks": [1], "width": 16}


def wavelets(dimensions, channels, cells, **more):
    arguments = {"dimensions": dimensions, "channels": channels, "cells": cells, **WAVELETS, **more}
    return {"class_path": "voxtile.models.WaveletTower", "init_args": arguments}


def graph(folder, name):
    return onnxruntime.InferenceSession(folder / f"{name}.onnx", providers=["CPUExecutionProvider"])


def test_a_volume_model_answers_as_its_checkpoint_also_in_batches_of_other_sizes(tmp_path, volumes, save, bag):
    """Cells that do not divide the grid, batch statistics, a fact head; texts of other lengths; 8 bits beside it."""
    checkpoint = save(wavelets(3, 2, [3, 3, 5], mix=6, bins=4), bag, VOLUMES, facts=("effusion", "nodule"))
    out = tmp_path / "out"
    export_onnx(checkpoint, out, corpus=volumes, samples=4, int8=True)
    model = load_model(str(checkpoint))
    images = read_probes(volumes, model.preset, 5).images
    for batch in (images[:1], images):
        embeddings, facts = graph(out, "image").run(["embeddings", "facts"], {"images": batch.numpy()})
        np.testing.assert_allclose(embeddings, model.encode_images(batch), atol=1e-5)
        np.testing.assert_allclose(facts, model.fact_logits(batch).sigmoid(), atol=1e-5)
    texts = ["nodule", "a much longer text on an effusion of the left side", "x"]
    tokenizer = Tokenizer.from_file(str(out / "tokenizer.json"))
    tokens = np.array([e.ids for e in tokenizer.encode_batch(texts)], np.int64)
    (embeddings,) = graph(out, "text").run(None, {"tokens": tokens})
    np.testing.assert_allclose(embeddings, model.encode_texts(texts), atol=1e-5)
    settings = json.loads((out / "voxtile.json").read_text())
    assert settings["facts"] == ["effusion", "nodule"]
    assert max(settings["compared"][part] for part in ("image", "text", "scale", "facts")) < 1e-5
    again = load_model(str(out))
    torch.testing.assert_close(again.encode_texts(texts), model.encode_texts(texts), atol=1e-5, rtol=0)
    torch.testing.assert_close(again.fact_logits(images), model.fact_logits(images), atol=1e-4, rtol=1e-4)
    assert again.fact_names == model.fact_names
    assert again.logit_scale == pytest.approx(model.logit_scale)
    assert again.preset.to_config() == model.preset.to_config()
    small = load_model(f"{out}:int8")
    assert 1e-6 < (small.encode_texts(texts) - again.encode_texts(texts)).abs().max() < 0.1
    (quantised,) = graph(out, "text.int8").run(None, {"tokens": tokens})
    assert 1e-6 < np.abs(quantised - embeddings).max() < 0.1
    assert 0.98 < settings["int8"]["text_cosine"] < 1
    assert f"{settings['int8']['text_cosine']:.4f}" in (out / "README.md").read_text()
    assert (out / "text.int8.onnx").stat().st_size < (out / "text.onnx").stat().st_size


@pytest.mark.sweep
@pytest.mark.parametrize("text", ["TextBag", "TextTransformer"])
def test_bands_and_both_small_text_towers(tmp_path, bands, save, text):
    preset = {
        "class_path": "voxtile.data.TilePreset",
        "init_args": {"bands": [f"B{n}" for n in range(5)], "size": [32, 32], "mean": [0.2], "std": [0.1]},
    }
    tower = {"class_path": f"voxtile.models.text.{text}", "init_args": {"vocabulary": 300, "context": 16, "width": 12}}
    export_onnx(save(wavelets(2, 5, [5, 6]), tower, preset), tmp_path / "out", corpus=bands, samples=3)
    compared = json.loads((tmp_path / "out" / "voxtile.json").read_text())["compared"]
    assert max(compared["image"], compared["text"]) < 1e-5
    settings = json.loads((tmp_path / "out" / "voxtile.json").read_text())
    about = {"kind": "tokenizers", "file": "tokenizer.json", "padding": 0, "context": 16, "longest_text": 512}
    assert about.items() <= settings["tokenizer"].items()
    assert (tmp_path / "out" / "tokenizer.json").is_file()


def vit(**arguments):
    return {
        "class_path": "voxtile.models.ViTTower",
        "init_args": {"width": 24, "depth": 2, "heads": 2, **arguments},
    }


@pytest.mark.sweep
@pytest.mark.parametrize(
    ("more", "channels"),
    [
        ({"position": "sincos", "slice_blocks": [0], "pooling": "attention", "spacing": [3, 3, 3]}, 2),
        ({"pooling": "cls", "registers": 2, "layer_scale": 0.1}, 2),
    ],
)
def test_vits_of_volumes(tmp_path, volumes, save, bag, more, channels):
    tower = vit(dimensions=3, channels=channels, size=[8, 10, 12], patch=[2, 5, 6], **more)
    export_onnx(save(tower, bag, VOLUMES), tmp_path / "out", corpus=volumes, samples=3)
    assert json.loads((tmp_path / "out" / "voxtile.json").read_text())["compared"]["image"] < 1e-5


@pytest.mark.sweep
def test_vits_of_any_bands(tmp_path, bands, save, bag):
    preset = {
        "class_path": "voxtile.data.TilePreset",
        "init_args": {"bands": [f"B{n}" for n in range(5)], "size": [32, 32], "mean": [0.2], "std": [0.1]},
    }
    tower = vit(size=32, patch=8, wavelengths_nm=[443, 490, 560, 665, 842])
    export_onnx(save(tower, bag, preset), tmp_path / "out", corpus=bands, samples=3)
    assert json.loads((tmp_path / "out" / "voxtile.json").read_text())["compared"]["image"] < 1e-4


@pytest.mark.sweep
def test_open_clip_towers(tmp_path, pictures, save, clip_towers, picture_preset):
    checkpoint = save(*clip_towers(), picture_preset)
    export_onnx(checkpoint, tmp_path / "out", corpus=pictures, samples=3)
    compared = json.loads((tmp_path / "out" / "voxtile.json").read_text())["compared"]
    assert max(compared["image"], compared["text"]) < 1e-5
    ours, exported = load_model(str(checkpoint)), load_model(str(tmp_path / "out"))
    for texts in (LONG, ["a nodule"]):  # the graph's length is fixed, however short the texts are
        torch.testing.assert_close(exported.encode_texts(texts), ours.encode_texts(texts), atol=1e-5, rtol=0)


CONV = {
    "class_path": "voxtile.models.image.conv.ConvTower",
    "init_args": {"dimensions": 2, "channels": 3, "widths": [8], "blocks": [1], "width": 8},
}
LONG = ["a nodule", "no effusion; “LEFT” lung, naïve", "nodule " * 60, ""]


def hugging_face(folder, context=24, **options):
    return {
        "class_path": "voxtile.models.hub.transformers.HuggingFaceText",
        "init_args": {"name": str(folder), "pretrained": False, "context": context, **options},
    }


@pytest.mark.sweep(ci=True)
@pytest.mark.parametrize("kind", ["bert", pytest.param("roberta", marks=pytest.mark.sweep)])
def test_a_hugging_face_text_goes_from_words_to_embeddings_with_the_folder_alone(
    tmp_path, pictures, save, picture_preset, kind, capsys
):
    (tmp_path / "text").mkdir()
    tower = hugging_face(getattr(text_folders, kind)(tmp_path / "text"), pooling="mean")
    checkpoint = save(CONV, tower, picture_preset)
    out = tmp_path / "out"
    assert main(["export", str(checkpoint), str(out), "--to", "onnx", "--corpus", str(pictures), "--samples", "4"]) == 0
    assert "tokenizer" not in capsys.readouterr().out
    wanted = load_model(str(checkpoint)).encode_texts(LONG)
    own = Tokenizer.from_file(str(out / "tokenizer.json"))
    tokens = np.array([encoding.ids for encoding in own.encode_batch(LONG)], np.int64)
    assert tokens.shape == (4, 24)
    (embeddings,) = graph(out, "text").run(["embeddings"], {"tokens": tokens})
    np.testing.assert_allclose(embeddings, wanted, atol=1e-5)
    shutil.rmtree(tmp_path / "text")  # nobody needs it any more
    torch.testing.assert_close(load_model(str(out)).encode_texts(LONG), wanted, atol=1e-5, rtol=0)
    settings = json.loads((out / "voxtile.json").read_text())["tokenizer"]
    assert (settings["context"], settings["padding_side"], settings["padding"]) == (24, "right", 0)
    card = (out / "README.md").read_text()
    assert 'tokenizers.Tokenizer.from_file("FOLDER/tokenizer.json")' in card
    assert "texts are cut at 24 tokens; padded with 0 on the right to the longest; upper and lower case" in card


@pytest.mark.sweep(ci=True)
def test_a_tokenizer_that_has_no_file_is_said_and_nothing_is_refused(tmp_path, pictures, save, picture_preset, capsys):
    (tmp_path / "text").mkdir()
    checkpoint = save(CONV, hugging_face(text_folders.in_python(tmp_path / "text")), picture_preset)
    out = tmp_path / "out"
    assert main(["export", str(checkpoint), str(out), "--to", "onnx", "--corpus", str(pictures), "--samples", "4"]) == 0
    assert (out / "text.onnx").is_file()
    assert not (out / "tokenizer.json").exists()
    why = "ByT5Tokenizer of transformers runs in Python or sentencepiece and has no tokenizer.json"
    assert f"no tokenizer.json is written: {why}" in " ".join(capsys.readouterr().out.split())
    assert why in (out / "README.md").read_text()
    with pytest.raises(
        ConfigError, match=r"'HuggingFaceTokenizer', which is not in the folder.*evaluate the checkpoint"
    ):
        load_model(str(out))


@pytest.mark.sweep
def test_a_graph_that_answers_otherwise_is_refused(tmp_path, volumes, save, bag, monkeypatch):
    checkpoint = save(wavelets(3, 2, []), bag, VOLUMES)
    honest = command.write_onnx

    def perturbed(source, folder, probes):
        honest(source, folder, probes)
        model = onnx.load(folder / "image.onnx")
        largest = max((i for i in model.graph.initializer if i.data_type == 1), key=lambda i: np.prod(i.dims))
        values = numpy_helper.to_array(largest) + 1e-2
        largest.CopyFrom(numpy_helper.from_array(values.astype(np.float32), largest.name))
        onnx.save(model, folder / "image.onnx")

    monkeypatch.setattr(command, "write_onnx", perturbed)
    with pytest.raises(ExportError, match="the image outputs differ by up to"):
        export_onnx(checkpoint, tmp_path / "out", corpus=volumes)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("shape", "cells"), [((11, 7), (4, 3)), ((5, 9, 8), (2, 9, 3))])
def test_means_over_cells_are_adaptive_pooling(shape, cells):
    images = torch.randn(2, 3, *shape)
    pool = F.adaptive_avg_pool2d if len(shape) == 2 else F.adaptive_avg_pool3d
    torch.testing.assert_close(_means_over_cells(images, cells), pool(images, cells))


def test_the_loss_of_8_bits_is_measured():
    one = F.normalize(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), dim=1)
    turned = F.normalize(torch.tensor([[1.0, 0.0], [1.0, 0.9]]), dim=1)
    loss = loss_of(Embedded(one, one, 1.0), Embedded(turned, one, 1.0))
    assert loss.image_cosine == pytest.approx(0.9 / (1 + 0.81) ** 0.5)
    assert loss.text_cosine == pytest.approx(1)
    assert loss.same_text == 0.5
    assert loss.similarity == pytest.approx((1 / 1.81**0.5 + 1 - 0.9 / 1.81**0.5) / 4)

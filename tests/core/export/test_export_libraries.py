"""Exports for open_clip and transformers: their own loaders give the checkpoint's numbers, and nothing else is kept."""

import json

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file, save_file

from voxtile.cli.main import main
from voxtile.data.presets.load import preset_from_config
from voxtile.errors import ConfigError, ExportError, InputError
from voxtile.export import command
from voxtile.export.command import export_hugging_face, export_open_clip
from voxtile.export.folder import unfinished
from voxtile.export.source import read_probes
from voxtile.inference.load import load_model
from voxtile.training.module import ContrastiveModule

EITHER = ["open_clip", pytest.param("huggingface", marks=pytest.mark.sweep)]
EXPORTS = {"open_clip": export_open_clip, "huggingface": export_hugging_face}


def settings(folder):
    return json.loads((folder / "voxtile.json").read_text())


@pytest.mark.parametrize("target", EXPORTS)
def test_a_picture_model_answers_as_its_checkpoint_in_the_other_library(
    target, tmp_path, pictures, save, clip_towers, picture_preset
):
    image, text = clip_towers()
    checkpoint = save(image, text, picture_preset, logit_scale=7.0)
    EXPORTS[target](checkpoint, tmp_path / "out", corpus=pictures, samples=5)
    ours, theirs = load_model(str(checkpoint)), load_model(str(tmp_path / "out"))
    probes = read_probes(pictures, ours.preset, 5)
    torch.testing.assert_close(
        theirs.encode_images(probes.images), ours.encode_images(probes.images), atol=1e-5, rtol=0
    )
    texts = ["Something else; not compared at export", "a", "word " * 40]
    torch.testing.assert_close(theirs.encode_texts(texts), ours.encode_texts(texts), atol=1e-5, rtol=0)
    if target == "huggingface":  # of open_clip's folders voxtile reads the towers only
        assert theirs.logit_scale == pytest.approx(7.0, rel=1e-5)
    for name in ("size", "mean", "std", "resize", "interpolation"):
        assert getattr(theirs.preset, name) == getattr(ours.preset, name)
    found = settings(tmp_path / "out")
    assert found["compared"]["samples"] == found["compared"]["texts"] == 5
    assert max(found["compared"][part] for part in ("image", "text", "scale")) < 1e-5
    assert preset_from_config(found["preset"]).to_config() == ours.preset.to_config()
    card = (tmp_path / "out" / "README.md").read_text()
    assert found["source"]["sha256"] in card
    assert "## Preprocessing" in card


def test_a_checkpoint_that_is_opened_is_not_called_random(save, clip_towers, picture_preset, caplog):
    """open_clip warns so of a model without weights, also of one whose weights come next."""
    checkpoint = save(*clip_towers(), picture_preset)
    assert "initialized randomly" in caplog.text, "as of a model that is to be trained"
    caplog.clear()
    ContrastiveModule.load_from_checkpoint(checkpoint)
    assert not caplog.records


@pytest.mark.sweep
def test_open_clip_reads_pictures_as_the_preset_does(tmp_path, pictures, save, clip_towers, picture_preset):
    image, text = clip_towers()
    checkpoint = save(image, text, picture_preset)
    export_open_clip(checkpoint, tmp_path / "out", corpus=pictures, samples=2)
    model, preprocess = open_clip.create_model_from_pretrained(f"local-dir:{tmp_path / 'out'}")
    pixels = np.random.default_rng(3).integers(0, 255, (50, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    model.eval()
    with torch.no_grad():
        theirs = F.normalize(model.encode_image(preprocess(Image.open(tmp_path / "a.png"))[None]), dim=1)
    ours = load_model(str(checkpoint))

    class Stored:
        @property
        def meta(self):
            return {"kind": "image", "axes": "YXC", "shape": [50, 64, 3], "codec": "png"}

        def encoded(self):
            return (tmp_path / "a.png").read_bytes()

    torch.testing.assert_close(ours.encode_images(ours.preset(Stored(), None)[None]), theirs, atol=1e-4, rtol=0)


@pytest.mark.sweep
def test_transformers_takes_pictures_of_many_bands(tmp_path, bands, save, clip_towers):
    image, text = clip_towers(channels=5)
    preset = {
        "class_path": "voxtile.data.TilePreset",
        "init_args": {"bands": [f"B{n}" for n in range(5)], "size": [32, 32], "mean": [0.2], "std": [0.1]},
    }
    export_hugging_face(save(image, text, preset), tmp_path / "out", corpus=bands, samples=3)
    assert settings(tmp_path / "out")["compared"]["image"] < 1e-5
    assert json.loads((tmp_path / "out" / "config.json").read_text())["vision_config"]["num_channels"] == 5
    with pytest.raises(ExportError, match="3 channels, and this image tower has 5"):
        export_open_clip(tmp_path / "model.ckpt", tmp_path / "other", corpus=bands)


@pytest.mark.parametrize("target", EITHER)
def test_weights_that_answer_otherwise_are_refused_and_nothing_is_left(
    target, tmp_path, pictures, save, clip_towers, picture_preset, monkeypatch
):
    image, text = clip_towers()
    checkpoint = save(image, text, picture_preset)
    writer = {"open_clip": "write_open_clip", "huggingface": "write_hugging_face"}[target]
    honest = getattr(command, writer)

    def perturbed(source, folder):
        honest(source, folder)
        path = next(folder.glob("*.safetensors"))
        weights = load_file(path)
        name = next(n for n in weights if n.endswith(("ln_final.bias", "text_model.final_layer_norm.bias")))
        weights[name] = weights[name] + 1e-3 * torch.arange(len(weights[name]))
        save_file(weights, path, metadata={"format": "pt"})

    monkeypatch.setattr(command, writer, perturbed)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ExportError, match=r"the text outputs differ by up to .* and 0.0001 is allowed"):
        EXPORTS[target](checkpoint, tmp_path / "out", corpus=pictures, samples=2)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("target", EITHER)
def test_towers_that_a_library_has_no_architecture_for_are_refused(
    target, tmp_path, pictures, save, bag, picture_preset, capsys
):
    sizes = {"dimensions": 2, "channels": 3, "widths": [8], "blocks": [1], "width": 8}
    tower = {"class_path": "voxtile.models.ConvTower", "init_args": sizes}
    checkpoint = save(tower, bag, picture_preset)
    assert main(["export", str(checkpoint), str(tmp_path / "out"), "--to", target, "--corpus", str(pictures)]) == 2
    said = capsys.readouterr().err
    assert "no architecture for the image tower ConvTower" in said
    assert "--to onnx" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_two_exports_into_one_folder_do_not_mix_and_the_later_is_told(tmp_path):
    out = tmp_path / "out"

    def export(name, meanwhile):
        with unfinished(out) as folder:
            (folder / "weights").write_text(name)
            meanwhile()

    with pytest.raises(ExportError, match="was filled by another command while this one made its export"):
        export("later", lambda: export("earlier", lambda: None))
    assert (out / "weights").read_text() == "earlier"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_cannot_be_compared_is_refused(tmp_path, pictures, save, clip_towers, picture_preset):
    image, text = clip_towers()
    checkpoint = save(image, text, picture_preset)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").write_text("")
    with pytest.raises(ExportError, match="not an empty folder"):
        export_open_clip(checkpoint, tmp_path / "full", corpus=pictures)
    with pytest.raises(ConfigError, match="--samples"):
        export_open_clip(checkpoint, tmp_path / "out", corpus=pictures, samples=0)
    for part in (pictures / "tables" / "captions").iterdir():
        (tmp_path / part.name).write_bytes(part.read_bytes())
        part.unlink()
    try:
        with pytest.raises(InputError, match="no captions to compare"):
            export_open_clip(checkpoint, tmp_path / "out", corpus=pictures)
    finally:
        for part in tmp_path.glob("*.parquet"):
            part.rename(pictures / "tables" / "captions" / part.name)

"""Models of open_clip, of transformers and of ours, the baseline and shuffled images in one table from one command."""

import json

import pytest
import torch
from safetensors.torch import save_file
from tests.core.evaluate.test_single_label import CLASSES, pictures  # noqa: F401 - a fixture
from tests.core.models.tiny_clip import tiny_clip
from tests.core.training.test_checkpoint import PRESET, checkpoint, trained

from voxtile.cli.main import main
from voxtile.inference.load import load_model
from voxtile.training.checkpoint import FORMAT, AtomicCheckpointIO

TASK = "kind: zero-shot-singlelabel\nclasses:\n" + "".join(f"  {name}: {{prompts: [{name}]}}\n" for name in CLASSES)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Folders of a tiny CLIP of transformers and of open_clip, and a checkpoint of ours; all with random weights."""
    folder = tmp_path_factory.mktemp("models")
    tiny_clip(folder / "hf-clip")
    _open_clip(folder / "oc-clip")
    AtomicCheckpointIO().save_checkpoint(checkpoint(trained()), folder / "ours.ckpt")
    return folder


def _open_clip(target):
    import open_clip

    vision = {"image_size": 32, "layers": 1, "width": 16, "head_width": 8, "patch_size": 8}
    text = {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
    config = {"embed_dim": 8, "vision_cfg": vision, "text_cfg": text}
    target.mkdir()
    (target / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    torch.manual_seed(0)
    model = open_clip.CLIP(**{**config, "vision_cfg": dict(vision), "text_cfg": dict(text)})
    save_file(
        {name: value.contiguous() for name, value in model.state_dict().items()}, target / "open_clip_model.safetensors"
    )


def arguments(corpus, folder, model, *more):
    (folder / "task.yaml").write_text(TASK)
    out = ["--corpus", str(corpus.roots[0]), "--out", str(folder / "out"), "--bootstrap", "100"]
    return ["evaluate", str(model), str(folder / "task.yaml"), *out, *more]


def test_a_model_whose_weights_nobody_names_says_that_they_are_random(models, capsys):
    load_model(str(models / "oc-clip"))
    assert "random" not in capsys.readouterr().err
    load_model("open_clip:ViT-S-32-alt")
    assert "names no weights, so they are random" in capsys.readouterr().err


def test_one_table_from_one_command(pictures, models, tmp_path, capsys):  # noqa: F811
    also = f"{models / 'oc-clip'},{models / 'ours.ckpt'}"
    assert main(arguments(pictures, tmp_path, models / "hf-clip", "--also", also)) == 0
    content = json.loads((tmp_path / "out" / "results.json").read_text())
    macro = {(r["model"], r["kind"]): r for r in content["rows"] if (r["metric"], r["average"]) == ("auroc", "macro")}
    names = ["hf-clip", f"open_clip:local-dir:{models / 'oc-clip'}", "ours.ckpt"]
    assert set(macro) == {*((name, kind) for name in names for kind in ("model", "shuffled")),
                          ("histogram-and-blocks", "trivial")}  # fmt: skip
    assert {row["n"] for row in macro.values()} == {120}
    assert all(row["low"] <= row["value"] <= row["high"] for row in macro.values())
    presets = [content["provenance"]["preset"], *(part["preset"] for part in content["provenance"]["others"])]
    assert [tuple(preset["init_args"]["size"]) for preset in presets] == [(32, 32), (32, 32), (8, 8)]
    assert [pair["second"] for pair in content["pairs"]] == names[1:]
    printed = capsys.readouterr().out
    assert "models and tasks" in printed
    assert "trivial baseline" in printed
    assert "after Holm's correction" in printed


def newer(models, folder):
    torch.save({**checkpoint(trained()), "voxtile_format": FORMAT + 1, "voxtile_version": "9.0"}, folder / "new.ckpt")
    return folder / "new.ckpt"


def remote_code(models, folder):
    target = folder / "remote"
    target.mkdir()
    (target / "config.json").write_text(json.dumps({"auto_map": {"AutoModel": "modeling.Own"}, "model_type": "clip"}))
    (target / "modeling.py").write_text("raise SystemExit('this code was run')")
    return target


def of_volumes(models, folder):
    module = trained()
    module.preset_config = {"class_path": "voxtile.data.VolumePreset", "init_args": {"shape": [8, 8, 8]}}
    AtomicCheckpointIO().save_checkpoint(checkpoint(module), folder / "volumes.ckpt")
    return folder / "volumes.ckpt"


def other_units(models, folder):
    module = trained()
    module.preset_config = {**PRESET, "init_args": {**PRESET["init_args"], "units": "HU"}}
    AtomicCheckpointIO().save_checkpoint(checkpoint(module), folder / "units.ckpt")
    return folder / "units.ckpt"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            newer,
            "was written by voxtile 9.0 in format 2, which is newer than the 0.1.0 that is installed; upgrade with",
        ),
        (remote_code, "needs code of its own (AutoModel), which is not run"),
        (of_volumes, "this model reads volumes, but the corpus holds an image (RGB"),
        (other_units, "this model needs units HU, but the corpus holds an image (RGB"),
        (lambda models, folder: folder / "none.ckpt", "does not exist; give the path of a .ckpt file"),
        (lambda models, folder: folder, "holds no model: it has neither open_clip_config.json (open_clip) nor"),
    ],
)
def test_a_model_that_cannot_be_used_is_one_clear_sentence(pictures, models, tmp_path, capsys, make, said):  # noqa: F811
    assert main(arguments(pictures, tmp_path, make(models, tmp_path))) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("voxtile: error: ")]
    assert len(lines) == 1
    assert said in lines[0]
    assert not (tmp_path / "out" / "results.json").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--compat", "ctclip"], "--compat knows no protocol 'ctclip'; did you mean 'ct-clip'?"),
        (["--robustness", "nose"], "there is no robustness check 'nose'; did you mean 'noise'?"),
        (["--slices", "0"], "--slices must be at least 1, not 0"),
        (["--window=1"], "--window must be two numbers"),
        (["--window=a,b"], "--window must be two numbers such as --window=-160,240, not 'a,b'"),
        (["--bands", "B04,B03"], "--bands must name three bands"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_read(tmp_path, capsys, more, said):
    (tmp_path / "task.yaml").write_text(TASK)
    out = ["--corpus", str(tmp_path / "no"), "--out", str(tmp_path / "out")]
    assert main(["evaluate", "no.ckpt", str(tmp_path / "task.yaml"), *out, *more]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_same_model_twice_is_refused(pictures, models, tmp_path, capsys):  # noqa: F811
    ours = str(models / "ours.ckpt")
    assert main(arguments(pictures, tmp_path, ours, "--also", ours)) == 2
    assert "is named twice; name each model once" in capsys.readouterr().err

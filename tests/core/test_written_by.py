"""Files of a newer version are refused in one sentence with both versions; files name public classes alone."""

import json
import re
import shutil

import pytest
import torch
import yaml
from PIL import Image

import voxtile
from voxtile.cli.main import main
from voxtile.corpus.identity import sample_uid
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.data.presets.load import preset_from_config
from voxtile.errors import CheckpointError, ConfigError, PresetError
from voxtile.inference.load import load_model
from voxtile.listed_classes import public_path
from voxtile.stages.materialize.preset_file import read_preset
from voxtile.training.checkpoint import read_checkpoint
from voxtile.written_by import refuse_newer

NEXT = "9.0.1"
SENTENCE = (
    rf"was written by voxtile 9\.0\.1, which is newer than the {voxtile.__version__} that is installed; upgrade with"
)
# Classes by old paths, by paths of the files that define them, by public ones and by short ones.
CONFIG = {
    "data": {
        "batch_size": 4, "num_workers": 0,
        "preset": {"class_path": "voxtile.data.image.ImagePreset",
                   "init_args": {"size": [16, 16], "augment": {"crop": "none"}}},
    },
    "model": {
        "encoder": {
            "image": {"class_path": "voxtile.models.image.conv.ConvTower",
                      "init_args": {"dimensions": 2, "channels": 3, "widths": [8], "blocks": [1], "width": 8}},
            "text": {"class_path": "TextBag", "init_args": {"vocabulary": 300, "width": 8}},
            "embed_dim": 8,
        },
        "objectives": {
            "contrastive": {"class_path": "voxtile.objectives.contrastive.contrastive.Contrastive"},
            "spread": {"class_path": "voxtile.objectives.self_supervised.koleo.KoLeo"},
        },
        "schedule": {"class_path": "voxtile.training.optimisers.CosineWarmup"},
    },
    "trainer": {
        "max_epochs": 1, "accelerator": "cpu", "enable_progress_bar": False, "log_every_n_steps": 1,
        "limit_val_batches": 0, "num_sanity_val_steps": 0,
        "callbacks": [{"class_path": "voxtile.training.callbacks.average.WeightAverage", "init_args": {"decay": 0.9}}],
    },
}  # fmt: skip
PATH = re.compile(r"voxtile(?:_\w+)?(?:\.\w+)*\.[A-Z]\w+")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "corpus"
    new_corpus(root)
    writer = JobWriter(root, "job-0")
    for n in range(8):
        picture = root.parent / "picture.png"
        Image.new("RGB", (24, 24), (20 * n, 40, 90)).save(picture)
        row = {"uid": sample_uid(str(n)), "subject": f"s{n}", "kind": "image", "modality": "RGB"}
        writer.add(Sample(row, picture.read_bytes()))
        writer.add_rows("captions", [{"caption_id": f"c{n}", "uid": row["uid"], "text": f"a {n}", "kind": "raw"}])
        writer.add_rows("splits", [{"scheme": "default", "subject": f"s{n}", "split": "train"}])
    writer.publish()
    return root


@pytest.fixture(scope="module")
def run(corpus, tmp_path_factory):
    """The folder of a run: config.yaml as it was saved, and its checkpoint."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "mine.yaml").write_text(yaml.safe_dump(CONFIG | {"data": CONFIG["data"] | {"corpus": str(corpus)}}))
    assert main(["fit", "-c", str(folder / "mine.yaml"), "--trainer.default_root_dir", str(folder)]) == 0
    [saved] = folder.rglob("version_0/config.yaml")
    return saved.parent


@pytest.fixture(scope="module")
def checkpoint(run):
    return run / "checkpoints" / "last.ckpt"


@pytest.fixture(scope="module")
def export(checkpoint, corpus, tmp_path_factory):
    out = tmp_path_factory.mktemp("export") / "onnx"
    assert main(["export", str(checkpoint), str(out), "--to", "onnx", "--corpus", str(corpus)]) == 0
    return out


@pytest.mark.parametrize("written", ["9.0", "1.0.0", "0.2.0", "0.2rc1", "1!0.1"])
def test_a_newer_version_is_refused(written, monkeypatch):
    monkeypatch.setattr(voxtile, "__version__", "0.1.3")
    with pytest.raises(
        ConfigError, match=r"the file was written by voxtile .* newer than the 0\.1\.3 that is installed"
    ):
        refuse_newer(written, "the file", ConfigError)


@pytest.mark.parametrize("written", ["0.1.9", "0.1.0", "0.0.9", "0.1.3.dev1", None, 3, "", "new", "9" * 5000, ["9.0"]])
def test_any_other_opens(written, monkeypatch):
    monkeypatch.setattr(voxtile, "__version__", "0.1.3")
    refuse_newer(written, "the file", ConfigError)


def test_a_checkpoint_of_a_newer_version_is_refused(checkpoint, tmp_path):
    content = torch.load(checkpoint, weights_only=True)
    assert content["voxtile_version"] == voxtile.__version__
    path = tmp_path / "newer.ckpt"
    torch.save({**content, "voxtile_version": NEXT}, path)
    with pytest.raises(CheckpointError, match=f"checkpoint '{path}' {SENTENCE}"):
        read_checkpoint(path)
    del content["voxtile_version"]  # as before it was written
    torch.save(content, path)
    assert load_model(str(path)).preset.grid == (16, 16)


@pytest.mark.sweep(ci=True)  # an export to ONNX
def test_an_export_of_a_newer_version_is_refused(export, tmp_path):
    folder = shutil.copytree(export, tmp_path / "export")
    settings = json.loads((folder / "voxtile.json").read_text())
    for change, said in (
        ({"voxtile": NEXT}, SENTENCE),
        ({"format": 2, "voxtile": NEXT}, r"9\.0\.1 in format 2, which is"),
    ):
        (folder / "voxtile.json").write_text(json.dumps({**settings, **change}))
        with pytest.raises(CheckpointError, match=said):
            load_model(str(folder))
    (folder / "voxtile.json").write_text(json.dumps({**settings, "voxtile": "0.0.1"}))
    assert load_model(str(folder)).preset.grid == (16, 16)


def test_a_config_of_a_newer_version_is_refused_before_its_words_are_read(tmp_path, capsys):
    path = tmp_path / "config.yaml"
    path.write_text(
        yaml.safe_dump({**CONFIG, "voxtile_version": NEXT, "unheard_of": {"class_path": "voxtile.data.New"}})
    )
    for words in (["fit", "-c"], ["test", "--config"], ["plan"]):
        assert main([*words, str(path)]) == 2
        said = capsys.readouterr().err
        assert re.search(f"config '{path}' {SENTENCE}", said)
        assert said.count("\n") == 1
    with pytest.raises(ConfigError, match=SENTENCE):
        read_preset(str(path))


def test_a_newer_version_that_an_option_states_is_refused_too(tmp_path, capsys):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG | {"data": CONFIG["data"] | {"corpus": "nowhere"}}))
    assert main(["fit", "-c", str(tmp_path / "config.yaml"), "--voxtile_version", NEXT]) == 2
    assert re.search(f"the config {SENTENCE}", capsys.readouterr().err)


def test_a_preset_of_another_version_names_the_package_to_change():
    config = {"class_path": "voxtile.data.ImagePreset", "init_args": {"size": [8, 8]}, "version": "77"}
    with pytest.raises(PresetError, match=r"stored as version 77, but the voxtile that is installed has version"):
        preset_from_config(config)


def test_a_saved_config_states_its_version_and_trains_again(run, tmp_path):
    saved = yaml.safe_load((run / "config.yaml").read_text())
    assert saved["voxtile_version"] == voxtile.__version__
    saved["voxtile_version"] = "0.0.1"  # what is saved again is of the version that saves it
    (tmp_path / "old.yaml").write_text(yaml.safe_dump(saved))
    assert main(["fit", "-c", str(tmp_path / "old.yaml"), "--trainer.default_root_dir", str(tmp_path)]) == 0
    [again] = tmp_path.rglob("version_0/config.yaml")
    assert yaml.safe_load(again.read_text())["voxtile_version"] == voxtile.__version__


@pytest.mark.parametrize("written", ["checkpoint", "config", pytest.param("export", marks=pytest.mark.sweep(ci=True))])
def test_what_is_written_names_classes_by_public_names_alone(written, run, checkpoint, request):
    if written == "checkpoint":
        text = repr({k: v for k, v in torch.load(checkpoint, weights_only=True).items() if k != "state_dict"})
    elif written == "config":
        text = (run / "config.yaml").read_text()
    else:
        folder = request.getfixturevalue("export")
        text = "\n".join((folder / name).read_text() for name in ("voxtile.json", "README.md"))
    found = set(PATH.findall(text))
    assert "voxtile.data.ImagePreset" in found
    if written != "export":
        assert {"voxtile.models.ConvTower", "voxtile.models.TextBag", "voxtile.training.CosineWarmup"} <= found
        assert {"voxtile.objectives.Contrastive", "voxtile.objectives.KoLeo"} <= found
    if written == "config":
        assert "voxtile.training.WeightAverage" in found
    assert {path: public_path(path) for path in found} == {path: path for path in found}

"""Short names of classes work for all that packages offer, whatever is imported, and never in files from elsewhere."""

import importlib
import os
import subprocess
import sys
import textwrap

import pytest
import yaml

from voxtile.cli.main import lightning_main, main
from voxtile.corpus.writer import new_corpus
from voxtile.data.presets.load import preset_from_config
from voxtile.errors import CheckpointError, ConfigError, PresetError
from voxtile.listed_classes import CORE, listed_class
from voxtile.objectives import Objective
from voxtile.short_class_names import full_name, offered
from voxtile.stages.materialize.preset_file import read_preset
from voxtile.training.module import ContrastiveModule

CONV = {"class_path": "ConvTower", "init_args": {"dimensions": 2, "widths": [8], "blocks": [1], "width": 8}}
BAG = {"class_path": "TextBag", "init_args": {"vocabulary": 300, "width": 8}}
MODEL = {
    "encoder": {"image": CONV, "text": BAG, "embed_dim": 8},
    "objectives": {"contrastive": {"class_path": "Contrastive"}, "spread": "KoLeo"},
    "schedule": "Constant",
}
PRESET = {"class_path": "ImagePreset", "init_args": {"size": [8, 8], "channels": 1, "mean": [0.5], "std": [0.5]}}
CONFIG = {"data": {"corpus": "corpus", "preset": PRESET},
          "model": MODEL,
          "trainer": {"callbacks": [{"class_path": "WeightAverage"}, {"class_path": "RichProgressBar"}]}}  # fmt: skip


def seeing(folder):
    """The environment of a process that finds packages in a folder, and the others where this one does."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))}


SEEING_OTHER = """
def run(argv):
    from voxtile.cli.main import main
    from voxtile.domain import discover
    sys.path.insert(0, os.getcwd())
    discover.cache_clear()
    return main(argv)
"""


def test_every_listed_class_has_a_short_name_of_its_own():
    for target in (*CORE, "voxtile_pathology:HistologyPreset", "voxtile_pathology:OtsuTissue"):
        assert full_name(target.partition(":")[2]) == target.replace(":", ".")
    assert all(full_name(name) == paths[0] for name, paths in offered().items())
    assert full_name("convert_wsi") is None
    assert full_name("Popen") is None


@pytest.mark.sweep(ci=True)  # all of a training's imports
def test_a_config_of_short_names_is_read_in_a_process_that_imported_none_of_them(tmp_path):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    command = [sys.executable, "-m", "voxtile.cli.main", "fit", "-c", "config.yaml", "--print_config",
               "--model.encoder.image", "ViTTower", "--model.objectives.words", "TokenWise",
               "--data.preset", "HistologyPreset"]  # fmt: skip
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    for name in (
        "voxtile.models.ViTTower", "voxtile.models.TextBag", "voxtile.objectives.KoLeo", "voxtile.training.Constant",
        "voxtile.objectives.TokenWise", "voxtile.objectives.Contrastive", "voxtile_pathology.HistologyPreset",
        "voxtile.training.WeightAverage", "lightning.pytorch.callbacks.RichProgressBar",
    ):  # fmt: skip
        assert f"class_path: {name}\n" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--model.objectives.x", "KoLeoo"], "there is no class 'KoLeoo'; did you mean 'voxtile.objectives.KoLeo'?"),
        (["--data.preset", "VolumPreset"], "there is no class 'VolumPreset'; did you mean 'voxtile.data.VolumePreset'"),
        (["--model.encoder.image", "ViTTowr"], "did you mean 'voxtile.models.ViTTower'?"),
        (["--model.encoder.image.class_path", "ViTTowr"], "did you mean 'voxtile.models.ViTTower'?"),
        (["--model.objectives.x", "Unseen"], "there is no class 'Unseen'"),  # imported, and of no package that offers
        (["--model.objectives.x", "ViTTower"], "class_path 'ViTTower' is no Objective"),
    ],
)
def test_an_unknown_short_name_says_the_nearest(words, said, tmp_path, capsys, monkeypatch):
    (tmp_path / "unseen_objective.py").write_text(
        "from voxtile.objectives import Objective\nclass Unseen(Objective):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert issubclass(importlib.import_module("unseen_objective").Unseen, Objective)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    new_corpus(tmp_path / "corpus")
    monkeypatch.chdir(tmp_path)
    assert lightning_main(["fit", "-c", "config.yaml", *words]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("note:")]
    assert len(errors) == 1
    assert said in errors[0]


def test_objectives_in_python_take_short_names_and_their_checkpoint_full_ones(tmp_path):
    module = ContrastiveModule.from_config(MODEL)
    assert type(module.objectives["spread"]).__name__ == "KoLeo"
    assert module.config["objectives"] == {
        "contrastive": {"class_path": "voxtile.objectives.Contrastive"},
        "spread": {"class_path": "voxtile.objectives.KoLeo"},
    }
    assert module.config["schedule"] == {"class_path": "voxtile.training.Constant"}
    assert module.config["encoder"]["image"] == {**CONV, "class_path": "voxtile.models.ConvTower"}
    with pytest.raises(ConfigError, match=r"no class 'OneCycl'; did you mean 'voxtile\.training\.OneCycle'\?"):
        ContrastiveModule.from_config({**MODEL, "schedule": "OneCycl"})


def test_a_preset_file_may_name_its_class_in_short(tmp_path, capsys):
    for content in (PRESET, CONFIG, {**PRESET, "class_path": "voxtile.data.ImagePreset"}):
        (tmp_path / "a.yaml").write_text(yaml.safe_dump(content))
        assert read_preset(str(tmp_path / "a.yaml"))["class_path"] == "voxtile.data.ImagePreset"
    with pytest.raises(ConfigError, match=r"no class 'ImagPreset'; did you mean 'voxtile\.data\.ImagePreset'\?"):
        read_preset("{class_path: ImagPreset}")
    assert main(["materialize", str(tmp_path), str(tmp_path.parent / "x"), "--preset", "{class_path: Popen}"]) == 2
    assert "there is no class 'Popen'" in capsys.readouterr().err
    assert preset_from_config(PRESET, own=True) == preset_from_config(read_preset(str(tmp_path / "a.yaml")))


@pytest.mark.parametrize("name", ["ImagePreset", "HistologyPreset", "OtsuTissue"])
def test_files_from_elsewhere_name_classes_in_full(name):
    with pytest.raises(ConfigError, match="is no class that voxtile"):
        listed_class(name, object)
    with pytest.raises(PresetError, match="is no class that voxtile"):
        preset_from_config({**PRESET, "class_path": name})


def test_a_checkpoint_with_short_names_is_refused(tmp_path):
    import torch

    module = ContrastiveModule.from_config(MODEL)
    module.encoder.text.tokenizer.train(["an effusion"])
    module.setup_objectives(())
    module.preset_config = {**PRESET, "class_path": "voxtile.data.ImagePreset"}
    content = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(content)
    torch.save(content, tmp_path / "a.ckpt")
    assert ContrastiveModule.load_from_checkpoint(tmp_path / "a.ckpt").config == module.config
    for trick in ({"class_path": "KoLeo"}, "KoLeo"):
        torch.save({**content, "voxtile_model": {**module.config, "objectives": {"a": trick}}}, tmp_path / "b.ckpt")
        with pytest.raises(CheckpointError, match=r"KoLeo.*(so that it was not run|belong)"):
            ContrastiveModule.load_from_checkpoint(tmp_path / "b.ckpt")


def test_a_plugin_that_cannot_be_imported_takes_no_short_name_away(tmp_path):
    for name, text in {
        "torn/__init__.py": "raise ImportError('torn')\n",
        "torn-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: torn\nVersion: 1.0\n",
        "torn-1.0.dist-info/entry_points.txt": "[voxtile.domains]\ntorn = torn.domain:domain\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    code = "from voxtile.short_class_names import full_name; print(full_name('KoLeo'), full_name('HistologyPreset'))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=seeing(tmp_path))
    assert ran.stdout.split() == ["voxtile.objectives.KoLeo", "voxtile_pathology.HistologyPreset"]


@pytest.mark.sweep(ci=True)
def test_a_name_of_two_packages_is_refused_and_both_are_named(training_nursery, tmp_path):
    for name, text in {
        "other/__init__.py": "from voxtile.data import ImagePreset\nfrom voxtile.objectives import Objective as Base\n"
        "class KoLeo(Base):\n    pass\n__all__ = ['ImagePreset', 'KoLeo']\n",
        "other/domain.py": "from voxtile.domain import Domain\n"
        "domain = Domain(name='other', title='other', classes=('other:KoLeo',))\n",
        "other-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: other\nVersion: 1.0\n",
        "other-1.0.dist-info/entry_points.txt": "[voxtile.domains]\nother = other.domain:domain\n",
        "config.yaml": yaml.safe_dump(CONFIG),
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(textwrap.dedent(text))
    new_corpus(tmp_path / "corpus")
    training_nursery.start(tmp_path, ["fit", "-c", "config.yaml"], SEEING_OTHER, said=tmp_path / "said")
    assert training_nursery.wait() == 2
    assert (tmp_path / "said").read_text().splitlines()[-1] == (
        "voxtile: error: the class name 'KoLeo' is of several packages, 'voxtile.objectives.KoLeo' and 'other.KoLeo'; "
        "write the one that is meant"
    )

"""Classes of a package of one's own that no plug-in lists: trained, then opened by each command that is told to."""

import importlib
import io
import json
import sys
import zipfile

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import voxtile
from voxtile.cli.main import main
from voxtile.corpus.identity import sample_uid
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.errors import CheckpointError, ConfigError
from voxtile.trusted_packages import checked_packages

PACKAGE = "snowdrop"
TOWERS = '''
from voxtile.models import ConvTower


class Small(ConvTower):
    """A tower of one's own."""

    def __init__(self, *, scale: float = 1.0) -> None:
        super().__init__(dimensions=2, widths=[8], blocks=[1], width=8)
        self.scale = scale

    def forward(self, images, tokens=False):
        return super().forward(images * self.scale, tokens)
'''
PRESETS = '''
from dataclasses import dataclass

from voxtile.data import ImagePreset


@dataclass(frozen=True, kw_only=True)
class Dim(ImagePreset):
    """Pictures at half their light."""

    def __call__(self, source, rng):
        return super().__call__(source, rng) / 2
'''
OBJECTIVES = '''
from voxtile.objectives import Objective


class Shrink(Objective):
    """Pulls embeddings of images together."""

    reads_texts = False

    def __init__(self, *, factor: float = 1.0) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, features):
        return self.factor * features.image.var(0).sum()
'''
CONFIG = {
    "data": {
        "batch_size": 4, "num_workers": 0,
        "preset": {"class_path": f"{PACKAGE}.presets.Dim",
                   "init_args": {"size": [16, 16], "channels": 1, "mean": [0.5], "std": [0.5]}},
    },
    "model": {
        "encoder": {
            "image": {"class_path": f"{PACKAGE}.towers.Small", "init_args": {"scale": 0.5}},
            "text": {"class_path": "voxtile.models.TextBag", "init_args": {"vocabulary": 300, "width": 8}},
            "embed_dim": 8,
        },
        "objectives": {
            "contrastive": {"class_path": "voxtile.objectives.Contrastive"},
            "caption": {"class_path": "voxtile.objectives.Captioning", "init_args": {"depth": 1}},
            "shrink": {"class_path": f"{PACKAGE}.objectives.Shrink", "init_args": {"factor": 0.1}},
        },
    },
    "trainer": {"max_epochs": 1, "accelerator": "cpu", "enable_progress_bar": False, "log_every_n_steps": 1,
                "limit_val_batches": 0, "num_sanity_val_steps": 0},
}  # fmt: skip
TASK = {
    "name": "any", "title": "any", "kind": "zero-shot-singlelabel", "unit": "sample", "split": "test",
    "templates": ["{}"], "classes": {"a": {"concept": "a", "prompts": ["a"]}, "b": {"concept": "b", "prompts": ["b"]}},
}  # fmt: skip


def write_package(folder, name, **modules):
    (folder / name).mkdir()
    for module, text in {"__init__": "", **modules}.items():
        (folder / name / f"{module}.py").write_text(text)
    importlib.invalidate_caches()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder whose packages are installed as far as Python can tell."""
    folder = tmp_path_factory.mktemp("packages")
    write_package(folder, PACKAGE, towers=TOWERS, presets=PRESETS, objectives=OBJECTIVES)
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "corpus"
    new_corpus(root)
    writer = JobWriter(root, "job-0")
    for n in range(48):
        stream = io.BytesIO()
        Image.fromarray(np.random.default_rng(n).integers(0, 255, (24, 24), np.uint8)).save(stream, "PNG")
        row = {"uid": sample_uid(str(n)), "subject": f"s{n}", "kind": "image", "modality": "RGB"}
        writer.add(Sample(row, stream.getvalue()))
        writer.add_rows("captions", [{"caption_id": f"c{n}", "uid": row["uid"], "text": "a nodule", "kind": "raw"}])
        facts = [{"uid": row["uid"], "concept": "ab"[n % 2], "polarity": "present", "source": "labels"}]
        writer.add_rows("facts", facts)
        writer.add_rows("splits", [{"scheme": "default", "subject": f"s{n}", "split": ("train", "test")[n % 4 > 1]}])
    writer.publish()
    return root


@pytest.fixture(scope="module")
def config(place, corpus, tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "own.yaml"
    path.write_text(yaml.safe_dump(CONFIG | {"data": CONFIG["data"] | {"corpus": str(corpus)}}))
    return path


@pytest.fixture(scope="module")
def trained(config, tmp_path_factory):
    run = tmp_path_factory.mktemp("run")
    assert main(["fit", "-c", str(config), "--trainer.default_root_dir", str(run)]) == 0
    [checkpoint] = run.rglob("last.ckpt")
    return checkpoint


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    path = tmp_path_factory.mktemp("task") / "task.yaml"
    path.write_text(yaml.safe_dump(TASK))
    return path


@pytest.fixture(scope="module")
def export(trained, corpus, tmp_path_factory):
    out = tmp_path_factory.mktemp("export") / "onnx"
    words = ["export", str(trained), str(out), "--to", "onnx", "--corpus", str(corpus), "--trust-package", PACKAGE]
    assert main(words) == 0
    return out


# Words of commands that open a checkpoint, an export or a preset; MODEL, CORPUS, TASK, PICTURE, PRESET, OUT are places.
COMMANDS = {
    "evaluate": "evaluate MODEL TASK --corpus CORPUS --out OUT --bootstrap 100",
    "evaluate an export": "evaluate EXPORT TASK --corpus CORPUS --out OUT --bootstrap 100",
    "ground": "ground MODEL PICTURE nodule --out OUT --method gradcam",
    "embed": "embed CORPUS MODEL",
    "score": "score CORPUS --from clip --model MODEL",
    "caption": "caption CORPUS --provider checkpoint --model MODEL --limit 1 --unchecked true",
    "export": "export MODEL OUT --to onnx --corpus CORPUS",
    "materialize": "materialize CORPUS OUT --preset PRESET",
}


@pytest.fixture
def spoken(trained, export, corpus, task, tmp_path):
    """Words of a command with its places, over a copy of the corpus."""
    import shutil

    own = shutil.copytree(corpus, tmp_path / "corpus")
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (24, 24), np.uint8)).save(tmp_path / "picture.png")
    (tmp_path / "preset.yaml").write_text(yaml.safe_dump(CONFIG["data"]["preset"]))
    places = {
        "MODEL": trained, "EXPORT": export, "CORPUS": own, "TASK": task, "PICTURE": tmp_path / "picture.png",
        "PRESET": tmp_path / "preset.yaml", "OUT": tmp_path / "out",
    }  # fmt: skip
    return lambda name: [str(places.get(word, word)) for word in COMMANDS[name].split()]


def test_a_checkpoint_names_ones_own_classes_and_holds_none_of_their_code(trained):
    content = torch.load(trained, weights_only=True)
    assert f'"class_path": "{PACKAGE}.towers.Small"' in json.dumps(content["voxtile_model"])
    assert content["voxtile_model"]["objectives"]["shrink"]["class_path"] == f"{PACKAGE}.objectives.Shrink"
    assert content["voxtile_preset"]["class_path"] == f"{PACKAGE}.presets.Dim"
    assert b"class Small" not in b"".join(zipfile.ZipFile(trained).read(n) for n in zipfile.ZipFile(trained).namelist())


@pytest.mark.cases(1)
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_opens_it_when_it_is_told_to_trust_the_package(name, spoken, trained, capsys):
    if name == "score":
        assert main(["embed", spoken("embed")[1], str(trained), "--trust-package", PACKAGE]) == 0
    status = main([*spoken(name), "--trust-package", PACKAGE])
    said = capsys.readouterr().err
    assert (status, "error" in said) == ((0, False) if name != "caption" else (1, True)), said
    if name == "caption":  # a model of one step says nothing that is worth storing, but it was asked
        assert "the model wrote" in said or "failed" in said


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_refuses_it_otherwise_and_says_how(name, spoken, trained, capsys):
    words = spoken(name)
    if name == "score":
        assert main(["embed", words[1], str(trained), "--trust-package", PACKAGE]) == 0
    capsys.readouterr()
    assert main(words) != 0
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "was not run" in said
    assert f"if you trust its package, add --trust-package {PACKAGE} " in said


def test_training_testing_and_predicting_by_ones_own_config_need_no_word(trained, config, task, tmp_path, capsys):
    for subcommand, *more in (["test", "--evaluate.tasks", f"[{task}]"], ["predict"]):
        words = [subcommand, "-c", str(config), "--ckpt_path", str(trained), *more]
        assert main([*words, "--trainer.default_root_dir", str(tmp_path)]) == 0, capsys.readouterr().err
    assert list(tmp_path.rglob("results.json"))
    assert list(tmp_path.rglob("embeddings.parquet"))


def test_python_takes_the_same_word(trained, corpus, task):
    model = voxtile.load_model(trained, trust_packages=(PACKAGE,))
    assert type(model.preset).__module__ == f"{PACKAGE}.presets"
    picture = np.full((24, 24), 255, np.uint8)
    assert model.preprocess(picture).max().item() == pytest.approx(0.5)
    found = voxtile.evaluate(trained, str(task), corpus=corpus, bootstrap=100, trust_packages=[PACKAGE])
    assert found.table.num_rows
    with pytest.raises(CheckpointError, match=rf"trust_packages=\('{PACKAGE}',\)"):
        voxtile.load_model(trained)
    with pytest.raises(ConfigError, match="is a list of names"):
        voxtile.load_model(trained, trust_packages=PACKAGE)


def test_a_teacher_of_ones_own_classes_is_trusted_by_the_config_and_never_by_a_file(place, corpus, trained, tmp_path):
    import shutil

    from voxtile.training.module import ContrastiveModule

    own = shutil.copytree(corpus, tmp_path / "corpus")
    assert main(["embed", str(own), str(trained), "--trust-package", PACKAGE]) == 0
    follows = {
        "class_path": "voxtile.objectives.Distillation",
        "init_args": {"corpus": str(own), "teacher": str(trained)},
    }
    trusting = {**follows, "init_args": {**follows["init_args"], "trust_packages": [PACKAGE]}}
    for number, (term, status) in enumerate(((trusting, 0), (follows, 2))):
        path = tmp_path / f"{number}.yaml"
        model = {**CONFIG["model"], "objectives": {"follow": term}}
        path.write_text(yaml.safe_dump({**CONFIG, "model": model, "data": CONFIG["data"] | {"corpus": str(own)}}))
        assert main(["fit", "-c", str(path), "--trainer.default_root_dir", str(tmp_path / str(number))]) == status
    [checkpoint] = tmp_path.rglob("last.ckpt")
    module = ContrastiveModule.load_from_checkpoint(checkpoint, trust_packages=(PACKAGE,))
    assert module.objectives["follow"].trust_packages == ()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("snowdrip", "names 'snowdrip', but no such package is installed here; install it, or check its name"),
        (f"{PACKAGE}.towers", "takes the name of a top-level package of your own"),
        ("subprocess", "takes the name of a top-level package of your own"),
        ("voxtile", "takes the name of a top-level package of your own"),
        ("__main__", "takes the name of a top-level package of your own"),
        ("../snowdrop", "takes the name of a top-level package of your own"),
        ("", "takes the name of a top-level package of your own"),
    ],
)
def test_what_is_no_package_of_ones_own_cannot_be_trusted(name, sentence, spoken, capsys):
    assert main([*spoken("evaluate"), "--trust-package", name]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["voxtile"], r"\(in Python: trust_packages=\) takes .* of your own, such as mypackage, not 'voxtile'"),
        (
            ["yaml", "snowdrip"],
            r"\(in Python: trust_packages=\) names 'snowdrip', but no such package is installed here",
        ),
        ("yaml", "trust_packages is a list of names"),
    ],
)
def test_names_of_packages_are_checked_in_python_too(names, sentence):
    with pytest.raises(ConfigError, match=sentence):
        checked_packages(names)


def test_several_packages_may_be_trusted(place, spoken, capsys):
    write_package(place, "galanthus")
    assert checked_packages(["galanthus", PACKAGE, PACKAGE]) == ("galanthus", PACKAGE)
    assert main([*spoken("embed"), "--trust-package", "galanthus", f"--trust-package={PACKAGE}"]) == 0


def test_a_class_of_a_package_that_is_not_installed_is_said_so(trained, tmp_path):
    content = torch.load(trained, weights_only=True)
    text = json.loads(json.dumps(content["voxtile_model"]).replace(f"{PACKAGE}.", "absent_package."))
    path = tmp_path / "model.ckpt"
    torch.save({**content, "voxtile_model": text}, path)
    wanted = r"'absent_package' is not installed here: install it and, .* trust_packages=\('absent_package',\)\)"
    with pytest.raises(CheckpointError, match=wanted):
        voxtile.load_model(path)
    with pytest.raises(ConfigError, match="names 'absent_package', but no such package is installed"):
        voxtile.load_model(path, trust_packages=["absent_package"])


def test_what_was_embedded_is_by_ones_own_preset(spoken):
    words = spoken("embed")
    assert main([*words, "--trust-package", PACKAGE]) == 0
    assert Corpus(words[1]).table("embeddings").num_rows == 48

"""Configs that somebody passed on: what they name is not run, wherever in them it stands, by `fit` and by commands.

A config is the user's own and may name classes of any package (docs/trust.md). It is still no way to run a command.
"""

import contextlib
import io
import json
import sys

import pytest

from voxtile.cli.main import lightning_main, main
from voxtile.corpus.header import new_corpus
from voxtile.corpus.remote.address import parse_address
from voxtile.errors import ConfigError, CorpusError
from voxtile.training.config_bases import read_config
from voxtile.trusted_packages import refuse_parts_of_python
from voxtile_pathology.tissue.mask import tissue_spec

POPEN = {"class_path": "subprocess.Popen", "init_args": {"args": ["touch", "SONG"]}}
SYSTEM = {"class_path": "os.system", "init_args": {"command": "touch SONG"}}
EVAL = {"class_path": "builtins.eval", "init_args": {"source": "open('SONG', 'w')"}}
LAMBDA = "lightning.pytorch.callbacks.LambdaCallback"
ATTACKS = {
    "a process for a preset": {"data": {"preset": POPEN}},
    "a command for a preset": {"data": {"preset": SYSTEM}},
    "eval for a preset": {"data": {"preset": EVAL}},
    "a process for an optimizer": {"model": {"optimizer": POPEN}},
    "a command for an optimizer": {"model": {"optimizer": "os.system"}},
    "a process for an objective": {"model": {"objectives": {"a": POPEN}}},
    "a process within an objective": {"model": {"objectives": {"a": {
        "class_path": "voxtile.objectives.OfSamples", "init_args": {"objective": POPEN}}}}},
    "a process for a callback": {"trainer": {"callbacks": [POPEN]}},
    "a process for a logger": {"trainer": {"logger": POPEN}},
    "a process for a plugin": {"trainer": {"plugins": [POPEN]}},
    "a process for a profiler": {"trainer": {"profiler": POPEN}},
    "a process for a strategy": {"trainer": {"strategy": POPEN}},
    "a function of a callback": {"trainer": {"callbacks": [{
        "class_path": LAMBDA, "init_args": {"on_fit_start": "os.system"}}]}},
    "a function of a callback, not loaded": {"trainer": {"callbacks": [{
        "class_path": LAMBDA, "init_args": {"setup": "antigravity.geohash"}}]}},
    "a partial function of a callback": {"trainer": {"callbacks": [{
        "class_path": LAMBDA, "init_args": {"setup": {"class_path": "functools.partial", "init_args": {}}}}]}},
    "a process through a module of ours": {"data": {"preset": {
        "class_path": "voxtile.engine.worker_process.subprocess.Popen", "init_args": {"args": ["touch", "SONG"]}}}},
    "an import": {"data": {"preset": {"class_path": "__import__('os').system"}}},
    "a relative path": {"data": {"preset": {"class_path": "..evil_here.Evil"}}},
    "a class of the current folder": {"data": {"preset": {"class_path": "evil_here.Evil"}}},
    "a callback of the current folder": {"trainer": {"callbacks": [{"class_path": "evil_here.Evil"}]}},
}  # fmt: skip
TAGS = {
    "a call": "data: !!python/object/apply:os.system ['touch SONG']",
    "a name": "data: {preset: !!python/name:os.system }",
    "a module": "data: !!python/module:evil_here",
    "an object": "data: !!python/object/new:subprocess.Popen [[touch, SONG]]",
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder, with a module that leaves files when it is imported or its class is made."""
    (tmp_path / "evil_here.py").write_text(
        "open('song', 'w').close()\n\n\nclass Evil:\n    def __init__(self, *a):\n        open('song', 'w').close()\n"
    )
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("evil_here", None)


def said(run):
    words = io.StringIO()
    with contextlib.redirect_stderr(words):
        status = run()
    assert status, "it was taken"
    return words.getvalue()


def check(here, text):
    """`fit` refuses the config by itself, and as the base of another, in a sentence; nothing sings."""
    (here / "config.yaml").write_text(text.replace("SONG", str(here / "song")))
    (here / "over.yaml").write_text("base: [config.yaml]\n")
    corpus = str(here / "samples")
    new_corpus(here / "samples")
    for name in ("config.yaml", "over.yaml"):
        words = said(lambda name=name: lightning_main(["fit", "-c", str(here / name), "--data.corpus", corpus]))
        assert words.startswith("voxtile: error: "), words
        assert words.count("\n") <= 1, words
        assert "Traceback" not in words
        assert "are not given" not in words, "it was refused for what it lacks, not for what it is"
        assert "corpus" not in words, words
        assert not (here / "song").exists(), name


@pytest.mark.cases(8)
@pytest.mark.parametrize("attack", ATTACKS)
def test_a_config_runs_nothing(attack, here):
    check(here, json.dumps(ATTACKS[attack]))


@pytest.mark.parametrize("tag", TAGS)
def test_a_tag_makes_no_object(tag, here):
    check(here, TAGS[tag])
    with pytest.raises(ConfigError, match="could not determine a constructor"):
        read_config(here / "config.yaml")


def test_the_command_line_names_no_part_of_python_either(here):
    value = json.dumps(POPEN).replace("SONG", str(here / "song"))
    new_corpus(here / "samples")
    corpus = ["--data.corpus", str(here / "samples")]
    words = said(lambda: lightning_main(["fit", "-c", "medical/ct", *corpus, "--trainer.logger", value]))
    assert "subprocess.Popen" in words
    assert not (here / "song").exists()


def test_variables_of_the_environment_are_not_filled_in(monkeypatch, here):
    """A config cannot send what the environment holds to where it says."""
    monkeypatch.setenv("SECRET", "hunter2")
    for text in ("${SECRET}", "${oc.env:SECRET}", "$SECRET", "%(SECRET)s", "{{ SECRET }}", "${oc.decode:SECRET}"):
        (here / "config.yaml").write_text(json.dumps({"name": text, "data": {"corpus": text}}))
        assert read_config(here / "config.yaml") == {"name": text, "data": {"corpus": text}}
        words = said(lambda: lightning_main(["fit", "-c", str(here / "config.yaml")]))
        assert "hunter2" not in words


@pytest.mark.parametrize("spec", [POPEN, SYSTEM, EVAL, {"class_path": "evil_here.Evil"}, {"class_path": [1]}])
def test_a_tissue_file_runs_nothing(spec, here):
    (here / "tissue.yaml").write_text(json.dumps(spec).replace("SONG", str(here / "song")))
    with pytest.raises(ConfigError, match=r"--tissue"):
        tissue_spec(str(here / "tissue.yaml"))
    assert not (here / "song").exists()


@pytest.mark.parametrize(
    "words",
    [["embed", "corpus", "model"], ["curate", "corpus", "--view", "v"], ["verify", "corpus"]],
    ids=lambda words: words[0],
)
def test_a_config_of_a_command_runs_nothing(words, here):
    for attack in (POPEN, SYSTEM, EVAL):
        (here / "config.yaml").write_text(json.dumps({"where": attack, **attack}).replace("SONG", str(here / "song")))
        assert "voxtile: error: " in said(lambda: main([*words, "--config", str(here / "config.yaml")]))
        assert not (here / "song").exists()


@pytest.mark.parametrize(
    "address",
    ["s3://key:hunter2@bucket/a", "https://host/a?token=hunter2", "https://host/a#hunter2", "http://host/hunter2"],
)
def test_an_address_holds_no_secret_and_goes_over_no_open_line(address):
    with pytest.raises(CorpusError) as refused:
        parse_address(address)
    assert "hunter2" not in str(refused.value) or address.startswith("http://")
    assert parse_address("http://127.0.0.1:9000/a").url == "http://127.0.0.1:9000/a"


def test_what_configs_do_name_is_let_be():
    refuse_parts_of_python({"name": "os.system", "model": {"optimizer": "AdamW"}})  # no argument of a class
    refuse_parts_of_python({"class_path": "mine.towers.Deep", "init_args": {
        "name": "resnet18.a1_in1k", "file": "email.png", "weights": "this.v1", "act": "wave.relu"}})  # fmt: skip
    refuse_parts_of_python({"class_path": "torchvision.models.ResNet", "init_args": {"layers": [2, 2]}})
    for path in ("os.system", "builtins.exec", "shutil.rmtree", "importlib.import_module", "antigravity.geohash"):
        with pytest.raises(ConfigError, match=f"'{path}' is a part of Python itself"):
            refuse_parts_of_python([{"a": {"class_path": path}}])
        with pytest.raises(ConfigError, match=f"'{path}' is a part of Python itself"):
            refuse_parts_of_python({"class_path": "mine.A", "init_args": {"a": [{"b": path}]}})

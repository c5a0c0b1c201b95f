"""Texts of YAML and JSON that stand for more than memory holds: each reader refuses them at once, in one sentence."""

import contextlib
import io
import json
import resource
import time

import pytest
import torch

from voxtile.bounded_text import BoundsError, check_plain, load_json, load_yaml
from voxtile.cli.main import lightning_main, main
from voxtile.corpus.reader import Corpus
from voxtile.corpus.writer import new_corpus
from voxtile.errors import CheckpointError, VoxtileError
from voxtile.evaluation.tasks.file import load_task
from voxtile.inference.huggingface_pair import huggingface_pair
from voxtile.inference.onnx_pair import OnnxPair
from voxtile.stages.materialize.preset_file import read_preset
from voxtile.training.module import ContrastiveModule
from voxtile.training.planning.command import Plan
from voxtile_datasets.captions.checker.vocabulary_file import read_files
from voxtile_datasets.captions.context.prompts import load_prompt
from voxtile_datasets.captions.providers.prices import load_prices
from voxtile_datasets.captions.wordings import load_bank
from voxtile_medical.reports.compose.wording import load_wording
from voxtile_medical.reports.lexicon import load_lexicon
from voxtile_medical.reports.vocabulary import load_vocabulary
from voxtile_pathology.annotations.source import parse_json
from voxtile_pathology.tissue.mask import tissue_spec
from voxtile_remote_sensing.landcover.legend import load_legend
from voxtile_remote_sensing.osm.read_vector import read_geojson
from voxtile_remote_sensing.osm.tag_table import load_table
from voxtile_remote_sensing.osm.wordings import load_wordings
from voxtile_remote_sensing.recipes.layouts.reading import read_json
from voxtile_remote_sensing.scenes.gridded.safety import check_zarr
from voxtile_remote_sensing.scenes.sidecar import read_sidecar

SECONDS, MEGABYTES = 5.0, 400


def laughs(levels=12, times=12):
    """A page that stands for times^levels texts."""
    lines = ["a0: &a0 [x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * times)}]" for n in range(1, levels)]
    return "\n".join([*lines, f"name: *a{levels - 1}", f"version: *a{levels - 1}", f"classes: {{c: *a{levels - 1}}}"])


def merges(levels=40):
    """Mappings that are merged from mappings, twice each."""
    lines = ["a0: &a0 {x: 1}"]
    return "\n".join([*lines, *(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}], k{n}: 1}}" for n in range(1, levels))])


BOMBS = {
    "aliases": laughs(),
    "merged mappings": merges(),
    "lists in lists": "name: " + "[" * 900 + "]" * 900,
    "deeper than the parser goes": "name: " + "[" * 50_000 + "]" * 50_000,
    "mappings in mappings": "\n".join(" " * n + "a:" for n in range(400)),
    "itself": "name: &a [*a]\nversion: *a",
    "many values": "name: [" + "1," * 600_000 + "]",
}


@contextlib.contextmanager
def at_once():
    began, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert time.process_time() - began < SECONDS
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < MEGABYTES


def _said(run):
    """What a command says that ends with a status above 0."""
    words = io.StringIO()
    with contextlib.redirect_stderr(words):
        status = run()
    if status:
        raise VoxtileError(words.getvalue())


READERS = {
    "task": lambda path: load_task(str(path)),
    "preset file": lambda path: read_preset(str(path)),
    "wording bank": load_bank,
    "prices": load_prices,
    "prompt": load_prompt,
    "vocabulary of claims": lambda path: read_files([path]),
    "wording of reports": load_wording,
    "lexicon": load_lexicon,
    "vocabulary of reports": lambda path: load_vocabulary(str(path)),
    "tissue": lambda path: tissue_spec(str(path)),
    "legend": lambda path: load_legend(str(path)),
    "tags of maps": load_table,
    "wordings of maps": load_wordings,
    "sidecar": lambda path: read_sidecar(path, "scene"),
    "config of plan": lambda path: Plan(str(path), "h100"),
    "config of fit": lambda path: _said(lambda: lightning_main(["fit", "-c", str(path)])),
    "config of fit, joined": lambda path: _said(lambda: lightning_main(["fit", f"--config={path}"])),
    "config of a command": lambda path: _said(lambda: main(["embed", "corpus", "model", "--config", str(path)])),
}


@pytest.mark.cases(6)
@pytest.mark.parametrize("reader", READERS)
def test_no_reader_of_yaml_follows_a_bomb(reader, tmp_path):
    path = tmp_path / "bomb.yaml"
    for name, text in BOMBS.items():
        path.write_text(text)
        with at_once(), pytest.raises(VoxtileError) as refused:
            READERS[reader](path)
        said = str(refused.value)
        assert len(said) < 500, name
        assert "unexpected" not in said, name


@pytest.mark.parametrize("name", sorted(set(BOMBS) - {"deeper than the parser goes"}))
def test_a_bomb_is_named(name):
    with pytest.raises(BoundsError, match=r"levels deep|stands for more|refers to what it stands in"):
        load_yaml(BOMBS[name])


def test_what_people_write_is_read_as_it_is():
    text = "a: &a {x: 1, y: [1, 2]}\nb: {<<: *a, z: 3}\nc: [*a, *a]\n"
    assert load_yaml(text)["b"] == {"x": 1, "y": [1, 2], "z": 3}
    deep = "[" * 90 + "1" + "]" * 90
    assert load_yaml(deep) == load_json(deep)
    assert load_yaml(text.encode("utf-16")) == load_yaml(text)


DEEP = {
    "parser's limit": '{"format": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "a walker's limit": '{"format": ' + "[" * 900 + "]" * 900 + "}",
    "mappings": '{"format": ' + '{"a": ' * 500 + "1" + "}" * 501,
}


def _corpus(path):
    root = path.parent / "corpus"
    new_corpus(root)
    (root / "corpus.json").write_text(path.read_text())
    Corpus(root)


def _zarr(path):
    store = path.parent / "store.zarr"
    store.mkdir()
    (store / ".zarray").write_text(path.read_text())
    check_zarr(store, "scene")


def _onnx(path):
    (path.parent / "voxtile.json").write_text(path.read_text())
    OnnxPair(path.parent)


def _transformers(path):
    (path.parent / "config.json").write_text(path.read_text())
    huggingface_pair("x", folder=path.parent, device=torch.device("cpu"))


JSON_READERS = {
    "annotations": lambda path: parse_json(path.read_bytes(), path),
    "map": lambda path: read_geojson(path, None),
    "recipe": read_json,
    "corpus": _corpus,
    "zarr": _zarr,
    "export": _onnx,
    "model of transformers": _transformers,
}


@pytest.mark.parametrize("kind", DEEP)
@pytest.mark.parametrize("reader", JSON_READERS)
def test_no_reader_of_json_descends_without_end(reader, kind, tmp_path):
    path = tmp_path / "deep.json"
    path.write_text(DEEP[kind])
    with at_once(), pytest.raises(VoxtileError) as refused:
        JSON_READERS[reader](path)
    assert len(str(refused.value)) < 500


def bomb_of_objects(levels=60):
    value = ["x"]
    for _ in range(levels):
        value = [value, value]
    return value


def looped():
    value = []
    value.append(value)
    return value


@pytest.mark.parametrize("make", [bomb_of_objects, looped, lambda: json.loads("[" * 300 + "]" * 300)])
def test_a_checkpoint_that_refers_to_its_parts_many_times_is_not_followed(make, tmp_path):
    path = tmp_path / "model.ckpt"
    tower = {"class_path": "voxtile.models.ConvTower", "init_args": {"widths": make()}}
    content = {"voxtile_format": 1, "voxtile_model": {"encoder": {"image": tower}}, "state_dict": {}}
    torch.save(content, path)
    with at_once(), pytest.raises(CheckpointError, match=r"levels deep|stands for more"):
        ContrastiveModule.load_from_checkpoint(path)
    with pytest.raises(BoundsError):
        check_plain(make(), 1000)

"""The examples in the docstrings of what people name in configs and import: each runs alone, pasted as it stands."""

import ast
import doctest
import importlib
from functools import cache
from pathlib import Path

import pytest
import torch

CORE = Path(__file__).parents[2] / "core" / "voxtile"
PACKAGES = ("objectives", "models", "data", "training", "evaluation")
OTHERS = (
    "voxtile.domain:Domain",
    "voxtile.engine.task:Task",
    "voxtile.objectives.functional:contrastive",
    "voxtile.types.batch:Batch",
    "voxtile.types.features:Features",
)

# What cannot have one, by the reason. Of what is not in a family that `_required` lists, nothing is asked.
WITHOUT = {
    "it reads the tables of a corpus": {"BackwardCompatible", "Distillation", "StoredVectors", "WeightedContrastive"},
    "it is a base whose subclasses have one": {"MomentumObjective"},
    "the example of Captioning, whose argument it is, shows it": {"Decoding"},
    "it is a protocol": {"EvaluationModel", "GroundingModel", "PlacingPreset", "Preset", "SampleSource", "Tokenizer"},
    "CONTRIBUTING writes a preset of one's own, and a test runs it": {"BasePreset"},
    "the example of TimmTower, which is one, shows it": {"TimmFeatures"},
    "its library takes seconds to import": {
        "ColipriImage",
        "ConchTower",
        "DofaTower",
        "M3dImage",
        "MerlinImage",
        "MonaiTower",
        "TorchGeoTower",
    },
    "docs/python.md loads such a pair, and its library takes seconds": {"OpenClipImage", "OpenClipText"},
    "the example of ViTTower, which it is made of, shows it": {"HlipImage"},
    "its configuration and words lie on the hub or in a folder": {
        "BertText",
        "ColipriText",
        "ConchText",
        "HuggingFaceImage",
        "HuggingFaceText",
        "M3dText",
        "MerlinText",
    },
    "docs/models.md opens the pair that it is half of": {"CtClipImage"},
}


@cache
def _imported(package):
    """Public names of a package by the module that they are of, as its stub says."""
    tree = ast.parse((CORE / package / "__init__.pyi").read_text(encoding="utf-8"))
    lines = (node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module)
    return {alias.name: f"voxtile.{package}.{line.module}" for line in lines for alias in line.names}


def _public():
    """Names as `module:Name` → the class or function as it is written."""
    names = [f"voxtile.{package}:{name}" for package in PACKAGES for name in _imported(package)] + list(OTHERS)
    return {name: _definition(name) for name in names}


@cache
def _definition(name):
    module, _, name = name.partition(":")
    package = module.removeprefix("voxtile.")
    home = _imported(package)[name] if package in PACKAGES else module
    source = CORE.parent.joinpath(*home.split(".")).with_suffix(".py").read_text(encoding="utf-8")
    kinds = (ast.ClassDef, ast.FunctionDef)
    return next(node for node in ast.walk(ast.parse(source)) if isinstance(node, kinds) and node.name == name)


def _examples(docstring, name="example"):
    return doctest.DocTestParser().get_doctest(docstring or "", {}, name, None, 0)


def _run(test):
    """What an example printed that it does not say; it knows nothing but what it imports itself."""
    told = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        doctest.DocTestRunner(verbose=False).run(test, out=told.append)
    return "".join(told)


WITH = {name for name, node in _public().items() if ">>>" in (ast.get_docstring(node) or "")}


def _required():
    """All objectives, all of what models are made of, presets, schedules, optimisers, and what plug-ins build on."""
    whole = {f"voxtile.{package}:{name}" for package in ("objectives", "models") for name in _imported(package)}
    data = {f"voxtile.data:{name}" for name, home in _imported("data").items() if ".presets." in home}
    training = {f"voxtile.training:{name}" for name, home in _imported("training").items() if "optimisers" in home}
    return whole | data | training | set(OTHERS)


@pytest.mark.parametrize("name", sorted(WITH))
def test_example_prints_what_it_says(name):
    module, _, attribute = name.partition(":")
    test = _examples(getattr(importlib.import_module(module), attribute).__doc__, name)
    assert any(example.want for example in test.examples), "it only constructs"
    assert not any(example.options for example in test.examples), "no option may weaken it"
    assert not (told := _run(test)), told


def test_what_people_name_has_an_example_or_a_reason():
    excused = {name for names in WITHOUT.values() for name in names}
    missing = {name for name in _required() - WITH if name.partition(":")[2] not in excused}
    assert not missing, f"give these an example, or a reason in WITHOUT: {sorted(missing)}"
    shown = {name.partition(":")[2] for name in WITH}
    assert not (both := excused & shown), f"these have an example; take them out of WITHOUT: {sorted(both)}"
    known = {name.partition(":")[2] for name in _required()}
    assert not (gone := excused - known), f"WITHOUT names what is not there: {sorted(gone)}"


def test_a_section_that_the_site_knows():
    # `Example:` would become a box in which mkdocstrings shows `>>>` as three quotations.
    wrong = [name for name in WITH if "\nExamples:\n" not in (ast.get_docstring(_public()[name]) or "")]
    assert not wrong


@pytest.mark.parametrize("lie", [">>> 1 + 1\n3", ">>> torch.ones(1)\ntensor([1.])", ">>> import nothing_of_the_kind"])
def test_an_example_that_is_not_true_or_not_whole_is_found(lie):
    assert "Failed example" in _run(_examples(lie))

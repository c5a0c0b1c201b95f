"""Examples and tables of docs/towers.md name classes and settings that there are."""

import dataclasses
import importlib
import inspect
import re
from pathlib import Path

import pytest
import yaml

from voxtile.models.dual import DualEncoder
from voxtile.models.tower import HUBS
from voxtile.models.tuning import Tuning
from voxtile.training.optimisers import AdamW

PAGE = (Path(__file__).parents[3] / "docs" / "towers.md").read_text("utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def mappings(node):
    """All mappings of a YAML node as {key: node}, keys that come twice kept."""
    if isinstance(node, yaml.SequenceNode):
        return [found for part in node.value for found in mappings(part)]
    if not isinstance(node, yaml.MappingNode):
        return []
    own = [(key.value, value) for key, value in node.value]
    return [own, *(found for _, value in own for found in mappings(value))]


def named(path):
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def keys(node):
    return {key.value for key, _ in node.value}


EXAMPLES = [found for block in BLOCKS for found in mappings(yaml.compose(block))]


@pytest.mark.parametrize("path", sorted(set(re.findall(r"voxtile\.\w+\.[A-Z]\w+", PAGE))))
def test_every_class_exists(path):
    assert inspect.isclass(named(path))


def test_settings_of_examples_exist():
    checked = 0
    for example in map(dict, EXAMPLES):
        if "class_path" in example and "init_args" in example:
            assert keys(example["init_args"]) <= set(inspect.signature(named(example["class_path"].value)).parameters)
            checked += 1
    assert checked >= 6


@pytest.mark.parametrize(
    ("key", "allowed"),
    [
        ("encoder", set(inspect.signature(DualEncoder).parameters)),
        ("image_tuning", {field.name for field in dataclasses.fields(Tuning)}),
        ("text_tuning", {field.name for field in dataclasses.fields(Tuning)}),
        ("optimizer", {field.name for field in dataclasses.fields(AdamW)}),
    ],
)
def test_settings_of_training_exist(key, allowed):
    found = [value for example in EXAMPLES for name, value in example if name == key]
    assert found
    assert all(keys(value) <= allowed for value in found)


def test_the_table_names_every_hub():
    assert set(re.findall(r"`(\w+):(?:NAME|ID)", PAGE)) == set(HUBS)

"""What files from elsewhere may name: all that a config of voxtile names, and it exists."""

import importlib
import inspect
import pkgutil
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest

import voxtile.assist
import voxtile.data
import voxtile.models
import voxtile.objectives
import voxtile.training
from voxtile import listed_classes
from voxtile.assist.answering.vision_language import VisionLanguageObjective
from voxtile.data.presets.base import BasePreset
from voxtile.domain import discover
from voxtile.errors import ConfigError
from voxtile.listed_classes import CORE, listed_class, public_name
from voxtile.models.study import DatedPool, StudyPool
from voxtile.models.tower import ImageTower, TextTower
from voxtile.objectives.base import ItemObjective, Objective
from voxtile.objectives.teachers.momentum import MomentumObjective
from voxtile.training.optimisers import Schedule

BASES = (BasePreset, ImageTower, TextTower, StudyPool, Objective, Schedule)
# What others are derived from, and views of a preset that no config names.
UNNAMED = {ItemObjective, MomentumObjective, DatedPool, VisionLanguageObjective}
UNNAMED_PATHS = {
    "voxtile.data:StudyMasks",
    "voxtile.models:BandsPreset",
    "voxtile.models:SlicePreset",
    "voxtile.models:TimmFeatures",
    "voxtile.models:StagedTower",
}


def test_every_class_that_a_config_may_name_is_listed_and_no_other():
    packages = (voxtile.assist, voxtile.data, voxtile.models, voxtile.objectives, voxtile.training)
    for package in packages:
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    found, wanted = set(), list(BASES)
    while wanted:
        for kind in wanted.pop().__subclasses__():
            wanted.append(kind)
            path = ":".join(public_name(kind).rpartition(".")[::2])
            if kind.__module__.startswith(tuple(package.__name__ for package in packages)):
                found.add(path)
    found = {path for path in found if not path.partition(":")[2].startswith("_")}
    found -= UNNAMED_PATHS | {":".join(public_name(kind).rpartition(".")[::2]) for kind in UNNAMED}
    listed = {path for path in CORE if issubclass(_class(path), BASES)}
    assert listed == found
    assert all(inspect.isclass(_class(path)) for path in CORE)


def test_a_listed_class_has_every_path_under_which_voxtile_has_it():
    from voxtile.data.presets.image import ImagePreset

    old, inner = "voxtile.data.image.ImagePreset", "voxtile.data.presets.image.ImagePreset"
    for path in ("voxtile.data.ImagePreset", old, inner):
        assert listed_class(path, BasePreset) is ImagePreset


def test_a_listed_class_is_refused_where_another_kind_belongs():
    with pytest.raises(ConfigError, match="stands where a Objective belongs"):
        listed_class("voxtile.data.ImagePreset", Objective)


def test_a_class_that_only_has_the_name_of_a_listed_one_is_refused(monkeypatch):
    other = type("ImagePreset", (BasePreset,), {})
    monkeypatch.setattr(voxtile.training, "ImagePreset", other, raising=False)
    with pytest.raises(ConfigError, match="is no class that voxtile"):
        listed_class("voxtile.training.ImagePreset", BasePreset)


def test_the_outermost_package_that_offers_a_class_names_it(monkeypatch):
    kind = type("Bee", (), {"__module__": "hive.comb.cell"})
    for name in ("hive", "hive.comb"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(__all__=["Bee"], Bee=kind))
    assert public_name(kind) == "hive.Bee"
    monkeypatch.setitem(sys.modules, "hive", SimpleNamespace(__all__=["Bee"], Bee=object))  # another one
    assert public_name(kind) == "hive.comb.Bee"


def test_a_plugin_lists_classes_of_its_own_package_alone(monkeypatch):
    """Else installing one would let every file call what its author thought of."""
    medical = replace(discover()[0]["medical"], classes=("voxtile_medical:Own", "subprocess:Popen", "voxtile.data:X"))
    monkeypatch.setattr(listed_classes, "discover", lambda: ({"medical": medical}, ()))
    assert list(listed_classes._of_plugins()) == ["voxtile_medical:Own"]


def _class(path):
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)

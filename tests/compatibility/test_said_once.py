"""Shipped configs are what they were before bases said what they share, to the last value."""

import importlib.util
import json
from pathlib import Path

import pytest
import yaml

from voxtile.training.config_bases import named_bases

HERE = Path(__file__).parent
RECORDED = json.loads((HERE / "said_once.json").read_text(encoding="utf-8"))
_spec = importlib.util.spec_from_file_location("said_once", HERE / "said_once.py")
said_once = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(said_once)


def test_all_configs_are_recorded():
    assert set(said_once.configs()) == set(RECORDED["configs"])


@pytest.mark.parametrize("name", RECORDED["configs"])
def test_a_config_with_its_bases_is_what_was_one_file(name):
    path = said_once.configs()[name]
    assert said_once.config_digest(path) == RECORDED["configs"][name]
    assert "base" in yaml.safe_load(path.read_text(encoding="utf-8")), "what configs repeat is said in a base"


def _values(content, where=()):
    for key, value in content.items():
        if isinstance(value, dict):
            yield from _values(value, (*where, key))
        else:
            yield (*where, key), value


def test_no_config_repeats_what_all_say():
    shared = dict(_values(yaml.safe_load(named_bases()["base"].read_text(encoding="utf-8"))))
    assert len(shared) == 7
    for name, path in said_once.configs().items():
        own = dict(_values(yaml.safe_load(path.read_text(encoding="utf-8"))))
        assert [key for key, value in shared.items() if key in own and own[key] == value] == [], name

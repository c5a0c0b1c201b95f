"""Shipped configs and tasks are what they were before bases and voices said what they share, to the last letter."""

import importlib.util
import json
from collections import Counter
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


def test_all_tasks_are_recorded():
    assert set(said_once.tasks()) == set(RECORDED["tasks"])
    assert len(RECORDED["tasks"]) == 113


@pytest.mark.parametrize("name", RECORDED["tasks"])
def test_a_task_with_its_voice_is_what_was_one_file(name):
    assert said_once.task_digest(said_once.tasks()[name]) == RECORDED["tasks"][name]


def test_no_two_tasks_repeat_templates_or_prompts():
    templates, prompts = Counter(), Counter()
    for path in said_once.tasks().values():
        task = yaml.safe_load(path.read_text(encoding="utf-8"))
        if len(task.get("templates", [])) > 1:
            templates[json.dumps(task["templates"])] += 1
        if isinstance(task.get("classes"), dict):
            prompts.update(json.dumps(fields) for fields in task["classes"].values() if fields)
    repeated = [text for text, count in (templates + prompts).items() if count > 1]
    assert ["normal lymph node" in text for text in repeated] == [True], "two sets of slides have this class"
    assert len(prompts) > 100

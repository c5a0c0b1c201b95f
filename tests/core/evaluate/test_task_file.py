"""Task files: what is read, and one sentence for each thing that can be wrong with one."""

import re
from pathlib import Path

import pytest
import yaml

from voxtile.domain import discover
from voxtile.errors import ConfigError, VoxtileError
from voxtile.evaluation.tasks.file import load_task
from voxtile.evaluation.tasks.task import EvaluationTask

GOOD = {
    "kind": "zero-shot-multilabel",
    "classes": {"effusion": {"wordings": [{"present": "an effusion", "absent": "no effusion"}]}},
}
BINARY = {
    "kind": "zero-shot-singlelabel",
    "classes": {"normal": {"prompts": ["clear"]}, "pneumonia": {"prompts": ["opacity", "consolidation"]}},
}


def written(tmp_path: Path, content: object) -> str:
    path = tmp_path / "task.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
    return str(path)


def test_defaults(tmp_path):
    task = load_task(written(tmp_path, GOOD))
    assert (task.name, task.kind, task.unit, task.split) == ("task", "zero-shot-multilabel", "sample", "test")
    assert task.templates == ("{}",)
    assert task.labels.uncertain == "ignore"
    assert task.classes[0].concept == "effusion"
    assert (task.averaging.templates, task.averaging.wordings, task.averaging.samples) == (
        "embeddings",
        "scores",
        "embeddings",
    )


def test_binary_reports_the_positive_class_and_averages_prompts_as_embeddings(tmp_path):
    task = load_task(written(tmp_path, BINARY))
    assert [item.name for item in task.reported] == ["pneumonia"]
    assert task.averaging.wordings == "embeddings"
    assert not task.exclusive
    other = load_task(written(tmp_path, BINARY | {"positive": "normal"}))
    assert [item.name for item in other.reported] == ["normal"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"knd": "x"}, r"unknown key 'knd'; did you mean 'kind'\?"),
        ({"kind": "zero-shot-multilable"}, r"at kind: .* did you mean 'zero-shot-multilabel'\?"),
        ({"classes": {}}, "at classes: expected a mapping of class names"),
        ({"classes": {"effusion": None}}, r"at classes\.effusion\.wordings: the class is empty"),
        ({"classes": {"effusion": {"wordings": []}}}, "the class is empty"),
        ({"classes": {"effusion": {"wordngs": []}}}, r"unknown key 'wordngs'; did you mean 'wordings'\?"),
        ({"classes": {"effusion": {"prompts": ["x"]}}}, "belongs to the other kind of task; use 'wordings'"),
        ({"classes": {"a": {"wordings": [{"present": "x"}]}}}, r"wordings\.0: the pair has no text for 'absent'"),
        ({"classes": {"a": {"wordings": [{"present": "x", "abset": "y"}]}}}, r"did you mean 'absent'\?"),
        (
            {"classes": {"a": {"wordings": [{"present": "x", "absent": "x "}]}}},
            r"wordings\.0: 'present' and 'absent' are the same text",
        ),
        (
            {"kind": "zero-shot-singlelabel", "classes": {"a": {"prompts": ["x"]}, "b": {"prompts": ["x"]}}},
            "at classes.b: the prompts are those of 'a'",
        ),
        ({"unit": "studdy"}, r"at unit: 'studdy' is not a choice; did you mean 'study'\?"),
        ({"uncertain": "maybe"}, "at uncertain: 'maybe' is not a choice; valid: ignore, positive, negative"),
        ({"averaging": {"words": "scores"}}, r"at averaging: unknown key 'words'"),
        ({"averaging": {"wordings": "score"}}, r"at averaging\.wordings: .*did you mean 'scores'\?"),
        ({"templates": ["no hole"]}, "at templates.0: a template is a text with exactly one"),
        ({"templates": ["{name}"]}, "exactly one"),
        ({"templates": ["{} {}"]}, "exactly one"),
        ({"templates": ["{"]}, "exactly one"),
        ({"templates": "{}"}, "at templates: expected a list"),
        ({"positive": "effusion"}, "only a single-label task of two classes"),
        ({"where": 3}, "at where: expected a text, found 3"),
        ({"fact_head_ensemble": "ja"}, "expected true or false"),
        ({"classes": {"a": {"when": "never", "wordings": [{"present": "x", "absent": "y"}]}}}, r"classes\.a\.when"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path, change, said):
    with pytest.raises(ConfigError, match=said) as caught:
        load_task(written(tmp_path, GOOD | change))
    assert "\n" not in str(caught.value)
    assert "task.yaml" in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("kind: [", "not valid YAML"),
        ("kind: a\nkind: b\nclasses: {}", "key 'kind' is given twice"),
        ("- a\n- b", "expected a mapping, found"),
        ("", "expected a mapping, found None"),
        ("kind: zero-shot-multilabel", "needs the key 'classes'"),
        ("!!python/object/apply:os.system [true]", "not valid YAML"),
    ],
)
def test_files_that_are_no_task(tmp_path, content, said):
    with pytest.raises(ConfigError, match=re.escape(said)):
        load_task(written(tmp_path, content))


def test_a_single_class_is_no_single_label_task(tmp_path):
    one = {"kind": "zero-shot-singlelabel", "classes": {"a": {"prompts": ["x"]}}}
    with pytest.raises(ConfigError, match="at least two classes"):
        load_task(written(tmp_path, one))
    with pytest.raises(ConfigError, match=r"'pneumona' is not a class; did you mean 'pneumonia'\?"):
        load_task(written(tmp_path, BINARY | {"positive": "pneumona"}))


def test_unknown_names_list_what_there_is():
    with pytest.raises(VoxtileError, match="medical/ct-findings"):
        load_task("medical/ct-finding")


def test_every_task_of_every_domain_loads():
    domains, _ = discover()
    names = [f"{domain.name}/{name}" for domain in domains.values() for name in domain.tasks()]
    assert {"medical/ct-findings", "medical/pneumoniamnist"} <= set(names)
    for name in names:
        task = load_task(name)
        assert task.name == name
        for item in task.classes if isinstance(task, EvaluationTask) else ():
            texts = [wording.present for wording in item.wordings]
            assert len(set(texts)) == len(texts) >= 2, f"{name}/{item.name} needs several different wordings"

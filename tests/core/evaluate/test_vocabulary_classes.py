"""Tasks whose classes are those that the corpus looked for: `classes: vocabulary`."""

import json

import pytest
from tests.core.evaluate.test_single_label import CLASSES, QUICK, ColourModel
from tests.core.evaluate.test_single_label import pictures as pictures_corpus  # noqa: F401 - a fixture

from voxtile.errors import ConfigError, EvaluationError
from voxtile.evaluation.run import evaluate_model
from voxtile.evaluation.tasks.file import load_task

LIST = {name: {"prompts": [name]} for name in CLASSES}


def written(folder, name, **content):
    (folder / f"{name}.yaml").write_text(json.dumps({"kind": "zero-shot-singlelabel", "name": "asked", **content}))
    return str(folder / f"{name}.yaml")


def rows(corpus, task):
    return evaluate_model(ColourModel(), "spec", corpus, [task], QUICK).rows


def test_figures_are_those_of_a_task_that_lists_the_same_classes(pictures_corpus, tmp_path):  # noqa: F811
    taken = written(tmp_path, "taken", vocabulary="x", classes="vocabulary", templates=["{}", "it is {}"])
    listed = written(tmp_path, "listed", vocabulary="x", classes=LIST, templates=["{}", "it is {}"])
    found = rows(pictures_corpus, taken)
    assert found == rows(pictures_corpus, listed)
    assert {row.class_name for row in found if row.class_name} == set(CLASSES)


@pytest.mark.sweep(ci=True)
def test_a_probe_of_such_a_task_has_the_same_classes(pictures_corpus, tmp_path):  # noqa: F811
    written(tmp_path, "taken", vocabulary="x", classes="vocabulary")
    written(tmp_path, "listed", vocabulary="x", classes=LIST)
    probes = [
        written(tmp_path, f"probe-{of}", kind="linear-probe", of=str(tmp_path / f"{of}.yaml"))
        for of in ("taken", "listed")
    ]
    assert rows(pictures_corpus, probes[0]) == rows(pictures_corpus, probes[1])


def test_a_corpus_without_the_vocabulary_is_refused(pictures_corpus, tmp_path):  # noqa: F811
    task = written(tmp_path, "other", vocabulary="y", classes="vocabulary")
    with pytest.raises(EvaluationError, match=r"from the vocabulary 'y', of which no scope .* lists two \(it has x\)"):
        rows(pictures_corpus, task)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"classes": "vocabulary"}, "classes: classes of the corpus are those of a vocabulary; name it"),
        ({"classes": "vocabulary", "vocabulary": "x", "kind": "zero-shot-multilabel"}, "expected a mapping of class"),
        ({"classes": "vocabularies", "vocabulary": "x"}, "expected a mapping of class names to classes"),
    ],
)
def test_what_cannot_be_asked_so_is_refused(content, said, tmp_path):
    with pytest.raises(ConfigError, match=said):
        load_task(written(tmp_path, "task", **content))

"""Dataset tasks: their classes are those that the recipes write, and no prompt stands for two classes."""

from collections import Counter

import pytest

from voxtile.evaluate.task_file import load_task
from voxtile_remote_sensing.landcover.legend import load_legend
from voxtile_remote_sensing.recipes import classes
from voxtile_remote_sensing.recipes.skyscript_benchmark import CLASSIFICATION

TABLES = {
    "eurosat": classes.EUROSAT, "resisc45": classes.RESISC45, "aid": classes.AID, "patternnet": classes.PATTERNNET,
    "rsscn7": classes.RSSCN7, "fmow": classes.FMOW, "millionaid": classes.MILLIONAID, "rsicb256": classes.RSICB256,
    "bigearthnet": classes.BIGEARTHNET,
}  # fmt: skip
SIZES = {"eurosat": 10, "resisc45": 45, "aid": 30, "patternnet": 38, "rsscn7": 7, "fmow": 62, "millionaid": 51,
         "rsicb256": 35, "bigearthnet": 19}  # fmt: skip


@pytest.mark.parametrize("name", sorted(TABLES))
def test_classes_of_a_task_are_those_of_its_recipe(name):
    task = load_task(f"remote_sensing/{name}")
    assert [c.concept for c in task.classes] == list(classes.concepts(TABLES[name]))
    assert len(task.classes) == SIZES[name], "the official number of classes"
    assert task.labels.vocabulary == ("bigearthnet-19" if name == "bigearthnet" else name)
    prompts = Counter(wording.present for c in task.classes for wording in c.wordings)
    assert max(prompts.values()) == 1, prompts.most_common(1)
    assert min(len(c.wordings) for c in task.classes) >= 2
    assert task.multilabel == (name == "bigearthnet")
    if not task.multilabel:
        assert len(task.templates) >= 5


def test_skyscripts_seven_sets_have_a_task_each():
    seven = set(CLASSIFICATION) - {"skyscript"}
    assert len(seven) == 7
    for name in seven:
        task = load_task(f"remote_sensing/{name}")
        table = CLASSIFICATION[name][2]
        assert {c.concept for c in task.classes} == set(table.values())


def test_bigearthnets_classes_are_the_concepts_of_the_corine_19_legend():
    assert classes.concepts(classes.BIGEARTHNET) == load_legend("corine-19").concepts

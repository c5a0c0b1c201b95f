"""The referring task asks what training learns, in words of its own, and knows every kind of expression."""

import pytest

from voxtile.domain import resolve
from voxtile.evaluation.tasks.file import load_task
from voxtile.training.config_bases import read_config


def test_one_template_is_worded_as_training_words_none():
    data = read_config(resolve("remote_sensing/aerial-grounding", kind="config"))["data"]
    task = load_task("remote_sensing/aerial-referring")
    assert set(task.templates) - set(data["regions"]["wordings"])
    assert task.regions == tuple(data["regions"]["sources"])


@pytest.mark.parametrize(
    ("phrase", "group"),
    [
        ("the roundabout", "the only one"),
        ("the largest storage tank", "by size"),
        ("the northernmost house", "by end"),
        ("the westernmost swimming pool", "by end"),
        ("the building in the south-east", "by place"),
        ("the house in the centre", "by place"),
        ("the house north-west of the roundabout", "by relation"),
    ],
)
def test_every_kind_of_expression_has_its_group(phrase, group):
    assert load_task("remote_sensing/aerial-referring").group_of(phrase) == group

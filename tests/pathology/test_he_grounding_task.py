"""H&E grounding asks about the tissues of the phantom that are outlined wherever they are, in words of its own."""

from voxtile.domain import resolve
from voxtile.evaluation.tasks.file import load_task
from voxtile.training.config_bases import read_config
from voxtile_pathology.phantom.case import FINDINGS, ORDINARY


def test_the_task_asks_for_what_training_learns():
    task = load_task("pathology/he-grounding")
    # Between the drawn regions there is stroma that nobody drew.
    tissues = {*FINDINGS.values(), *ORDINARY} - {"stroma"}
    assert {item.concept for item in task.classes} == tissues
    regions = read_config(resolve("pathology/he-grounding", kind="config"))["data"]["regions"]
    assert "phrases" not in regions, "all that somebody drew is asked for"
    assert regions["exclude"] == ["stroma"]


def test_one_prompt_of_each_class_is_worded_as_training_words_none():
    regions = read_config(resolve("pathology/he-grounding", kind="config"))["data"]["regions"]
    drawn = [tissue.replace("_", " ") for tissue in {*FINDINGS.values(), *ORDINARY}]
    trained = {wording.format(phrase) for wording in regions["wordings"] for phrase in drawn}
    for item in load_task("pathology/he-grounding").classes:
        assert any(wording.present not in trained for wording in item.wordings), item.name

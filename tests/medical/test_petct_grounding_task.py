"""PET/CT grounding asks for every avid finding and side of the phantom, in words of its own; outlines judge it."""

from voxtile.domain import resolve
from voxtile.evaluation.tasks.file import load_task
from voxtile.training.config_bases import read_config
from voxtile_medical.phantom.petct.lesions import NAMES, PLACES


def test_the_task_asks_for_all_that_is_avid_and_takes_outlines_for_the_truth():
    task = load_task("medical/petct-grounding")
    avid = {name for name in NAMES if any(name.endswith(place.avid) for place in PLACES)}
    assert {item.concept for item in task.classes} == avid
    assert (task.unit, task.labels.source) == ("study", "labels")
    assert task.regions_source == ("dicom-seg", "rtstruct", "nifti-labels")
    data = read_config(resolve("medical/petct-grounding", kind="config"))["data"]
    assert data["regions"]["sources"] == ["suv-mentions"]
    assert data["facts_source"] == "reports", "training sees no label"
    assert {phrase.replace(" ", "_") for phrase in data["regions"]["phrases"]} == avid


def test_one_prompt_of_each_class_is_worded_as_training_words_none():
    regions = read_config(resolve("medical/petct-grounding", kind="config"))["data"]["regions"]
    trained = {wording.format(phrase) for wording in regions["wordings"] for phrase in regions["phrases"]}
    for item in load_task("medical/petct-grounding").classes:
        assert any(wording.present not in trained for wording in item.wordings), item.name

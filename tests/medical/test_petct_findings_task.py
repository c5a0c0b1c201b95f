"""The PET/CT task asks about the phantom's findings, in words of its own, of studies read as a whole."""

from voxtile.domain import resolve
from voxtile.evaluation.tasks.file import load_task
from voxtile.phantom.wording import wording_bank
from voxtile.training.config_bases import read_config
from voxtile_medical.phantom.petct.lesions import CONCEPTS
from voxtile_medical.phantom.petct.reports import WORDING
from voxtile_medical.reports.lexicon import lexicon_path, load_lexicon


def test_the_task_covers_every_finding_of_the_phantom_study_by_study():
    task = load_task("medical/petct-findings")
    assert {item.concept for item in task.classes} == set(CONCEPTS)
    assert len(task.classes) >= 8
    assert (task.unit, task.labels.source) == ("study", "labels")
    config = read_config(resolve("medical/petct", kind="config"))
    assert config["data"]["unit"] == "study"
    assert set(config["data"]["preset"]["init_args"]["roles"]) == {"ct", "pt"}
    assert set(load_lexicon(lexicon_path("petct")).concepts) == set(CONCEPTS)


def test_no_wording_is_a_sentence_of_the_phantoms_reports():
    bank = wording_bank(WORDING)["findings"].values()
    theirs = {plain(text) for concept in bank for texts in concept.values() for text in texts}
    for item in load_task("medical/petct-findings").classes:
        ours = {plain(text) for words in item.wordings for text in (words.present, words.absent)}
        assert not ours & theirs, item.name


def plain(text: str) -> str:
    return text.lower().strip(" .")

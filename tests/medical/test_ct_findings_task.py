"""The CT task asks about the phantom's findings, in words of its own."""

from voxtile.evaluation.tasks.file import load_task
from voxtile.phantom.wording import wording_bank
from voxtile_medical.phantom.ct.findings import CONCEPTS
from voxtile_medical.phantom.ct.reports import WORDING


def test_the_task_covers_every_finding_of_the_phantom():
    task = load_task("medical/ct-findings")
    assert {item.concept for item in task.classes} == set(CONCEPTS)
    assert task.labels.source == "labels"  # the truth, not what was read from the reports that training saw


def test_no_wording_is_a_sentence_of_the_phantoms_reports():
    bank = wording_bank(WORDING)["findings"]
    theirs = {
        plain(text)
        for concept in bank.values()
        for kind in ("present", "absent", "bilateral", "impression")
        for text in concept.get(kind, ())
    }
    for item in load_task("medical/ct-findings").classes:
        ours = {plain(text) for wording in item.wordings for text in (wording.present, wording.absent)}
        assert not ours & theirs, item.name


def plain(text: str) -> str:
    return text.lower().strip(" .")

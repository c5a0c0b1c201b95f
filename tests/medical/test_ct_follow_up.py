"""Pairs of examinations of the CT phantom, and what the assistant is shown of them as a user's files."""

import csv
import json
from datetime import datetime

import numpy as np
import pydicom
import pytest

from voxtile.assist.scans import prompts_of
from voxtile.data import VolumePreset
from voxtile.errors import ConfigError, InputError, PresetError
from voxtile_medical.phantom.ct.command import write_ct_phantom
from voxtile_medical.phantom.ct.findings import CONCEPTS, finding_segment
from voxtile_medical.phantom.ct.follow_up import COURSES, SIZED, examination
from voxtile_medical.phantom.ct.render import render
from voxtile_medical.reports.extract import read_report
from voxtile_medical.reports.lexicon import load_lexicon

SEED, PAIRS = 31, 6


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Native files of six pairs, with what is known of them."""
    out = tmp_path_factory.mktemp("pairs") / "native"
    write_ct_phantom(out, n=2 * PAIRS, seed=SEED, series="enhanced", follow_up=True, segmentations=0, workers=1)
    return out


def header(out, number):
    (file,) = (out / "dicom" / f"{number:05d}").iterdir()
    return pydicom.dcmread(file, stop_before_pixels=True)


def preset(**settings):
    grid = {"shape": (8, 8, 8), "spacing": (40, 40, 50), "windows": ((-160, 240),)}
    return VolumePreset(**grid | {"units": "HU", "modalities": ("CT",)} | settings)


def test_a_pair_is_one_patient_at_two_dates_and_its_truth_is_what_labels_reports_and_sizes_say(pairs):
    truth = json.loads((pairs / "truth.json").read_text())["studies"]
    labels, reports = (list(csv.DictReader((pairs / name).open())) for name in ("labels.csv", "reports.csv"))
    lexicon, seen = load_lexicon(), set()
    for first in range(0, 2 * PAIRS, 2):
        one, other = header(pairs, first), header(pairs, first + 1)
        assert (one.PatientID, one.PatientName) == (other.PatientID, other.PatientName)
        assert one.StudyInstanceUID != other.StudyInstanceUID
        days = datetime.strptime(other.StudyDate, "%Y%m%d") - datetime.strptime(one.StudyDate, "%Y%m%d")
        assert 30 <= days.days < 400
        assert truth[first]["courses"] is None
        assert truth[first + 1]["prior"] == one.StudyInstanceUID
        for concept, course in truth[first + 1]["courses"].items():
            there = [labels[number][concept] == "1" for number in (first, first + 1)]
            assert there == [size > 0 for size in COURSES[course]]
            sizes = [_largest(truth[number], concept) for number in (first, first + 1)]
            if course in ("larger", "smaller", "unchanged") and concept in SIZED:
                before, after = COURSES[course]
                assert sizes[1] / sizes[0] == pytest.approx(after / before, rel=0.1)
            seen.add(course)
        for number in (first, first + 1):
            facts = [f for f in read_report(reports[number]["text"], lexicon).facts if f.concept in CONCEPTS]
            for fact in facts:
                assert fact.polarity == ("present" if labels[number][fact.concept] == "1" else "absent")
    assert seen == set(COURSES)
    assert len({header(pairs, number).PatientID for number in range(0, 2 * PAIRS, 2)}) == PAIRS


def _largest(study, concept):
    return max((f["size_mm"] or 0 for f in study["findings"] if f["concept"] == concept), default=0)


def test_only_what_has_a_course_changes_in_the_body():
    """The rest of the two is one body that lies a little otherwise; another patient is another body."""
    one, other, stranger = examination(SEED, 2), examination(SEED, 3), examination(SEED, 4)
    values = [np.clip(each.study.values.astype(float), -1000, 300) for each in (one, other, stranger)]
    apart = [np.abs(values[0] - each).mean() for each in values[1:]]
    assert apart[0] < 0.7 * apart[1]
    for concept in CONCEPTS:
        masks = [each.study.labels == finding_segment(concept) for each in (one, other)]
        assert [mask.any() for mask in masks] == [size > 0 for size in COURSES[other.courses[concept]]] or concept in (
            "cardiomegaly", "splenomegaly",
        )  # fmt: skip  # which are organs
    again = examination(SEED, 3)
    assert np.array_equal(again.study.values, other.study.values)
    assert not np.array_equal(render(SEED, 3).values, other.study.values)


def test_an_odd_number_of_studies_makes_no_pairs(tmp_path):
    with pytest.raises(InputError, match="need an even number of studies; give --n 4 instead of 3"):
        write_ct_phantom(tmp_path / "odd", n=3, follow_up=True, workers=1)


def prompts(pairs, folder, *numbers, prior=None, several=True, **settings):
    paths = [pairs / "dicom" / f"{number:05d}" for number in numbers]
    before = None if prior is None else pairs / "dicom" / f"{prior:05d}"
    return list(prompts_of(paths, preset(**settings), folder, prior=before, several=several))


def test_a_prior_comes_first_with_its_date_and_several_scans_by_theirs(pairs, tmp_path):
    (shown,) = prompts(pairs, tmp_path / "a", 1, prior=0)
    days = [datetime.strptime(header(pairs, number).StudyDate, "%Y%m%d") for number in (0, 1)]
    written = [f"{day.day} {day:%B} {day.year}" for day in days]
    assert shown.names == (f"Image 1, {written[0]}, prior", f"Image 2, {written[1]}")
    (single,), (before,) = prompts(pairs, tmp_path / "b", 1), prompts(pairs, tmp_path / "c", 0)
    assert (single.names, single.images.shape) == ((), (1, 1, 8, 8, 8))
    assert shown.images[1].equal(single.images[0])
    assert shown.images[0].equal(before.images[0])
    (turned,) = prompts(pairs, tmp_path / "d", 1, 0)  # in any order
    assert turned.names == shown.names
    assert turned.images.equal(shown.images)
    assert turned.name == shown.name == single.name


def test_priors_that_cannot_be_compared_are_refused_in_a_sentence(pairs, tmp_path):
    with pytest.raises(InputError, match=r"00002' is not of the patient of '.*00001'; give exami"):
        prompts(pairs, tmp_path / "a", 1, prior=2)
    with pytest.raises(InputError, match=r"00004' is not of the patient of '.*00001'"):
        prompts(pairs, tmp_path / "b", 1, 4)
    with pytest.raises(InputError, match=r"the prior '.*00001' is of \d{4}-\d\d-\d\d, later than '.*00000' of"):
        prompts(pairs, tmp_path / "c", 0, prior=1)
    with pytest.raises(ConfigError, match="not trained with prior examinations"):
        prompts(pairs, tmp_path / "d", 1, prior=0, several=False)
    with pytest.raises(ConfigError, match="not trained on several images at a time"):
        prompts(pairs, tmp_path / "e", 0, 1, several=False)
    with pytest.raises(PresetError, match="CT"):  # of another modality than the model's
        prompts(pairs, tmp_path / "f", 1, prior=0, modalities=("MR",), units=None)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="empty"):
        list(prompts_of([empty], preset(), tmp_path / "g"))
    with pytest.raises(InputError, match="empty"):
        list(prompts_of([pairs / "dicom" / "00001"], preset(), tmp_path / "h", prior=empty, several=True))

"""Facts in plain words: what is left out, margins of sizes, and that reader and checker find no more than is known."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxtile.errors import ConfigError
from voxtile_datasets.captions.checker.check import Known, check
from voxtile_datasets.captions.checker.vocabulary import installed_vocabularies
from voxtile_datasets.captions.plain_words import PlainWords, SizeMargin
from voxtile_datasets.captions.stated_facts import Fact, Subject
from voxtile_datasets.captions.wordings import DETAILS, bank_for, installed_banks
from voxtile_medical.reports.extract import read_report
from voxtile_medical.reports.lexicon import load_lexicon

CT = Subject("u", "CT", "chest", ())
CONCEPTS = ["pulmonary_nodule", "pleural_effusion", "renal_stone", "consolidation"]


def said(words: PlainWords, fact: Fact) -> str:
    return words(fact, CT, bank_for(installed_banks(), "CT", [fact.concept]), 0)


@pytest.mark.parametrize(
    ("details", "text"),
    [
        (DETAILS, "Pulmonary nodule in the left upper lobe, 12 mm."),
        ({"side", "size"}, "Pulmonary nodule on the left, 12 mm."),
        ({"location"}, "Pulmonary nodule in the upper lobe."),
        ({"size"}, "Pulmonary nodule, 12 mm."),
        ((), "Pulmonary nodule."),
    ],
)
def test_only_the_details_that_are_chosen_are_said(details, text):
    fact = Fact("pulmonary_nodule", "present", "12 mm", "left", "upper lobe")
    assert said(PlainWords(frozenset(details)), fact) == text


def test_levels_are_places_and_several_of_them_are_no_number():
    fractures = Fact("vertebral_fracture", "present", levels=("T8", "L1"))
    assert said(PlainWords(), fractures) == "Vertebral fractures at T8 and L1."
    assert said(PlainWords(frozenset(["side", "size"])), fractures) == "Vertebral fracture."


def test_a_denial_keeps_the_place_without_which_it_would_deny_more():
    fact = Fact("pulmonary_nodule", "absent", location="upper lobe", side="left")
    assert said(PlainWords(frozenset()), fact) == said(PlainWords(), fact)
    assert "upper lobe" in said(PlainWords(frozenset()), fact)


@pytest.mark.parametrize(
    ("margin", "size", "text"),
    [
        ("5 mm", "12 mm", "12 mm ± 5 mm"),
        ("5mm,20%", "12 mm", "12 mm ± 5 mm"),
        ("5 mm, 20 %", "42 mm", "42 mm ± 9 mm"),
        ("0.5 cm, 20 %", "4.2 cm", "42 mm ± 9 mm"),
        ("2.5 mm", "34 x 21 mm", "34 mm ± 3 mm"),
        ("5 mm", "0.4 mm", "1 mm ± 5 mm"),
        ("5 mm", "12 km", "12 km"),
    ],
)
def test_the_margin_is_a_length_or_a_share_whichever_is_more(margin, size, text):
    assert SizeMargin.parse(margin).worded(size) == text


@pytest.mark.parametrize("text", ["", "5", "0 mm", "20 %", "5 mm 20 %", "-5 mm", "5 inch", "5 mm, 20 %, 3"])
def test_what_is_no_margin_is_refused_with_an_example(text):
    with pytest.raises(ConfigError, match="such as '5 mm, 20 %'"):
        SizeMargin.parse(text)


def test_options_of_plain_words_are_refused_with_others_and_unknown_details_are_named():
    assert PlainWords.chosen("varied", None, None) is None
    assert PlainWords.chosen("plain", "side, size", "5 mm") == PlainWords(
        frozenset(["side", "size"]), SizeMargin(5.0)
    )  # fmt: skip
    with pytest.raises(ConfigError, match="--details is of plain words; add --words plain"):
        PlainWords.chosen("varied", "side", None)
    with pytest.raises(ConfigError, match="--size-margin is of plain words"):
        PlainWords.chosen("varied", None, "5 mm")
    with pytest.raises(ConfigError, match="no detail 'lobe'; take some of location, number, side, size"):
        PlainWords.chosen("plain", "side,lobe", None)


@settings(deadline=None)
@given(
    concept=st.sampled_from(CONCEPTS),
    length=st.floats(0.6, 200),
    off=st.floats(-1, 1),
    side=st.sampled_from([None, "left", "right", "bilateral"]),
    number=st.sampled_from([None, "multiple"]),
    details=st.sets(st.sampled_from(sorted(DETAILS))),
)
def test_whatever_is_said_with_a_margin_is_borne_out_by_what_lies_within_it(
    concept, length, off, side, number, details
):
    margin = SizeMargin(5.0, 0.2)
    text = said(
        PlainWords(frozenset(details), margin), Fact(concept, "present", f"{length:.1f} mm", side, None, (), number)
    )
    (read,) = read_report(text, load_lexicon()).facts
    assert (read.concept, read.polarity, read.attributes.laterality) == (
        concept, "present", side if "side" in details else None
    )  # fmt: skip
    assert bool(read.attributes.size_mm) == ("size" in details)
    within = max(4.0, 0.19 * length)  # what is said is rounded to 1 mm
    attributes = json.dumps({"laterality": side} if side else {})
    for value, wanted in ((max(length + off * within, 0.1), ("supported",)), (3 * length + 30, ("contradicted",))):
        row = {"uid": "u", "concept": concept, "polarity": "present", "value": value, "unit": "mm", "source": "labels"}
        verdict = check(text, Known([{**row, "attributes": attributes}], []), installed_vocabularies()["medical"])
        assert verdict.verdict in (wanted if "size" in details else ("supported",)), (text, value, verdict.faults)


def test_a_size_that_has_its_margin_stays_as_it_is():
    margin = SizeMargin(5.0, 0.2)
    assert margin.worded("35.1 mm") == "35 mm ± 8 mm"  # 7.02, rounded up; a fifth of 35 is 7
    assert margin.worded(margin.worded("35.1 mm")) == margin.worded("35.1 mm")

"""Changes of findings as reports tell them: denied ones, comparatives of one time, degrees; and what stands beside."""

import pytest

from voxtile_medical.reports.extract import read_report
from voxtile_medical.reports.lexicon import load_lexicon


def facts(text, concept="pleural_effusion"):
    read = read_report(f"FINDINGS: {text}", load_lexicon())
    return [fact for fact in read.facts if fact.concept == concept]


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("The effusion has increased.", "increased"),
        ("Effusion is larger than on the prior study.", "increased"),
        ("Slightly larger effusion.", "increased"),
        ("The effusion has neither increased nor decreased.", "stable"),
        ("The effusion has not increased.", "stable"),
        ("No significant increase in the left effusion.", "stable"),
        ("No interval increase in size of the left effusion.", "stable"),
        ("No worsening of the effusion.", "stable"),
        ("Effusion without worsening.", "stable"),
        ("The effusion has not resolved.", None),
        ("No resolution of the effusion.", None),
        ("Effusion, now small and no longer large.", None),
        ("Effusion not previously seen.", "new"),
        # compared with what is there at the same time
        ("Bilateral effusions, larger on the right.", None),
        ("Bilateral effusions, right larger than left.", None),
        ("The larger effusion is on the right.", None),
        ("A smaller effusion on the left.", None),
    ],
)
def test_a_change_is_what_the_sentence_says_and_no_more(text, change):
    (found,) = facts(text)
    assert (found.polarity, found.attributes.change) == ("present", change)


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("The effusion has resolved.", "resolved"),
        ("Interval resolution of the effusion.", "resolved"),
        ("The previously enlarging effusion is no longer seen.", "resolved"),
        ("Improved, without residual effusion.", "resolved"),
        ("No new effusion.", None),
        ("No new or enlarging effusion.", None),
    ],
)
def test_only_what_was_there_has_resolved(text, change):
    (found,) = facts(text)
    assert (found.polarity, found.attributes.change) == ("absent", change)


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        ("Markedly improved effusion.", None),
        ("The effusion has markedly decreased.", None),
        ("Slight interval increase in the effusion.", None),
        ("Small interval increase of the effusion.", None),
        ("Small new effusion.", "small"),
        ("Small, slightly increased effusion.", "small"),
        ("Moderate effusion, slightly larger.", "moderate"),
        ("Large, stable effusion.", "large"),
        ("The effusion is not large.", None),
        ("Effusion, not very large, on the left.", None),
        ("Effusion, now small and no longer large.", "small"),
    ],
)
def test_the_degree_of_a_change_is_not_that_of_the_finding(text, severity):
    (found,) = facts(text)
    assert found.attributes.severity == severity


def test_increased_in_a_name_is_no_change():
    (found,) = facts("Mildly increased interstitial markings.", "interstitial_opacity")
    assert (found.attributes.severity, found.attributes.change) == ("mild", None)


@pytest.mark.parametrize(
    ("text", "polarity"),
    [
        ("Negative for pneumothorax, positive for effusion.", "present"),
        ("Negative for pneumothorax or effusion.", "absent"),
        ("Absence of pneumothorax and presence of an effusion.", "present"),
        ("No presence of effusion.", "absent"),
        ("No effusion except on the right.", "present"),
        ("No effusion apart from a small one on the left.", "present"),
        ("No effusion except for the known pneumothorax.", "absent"),
        ("Effusion, if present, is small.", "uncertain"),
        ("Small effusion, if any.", "uncertain"),
        ("Minimal if any effusion.", "uncertain"),
    ],
)
def test_what_stands_beside_a_denial_or_a_condition(text, polarity):
    (found,) = facts(text)
    assert found.polarity == polarity


@pytest.mark.parametrize(
    ("text", "concept"),
    [
        ("The nodule abuts the pleura.", "pulmonary_nodule"),
        ("The nodule does not reach the pleura.", "pulmonary_nodule"),
        ("A nodule 5 mm from the pleura.", "pulmonary_nodule"),
        ("A nodule in contact with the pleura.", "pulmonary_nodule"),
        ("A 12 mm nodule in the pleura.", "pleural_lesion"),
        ("A collection adjacent to the liver.", "fluid_collection"),
        ("A stone of 5 mm in the right kidney.", "renal_stone"),
    ],
)
def test_what_lies_beside_an_organ_is_not_in_it(text, concept):
    assert [(fact.concept, fact.polarity) for fact in read_report(text, load_lexicon()).facts] == [(concept, "present")]

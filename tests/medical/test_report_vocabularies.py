"""The lexicon, the vocabularies that are made of it, and what a report closes."""

from pathlib import Path

import pytest

from voxtile.errors import InputError
from voxtile.words.phrases import expand
from voxtile_medical.reports.extract import facts_of_report, read_report
from voxtile_medical.reports.lexicon import load_lexicon
from voxtile_medical.reports.rows import scope_rows
from voxtile_medical.reports.vocabulary import load_vocabulary

# Names as the data sets' label tables have them.
CHEXPERT = (
    "No Finding|Enlarged Cardiomediastinum|Cardiomegaly|Lung Opacity|Lung Lesion|Edema|Consolidation|Pneumonia|"
    "Atelectasis|Pneumothorax|Pleural Effusion|Pleural Other|Fracture|Support Devices"
)
CT_RATE = (
    "Medical material|Arterial wall calcification|Cardiomegaly|Pericardial effusion|Coronary artery wall calcification|"
    "Hiatal hernia|Lymphadenopathy|Emphysema|Atelectasis|Lung nodule|Lung opacity|Pulmonary fibrotic sequela|"
    "Pleural effusion|Mosaic attenuation pattern|Peribronchial thickening|Consolidation|Bronchiectasis|"
    "Interlobular septal thickening"
)


def labels(text: str, vocabulary: str) -> dict[str, str]:
    lexicon = load_lexicon()
    facts = load_vocabulary(vocabulary, lexicon).facts(read_report(text, lexicon))
    return {fact.concept: fact.polarity for fact in facts}


@pytest.mark.parametrize(("name", "names"), [("chexpert-14", CHEXPERT), ("ct-rate-18", CT_RATE)])
def test_vocabularies_have_the_labels_of_their_data_sets(name: str, names: str):
    assert list(load_vocabulary(name, load_lexicon()).labels) == names.split("|")


@pytest.mark.parametrize("name", ["chexpert-14", "ct-findings", "ct-rate-18"])
def test_every_label_of_a_vocabulary_can_be_read(name: str):
    lexicon = load_lexicon()
    for label, entry in load_vocabulary(name, lexicon).labels.items():
        for concept in entry.own:
            text = f"There is {concept.replace('_', ' ')}."
            if concept in {fact.concept for fact in facts_of_report(text, lexicon)}:
                assert labels(text, name).get(label) == "present"


def test_a_finding_affirms_what_it_is_a_kind_of_but_its_absence_says_nothing_of_it():
    present = labels("Left lower lobe pneumonia.", "chexpert-14")
    assert present == {
        "Pneumonia": "present",
        "Consolidation": "present",
        "Lung Opacity": "present",
        "No Finding": "absent",
    }
    assert labels("No pneumonia.", "chexpert-14") == {"Pneumonia": "absent"}


@pytest.mark.parametrize(
    ("text", "closed"),
    [
        ("Small effusion. No other abnormality.", True),
        ("Normal chest radiograph.", True),
        ("Unremarkable examination.", True),
        ("No significant abnormality.", True),
        ("Small effusion.", False),
        ("No acute abnormality.", False),
        ("The lungs are otherwise unremarkable.", False),
        ("No other abnormality of the liver.", False),
        ("This is not a normal chest radiograph.", False),
    ],
)
def test_only_a_report_that_says_so_closes_the_vocabulary(text: str, closed: bool):
    lexicon = load_lexicon()
    vocabulary = load_vocabulary("chexpert-14", lexicon)
    reading = read_report(text, lexicon)
    rows = list(scope_rows("u", vocabulary, vocabulary.closed(reading)))
    named = {concept for row in rows for concept in row["concepts"] if row["closed"]}
    assert ("Pneumothorax" in named) is closed
    assert sorted(concept for row in rows for concept in row["concepts"]) == sorted(vocabulary.labels)


def test_a_normal_chest_says_nothing_of_the_abdomen():
    closed = read_report("Normal chest CT.", load_lexicon()).closed
    assert "pneumothorax" in closed
    assert "liver_lesion" not in closed


def test_no_finding_needs_a_report_that_closes():
    assert labels("Normal chest radiograph.", "chexpert-14")["No Finding"] == "present"
    assert "No Finding" not in labels("No pneumothorax.", "chexpert-14")


@pytest.mark.parametrize(
    ("text", "denied"),
    [
        ("Lungs are clear.", {"consolidation", "pneumonia", "pulmonary_nodule"}),
        ("Heart size is normal.", {"cardiomegaly"}),
        ("The heart, lungs and mediastinum are normal.", {"cardiomegaly", "consolidation", "mediastinal_widening"}),
        ("Costophrenic angles are sharp.", {"pleural_effusion", "costophrenic_blunting"}),
        ("The liver is homogeneous.", {"liver_lesion"}),
        ("Osseous structures are intact.", {"fracture"}),
    ],
)
def test_a_normal_organ_denies_the_findings_that_it_excludes(text: str, denied: set[str]):
    found = {fact.concept: fact.polarity for fact in facts_of_report(text, load_lexicon())}
    assert denied <= found.keys()
    assert set(found.values()) == {"absent"}


def test_an_organ_that_is_not_normal_denies_nothing():
    assert facts_of_report("The lungs are not clear.", load_lexicon()) == []


def test_phrases_expand_to_all_their_readings():
    assert set(expand("(left|right) [small] effusions")) == {
        ("left", "effusion"),
        ("left", "small", "effusion"),
        ("right", "effusion"),
        ("right", "small", "effusion"),
    }
    with pytest.raises(ValueError, match="brackets"):
        list(expand("(left effusion"))


def test_any_other_name_stands_for_all_concepts():
    lexicon = load_lexicon()
    assert load_vocabulary("general", lexicon).labels.keys() == lexicon.concepts.keys()


def test_a_label_of_an_unknown_concept_is_refused(tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_text("vocabulary: mine\nversion: '1'\nlabels:\n  Ghost: {is: [ectoplasm]}\n")
    with pytest.raises(InputError, match="'Ghost' names 'ectoplasm'"):
        load_vocabulary(str(file), load_lexicon())


def test_a_file_that_is_no_vocabulary_is_refused(tmp_path: Path):
    file = tmp_path / "mine.yaml"
    file.write_text("labels: [a]\n")
    with pytest.raises(InputError, match="it needs vocabulary, version and labels"):
        load_vocabulary(str(file), load_lexicon())


def test_a_lexicon_that_says_a_concept_twice_is_refused(tmp_path: Path):
    (tmp_path / "a.yaml").write_text("version: '1'\ninclude: [b.yaml]\nconcepts:\n  cough: {terms: [cough]}\n")
    (tmp_path / "b.yaml").write_text("concepts:\n  cough: {terms: [tussis]}\n")
    with pytest.raises(InputError, match="'cough' is twice"):
        load_lexicon(tmp_path / "a.yaml")

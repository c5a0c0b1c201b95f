"""The banks behind captions of labelled sets: enough wordings for every class and modality, and no odd sentence."""

import re

import pytest

from voxtile.domain import discover
from voxtile_datasets.captions.plain_words import PlainWords
from voxtile_datasets.captions.sentences import fact_sentences, wordings_of
from voxtile_datasets.captions.stated_facts import Fact, Subject
from voxtile_datasets.captions.wordings import bank_for, installed_banks
from voxtile_medical.reports.extract import read_report
from voxtile_medical.reports.lexicon import load_lexicon

# Classes as public labelled sets name them, by the DICOM modality of their pictures.
CLASSES = {
    "DX": [  # ChestX-ray14, CheXpert, the paediatric pneumonia, tuberculosis and COVID-19 sets, MURA
        "Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia", "Pneumothorax",
        "Consolidation", "Edema", "Emphysema", "Fibrosis", "Pleural_Thickening", "Hernia", "Fracture", "Tuberculosis",
        "COVID-19", "No Finding", "Enlarged Cardiomediastinum", "Lung Opacity", "Support Devices",
    ],
    "CT": [  # CT-RATE, and what the abdomen adds
        "Lymphadenopathy", "Emphysema", "Atelectasis", "Lung nodule", "Lung opacity", "Pleural effusion",
        "Consolidation", "Cardiomegaly", "Pericardial effusion", "Coronary calcification", "Hiatal hernia",
        "liver_lesion", "gallstones", "splenomegaly", "renal_stone", "vertebral_fracture", "aortic_aneurysm", "normal",
    ],
    "MR": [  # the brain tumour and dementia sets, and what a neuroradiologist reports
        "glioma", "meningioma", "pituitary", "normal", "dementia", "acute_infarct", "intracranial_haemorrhage",
        "hydrocephalus", "midline_shift", "white_matter_lesions", "atrophy", "subdural_collection", "enhancing_mass",
        "vasogenic_oedema", "cerebellar_lesion", "arachnoid_cyst",
    ],
    "US": ["benign", "malignant", "normal", "thyroid_nodule", "gallstones", "fatty liver", "B-lines", "pneumonia"],
    "OP": [  # APTOS, Messidor, ODIR
        "No DR", "Mild NPDR", "Moderate NPDR", "Severe NPDR", "PDR", "glaucoma", "cataract", "AMD", "hypertension",
        "myopia", "normal",
    ],
    "SM": ["ADI", "LYM", "MUC", "necrosis", "normal_epithelium", "smooth_muscle", "stroma", "tumour"],  # NCT-CRC
}  # fmt: skip
PAIRS = [(modality, name) for modality, names in CLASSES.items() for name in names]
LEAST = 20


@pytest.fixture(scope="module")
def banks():
    return installed_banks()


@pytest.mark.parametrize(("modality", "name"), PAIRS)
def test_every_class_can_be_said_in_twenty_ways(banks, modality, name):
    bank = bank_for(banks, modality)
    for polarity in ("present", "absent"):
        found = wordings_of(Fact(name, polarity), bank, modality)
        assert len({" ".join(text.casefold().split()) for text in found}) >= LEAST, (polarity, len(found))


@pytest.mark.parametrize(("modality", "name"), PAIRS)
def test_every_sentence_is_one(banks, modality, name):
    bank = bank_for(banks, modality)
    for polarity in ("present", "absent", "uncertain"):
        for text in wordings_of(Fact(name, polarity), bank, modality):
            assert re.fullmatch(r"[A-Z0-9][^{}\[\]]*[.]", text), text
            assert not re.search(r"\b(a [aeiou]\w|an [bcdfgjkpqtvwyz]\w|the the|a a|an an)\b", text), text
            assert "  " not in text
            assert not re.search(r"\bis [\w ]*\w(?<!s)s seen\b", text)


def test_what_captions_choose_from_is_what_is_counted(banks):
    bank = bank_for(banks, "MR")
    fact = Fact("glioma", "present")
    said = {
        fact_sentences(Subject(f"{n:x}", "MR", None, (fact,)), bank, variant=n % 3, absent=0)[0][1] for n in range(600)
    }
    everything = set(wordings_of(fact, bank, "MR"))
    assert said <= everything
    assert len(said) > 0.9 * len(everything)


def test_each_modality_has_a_versioned_bank_of_its_own_field(banks):
    named = {modality: bank_for(banks, modality).identity for modality in CLASSES}
    assert named["OP"].startswith("ophthalmology@")
    assert named["US"].startswith("ultrasound@")
    assert named["SM"].startswith("histology@")
    assert {named["DX"], named["CT"], named["MR"]} == {"radiology@4"}
    assert not discover()[1]


@pytest.mark.parametrize("concept", ["pulmonary_nodule", "pleural_effusion", "renal_stone", "consolidation"])
def test_plain_sentences_say_whether_first_and_are_read_as_what_they_say(concept):
    lexicon, bank = load_lexicon(), bank_for(installed_banks(), "CT", [concept])
    subject = Subject("u", "CT", "chest", ())
    for side, words in ((None, ""), ("left", " on the left"), ("bilateral", " on both sides")):
        for size, number in ((None, None), ("31 mm", None), ("3.1 cm", "multiple")):
            text = PlainWords()(Fact(concept, "present", size, side, number=number), subject, bank, 0)
            assert text.casefold().startswith(concept.replace("_", " "))
            (found,) = read_report(text, lexicon).facts
            read = found.attributes
            assert (found.concept, found.polarity) == (concept, "present")
            assert (read.laterality, read.size_mm) == (side, (31.0,) if size else ()), text
            assert words in text
    assert PlainWords()(Fact(concept, "absent"), subject, bank, 0) == f"No {concept.replace('_', ' ')}."

"""Noun phrases of template captions: articles, plurals, agreement, and sizes as a report gives them."""

import pytest

from voxtile_datasets.captions.english import (
    capitalised,
    is_mass,
    is_plural,
    joined,
    number_word,
    plural,
    with_article,
)
from voxtile_datasets.captions.phrase_bank.compose import _repeats
from voxtile_datasets.captions.places import beside_place
from voxtile_datasets.captions.sentences import _takes_details, wordings_of
from voxtile_datasets.captions.sizes import rounded_mm, size_text
from voxtile_datasets.captions.stated_facts import Fact, placed
from voxtile_datasets.captions.wordings import bank_for, installed_banks


@pytest.mark.parametrize(
    "phrase",
    [
        "an 8 mm nodule", "an 11 mm nodule", "an 18 mm stone", "an 80 m road", "a 7 mm nodule", "a 118 mm mass",
        "a 1.8 cm cyst", "an 8.5 cm mass", "an MR scan", "a CT scan", "an X-ray", "an H&E patch", "a SAR image",
        "an OCT image", "a PET scan", "an NDVI map", "an ultrasound", "a uterine mass", "a unilateral effusion",
        "a ureteric stone", "an umbilical hernia", "a European city", "an hour", "a house", "a one-storey house",
        "an adrenal mass", "an aerial image",
    ],
)  # fmt: skip
def test_articles_go_by_the_sound(phrase):
    assert with_article(phrase.split(" ", 1)[1]) == phrase


@pytest.mark.parametrize(
    ("one", "many"),
    [
        ("pulmonary nodule", "pulmonary nodules"), ("renal calculus", "renal calculi"), ("metastasis", "metastases"),
        ("aneurysm of the aorta", "aneurysms of the aorta"), ("ground-glass opacity", "ground-glass opacities"),
        ("lung mass", "lung masses"), ("vertebra", "vertebrae"), ("body of water", "bodies of water"),
        ("nodule in the left lung", "nodules in the left lung"), ("runway", "runways"), ("church", "churches"),
        ("mass with contrast enhancement", "masses with contrast enhancement"), ("naevus", "naevi"),
        ("gallstones", "gallstones"), ("row of terraced houses", "rows of terraced houses"),
    ],
)  # fmt: skip
def test_plurals_are_those_of_the_head(one, many):
    assert plural(one) == many
    assert is_plural(many)
    assert one == many or not is_plural(one)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("shift of midline structures", False), ("lesions of the white matter", True), ("ascites", False),
        ("lines and tubes", True), ("moss and lichen", False), ("pancreas", False), ("atelectasis", False),
        ("mucus", False), ("mitoses", True), ("industrial or commercial units", True), ("glass", False),
    ],
)  # fmt: skip
def test_the_verb_agrees_with_the_head(name, expected):
    assert is_plural(name) is expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("pleural fluid", True), ("fluid in the pleural space", True), ("pulmonary nodule", False), ("farmland", True),
        ("splenomegaly", True), ("pneumonia", True), ("hernia", False), ("residential area", False), ("lake", False),
        ("enlargement of the heart", True), ("adipose tissue", True), ("atelectasis", True), ("metastasis", False),
        ("hydronephrosis", True), ("tennis court", False), ("coronary calcification", True), ("cyst", False),
        ("steatosis of the liver", True), ("open water", True), ("glaucoma", True), ("meningioma", False),
    ],
)  # fmt: skip
def test_what_is_not_counted_takes_no_article(name, expected):
    assert is_mass(name) is expected


@pytest.mark.parametrize(
    ("length", "spacing", "rounded"),
    [
        (66.8549, None, 67), (66.8549, 0.7, 67), (66.8549, 3.0, 67), (66.8549, 5.69, 65), (24.2794, 5.69, 25),
        (3.4567, 0.1, 3.5), (0.2, 0.05, 0.2), (0.4, 0.7, 1), (7.5, 0.9, 8), (63.0, 12.0, 60),
    ],
)  # fmt: skip
def test_a_length_is_no_finer_than_its_grid(length, spacing, rounded):
    assert rounded_mm(length, spacing) == rounded


@pytest.mark.parametrize(
    ("lengths", "unit", "in_cm", "text"),
    [
        ([67], "mm", False, "67 mm"), ([67], "mm", True, "6.7 cm"), ([8], "mm", True, "8 mm"),
        ([5.3], "cm", True, "5.3 cm"),
        ([34, 21], "mm", False, "34 x 21 mm"), ([34, 21], "mm", True, "3.4 x 2.1 cm"),
        ([34, 8], "mm", True, "34 x 8 mm"),
        ([7.5], "mm", True, "7.5 mm"), ([250.4], "µm", False, "250 µm"), ([60], "mm", True, "6 cm"),
        ([float("nan")], "mm", False, None), ([0.0], "mm", False, None), ([12], "ml", False, None),
        ([0.002], "m", False, None),
    ],
)  # fmt: skip
def test_sizes_are_in_the_units_of_the_field(lengths, unit, in_cm, text):
    assert size_text(lengths, unit, in_cm=in_cm) == text


def test_numbers_are_words_up_to_ten():
    assert [number_word(count) for count in (1, 2, 9, 10, 12)] == ["one", "two", "nine", "ten", "12"]
    assert joined(["T8", "T10", "L1"]) == "T8, T10 and L1"
    assert joined(["T8"]) == "T8"


@pytest.mark.parametrize("name", ["COPD", "hyperinflation", "aortic tortuosity", "heart failure", "cholecystectomy"])
def test_conditions_and_procedures_take_no_article(name):
    assert is_mass(name)


@pytest.mark.parametrize(
    ("name", "fact", "own", "expected"),
    [
        ("adenocarcinoma cells", Fact("adenocarcinoma", "present", size="4 mm"), "adenocarcinoma", False),
        ("adenocarcinoma tissue", Fact("adenocarcinoma", "present", size="4 mm"), "adenocarcinoma", False),
        ("adenocarcinoma cells", Fact("adenocarcinoma", "present"), "adenocarcinoma", True),
        ("lesion in the liver", Fact("liver_lesion", "present", size="8 cm", number="three"), "liver lesion", False),
        ("lesion in the liver", Fact("liver_lesion", "present", size="8 cm"), "liver lesion", True),
        ("lesion in the liver", Fact("liver_lesion", "present", location="segment 4"), "liver lesion", False),
        ("mass of the adrenal gland", Fact("adrenal_mass", "present", side="right"), "adrenal mass", False),
    ],
)
def test_a_size_is_of_the_finding_that_it_stands_beside(name, fact, own, expected):
    assert _takes_details(name, fact, own) is expected


@pytest.mark.parametrize(
    "name",
    [
        "ductal carcinoma in situ", "proliferative endometrium", "lichen planus", "mycosis fungoides", "hemosiderin",
        "acute cellular rejection", "microvascular proliferation", "cytomegalovirus", "hydrocephalus", "midline shift",
        "polyhydramnios", "melanosis coli",
    ],
)  # fmt: skip
def test_processes_organisms_and_latin_names_take_no_article(name):
    assert is_mass(name)
    assert not is_plural(name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("spitz nevus", "Spitz nevus"), ("helicobacter pylori", "Helicobacter pylori"),
        ("marsh lesion", "Marsh lesion"),
        ("t cell mediated rejection", "T-cell-mediated rejection"), ("large b cell lymphoma", "large B-cell lymphoma"),
        ("igg4 related disease", "IgG4 related disease"), ("fat cell", "fat cell"), ("marshland", "marshland"),
    ],
)  # fmt: skip
def test_names_of_people_and_organisms_have_their_capitals(name, said):
    assert capitalised(name) == said


@pytest.mark.parametrize(
    ("concept", "side", "location", "left"),
    [
        ("endometrial_carcinoma", None, "endometrium", (None, None)),
        ("omental_metastasis", None, "left omentum", ("left", None)),
        ("ovarian_cyst", "left", "ovary", ("left", None)),
        ("serosal_invasion", None, "serosal surface", (None, None)),
        ("prostatitis", "left", "prostate", ("left", "prostate")),  # what is not counted has no side of its own
        ("renal_cyst", "left", "upper pole", ("left", "upper pole")),
        ("liver_lesion", None, "right hepatic lobe", (None, "right hepatic lobe")),
        ("colitis", None, "colon", (None, "colon")),
    ],
)
def test_a_place_that_the_name_says_is_not_said_again(concept, side, location, left):
    fact = placed(Fact(concept, "present", side=side), location)
    assert (fact.side, fact.location) == left


def test_a_fracture_of_a_numbered_rib_is_no_rib_fracture_of_a_rib():
    names = ("rib fracture", "broken rib")
    assert beside_place(names, "rib 7") == ("fracture",)
    assert beside_place(names, "left lower lobe") == beside_place(names, None) == names


@pytest.mark.parametrize(
    ("fact", "said"),
    [
        (Fact("carcinoma", "present", size="22 mm"), "A 22 mm carcinoma is seen"),
        (Fact("carcinoma", "present"), "Carcinoma is seen"),
        (Fact("ductal_carcinoma_in_situ", "present", size="3 mm"), "Ductal carcinoma in situ measuring 3 mm is seen"),
        (Fact("histiocytes", "present", side="left"), "Histiocytes on the left."),
        (Fact("ovarian_cyst", "present", side="left"), "Left ovarian cyst."),
        (
            Fact("seborrheic_keratosis", "present", side="left", location="cheek"),
            "Seborrheic keratosis on the left cheek.",
        ),
    ],
)
def test_tissue_is_said_as_pathologists_say_it(fact, said):
    texts = wordings_of(fact, bank_for(installed_banks(), "SM"), "SM")
    assert any(text.startswith(said) for text in texts), texts
    assert not any("cells of up to" in text or "tissue measuring" in text for text in texts)


@pytest.mark.parametrize(
    ("sentence", "description", "repeated"),
    [
        ("A car park can be recognised from above.", "From above, a parking lot is striped by its bays.", True),
        ("A car park can be recognised from above.", "Painted lines divide a parking lot into bays.", False),
        ("There is a meningioma.", "A meningioma sits broadly on the dura.", False),
    ],
)
def test_a_description_is_not_opened_as_the_sentence_before_it(sentence, description, repeated):
    assert _repeats(description, sentence.casefold().split()) == repeated

"""Denials of what is there are never supported: every name of every vocabulary, and sentences about tumours."""

import itertools

import pytest

from voxtile.domain import discover
from voxtile.words.phrases import expand
from voxtile_datasets.captions.checker.check import Known, check
from voxtile_datasets.captions.checker.vocabulary import Vocabulary, installed_vocabularies
from voxtile_datasets.captions.checker.vocabulary_file import read_files
from voxtile_datasets.captions.sentences import wordings_of
from voxtile_datasets.captions.stated_facts import Fact
from voxtile_datasets.captions.wordings import bank_for, installed_banks

DOMAINS = {name: domain for name, domain in discover()[0].items() if domain.claims}
VOCABULARIES = installed_vocabularies()
TISSUES = ["adipose", "lymphocytes", "mucin", "necrosis", "normal_epithelium", "smooth_muscle", "stroma", "tumour"]
# "No increase in …" and "without contrast …" deny nothing that is there.
NO_DENIALS = ("increase in", "contrast")


def known(concept, *closed, polarity="present"):
    fact = {"concept": concept, "polarity": polarity, "value": None, "unit": None, "attributes": "{}"}
    scopes = [{"vocabulary": "v", "closed": True, "concepts": list(closed)}] if closed else []
    return Known([fact], scopes)


@pytest.mark.sweep(ci=True)
@pytest.mark.parametrize("domain", sorted(DOMAINS))
def test_no_name_of_what_is_there_can_be_denied(domain):
    """Each phrase that names a concept and nothing else, denied where the concept is there and all was looked for."""
    vocabulary, entries = VOCABULARIES[domain], read_files(DOMAINS[domain].claims).tables["concepts"]
    tried, supported = 0, []
    for concept, entry in entries.items():
        facts = known(concept, *entries)
        phrases = (" ".join(words) for term in (entry or {}).get("terms", ()) for words in expand(str(term)))
        for phrase in itertools.islice(phrases, 40):
            verdict = check(f"There is no {phrase.replace(' - ', '-')}.", facts, vocabulary)  # "LR-5"
            if verdict.claims and concept in verdict.claims[0].concepts and not phrase.startswith(NO_DENIALS):
                tried += 1
                supported += [phrase] if verdict.verdict == "supported" else []
    assert not supported
    assert tried > {"general": 5, "medical": 800, "pathology": 150, "remote_sensing": 400}[domain]


@pytest.mark.parametrize(
    ("domain", "concept", "text"),
    [
        # A grade within the name limits no denial of what has none.
        ("medical", "cardiomegaly", "The heart is not mildly enlarged."),
        ("medical", "diverticulosis", "There are no pouches in the large bowel."),
        ("pathology", "lymphoid_aggregates", "No sheets of small lymphocytes are seen."),
        # A name that begins with a word by which "no …" would deny nothing.
        ("medical", "physeal_injury", "No growth plate fracture is seen."),
        ("remote_sensing", "house", "There is no one-storey house."),
        ("remote_sensing", "residential_area", "This is not where people live."),
    ],
)
def test_words_within_a_name_take_no_denial_back(domain, concept, text):
    assert check(text, known(concept, concept), VOCABULARIES[domain]).verdict in {"contradicted", "unsupported"}


@pytest.mark.parametrize("text", ["An aerial image with a house.", "An aerial view of a house."])
def test_a_picture_from_above_is_no_antenna(text):
    facts = known("house")
    assert check(text, facts, VOCABULARIES["remote_sensing"]).verdict == "supported"
    assert check("A house with a TV aerial.", facts, VOCABULARIES["remote_sensing"]).verdict == "unsupported"


@pytest.mark.parametrize("closed", [(), TISSUES])
@pytest.mark.parametrize(
    ("concept", "text"),
    [
        ("tumour", "No tumor."),
        ("tumour", "No tumour cells are seen."),
        ("tumour", "The section is free of tumour."),
        ("tumour", "Neither tumour nor necrosis is present."),
        ("tumour", "There is no malignancy."),
        ("tumour", "No carcinoma is identified."),
        ("necrosis", "no necrosis"),
        ("necrosis", "Viable tissue without necrotic debris."),
        ("necrosis", "No extensive necrosis."),
        ("mucin", "No mucin pools."),
        ("lymphocytes", "Lymphoid aggregates are not seen."),
    ],
)
def test_what_fills_the_patch_cannot_be_denied(concept, text, closed):
    assert check(text, known(concept, *closed), VOCABULARIES["pathology"]).verdict in {"contradicted", "unsupported"}


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("Normal cerebral cortex with some blood.", "contradicted"),
        ("Benign epithelium only.", "contradicted"),
        ("Nothing but normal mucosa.", "contradicted"),
        ("Benign epithelium only in one corner, beside the tumour.", "unsupported"),  # of a part
        ("Normal brain tissue beside the tumour.", "supported"),
        ("A necrotic tumour borders on normal brain tissue.", "supported"),
    ],
)
def test_what_is_all_normal_holds_no_tumour(text, verdict):
    facts = [known(name).facts[0] for name in ("tumour", "necrosis", "blood")]
    scope = {"vocabulary": "v", "closed": True, "concepts": ["tumour", "necrosis", "blood", "normal_epithelium"]}
    assert check(text, Known(facts, [scope]), VOCABULARIES["pathology"]).verdict == verdict


@pytest.mark.parametrize(("concept", "verdict"), [("metastasis", "contradicted"), ("lymphocytes", "unsupported")])
def test_a_node_with_a_metastasis_is_not_of_stage_n0(concept, verdict):
    facts = Known(known(concept).facts, (), metadata={"body_part": "lymph node"})
    assert check("A lymph node, pN0.", facts, VOCABULARIES["pathology"]).verdict == verdict


@pytest.mark.parametrize(
    ("concept", "text", "verdict"),
    [
        ("tumour", "Tumor cells are seen.", "supported"),
        ("tumour", "Invasive adenocarcinoma.", "unknown"),
        ("tumour", "A malignant lesion.", "unknown"),
        ("adenocarcinoma", "Adenocarcinoma, a malignant tumour.", "supported"),
        ("benign_tumour", "A tumour.", "supported"),
        ("benign_tumour", "A carcinoma.", "contradicted"),
    ],
)
def test_a_tumour_is_no_carcinoma_until_the_facts_say_so(concept, text, verdict):
    assert check(text, known(concept, concept), VOCABULARIES["pathology"]).verdict == verdict


@pytest.mark.parametrize("concept", [*TISSUES, "carcinoma", "adenocarcinoma", "cancer"])
def test_templates_say_nothing_that_the_fact_does_not(concept):
    """The bank against the checker, which shares nothing with it."""
    bank = bank_for(installed_banks(), "SM")
    for polarity in ("present", "absent"):
        facts = known(concept, concept, polarity=polarity)
        for text in wordings_of(Fact(concept, polarity), bank, "SM"):
            assert check(text, facts, VOCABULARIES["pathology"]).verdict == "supported", text


OWN = """
vocabulary: things
version: "1"
concepts:
  thing: {terms: [thing]}
  cube: {is_a: [thing], terms: [cube, block]}
  ball: {is_a: [thing], terms: [ball]}
  brick: {terms: [block]}
"""


@pytest.mark.parametrize(
    ("facts", "text", "verdict"),
    [
        # A kind that is there shows the general thing, whatever is denied of another kind.
        ([("cube", "present", None), ("ball", "absent", None)], "There is a thing.", "supported"),
        # What is denied in general is denied of each kind.
        ([("thing", "absent", None)], "There is a ball.", "contradicted"),
        # A word of two meanings is judged by the one that its details fit.
        ([("cube", "present", 10.0), ("brick", "present", 20.0)], "A block of 20 mm.", "supported"),
        ([("cube", "present", 10.0), ("brick", "present", 20.0)], "A block of 10 mm.", "supported"),
        ([("cube", "present", 10.0), ("brick", "present", 20.0)], "A block of 70 mm.", "contradicted"),
        ([("cube", "present", 10.0), ("brick", "present", None)], "A block of 70 mm.", "unsupported"),
    ],
)
def test_kinds_and_meanings(tmp_path, facts, text, verdict):
    (tmp_path / "own.yaml").write_text(OWN)
    rows = [
        {"concept": c, "polarity": p, "value": size, "unit": "mm" if size else None, "attributes": "{}"}
        for c, p, size in facts
    ]
    assert check(text, Known(rows, []), Vocabulary.load([tmp_path / "own.yaml"])).verdict == verdict


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("Vertebral fractures at T8, T10, L1 and L3.", "supported"),
        ("Vertebral fractures at T8 and L3.", "supported"),
        ("Vertebral fractures at T8, T9, L1 and L3.", "contradicted"),
        ("A vertebral fracture at T11.", "contradicted"),
    ],
)
def test_levels_in_a_list_are_one_fact_each(text, verdict):
    levels = ("T8", "T10", "L1", "L3")
    rows = [
        {"concept": "vertebral_fracture", "polarity": "present", "value": None, "unit": None,
         "attributes": f'{{"location": "{level}"}}'}
        for level in levels
    ]  # fmt: skip
    assert check(text, Known(rows, []), VOCABULARIES["medical"]).verdict == verdict


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("Heart: Possible cardiomegaly.", "supported"),
        ("Heart: suspected cardiac enlargement.", "supported"),
        ("Cardiomegaly: possible.", "supported"),
        ("Cardiomegaly: possible in this view.", "supported"),  # where it is doubted, and not what follows
        ("Findings are equivocal for cardiomegaly.", "supported"),
        ("Findings are highly suspicious for cardiac enlargement.", "supported"),
        ("Heart: Cardiomegaly.", "unsupported"),
        ("Heart: no cardiomegaly.", "unsupported"),
    ],
)
def test_a_doubt_behind_a_colon_is_of_what_follows_where_something_does(text, verdict):
    assert check(text, known("cardiomegaly", polarity="uncertain"), VOCABULARIES["medical"]).verdict == verdict


@pytest.mark.parametrize(
    ("concept", "text", "verdict"),
    [
        ("colon_cancer", "A colonic mass.", "supported"),
        ("prostate_cancer", "A lesion of the prostate.", "supported"),
        ("lung_malignancy", "There is a cancer in the lung.", "supported"),
        ("renal_cell_carcinoma", "No renal mass.", "contradicted"),
        ("brain_metastasis", "No brain tumor.", "contradicted"),
        ("dilated_aorta", "Dilatation of the aorta.", "supported"),
        ("dilated_aorta", "No ectasia of the aorta.", "contradicted"),
    ],
)
def test_what_is_a_kind_of_a_lesion_is_known_by_its_general_names(concept, text, verdict):
    assert check(text, known(concept), VOCABULARIES["medical"]).verdict == verdict

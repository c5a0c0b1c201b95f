"""The checker on sentences written for this test: claims, polarity, details, relations, identity, scopes."""

import time

import pytest
import yaml
from caption_sentences import fact

from voxtile.domain import discover
from voxtile.errors import ConfigError
from voxtile_datasets.captions.checker.check import Known, check
from voxtile_datasets.captions.checker.choose import choose
from voxtile_datasets.captions.checker.extraction.extract import claims_of
from voxtile_datasets.captions.checker.vocabulary import Vocabulary, installed_vocabularies

VOCABULARIES = installed_vocabularies()
RAISED = {"contradicted", "unsupported"}


def closed(*concepts):
    return {"vocabulary": "v", "closed": True, "concepts": list(concepts)}


def judge(domain, text, facts, scopes=(), **known):
    return check(text, Known(facts, scopes, **known), VOCABULARIES[domain])


CHEST = [
    fact("pulmonary_nodule", value=8.0, unit="mm", laterality="left", location="upper lobe", size_mm=[8.0]),
    fact("pleural_effusion", laterality="right", severity="small"),
    fact("cardiomegaly", "absent"),
    fact("pneumothorax", "absent"),
    fact("atelectasis", "uncertain"),
]
CHEST_SCOPE = [closed("pulmonary_nodule", "pleural_effusion", "cardiomegaly", "pneumothorax", "fracture", "gallstones")]

MEDICAL = [
    # numbers, units and their rounding
    ("A nodule of 0.8 cm in the left upper lobe.", "supported"),
    ("A nodule of 8 cm in the left upper lobe.", "contradicted"),
    ("An eight millimetre nodule of the left upper lobe.", "supported"),
    ("The left upper lobe holds a nodule; it measures about 8 mm.", "supported"),
    ("There is a nodule in the left upper lobe. It measures 13 mm.", "contradicted"),
    ("A left upper lobe nodule larger than 5 mm.", "supported"),
    ("A nodule of between 5 and 10 mm in the left upper lobe.", "supported"),
    ("A nodule between 0.5 cm and 1 cm in the left upper lobe.", "supported"),
    ("A left upper lobe nodule between 10 and 20 mm.", "contradicted"),
    ("A left upper lobe nodule, 10 mm to 20 mm.", "contradicted"),
    ("A left upper lobe nodule of 10 ± 3 mm.", "supported"),
    ("A left upper lobe nodule, 10 mm (+/- 3 mm).", "supported"),
    ("A left upper lobe nodule of 10 mm plus or minus 1 mm.", "contradicted"),
    ("A left upper lobe nodule of 13 mm, give or take 5 mm.", "supported"),
    ("A left upper lobe nodule of 12 mm ± 0.5 cm.", "supported"),
    ("A left upper lobe nodule of 1.2 cm ± 5 mm.", "supported"),
    ("A left upper lobe nodule of 3 cm ± 5 mm.", "contradicted"),
    ("A left upper lobe nodule of 12 mm, ± 5 HU.", "contradicted"),
    ("A left upper lobe nodule of 10 mm ± 30 %.", "supported"),
    ("A left upper lobe nodule of 10 mm ± 10 %.", "contradicted"),
    ("A left upper lobe nodule of 1.2 ± 0.3 cm.", "contradicted"),
    ("A left upper lobe nodule larger than 2 cm.", "contradicted"),
    # sides and places, and whose they are
    ("Right pleural effusion and a left upper lobe nodule.", "supported"),
    ("Left pleural effusion and a right upper lobe nodule.", "contradicted"),
    ("Pleural effusion on the right; on the left, in the upper lobe, a nodule.", "supported"),
    ("Bilateral pleural effusions.", "contradicted"),
    ("A nodule in the left lower lobe.", "contradicted"),
    ("A nodule in the RUL.", "contradicted"),
    # polarity
    ("No evidence of pneumothorax.", "supported"),
    ("The examination is not without pneumothorax.", "contradicted"),
    ("It is not true that there is a pneumothorax.", "supported"),
    ("Not only an effusion but also a nodule is seen.", "supported"),
    ("A nodule rather than a pneumothorax.", "supported"),
    ("Pneumothorax rather than a nodule.", "contradicted"),
    ("Neither pneumothorax nor cardiomegaly.", "supported"),
    ("No pneumothorax, fracture or cardiomegaly, but a right effusion.", "supported"),
    ("A pneumothorax cannot be excluded.", "contradicted"),
    ("The heart is not enlarged.", "supported"),
    ("The heart is enlarged.", "contradicted"),
    ("Heart size is within normal limits.", "supported"),
    ("No large pleural effusion.", "supported"),
    ("No pleural effusion on the left.", "supported"),
    ("No pleural effusion on the right.", "contradicted"),
    ("Possible atelectasis.", "supported"),
    ("There is atelectasis.", "unsupported"),
    # what was looked for, and what was not
    ("A fracture is seen.", "unsupported"),
    ("No gallstones.", "supported"),
    ("There is a hiatal hernia.", "unknown"),
    # a nodule is a lesion; a lesion need not be a nodule
    ("There is a focal lesion of the lung.", "supported"),
    ("The chest X-ray is normal.", "contradicted"),
    ("Small right pleural effusion.", "supported"),
    ("Massive right pleural effusion.", "contradicted"),
    ("The weather was fine.", "unknown"),
]


@pytest.mark.parametrize(("text", "wanted"), MEDICAL)
def test_findings(text, wanted):
    verdict = judge("medical", text, CHEST, CHEST_SCOPE)
    assert verdict.verdict == wanted, verdict.faults
    for fault in verdict.faults:
        assert text[fault.start : fault.end] == fault.words
        assert fault.why.endswith(".")
    assert bool(verdict.faults) == (wanted != "supported")


MAP = [
    fact("building", value=3.0, unit="count"),
    fact("lake", value=1.0, unit="count"),
    fact("bridge", value=2.0, unit="count"),
    fact("building", relation="north-east", other="lake", measured=120.0, measured_unit="m"),
    fact("forest", value=0.385, unit="fraction", colour="green"),
    fact("lake", value=302998.0, unit="m2"),
    fact("summer"),
]
MAP_SCOPE = [closed("building", "lake", "bridge", "forest", "river", "car", "spring", "summer", "autumn", "winter")]
GROUND = [
    ("Three buildings lie north-east of the lake.", "supported"),
    ("Three buildings lie to the north of a lake.", "supported"),
    ("The lake lies south-west of the buildings.", "supported"),
    ("The lake lies north of the buildings.", "contradicted"),
    ("South of the lake there are three buildings.", "contradicted"),
    ("The buildings are about 120 m from the lake.", "supported"),
    ("The buildings lie 120 km north-east of the lake.", "contradicted"),
    ("Five buildings.", "contradicted"),
    ("Several buildings stand by a lake.", "supported"),
    ("A pair of bridges.", "supported"),
    ("A dozen bridges.", "contradicted"),
    ("About 40 % of the image is green forest.", "supported"),
    ("More than half of the image is forest.", "contradicted"),
    ("The lake covers about 30 ha.", "supported"),
    ("The lake covers about 30 square kilometres.", "contradicted"),
    ("A red forest.", "contradicted"),
    ("There are no cars on the bridges.", "supported"),
    ("A scene without rivers.", "supported"),
    ("A river winds past.", "unsupported"),
    ("The image was taken in winter.", "contradicted"),
    ("The image was not taken in winter.", "supported"),
    ("A lake east of the bridges.", "unknown"),
    ("A lake near Springfield.", "unsupported"),
]


@pytest.mark.parametrize(("text", "wanted"), GROUND)
def test_ground(text, wanted):
    verdict = judge("remote_sensing", text, MAP, MAP_SCOPE)
    assert verdict.verdict == wanted, verdict.faults


def test_details_are_those_of_one_fact():
    facts = [
        fact("pulmonary_nodule", value=17.0, unit="mm", laterality="left"),
        fact("pulmonary_nodule", value=10.0, unit="mm", laterality="right"),
    ]
    assert judge("medical", "A 17 mm nodule on the left.", facts).verdict == "supported"
    assert judge("medical", "A 17 mm nodule on the right.", facts).verdict == "contradicted"
    assert judge("medical", "Bilateral nodules.", facts).verdict == "supported"
    assert judge("medical", "Two nodules.", facts).verdict == "supported"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A nodule on the left.", "left"),
        ("A nodule in the upper lobe.", "upper lobe"),
        ("A nodule of 6 mm.", "6 mm"),
        ("Four nodules.", "Four"),
    ],
)
def test_a_side_place_number_or_count_that_the_facts_lack_is_a_fault(text, words):
    verdict = judge("medical", text, [fact("pulmonary_nodule")])
    assert verdict.verdict == "unsupported"
    assert [fault.words for fault in verdict.faults] == [words]


def test_exclusive_classes_contradict_each_other():
    pneumonia = [fact("pneumonia"), fact("normal", "absent")]
    assert judge("medical", "A normal chest radiograph.", pneumonia).verdict == "contradicted"
    assert judge("medical", "The lungs are clear.", pneumonia).verdict == "contradicted"
    assert judge("medical", "Pneumonia.", [fact("normal")]).verdict == "unsupported"
    assert judge("medical", "No abnormality is seen on this image.", [fact("normal")]).verdict == "supported"
    benign = [fact("benign")]
    assert judge("general", "A malignant tumour.", benign).verdict == "contradicted"
    assert judge("general", "No signs of malignancy.", benign).verdict == "supported"
    avid = [fact("lung_malignancy", laterality="left")]
    assert judge("medical", "A nodule without FDG uptake in the left lung.", avid).verdict == "contradicted"


def test_concepts_that_no_vocabulary_has_are_found_by_their_names():
    facts = [fact("Sprocket_Gear"), fact("flange", "absent")]
    assert judge("general", "A picture of a sprocket gear.", facts).verdict == "supported"
    assert judge("general", "A picture without sprocket gears.", facts).verdict == "contradicted"
    assert judge("general", "A flange is visible.", facts).verdict == "contradicted"


LEAKS = [
    "Right pleural effusion in Mr. Aldous Finch.",
    "Right pleural effusion, patient Henrietta Vole.",
    "Right pleural effusion (MRN 5550123).",
    "Right pleural effusion, case X-2231-7.",
    "Right pleural effusion on 14 May 2021.",
    "Right pleural effusion on 14 May.",
    "Right pleural effusion, born 3/4/1961.",
    "Right pleural effusion; 22 Willow Lane.",
    "Right pleural effusion; write to a.finch@example.org.",
    "Right pleural effusion, read by Dr. Quist.",
    "Right pleural effusion in Wolverton.",
    "Right pleural effusion in zztop.",
]


@pytest.mark.parametrize("when", ["in May", "in May 2021", "in 2021"])
def test_a_month_or_a_year_that_no_fact_states_is_unsupported_and_names_nobody(when):
    assert judge("medical", f"Right pleural effusion {when}.", CHEST, CHEST_SCOPE).verdict == "unsupported"


@pytest.mark.parametrize("person", ["Dr. ___", "Mrs. ___ ___", "Prof ___"])
def test_a_blank_that_de_identification_left_behind_a_title_names_nobody(person):
    text = f"Right pleural effusion, read by {person}"
    assert judge("medical", f"{text}.", CHEST, CHEST_SCOPE).verdict == "supported"
    assert judge("medical", f"{text} Quist.", CHEST, CHEST_SCOPE).verdict == "contradicted"


@pytest.mark.parametrize("text", LEAKS)
def test_what_identifies_contradicts_whatever_else_is_right(text):
    verdict = judge("medical", text, CHEST, CHEST_SCOPE, identifiers=("Zztop^Anna", "zztop"))
    assert verdict.verdict == "contradicted"
    assert verdict.faults[0].kind == "identity"


@pytest.mark.parametrize(
    ("domain", "text"),
    [
        ("medical", "Kerley B lines and a Mediport; T12 and L4-5 are normal; T2-weighted image with 18F-FDG."),
        ("medical", "CT IN THE ARTERIAL PHASE: RIGHT PLEURAL EFFUSION."),
        ("remote_sensing", "Sentinel-2 image over a Lake. In May the fields are green."),
        ("remote_sensing", "A T-junction of 3-5 roads beside 120-130 houses."),
    ],
)
def test_terms_with_capitals_and_digits_are_no_names(domain, text):
    assert not [claim for claim in claims_of(text, VOCABULARIES[domain]) if claim.kind == "identity"]


def test_dates_are_compared_with_the_facts():
    spring = [fact("lake"), fact("spring", month=4), fact("acquisition", date="2023-04-13")]
    for text, wanted in [
        ("A lake in April.", "supported"),
        ("A lake on 13 April 2023.", "supported"),
        ("A lake in 2023.", "supported"),
        ("A lake in 2019.", "unsupported"),
        ("A lake in September.", "unsupported"),
    ]:
        assert judge("remote_sensing", text, spring).verdict == wanted, text


def test_another_language_says_nothing_that_is_judged_but_names_are_found():
    assert judge("medical", "Kein Pneumothorax.", CHEST, languages=("de",)).verdict == "unknown"
    verdict = judge("medical", "Kein Pneumothorax bei Mr. Finch.", CHEST, languages=("de",))
    assert verdict.verdict == "contradicted"


@pytest.mark.parametrize(
    "text", ["", " ", "nodule", "no " * 3000, "nodule " * 10000, "\0\n;;;(((", "8 mm", "x" * 50000]
)
def test_any_text_gets_a_verdict(text):
    started = time.process_time()
    verdict = judge("medical", text, CHEST, CHEST_SCOPE)
    assert verdict.verdict in {"supported", "unknown", "unsupported", "contradicted"}
    assert time.process_time() - started < 20


def test_the_vocabulary_knows_the_names_that_the_domains_write():
    names = VOCABULARIES["remote_sensing"]
    package = next(p for p in discover()[0]["remote_sensing"].claims).parents[1]
    rules = yaml.safe_load((package / "osm" / "tags.yaml").read_text())["rules"]
    legends = ["worldcover", "dynamic-world", "corine-19"]
    classes = [
        c
        for n in legends
        for c in yaml.safe_load((package / "landcover/legends" / f"{n}.yaml").read_text())["classes"].values()
    ]
    scenes = [c for f in package.glob("phantom/wording_*.yaml") for c in yaml.safe_load(f.read_text())["concepts"]]
    assert [name for name in [*rules, *classes, *scenes] if not names.knows(name)] == []
    reports = next(iter(discover()[0]["medical"].claims)).parents[1] / "reports" / "vocabularies"
    labels = [label for f in reports.glob("*.yaml") for label in yaml.safe_load(f.read_text())["labels"]]
    assert [name for name in labels if not VOCABULARIES["medical"].knows(name)] == []


def test_photographs_are_checked_with_the_vocabulary_that_knows_their_facts():
    assert choose(VOCABULARIES, "CT", ["lake"]) == "medical"
    assert choose(VOCABULARIES, "RGB", ["tennis_court", "lake"]) == "remote_sensing"
    assert choose(VOCABULARIES, "RGB", ["widget"]) == "general"


def test_a_vocabulary_of_the_users_own(tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text("vocabulary: own\nconcepts:\n  frog: {terms: [frog], is_a: [animal]}\n  animal: {terms: [animal]}\n")
    vocabulary = Vocabulary.load([own])
    assert check("An animal.", Known([fact("frog")], []), vocabulary).verdict == "supported"
    assert check("No animals.", Known([fact("frog")], []), vocabulary).verdict == "contradicted"
    for content in ("[]", "concepts: [a]", "colour: red", "concepts: {a: {terms: ['(a']}}", "about: [dogs]", "\x00"):
        own.with_name(f"bad{hash(content)}.yaml").write_text(content)
        with pytest.raises(ConfigError):
            Vocabulary.load([own.with_name(f"bad{hash(content)}.yaml")])
    with pytest.raises(ConfigError, match=r"missing\.yaml"):
        Vocabulary.load([tmp_path / "missing.yaml"])


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("There is a nodule in the left lung and no pleural effusion.", "supported"),
        ("A nodule lies in the left lung, without any pleural effusion.", "supported"),
        ("A nodule lies on the left pleura.", "unsupported"),
    ],
)
def test_an_organ_in_the_name_of_something_else_does_not_join_a_quality(text, verdict):
    facts = [fact("pulmonary_nodule", laterality="left"), fact("pleural_effusion", polarity="absent")]
    scope = {"vocabulary": "v", "closed": True, "concepts": ["pulmonary_nodule", "pleural_effusion", "pleural_lesion"]}
    assert check(text, Known(facts, [scope]), VOCABULARIES["medical"]).verdict == verdict


@pytest.mark.parametrize(
    "text", ["Kein Pneumothorax.", "Pneumothorax ausgeschlossen.", "Pas de pneumothorax.", "未见 pneumothorax"]
)
@pytest.mark.parametrize("polarity", ["present", "absent"])
def test_a_denial_in_another_language_is_neither_supported_nor_contradicted(text, polarity):
    verdict = judge("medical", text, [fact("pneumothorax", polarity)], [closed("pneumothorax")])
    assert verdict.verdict == "unknown"
    assert [fault.kind for fault in verdict.faults] == ["language"]
    beside = judge("medical", f"A small pneumothorax. {text}", [fact("pneumothorax", polarity)])
    fault = next(fault for fault in beside.faults if fault.kind == "language")
    assert fault.words == f"A small pneumothorax. {text}"[fault.start : fault.end] == text
    assert beside.verdict == ("unknown" if polarity == "present" else "contradicted")  # the English is judged as ever


def test_german_nouns_are_no_names():
    assert judge("remote_sensing", "Ein Fluss und ein Wald.", [fact("river")]).verdict == "unknown"

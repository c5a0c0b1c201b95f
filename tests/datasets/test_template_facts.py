"""What template captions say of facts from several sources: one has its say, in a form that a specialist would sign."""

import json
import re

import pytest

from voxtile.errors import ConfigError
from voxtile_datasets.captions.absences import absences_for, likely_confusions
from voxtile_datasets.captions.checker.vocabulary import installed_vocabularies
from voxtile_datasets.captions.reconcile import reconcile
from voxtile_datasets.captions.sentences import fact_sentences, report
from voxtile_datasets.captions.stated_facts import Fact, Subject
from voxtile_datasets.captions.wordings import bank_for, installed_banks, normalise

BANKS = installed_banks()
VOCABULARIES = installed_vocabularies()
MASKS, REPORTS, LABELS = "masks/finding@1", "reports@3", "labels@1"


def row(concept, source=REPORTS, polarity="present", value=None, unit=None, **attributes):
    found = {"concept": concept, "polarity": polarity, "value": value, "unit": unit, "source": source}
    return {**found, "attributes": json.dumps(attributes) if attributes else None}


def known(*rows, modality="CT", domain="medical", **options):
    bank = bank_for(BANKS, modality, [fact["concept"] for fact in rows])
    return reconcile(rows, bank, VOCABULARIES[domain], uid="u", **options)


def said(*rows, modality="CT", domain="medical", body="chest", absent=0, variants=40, **options):
    """All sentences that captions say of some rows, by many uids."""
    bank = bank_for(BANKS, modality, [fact["concept"] for fact in rows])
    facts = known(*rows, modality=modality, domain=domain, **options).facts
    return {
        text
        for variant in range(variants)
        for _, text in fact_sentences(Subject("u", modality, body, facts), bank, variant=variant, absent=absent)
    }


def every(texts, pattern):
    """Whether each text has a pattern; a failing one is shown."""
    lacking = [text for text in texts if not re.search(pattern, text, re.I)]
    assert not lacking, lacking[:3]
    return bool(texts)


def test_a_broken_vertebra_is_at_its_level_and_in_no_lung():
    mask = row("vertebral_fracture", MASKS, value=66.8549, unit="mm", laterality="left", location="left lung", count=2)
    texts = said(row("vertebral_fracture", location="T12"), mask)
    assert every(texts, r"\bat T12\b")
    assert not any(re.search(r"lung|left|mm|\bcm\b|in the T|66", text) for text in texts)
    alone = said(mask)
    assert alone
    assert not any(re.search(r"lung|left|\d", text) for text in alone)


def test_levels_are_one_list_down_the_spine():
    texts = said(*(row("vertebral_fracture", location=level) for level in ("L2", "T8", "T12", "T11")))
    assert every(texts, r"fractures .*at T8, T11, T12 and L2\.")
    assert not any(" is " in text or re.search(r"\ban? (vertebral|fracture)", text) for text in texts)


@pytest.mark.parametrize(
    ("attributes", "place"),
    [
        ({"laterality": "left", "location": "lower lobe"}, "in the left lower lobe"),
        ({"laterality": "right", "location": "right upper lobe"}, "in the right upper lobe"),
        ({"laterality": "left", "location": "base"}, "at the left base"),
        ({"location": "perihilar"}, "in the perihilar region"),
        ({"laterality": "bilateral", "location": "upper lobe"}, "in both upper lobes"),
        ({"location": "lower lobe and perihilar"}, "in the lower lobe and in the perihilar region"),
        ({"laterality": "left", "location": "upper lobe and base"}, "in the left upper lobe and at the left base"),
        ({"laterality": "bilateral", "location": "base"}, "at both bases"),
        ({"laterality": "bilateral", "location": "base and upper lobe"}, "at the base and in the upper lobe"),
        ({"laterality": "left", "location": "rib 5"}, "of the left 5th rib"),
        ({"location": "periventricular"}, "in the periventricular region"),
        ({"location": "L4-L5"}, "at L4-L5"),
        ({"laterality": "right", "location": "lung periphery"}, "in the periphery of the right lung"),
    ],
)
def test_places_have_their_preposition_and_side(attributes, place):
    texts = said(row("consolidation", **attributes))
    assert every(texts, rf"\b{place}\b")
    assert not any(re.search(r"(left|right) .*(left|right)", text.replace(place, "")) for text in texts)
    assert not any(re.search(rf"(left|right) .*{place}", text) for text in texts), "the side is said once"


def test_both_sides_are_each_of_them():
    both, left = row("pleural_effusion", laterality="bilateral"), row("pleural_effusion", laterality="left")
    assert [fact.side for fact in known(both, left).facts] == ["bilateral"]
    placed = row("pleural_effusion", laterality="left", location="base")
    assert len(known(both, placed).facts) == 2


def test_a_place_among_others_is_said_with_them():
    rows = [row("consolidation", location="lower lobe and perihilar"), row("consolidation", location="lower lobe")]
    assert len(known(*rows).facts) == 1
    assert len(known(*rows, row("consolidation", location="upper lobe")).facts) == 2


def test_a_place_on_the_other_side_is_not_said():
    texts = said(
        row("pulmonary_nodule", MASKS, value=48.8, unit="mm", laterality="bilateral", location="right lung", count=3)
    )
    assert every(texts, r"\bthree bilateral\b.*\bof up to (49 mm|4\.9 cm)")
    assert not any("right" in text for text in texts)


def test_a_side_and_a_place_that_disagree_are_not_both_said():
    texts = said(row("consolidation", laterality="left", location="right upper lobe"))
    assert every(texts, r"\bleft\b")
    assert not any("right" in text for text in texts)


def test_measured_sizes_are_rounded_to_the_grid_and_stated_ones_stay():
    assert every(said(row("liver_lesion", MASKS, value=66.8549, unit="mm")), r"\b(67 mm|6\.7 cm)\b")
    assert every(said(row("liver_lesion", MASKS, value=66.8549, unit="mm"), spacing_mm=5.7), r"\b(65 mm|6\.5 cm)\b")
    assert every(said(row("liver_lesion", value=53.0, unit="mm", size_mm=[53.0])), r"\b(53 mm|5\.3 cm)\b")
    assert every(said(row("liver_lesion", value=7.5, unit="mm", size_mm=[7.5])), r"\ba 7\.5 mm\b|^7\.5 mm")
    assert every(said(row("liver_lesion", size_mm=[34.0, 21.0])), r"\b(34 x 21 mm|3\.4 x 2\.1 cm)\b")


@pytest.mark.parametrize(
    "concept", ["pneumothorax", "pleural_effusion", "pericardial_effusion", "coronary_calcification"]
)
def test_the_diameter_of_a_mask_is_no_size_of_what_has_none(concept):
    texts = said(row(concept, MASKS, value=163.8, unit="mm", laterality="left", location="left lung"))
    assert texts
    assert not any(re.search(r"\d|lung", text) for text in texts)


@pytest.mark.parametrize("concept", ["splenomegaly", "liver_cyst"])
def test_an_organ_is_not_in_itself(concept):
    place = {"splenomegaly": "spleen", "liver_cyst": "liver cyst"}[concept]
    assert not any(re.search(rf"in the {place}", text) for text in said(row(concept, MASKS, location=place)))


@pytest.mark.parametrize("order", [1, -1])
def test_a_report_and_a_mask_that_disagree_are_never_both_said(order):
    rows = [row("splenomegaly"), row("splenomegaly", "masks/normal-range@1", "absent", 150.0, "ml")][::order]
    found = known(*rows)
    assert [(fact.concept, fact.polarity) for fact in found.facts] == [("splenomegaly", "present")]
    assert found.left_out == 1
    masks_first = known(*rows, precedence=("masks", "reports"))
    assert [fact.polarity for fact in masks_first.facts] == ["absent"]
    assert known(row("splenomegaly"), row("cardiomegaly", MASKS)).left_out == 0


def test_a_kind_of_a_thing_is_that_thing():
    rows = [
        row("liver_lesion", size_mm=[40.0], location="right hepatic lobe"),
        row("liver_cyst", MASKS, value=43.0, unit="mm"),
    ]
    assert [fact.concept for fact in known(*rows).facts] == ["liver_lesion"]
    denied = [row("liver_lesion", polarity="absent"), row("liver_cyst", MASKS, value=43.0, unit="mm")]
    assert [(fact.concept, fact.polarity) for fact in known(*denied).facts] == [("liver_lesion", "absent")]
    general = known(row("liver_lesion"), row("liver_metastasis", polarity="absent"))
    assert {fact.polarity for fact in general.facts} == {"present", "absent"}, "another kind may be denied"


def test_what_one_source_finds_and_denies_counts_as_found():
    rows = [row("pleural_effusion", laterality="left"), row("pleural_effusion", polarity="absent", laterality="right")]
    assert [fact.polarity for fact in known(*rows).facts] == ["present"]
    assert [fact.polarity for fact in known(row("mass", polarity="uncertain"), row("mass")).facts] == ["present"]


def test_a_mask_gives_its_size_to_the_one_finding_of_a_report_on_the_same_side():
    mask = row("renal_stone", MASKS, value=24.3, unit="mm", laterality="left", location="left kidney", count=1)
    assert every(said(row("renal_stone", laterality="left"), mask), r"\b(24 mm|2\.4 cm) left\b")
    assert not any("mm" in text for text in said(row("renal_stone", laterality="right"), mask))
    assert every(said(row("renal_stone", size_mm=[60.0]), mask), r"\b(60 mm|6 cm)\b")


def test_many_say_how_many_and_their_verb_agrees():
    texts = said(row("pulmonary_nodule", number="multiple", laterality="left", size_mm=[34.0]))
    assert every(texts, r"multiple left .*s of up to (34 mm|3\.4 cm)")
    assert not any(re.search(r"\bis\b|\ba multiple", text) for text in texts)


@pytest.mark.parametrize(("concept", "names"), [("renal_stone", "renal stones|renal calculi|kidney stones"),
                                               ("pneumothorax", "pneumothoraces|air")])  # fmt: skip
def test_what_is_on_both_sides_is_not_one_thing(concept, names):
    texts = said(row(concept, laterality="bilateral"))
    assert every(texts, rf"\b({names})\b")
    assert not any(re.search(r"\ba bilateral", text, re.I) for text in texts)


def test_an_absence_keeps_its_side():
    texts = said(row("pleural_effusion", polarity="absent", laterality="right"), absent=1)
    assert every(texts, r"\bright\b")


def test_absences_are_unsaid_unless_asked_for_and_likely_ones_come_first():
    bank = bank_for(BANKS, "CT")
    asked = ["gallstones", "renal_stone", "infiltrate", "splenomegaly", "pneumonia"]
    found = [Fact("consolidation", "present")]
    likely = likely_confusions(["consolidation"], asked, VOCABULARIES["medical"])
    assert likely == {"infiltrate", "pneumonia"}
    for uid in "abcdefgh":
        subject = Subject(uid, "CT", "chest", tuple(found), tuple(asked), likely, frozenset({"gallstones"}))
        names = [fact.concept for fact, _ in fact_sentences(subject, bank, variant=0, absent=3)][1:]
        assert set(names[:2]) == likely
        assert names[2] == "gallstones", "what other samples have comes before what none has"
        assert len(fact_sentences(subject, bank, variant=0, absent=0)) == 1
        assert len(fact_sentences(subject, bank, variant=0, absent=99)) == 6


def test_how_many_absences_a_text_tower_gets():
    assert absences_for(None, None) == 0
    assert absences_for(None, "TextBag") == 0
    assert absences_for(None, "voxtile.models.TextTransformer") == 2
    assert absences_for(5, "TextBag") == 5
    with pytest.raises(ConfigError, match="no text tower 'TextBagg'"):
        absences_for(None, "TextBagg")


@pytest.mark.parametrize("concept", ["summer", "low sun", "night", "medium resolution", "place"])
@pytest.mark.parametrize("modality", ["MSI", "RGB"])
def test_what_only_metadata_know_is_never_denied_as_if_it_were_seen(concept, modality):
    bank = bank_for(BANKS, modality, [concept])
    stated = Subject("u", modality, None, (Fact("water", "present"), Fact(concept, "absent")), (concept,))
    assert len(fact_sentences(stated, bank, variant=0, absent=99)) == 1
    for variant in range(40):
        text = report(Subject("u", modality, None, (Fact(concept, "present"),)), bank, variant=variant, absent=0)
        assert not re.search(rf"visible|shows|contains|can be seen|There is (a |an )?{concept}", text), text


def test_photographs_are_worded_by_the_field_whose_concepts_they_show():
    assert bank_for(BANKS, "RGB", ["residential_area", "summer"]).name == "remote-sensing"
    assert bank_for(BANKS, "RGB", ["cat", "dog"]).name == "general"
    assert bank_for(BANKS, "RGB", []).name == "general"
    assert bank_for(BANKS, "MSI", ["cat"]).name == "remote-sensing"


@pytest.mark.parametrize(
    ("label", "name"),
    [("resident", "residential area|housing area"), ("field", "farmland|agricultural land"),
     ("riverlake", "river or lake"),
     ("industry", "industrial (area|site)"), ("parking", "parking lot|car park"), ("grass", "grassland")],
)  # fmt: skip
def test_codes_of_public_classes_are_called_by_their_names(label, name):
    assert every(said(row(label, LABELS), modality="RGB", domain="remote_sensing", body=None), rf"\b({name})\b")


def test_objects_of_a_map_are_one_statement():
    roads = [
        row("road", "osm@1", value=length, unit="m", kind="object", osm_id=f"way/{length}") for length in (40.8, 572.5)
    ]
    texts = said(*roads, modality="MSI", domain="remote_sensing", body=None)
    assert every(texts, r"\b(roads|streets)\b")
    assert not any(re.search(r"\d|\ba (road|street)\b", text) for text in texts)
    counted = [*(row("house", "osm@1", value=90.0, unit="m2", kind="object", osm_id=str(n)) for n in range(12)),
               row("house", "osm@1", value=12.0, unit="count", kind="count", osm_ids=["1"])]  # fmt: skip
    assert every(said(*counted, modality="RGB", domain="remote_sensing", body=None), r"\b12 houses\b")
    one = [row("lake", "osm@1", value=90.0, unit="m2", kind="object", osm_id="1"),
           row("lake", "osm@1", value=1.0, unit="count", kind="count", osm_ids=["1"])]  # fmt: skip
    assert every(said(*one, modality="MSI", domain="remote_sensing", body=None), r"\ba lake\b")


def test_grade_zero_is_the_absence_of_what_is_graded():
    texts = said(row("diabetic retinopathy grade 0", LABELS), modality="OP", body=None)
    assert every(texts, r"\b(no|negative|without)\b")
    assert not any("grade" in text.lower() for text in texts)
    severe = r"\bsevere (non-?proliferative )?diabetic retinopathy"  # grade 3 of Wilkinson et al. 2003
    assert every(said(row("diabetic retinopathy grade 3", LABELS), modality="OP", body=None), severe)
    subject = Subject("u", "OP", None, (Fact("diabetic retinopathy grade 3", "present"),),
                      tuple(f"diabetic retinopathy grade {n}" for n in (0, 1, 2, 4)))  # fmt: skip
    assert len(fact_sentences(subject, bank_for(BANKS, "OP"), variant=0, absent=9)) == 1, "its other grades say nothing"


@pytest.mark.parametrize(
    ("label", "modality", "not_said"),
    [
        ("tumour", "SM", r"carcinom|cancer|malignan|invasive"), ("mass", "MG", r"lung|pulmonary"),
        ("nodule", "US", r"lung|pulmonary"), ("infarct", "MR", "acute"), ("pituitary tumour", "MR", "adenoma"),
        ("enhancing_mass", "MR", "axial|glioma|metasta"), ("aneurysm", "MR", "aort"), ("hernia", "DX", "hiat"),
        ("fracture", "DX", r"rib|vertebr"), ("edema", "MR", r"pulmonary|lung|intersti"),
        ("hypertension", "OP", "retinopathy"),
        ("dementia", "MR", "Alzheimer"), ("mucin", "SM", "floating|carcinoma"), ("stroma", "SM", "spindle|desmoplas"),
        ("necrosis", "SM", "tumou?r"), ("cyst", "US", "simple|anechoic"),
    ],
)  # fmt: skip
def test_a_label_is_not_made_into_more_than_it_says(label, modality, not_said):
    texts = said(
        row(label, LABELS), modality=modality, domain="pathology" if modality == "SM" else "medical", body=None
    )
    assert texts
    assert not [text for text in texts if re.search(not_said, text, re.I)]


@pytest.mark.parametrize(
    ("label", "modality"),
    [("pneumonia", "DX"), ("pneumothorax", "DX"), ("splenomegaly", "CT"), ("pleural effusion", "DX")],
)
def test_a_denial_denies_its_own_finding_alone(label, modality):
    texts = said(row(label, LABELS, "absent"), modality=modality, absent=1)
    assert texts
    clear = re.compile(
        r"lungs are clear|clear lungs|fully expanded|normal spleen|angles are clear|pleural spaces are clear", re.I
    )
    assert not [text for text in texts if clear.search(text)]


def test_what_fills_less_than_half_of_a_patch_is_not_what_the_patch_is_of():
    minor = said(row("stroma", "annotations@1", value=0.2, unit="1"), modality="SM", domain="pathology", body=None)
    major = said(row("stroma", "annotations@1", value=0.8, unit="1"), modality="SM", domain="pathology", body=None)
    of = re.compile(r"(patch|image|micrograph) of (stroma|stromal|connective)")
    assert not any(of.search(text) for text in minor)
    assert any(of.search(text) for text in major)


@pytest.mark.parametrize("bank", BANKS, ids=lambda bank: bank.name)
def test_every_alias_is_called_by_the_name_of_what_it_stands_for(bank):
    for alias, wording in bank.concepts.items():
        names = {normalise(name) for name in (wording.name, *wording.synonyms)}
        [(_, text)] = fact_sentences(Subject("u", None, None, (Fact(alias, "present"),)), bank, variant=3, absent=0)
        if all(re.search(r"\{(name|a_name|finding|found)\}", pattern) for pattern in wording.patterns["present"]):
            assert any(name in normalise(text) for name in names), (alias, text)

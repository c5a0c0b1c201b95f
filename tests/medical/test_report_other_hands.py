"""Ways in which other people's reports say it: what is as it should be, has gone, was heard wrongly."""

from __future__ import annotations

import pytest

from voxtile_medical.reports.extract import facts_of_report
from voxtile_medical.reports.lexicon import load_lexicon


def _read(text: str) -> set[tuple[str, str]]:
    return {(fact.concept, fact.polarity) for fact in facts_of_report(text, load_lexicon())}


@pytest.mark.parametrize(
    ("text", "concept", "polarity"),
    [
        ("Normal lung markings.", "interstitial_opacity", "absent"),
        ("The cord signal appears normal.", "cord_signal_abnormality", "absent"),
        ("Lung markings are not normal.", "interstitial_opacity", "present"),
        ("The hilar node has become undetectable.", "lymphadenopathy", "absent"),
        ("Interval clearing of the basal consolidation seen three weeks ago.", "consolidation", "absent"),
        ("A new moth or ax is not seen.", "pneumothorax", "absent"),
        ("A cyst is probable, and a renal stone even more so.", "renal_stone", "uncertain"),
        ("L4-5: Small disc bulge. No stenosis.", "spinal_stenosis", "absent"),
        ("Thyroidectomy clips in the neck.", "thyroidectomy", "present"),
        ("Postlumpectomy scar in the left breast.", "lumpectomy", "present"),
        ("Mild hydroureter; the stent is coiled in the bladder.", "ureteral_stent", "present"),
        ("A right adrenal nodule, perhaps an adenoma.", "adrenal_adenoma", "uncertain"),
        ("The posterior fat pad is raised.", "joint_effusion", "present"),
        ("Left lung base: meniscus climbing along the chest wall.", "pleural_effusion", "present"),
        ("Several liver lesions, three of which enhance.", "enhancement", "present"),
        ("Recurrence at the anastomosis is not pointed out.", "recurrence", "absent"),
        ("An osteoma appears the most probable.", "benign_bone_tumor", "uncertain"),
        ("The left hemidiaphragm is tented.", "diaphragm_elevation", "present"),
        ("The ulnar styloid is torn off.", "fracture", "present"),
        ("SUBQ EMPHYSEMA R CHEST WALL.", "subcutaneous_emphysema", "present"),
        ("SQ emphysema has grown.", "subcutaneous_emphysema", "present"),
        ("NONOBSTRUCTIVE BOWEL GAS PATTERN.", "bowel_obstruction", "absent"),
        ("Bony calvarium intact.", "skull_fracture", "absent"),
        ("Left zygomaticomaxillary complex fracture.", "facial_fracture", "present"),
        ("Fractured collar bone.", "clavicle_fracture", "present"),
        ("The previously reported 'nodule' is a vessel seen end on.", "pulmonary_nodule", "absent"),
        ("The nodule is near a vessel.", "pulmonary_nodule", "present"),
        ("Sternotomy wires, small LPE.", "pleural_effusion", "present"),
        ("Diffuse cerebral oedema. No herniation yet.", "brain_herniation", "absent"),
        ("Bony secondaries.", "bone_metastasis", "present"),
        ("Linear dystelectasis at the left base.", "atelectasis", "present"),
    ],
)
def test_it_is_read_as_it_is_meant(text: str, concept: str, polarity: str) -> None:
    assert (concept, polarity) in _read(text)


@pytest.mark.parametrize(
    ("text", "concept"),
    [
        ("The pulmonary arteries opacify well.", "lung_opacity"),
        ("The anterior fat pad is not raised.", "epicardial_fat"),
        ("Left testis with a 9 mm mass in the upper pole.", "renal_mass"),
        ("Positive family anamnesis for aortic aneurysm.", "aortic_aneurysm"),
        ("Clinical profile: post COVID cough, pneumonia?\nFindings: Clear lungs.", "covid"),
        ("Given the patient's recent pneumonia, the node is reactive.", "pneumonia"),
        ("PORT CXR. No effusion.", "port"),
        ("The hepatic veins drain normally.", "drainage_catheter"),
        ("The bowel loops cast a shadow.", "cast"),
        ("SUBQ EMPHYSEMA R CHEST WALL.", "emphysema"),
        ("Skull intact. Left rib fracture.", "fracture"),
    ],
)
def test_what_is_not_meant_is_not_read(text: str, concept: str) -> None:
    assert concept not in {name for name, _ in _read(text)}


@pytest.mark.parametrize(
    ("text", "concept", "size_mm"),
    [
        ("The common bile duct is 12 mm with a stone at its lower end.", "choledocholithiasis", ()),
        ("The aorta measures 4.5 cm in diameter and contains mural thrombus.", "mural_thrombus", ()),
        ("The appendix measures 11 mm and contains an appendicolith of 5 mm.", "appendicolith", (5.0,)),
        ("The aneurysm is 6 cm with mural thrombus.", "aneurysm_any", (60.0,)),
    ],
)
def test_the_size_of_an_organ_is_none_of_what_it_holds(text: str, concept: str, size_mm: tuple[float, ...]) -> None:
    sizes = {fact.concept: fact.attributes.size_mm for fact in facts_of_report(text, load_lexicon())}
    assert sizes.get(concept, size_mm) == size_mm
    assert sum(len(size) for size in sizes.values()) == len(size_mm)


def test_names_of_two_words_are_written_out_and_point_to_both() -> None:
    text = "Fracture of the left shoulder blade."
    (fact,) = facts_of_report(text, load_lexicon())
    assert (fact.attributes.location, fact.attributes.laterality) == ("scapula", "left")


@pytest.mark.parametrize(
    "text",
    [
        "Anterolisthesis secondary to pars defects.",
        "Compression fracture of L1 secondary to osteoporosis.",
        "Pleural effusion 2/2 heart failure.",
        "Secondary signs of appendicitis.",
        "Secondary pulmonary lobules are prominent.",
    ],
)
def test_what_is_secondary_to_something_is_no_metastasis(text: str) -> None:
    assert not any("metastasis" in name or name == "pleural_lesion" for name, _ in _read(text))

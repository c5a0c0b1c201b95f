"""Sentences of which another reading is near: what they say, and their neighbours that say it."""

import pytest

from voxtile_medical.reports.extract import read_report
from voxtile_medical.reports.lexicon import load_lexicon

SIGNS = {"present": "+", "absent": "-", "uncertain": "?"}


def said(text: str) -> set[str]:
    """Each fact as its sign and concept, then side, place, grade and size where there are any."""
    found = set()
    for fact in read_report(text, load_lexicon()).facts:
        of = fact.attributes
        details = (of.laterality, of.location, of.severity, *(f"{length:g}" for length in of.size_mm))
        found.add(" ".join([SIGNS[fact.polarity] + fact.concept, *filter(None, details)]))
    return found


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        # a grade of each level or side, before it, behind it, in brackets
        (
            "Canal stenosis at L3-L4 (mild), L4-L5 (moderate) and L5-S1 (severe).",
            {"+spinal_stenosis L3-L4 mild", "+spinal_stenosis L4-L5 moderate", "+spinal_stenosis L5-S1 severe"},
        ),
        (
            "Foraminal stenosis at C4-C5 (mild), C5-C6 (severe on the left).",
            {"+foraminal_stenosis C4-C5 mild", "+foraminal_stenosis left C5-C6 severe"},
        ),
        (
            "Moderate stenosis at L3-L4, severe at L4-L5.",
            {"+spinal_stenosis L3-L4 moderate", "+spinal_stenosis L4-L5 severe"},
        ),
        (
            "Canal stenosis: L3-L4 mild, L4-L5 moderate.",
            {"+spinal_stenosis L3-L4 mild", "+spinal_stenosis L4-L5 moderate"},
        ),
        (
            "Pleural effusions, small on the left and moderate on the right.",
            {"+pleural_effusion left small", "+pleural_effusion right moderate"},
        ),
        (
            "Small left and moderate right pleural effusions.",
            {"+pleural_effusion left small", "+pleural_effusion right moderate"},
        ),
        ("Small bilateral pleural effusions, right greater than left.", {"+pleural_effusion bilateral small"}),
        ("Pleural effusion (small), atelectasis (moderate).", {"+pleural_effusion small", "+atelectasis moderate"}),
        # prominent is not dilated
        ("The ventricles are mildly prominent.", {"+prominent_ventricular_system mild"}),
        ("The ventricles are mildly dilated.", {"+hydrocephalus mild"}),
        # what is weighed against something possible is possible
        ("The lucency could be artifact rather than a fracture.", {"+lucency", "?technical_artifact", "?fracture"}),
        ("Atelectasis rather than pneumonia.", {"+atelectasis", "-pneumonia"}),
        # an organ that is not too large may be too small
        ("The kidneys are not enlarged.", {"-nephromegaly"}),
        ("The kidneys are normal in size.", {"-nephromegaly", "-small_kidneys"}),
        # one that is normal says nothing of the other side
        ("The left kidney is unremarkable.", {"-hydronephrosis left", "-renal_stone left"}),
        ("Both kidneys are unremarkable.", {"-hydronephrosis", "-renal_stone"}),
        ("Left and right kidneys are unremarkable.", {"-hydronephrosis", "-renal_stone"}),
        # nor does its blood flow say what is in it
        ("Normal flow in both testes.", set()),
        # a drain by where it lies
        ("Pigtail drain in the right upper quadrant.", {"+drainage_catheter right"}),
        ("Percutaneous pigtail catheter in the gallbladder fossa.", {"+drainage_catheter"}),
        ("Pigtail catheter in the right pleural space.", {"+chest_tube right"}),
        # whatever restricts
        ("The epidermoid shows restricted diffusion.", {"+epidermoid_cyst", "+restricting_lesion"}),
        ("The lesion shows restricted diffusion.", {"+restricting_lesion"}),
        ("Restricted diffusion in the left MCA territory.", {"+acute_infarct left"}),
        ("No restricted diffusion.", {"-acute_infarct"}),
        # nodes that are not enlarged
        ("Mesenteric nodes 8 mm, not enlarged.", {"+lymph_node 8", "-lymphadenopathy"}),
        ("Enlarged mesenteric nodes.", {"+mesenteric_adenitis"}),
        # "non-" denies an adjective, not the noun behind it
        ("Non-cirrhotic liver.", {"-cirrhosis"}),
        ("Non-hemorrhagic infarct of the left MCA territory.", {"-intracranial_haemorrhage", "+infarct left"}),
        ("Non-displaced fracture of the radius.", {"+fracture radius"}),
        ("Non-mass enhancement in the left breast.", {"+non_mass_enhancement left"}),
        # a size of something else
        ("No choledocholithiasis; the common bile duct measures 5 mm.", {"-choledocholithiasis"}),
        ("No nodule larger than 4 mm.", {"-pulmonary_nodule 4"}),
        # of a small lesion the organ is not said to be of normal size
        ("Subcentimeter hypodensity in hepatic segment VII.", {"+liver_lesion liver segment 7"}),
        ("Subcentimeter mediastinal lymph nodes.", {"+lymph_node", "-lymphadenopathy"}),
        # the sensitivity of an examination
        ("The breasts are heterogeneously dense, which may obscure small masses.", {"+breast_density"}),
        ("There are scattered areas of fibroglandular density.", {"+breast_density"}),
        # other words for something else
        ("Cortical thinning of both kidneys.", {"+renal_parenchymal_disease bilateral"}),
        ("Tear of the supraspinatus with retraction.", {"+tendon_tear supraspinatus tendon", "+retraction"}),
        ("Small perisplenic hematoma.", {"+hematoma small"}),
        ("Periappendiceal fat stranding.", {"+fat_stranding"}),
        ("Core biopsy showed atypical ductal hyperplasia.", {"+high_risk_breast_lesion"}),
    ],
)
def test_a_sentence_says_what_it_says(text: str, facts: set[str]) -> None:
    assert said(text) == facts


@pytest.mark.parametrize(
    "sentence",
    [
        "V. a. Pneumothorax.",
        "Z. n. Pneumothorax.",
        "V.a. Pneumothorax rechts.",
        "Pneumothorax wahrscheinlich.",
        "Suspicion de pneumothorax.",
        "Pneumothorax droit.",
        "Posible pneumotórax derecho.",
        "Pleuraerguss im Unterlappen, Pneumothorax.",
        "Pneumothorax şüpheli.",
    ],
)
def test_a_sentence_in_another_language_is_unread_within_an_english_report(sentence: str) -> None:
    report = f"The heart is enlarged. There is a pleural effusion.\n\n{sentence}\n\nThe aorta is tortuous."
    reading = read_report(report, load_lexicon())
    assert "pneumothorax" not in {fact.concept for fact in reading.facts}
    assert {"cardiomegaly", "pleural_effusion"} <= {fact.concept for fact in reading.facts}
    assert [report[slice(*span)] for span in reading.unread] == [sentence]


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("Right pleurall efusion, wihtout pneumothoraks.", "+pleural_effusion right"),
        ("Chr microvasc isch dz unchgd.", "+small_vessel_disease"),
        ("Dobbhoff tube in the stomach. Pneumothorax seen at the V.A. hospital.", "+pneumothorax"),
    ],
)
def test_slips_names_and_shortened_words_are_english(text: str, fact: str) -> None:
    assert fact in said(text)

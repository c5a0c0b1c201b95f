"""The checker on forms that other writers use, written for this test: answers, notes, names that no list has."""

import pytest
from caption_sentences import closed, fact, left_open

from voxtile_datasets.captions.checker.check import Known, check
from voxtile_datasets.captions.checker.vocabulary import installed_vocabularies

VOCABULARIES = installed_vocabularies()
RAISED = ("contradicted", "unsupported")


KIDNEY = Known([fact("papillary_carcinoma"), fact("necrosis", "absent")], left_open("blood", "metastasis"))
COLON = Known([fact("tubular_adenoma"), fact("malignancy", "absent")], left_open("mucin"))
LIVER = Known(
    [fact("cirrhosis"), fact("ascites"), fact("splenomegaly"), fact("liver_lesion", "absent")],
    closed("cirrhosis", "ascites", "splenomegaly", "liver_lesion", "renal_mass"),
    metadata={"modality": "CT", "body_part": "abdomen"},
)
SPINE = Known(
    [
        fact("vertebral_fracture", value=2, unit="count"),
        fact("vertebral_fracture", location="T11"),
        fact("vertebral_fracture", location="L1"),
    ],
    left_open("osteophyte"),
    metadata={"modality": "CR", "body_part": "spine"},
)
CYSTS = Known([fact("liver_cyst", value=4, unit="count")], closed("liver_cyst", "cirrhosis"))
SLIDE = Known([fact("phyllodes_tumor")], left_open("necrosis"), metadata={"stain": "H&E", "magnification": "10x"})
CHEST = Known(
    [fact("pleural_effusion", "absent"), fact("pneumonia", laterality="right"), fact("pulmonary_nodule", "absent")],
    closed("pleural_effusion", "pneumonia", "cavity", "pulmonary_nodule", "pneumothorax"),
    metadata={"modality": "CR", "body_part": "chest"},
)
SEA = Known(
    [
        fact("oil_slick", position="northeast"),
        fact("ship", value=2, unit="count", kind="count"),
        fact("harbour", position="south"),
        fact("island", "absent"),
    ],
    closed("oil_slick", "ship", "harbour", "island", "bridge", "wind_turbine"),
    metadata={"sensor": "Sentinel-1", "gsd_m": 10, "datetime": "2019-02-03T05:50:00Z"},
)
RIVER = Known(
    [
        fact("bridge", kind="relation", other="river", relation="over"),
        fact("river", position="west"),
        fact("storage_tank", value=12, unit="count", kind="count", position="east"),
        fact("pier", value=4, unit="count", kind="count"),
        fact("pool", "absent"),
    ],
    closed("bridge", "river", "storage_tank", "pier", "pool", "crane", "school_bus"),
    metadata={"sensor": "aerial camera", "gsd_m": 1},
)
WOOD = Known(
    [fact("coniferous forest", value=0.5, unit="1"), fact("lake", position="centre")],
    closed("coniferous forest", "lake", "river"),
    metadata={"sensor": "Sentinel-2", "gsd_m": 10, "datetime": "1995-05-03T00:00:00Z"},
)


@pytest.mark.parametrize(
    ("domain", "known", "text"),
    [
        # names of diseases that no list has, and another kind of tumour in place of the one that is there
        ("pathology", KIDNEY, "Section of kidney with an oncoblastoma."),
        ("pathology", COLON, "A hyperplastic polyp of the colon."),
        ("medical", LIVER, "The liver is cirrhotic with one tumour inside."),
        ("medical", CYSTS, "Four splenic cysts."),
        ("pathology", SLIDE, "Sixtyfold oil-immersion view of a phyllodes tumour."),
        # questions and answers
        ("medical", CHEST, "Q: Is the lung infected? A: No, the lungs show no pneumonia."),
        ("medical", CHEST, "Q: Is there a pneumonia? A: Not at all."),
        ("medical", CHEST, "Is there an effusion? Yes."),
        ("remote_sensing", RIVER, "Q: Count the piers. A: Six."),
        ("remote_sensing", RIVER, "River at west, pier six pieces, pool no."),
        ("remote_sensing", RIVER, "Q: Where does the river run? A: In the east."),
        ("remote_sensing", RIVER, "Q: State the pixel size. A: Fifty centimetres."),
        # what follows from one place or one crossing
        ("remote_sensing", RIVER, "A bridge that spans the tank farm."),
        ("remote_sensing", SEA, "The harbour lies north of the ships."),
        ("remote_sensing", WOOD, "A lake with deciduous forest around it."),
        ("remote_sensing", RIVER, "A river in the west and twelve cranes."),
        # what happened, and who did it
        ("remote_sensing", SEA, "An oil slick, leaked by one of the ships."),
        ("medical", SPINE, "The vertebrae broke when you fell."),
        # counts of parts whose state is told
        ("medical", SPINE, "Four vertebrae are fractured."),
        ("medical", CHEST, "The radiograph is negative for the pneumonia."),
    ],
)
def test_what_other_hands_get_wrong_is_found(domain, known, text):
    verdict = check(text, known, VOCABULARIES[domain])
    assert verdict.verdict in RAISED, verdict


@pytest.mark.parametrize(
    ("domain", "known", "text"),
    [
        ("pathology", KIDNEY, "Papillary carcinoma without necrosis."),
        ("pathology", KIDNEY, "Q: Do you see necrosis? A: None."),
        ("medical", CHEST, "Q: Is there an effusion or a nodule? A: Neither."),
        ("medical", CHEST, "Right pneumonia. Cavity is not formed."),
        ("medical", CHEST, "• Pneumonia R\n• Ø effusion\n• Nodule –"),
        ("medical", LIVER, "Cirrhotic liver but without focal lesion; ascites."),
        ("remote_sensing", RIVER, "Q: How many tanks are there, and is there a pool? A: Twelve tanks, no pool."),
        ("remote_sensing", RIVER, "Q: Is a pool near the piers? A: It is not."),
        ("remote_sensing", RIVER, "Two pairs of piers. Pool no, tank a dozen."),
        ("remote_sensing", RIVER, "Pier four pieces, pool not exist."),
        ("remote_sensing", RIVER, "Piers to keep clear of, and a bridge."),
        ("remote_sensing", SEA, "Two ships and something oily spilled in the northeast."),
        ("remote_sensing", SEA, "Not an island, not a bridge, nowhere to land. Two ships."),
        ("remote_sensing", WOOD, "Satellite scene, spring '95: a lake, conifers over most of the rest."),
    ],
)
def test_what_other_hands_get_right_is_no_alarm(domain, known, text):
    verdict = check(text, known, VOCABULARIES[domain])
    assert verdict.verdict not in RAISED, verdict


def test_the_hour_of_one_date_makes_no_pair_of_pictures():
    assert not SEA.read(VOCABULARIES["remote_sensing"]).is_pair


def test_an_answer_is_told_where_it_stands():
    text = "Q: Count the piers. A: Six."
    (fault,) = check(text, RIVER, VOCABULARIES["remote_sensing"]).faults
    assert (fault.kind, text[fault.start : fault.end]) == ("count", "Six.")

"""The checker on sentences of people about bodies and tissue, written for this test: truths pass, faults are found."""

import pytest
from caption_sentences import closed, fact

from voxtile_datasets.captions.checker.check import Known, check
from voxtile_datasets.captions.checker.vocabulary import installed_vocabularies

VOCABULARIES = installed_vocabularies()
RAISED = ("contradicted", "unsupported")


CHEST = Known(
    [
        fact("pleural_effusion", laterality="left", severity="moderate"),
        fact("cardiomegaly", severity="mild"),
        fact("pneumothorax", "absent"),
        fact("central_line", laterality="right"),
    ],
    (),
    metadata={"modality": "CR", "body_part": "chest", "view": "AP portable", "age": 71, "sex": "F"},
)
ABDOMEN = Known(
    [
        fact("liver_lesion", value=23, unit="mm", location="segment VII"),
        fact("gallstones", value=3, unit="count", kind="count"),
        fact("renal_stone", "absent"),
        fact("splenomegaly", severity="moderate"),
    ],
    closed(
        "liver_lesion",
        "gallstones",
        "renal_stone",
        "splenomegaly",
        "hydronephrosis",
        "ascites",
        "pancreatic_lesion",
        "appendicitis",
        "bowel_obstruction",
        "lymphadenopathy",
    ),
    metadata={"modality": "CT", "body_part": "abdomen", "contrast": "portal venous", "sex": "M", "age": 54},
)
BRAIN = Known(
    [
        fact("intracranial_haemorrhage", value=31, unit="mm", laterality="right", location="basal ganglia"),
        fact("midline_shift", value=6, unit="mm", laterality="left"),
        fact("hydrocephalus", "absent"),
    ],
    (),
    metadata={"modality": "CT", "body_part": "head", "contrast": "none", "age": 66, "sex": "M"},
)
KNEE = Known(
    [fact("normal")],
    closed("normal", "fracture"),
    metadata={"modality": "MR", "body_part": "knee", "sequence": "PD", "laterality": "left", "age": 31, "sex": "M"},
)
STOMACH = Known(
    [fact("tumour", value=0.55, unit="1"), fact("stroma", value=0.3, unit="1"), fact("necrosis", value=0.15, unit="1")],
    closed("tumour", "stroma", "necrosis", "lymphocytes", "adipose", "mucin", "normal_epithelium"),
    metadata={
        "modality": "H&E",
        "stain": "hematoxylin and eosin",
        "body_part": "stomach",
        "magnification": "20x",
        "mpp": 0.5,
    },
)
NODE = Known(
    [fact("metastasis", "absent"), fact("lymphocytes"), fact("adipose")],
    (),
    metadata={
        "modality": "WSI",
        "body_part": "lymph node",
        "mpp": 0.25,
        "laterality": "right",
        "location": "axilla",
        "sex": "F",
        "age": 49,
    },
)
PROSTATE = Known(
    [fact("adenocarcinoma", grade="Gleason 4+4=8"), fact("inflammation", severity="mild"), fact("necrosis", "absent")],
    (),
    metadata={"modality": "WSI", "body_part": "prostate", "grade": "Gleason 4+4=8", "sex": "M", "age": 72},
)
BREAST = Known(
    [
        fact("ductal_carcinoma", grade="2", size_mm=[18, 12]),
        fact("invasive"),
        fact("in_situ", "absent"),
        fact("lymphocytes"),
    ],
    (),
    metadata={"modality": "WSI", "body_part": "breast", "laterality": "left", "grade": "2", "sex": "F", "age": 58},
)
MEDICAL = [
    (CHEST, True, "Moderate left-sided pleural effusion in an elderly lady; the heart is slightly enlarged."),
    (
        CHEST,
        True,
        "Portable film, 71F. Left pleural fluid, mild cardiomegaly, right central venous catheter, no pneumothorax.",
    ),
    (CHEST, True, "The heart is mildly big and there is water around the left lung."),
    (CHEST, True, "Bedside AP radiograph with a moderately sized effusion on the left."),
    (CHEST, True, "No pneumothorax after placement of a right-sided central line."),
    (CHEST, False, "Left effusion caused by heart failure."),
    (CHEST, False, "Both costophrenic angles are sharp and the heart is of normal size."),
    (CHEST, False, "Left effusion; thoracocentesis is recommended."),
    (CHEST, False, "Left pleural effusion, larger than on the previous film."),
    (CHEST, False, "Chest CT with a moderate left effusion."),
    (CHEST, False, "Lateral view of the chest with left effusion."),
    (CHEST, False, "Moderate right pleural effusion with mild cardiomegaly."),
    (CHEST, False, "Massive left effusion and mild cardiomegaly."),
    (CHEST, False, "A 43-year-old woman with left effusion."),
    (CHEST, False, "Left effusion in a man."),
    (CHEST, False, "There is a left apical pneumothorax next to the effusion."),
    (CHEST, False, "Unremarkable chest radiograph."),
    (CHEST, False, "Heart not enlarged; effusion on the left."),
    (CHEST, False, "No free pleural fluid on either side."),
    (CHEST, False, "Left effusion, should resolve within days."),
    (ABDOMEN, True, "Three gallstones, a 2.3 cm lesion in segment 7 of the liver and an enlarged spleen."),
    (
        ABDOMEN,
        True,
        "Portal venous CT of the abdomen, 54-year-old man: hepatic lesion, cholelithiasis, splenomegaly. No ascites.",
    ),
    (ABDOMEN, True, "The kidneys are free of stones and not obstructed."),
    (ABDOMEN, True, "A few stones lie in the gallbladder. The pancreas is normal."),
    (
        ABDOMEN,
        True,
        "Contrast-enhanced abdominal CT. Liver lesion of about 2 cm; moderately enlarged spleen; appendix normal.",
    ),
    (ABDOMEN, True, "Apart from a lesion in segment VII the liver is unremarkable."),
    (ABDOMEN, False, "The liver and spleen are unremarkable."),
    (ABDOMEN, False, "Unenhanced CT with a liver lesion of 23 mm."),
    (ABDOMEN, False, "Abdominal ultrasound with gallstones and splenomegaly."),
    (ABDOMEN, False, "Seven gallstones."),
    (ABDOMEN, False, "No biliary calculi."),
    (ABDOMEN, False, "Liver lesion in segment IV."),
    (ABDOMEN, False, "Spleen of normal size."),
    (ABDOMEN, False, "Liver metastasis in segment VII, 23 mm."),
    (ABDOMEN, False, "Left kidney stone and gallstones."),
    (ABDOMEN, False, "Gallstones; elective cholecystectomy is warranted."),
    (ABDOMEN, False, "CT of the thorax with gallstones."),
    (ABDOMEN, False, "No focal lesion of the liver."),
    (ABDOMEN, False, "The solid organs show nothing abnormal."),
    (ABDOMEN, False, "There is a hepatic lesion of 23 cm."),
    (ABDOMEN, False, "Nothing to worry about in this abdominal scan."),
    (ABDOMEN, False, "Gallstones in a young woman."),
    (BRAIN, True, "Right basal ganglia haemorrhage of 3.1 cm with 6 mm of midline shift to the left."),
    (BRAIN, True, "Non-contrast head CT: bleeding in the right basal ganglia, ventricles not dilated."),
    (BRAIN, True, "A man of 66 with an intracerebral bleed on the right side and the midline pushed over by 6 mm."),
    (BRAIN, False, "Left basal ganglia haemorrhage."),
    (BRAIN, False, "No intracranial bleeding is seen."),
    (BRAIN, False, "Right basal ganglia haemorrhage, hypertensive in origin."),
    (BRAIN, False, "The midline is not shifted."),
    (BRAIN, False, "Right-sided bleed of 31 mm with obstructive hydrocephalus."),
    (BRAIN, False, "MRI of the brain with right basal ganglia bleeding."),
    (BRAIN, False, "Neurosurgical evacuation is needed for this right haematoma."),
    (BRAIN, False, "Normal brain parenchyma."),
    (BRAIN, False, "Right haemorrhage of 31 mm; the patient will not survive."),
    (BRAIN, False, "Right temporal lobe haemorrhage with midline shift."),
    (KNEE, True, "Normal knee MRI in a man of 31."),
    (KNEE, False, "MRI of the shoulder, normal."),
    (KNEE, False, "Knee MRI with a fracture of the patella."),
    (KNEE, False, "Abnormal MRI of the left knee."),
]
PATHOLOGY = [
    (
        STOMACH,
        True,
        "Gastric tissue, H&E, 20x: a bit more than half is tumour, about 15 % is necrotic, the rest stroma.",
    ),
    (STOMACH, True, "Neoplastic cells with connective tissue and some dead tissue in a field from the stomach."),
    (STOMACH, True, "Tumour with necrosis; no fat and no lymphocytes."),
    (STOMACH, True, "Over half of the tile is taken up by tumour, stroma covers three tenths."),
    (STOMACH, False, "The tile is tumour-free."),
    (STOMACH, False, "No sign of neoplasia."),
    (STOMACH, False, "Gastric adenocarcinoma with necrosis."),
    (STOMACH, False, "Signet ring cell carcinoma of the stomach."),
    (STOMACH, False, "Healthy gastric mucosa."),
    (STOMACH, False, "Tumour and stroma without necrotic areas."),
    (STOMACH, False, "A PAS stained section with tumour."),
    (STOMACH, False, "Oesophageal tumour with necrosis."),
    (STOMACH, False, "Tumour at 40x with necrosis."),
    (STOMACH, False, "Tumour with mucin lakes."),
    (STOMACH, False, "Tumour caused by Helicobacter infection."),
    (STOMACH, False, "Tumour covers 15 % of the field."),
    (STOMACH, False, "Poorly differentiated tumour with necrosis."),
    (STOMACH, False, "Nothing here is malignant or otherwise worrying."),
    (STOMACH, False, "Tumour, 0.25 µm per pixel."),
    (STOMACH, False, "Tumour that will recur."),
    (NODE, True, "Right axillary lymph node without metastasis; fat and lymphocytes are seen."),
    (NODE, True, "A nodal slide of a 49-year-old woman, negative for metastatic deposits."),
    (NODE, False, "Left axillary lymph node, no metastasis."),
    (NODE, False, "Lymph node with a metastatic deposit."),
    (NODE, False, "Lymph node without any lymphocytes."),
    (NODE, False, "Spleen with lymphocytes and fat."),
    (NODE, False, "Node-negative; chemotherapy can be omitted."),
    (PROSTATE, True, "Prostatic adenocarcinoma, Gleason score 8, with mild inflammation."),
    (PROSTATE, True, "Gleason 4+4 prostate cancer of a man of 72, no necrosis."),
    (PROSTATE, False, "Prostatic adenocarcinoma, Gleason 3+3=6."),
    (PROSTATE, False, "Prostate biopsy with benign glands only."),
    (PROSTATE, False, "Prostatic adenocarcinoma with extensive necrosis."),
    (PROSTATE, False, "Prostatic adenocarcinoma, stage pT3."),
    (PROSTATE, False, "Small cell carcinoma of the prostate."),
    (BREAST, True, "Invasive ductal carcinoma of the left breast, moderately differentiated, 1.8 cm."),
    (BREAST, True, "Breast cancer of ductal type, grade 2, with lymphocytes; no in situ component."),
    (BREAST, False, "Invasive ductal carcinoma of the left breast, grade 1."),
    (BREAST, False, "Ductal carcinoma in situ of the left breast."),
    (BREAST, False, "Invasive ductal carcinoma of the right breast."),
    (BREAST, False, "Fibroadenoma of the left breast."),
    (BREAST, False, "Invasive ductal carcinoma, ER positive."),
    (BREAST, False, "Left breast, tubular carcinoma, grade 2."),
    (BREAST, False, "Invasive ductal carcinoma, 18 mm, with a favourable outcome."),
    (BREAST, False, "Invasive ductal carcinoma, 28 mm."),
    (BREAST, False, "Normal breast tissue."),
]


@pytest.mark.parametrize(("known", "is_true", "text"), MEDICAL)
def test_captions_of_bodies(known, is_true, text):
    verdict = check(text, known, VOCABULARIES["medical"])
    assert (verdict.verdict not in RAISED) == is_true, verdict.faults


@pytest.mark.parametrize(("known", "is_true", "text"), PATHOLOGY)
def test_captions_of_tissue(known, is_true, text):
    verdict = check(text, known, VOCABULARIES["pathology"])
    assert (verdict.verdict not in RAISED) == is_true, verdict.faults


def test_completeness_counts_findings_sides_sizes_and_numbers():
    """What a text leaves out of what the facts state, by name; a general word says a finding, a wrong side does not."""
    facts = [
        fact("pleural_effusion", laterality="left"),
        fact("rib_fracture", value=3, unit="count", laterality="left"),
        fact("lung_mass", value=31, unit="mm"),
        fact("pneumothorax", "absent"),
    ]
    known = Known(facts, ())
    whole = check("Left effusion, three left rib fractures, a lung mass of 3.1 cm.", known, VOCABULARIES["medical"])
    assert (whole.completeness, whole.left_out) == (1.0, ())
    part = check("A mass in the lung and a right effusion. No pneumothorax.", known, VOCABULARIES["medical"])
    assert part.left_out == (
        "size of lung mass", "side of pleural effusion", "rib fracture", "side of rib fracture",
        "number of rib fracture",
    )  # fmt: skip
    assert part.completeness == pytest.approx(2 / 7)
    nothing = check("No abnormality is seen.", known, VOCABULARIES["medical"])
    assert (nothing.verdict, nothing.completeness) == ("contradicted", 0.0)
    assert (
        check("No effusion.", Known([fact("pneumothorax", "absent")], ()), VOCABULARIES["medical"]).completeness is None
    )


@pytest.mark.parametrize(
    ("facts", "text", "verdict"),
    [
        ({"benign": "present", "normal": "absent"}, "Normal tissue of the breast or a benign tumour.", "unknown"),
        ({"benign": "present", "normal": "absent"}, "Normal tissue of the breast and a benign tumour.", "contradicted"),
        (
            {"malignant": "present", "benign": "absent"},
            "Normal tissue of the breast or a benign tumour.",
            "contradicted",
        ),
        ({"malignant": "present", "benign": "absent"}, "No benign tumour or malignant tumour.", "contradicted"),
    ],
)
def test_one_of_two_things_is_wrong_where_both_are(facts, text, verdict):
    known = Known([fact(name, polarity) for name, polarity in facts.items()], ())
    assert check(text, known, VOCABULARIES["pathology"]).verdict == verdict


def test_alternatives_of_bodies_are_read_alike_in_either_order():
    known = Known([fact("pleural_effusion"), fact("pneumothorax", "absent")], ())
    judged = lambda text: check(text, known, VOCABULARIES["medical"]).verdict  # noqa: E731
    for text in ("A pneumothorax or a pleural effusion.", "There is a pleural effusion or a pneumothorax."):
        assert (judged(text), judged(text.replace(" or ", " and "))) == ("unknown", "contradicted")
    assert judged("Neither an effusion nor a pneumothorax.") == "contradicted"
    assert judged("A pneumothorax. An effusion or a nodule.") == "contradicted"

"""Where a finding is and how large, by what governs it: tables, several of a kind, what is left, pronouns, regions."""

import pytest

from voxtile_medical.reports.extract import read_report
from voxtile_medical.reports.lexicon import load_lexicon

# Text; then each fact: concept, polarity, side, place, size.
TEXTS = [
    (
        "PULMONARY NODULES, mean diameter\nSite | Feb 2023 | Aug 2023 (current)\nRUL | 5 mm | 7 mm\nLLL | 9 mm | 4 mm\n"
        "RML | 3 mm | gone",
        {
            ("pulmonary_nodule", "present", "right", "upper lobe", (7.0,)),
            ("pulmonary_nodule", "present", "left", "lower lobe", (4.0,)),
            ("pulmonary_nodule", "absent", "right", "middle lobe", ()),
        },
    ),
    (
        "RENAL STONES\nNo. | Side | Place | Size\n1 | right | lower pole | 5 mm\n2 | left | upper pole | 9 x 4 mm",
        {
            ("renal_stone", "present", "right", "lower pole", (5.0,)),
            ("renal_stone", "present", "left", "upper pole", (9.0, 4.0)),
        },
    ),
    (
        "Liver metastases\n| Segment | 01/2024 | 07/2024 |\n|---|---|---|\n| segment 2 | 22 mm | 15 mm |\n"
        "| segment 7 | 9 mm | 11 mm |",
        {
            ("liver_metastasis", "present", None, "liver segment 2", (15.0,)),
            ("liver_metastasis", "present", None, "liver segment 7", (11.0,)),
        },
    ),
    (
        " | Right | Left\nHydronephrosis | none | mild\nRenal cyst | 14 mm | none",
        {
            ("hydronephrosis", "absent", "right", None, ()),
            ("hydronephrosis", "present", "left", None, ()),
            ("renal_cyst", "present", "right", None, (14.0,)),
            ("renal_cyst", "absent", "left", None, ()),
        },
    ),
    (
        "Three solid nodules: two in the right upper lobe (8 mm) and one in the lingula, 4 mm.",
        {
            ("pulmonary_nodule", "present", None, None, ()),
            ("pulmonary_nodule", "present", "right", "upper lobe", (8.0,)),
            ("pulmonary_nodule", "present", "left", "lingula", (4.0,)),
        },
    ),
    (
        "Bibasilar atelectasis cleared on the left but lingers on the right.",
        {("atelectasis", "present", "right", None, ()), ("atelectasis", "absent", None, "base", ())},
    ),
    (
        "The kidneys are well shown; both are atrophic.",
        {("small_kidneys", "present", "bilateral", None, ())},
    ),
    (
        "The lumbar vertebrae are in line, though one has collapsed.",
        {("vertebral_deformity", "present", None, None, ())},
    ),
    (
        "The femoral and popliteal veins are not compressible on the left.",
        {("deep_vein_thrombosis", "present", "left", None, ())},
    ),
    (
        "ETT tip at T4.\nPTX: none.\nEdema: mild.",
        {
            ("endotracheal_tube", "present", None, "T4", ()),
            ("pneumothorax", "absent", None, None, ()),
            ("pulmonary_edema", "present", None, None, ()),
        },
    ),
    ("The pacemaker is on the left.", {("pacemaker", "present", "left", None, ())}),
    ("Right hydronephrosis with a 11 mm hydroureter.", {("hydronephrosis", "present", "right", None, (11.0,))}),
    (
        "Traction bronchiectasis in the left lower lobe, 12 mm wide.",
        {("bronchiectasis", "present", "left", "lower lobe", (12.0,))},
    ),
    (
        "Right hydronephrosis. Its solitary counterpart holds a 12 mm kidney stone.",
        {("hydronephrosis", "present", "right", None, ()), ("renal_stone", "present", "left", None, (12.0,))},
    ),
]


@pytest.mark.parametrize(("text", "wanted"), TEXTS, ids=[text[:30] for text, _ in TEXTS])
def test_side_place_and_size_follow_the_structure(text: str, wanted: set[tuple[object, ...]]):
    reading = read_report(text, load_lexicon())
    read = {
        (f.concept, f.polarity, f.attributes.laterality, f.attributes.location, f.attributes.size_mm)
        for f in (*reading.facts, *reading.elsewhere)
    }
    assert read == wanted

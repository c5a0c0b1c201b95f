"""Sentences of departments that earlier readers took for another organ, side, size or finding."""

from __future__ import annotations

import pytest

from voxtile_medical.reports.extract import facts_of_report, read_report
from voxtile_medical.reports.lexicon import load_lexicon


def _read(text: str) -> set[tuple[str, str]]:
    return {(fact.concept, fact.polarity) for fact in facts_of_report(text, load_lexicon())}


@pytest.mark.parametrize(
    ("text", "concept", "polarity"),
    [
        ("Kidneys: No hydro.", "hydronephrosis", "absent"),
        ("T2 hyperintense lesion in segment 4 of the liver.", "liver_lesion", "present"),
        ("T2 dark lesion right PZ apex 9 mm.", "prostatic_lesion", "present"),
        ("Indeterminate 12 mm enhancing lesion in segment V.", "liver_lesion", "present"),
        ("Liver metastases, index lesion in segment 6 now 18 mm.", "liver_lesion", "present"),
        ("Optic nerve T2 hyperintensity on the right.", "optic_neuritis", "present"),
        ("Crescentic signal in the right vertebral artery, dissection.", "arterial_dissection", "present"),
        ("Thyroid: Right lobe: 12 mm nodule.", "thyroid_nodule", "present"),
        ("Bladder: 2 cm polypoid lesion at the left VUJ. Suspicious for TCC.", "bladder_lesion", "present"),
        ("Bladder: 2 cm polypoid lesion at the left VUJ. Suspicious for TCC.", "urothelial_carcinoma", "uncertain"),
        ("Both kidneys show normal enhancement. 12 mm cyst, left. 3 mm calculus, right.", "renal_stone", "present"),
        ("Left paracentral extrusion compressing the C7 root.", "nerve_root_compression", "present"),
        ("Cord signal normal.", "cord_signal_abnormality", "absent"),
        ("The SMV and portal vein are patent.", "portal_vein_thrombosis", "absent"),
        ("Left ovary enlarged with absent Doppler flow, torsion.", "ovarian_torsion", "present"),
        ("Evacuation of the left SDH, residual collection 5 mm.", "fluid_collection", "present"),
        ("Pseudomembranous colitis considered.", "colitis", "uncertain"),
        ("FNH favoured over adenoma.", "focal_nodular_hyperplasia", "uncertain"),
    ],
)
def test_a_sentence_is_read_as_its_department_means_it(text: str, concept: str, polarity: str) -> None:
    assert (concept, polarity) in _read(text)


@pytest.mark.parametrize(
    ("text", "concept"),
    [
        ("T2 hyperintense lesion in segment 4 of the liver.", "white_matter_lesions"),
        ("T2 dark lesion right PZ apex 9 mm.", "bone_lesion"),
        ("Liver metastases, index lesion in segment 6 now 18 mm.", "prostatic_lesion"),
        ("Cyst in the right kidney with thin enhancing septa.", "late_gadolinium_enhancement"),
        ("Right lobe: 3.4 cm cyst.", "cystic_lung_disease"),
        ("Dilated duct in chronic pancreatitis.", "biliary_dilatation"),
        ("Mega cisterna magna.", "callosal_agenesis"),
        ("TACE-treated lesion in segment 5.", "hepatectomy"),
        ("Terminal ileitis.", "crohn_disease"),
        ("Dissection of the right vertebral artery.", "carotid_dissection"),
        ("Popcorn lesion with haemosiderin rim in the pons.", "microhemorrhage"),
        ("Scalp swelling over the left parietal bone.", "scalp_hematoma"),
        ("Anterior mediastinal soft tissue mass.", "lung_mass"),
    ],
)
def test_what_the_words_do_not_name_is_not_read(text: str, concept: str) -> None:
    assert concept not in {name for name, _ in _read(text)}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "Three nodules in the left lung: 4 mm LUL, 6 mm lingula and 9 mm LLL.",
            {("upper lobe", 4.0, "left"), ("lingula", 6.0, "left"), ("lower lobe", 9.0, "left")},
        ),
        (
            "Bilateral subdural hygromas, 5 mm on the right and 8 mm on the left.",
            {(None, 5.0, "right"), (None, 8.0, "left")},
        ),
        ("Nodules, the largest 9 mm in the RUL, others in the LLL.", {("lower lobe and upper lobe", 9.0, "bilateral")}),
        ("RUL nodule 6 mm -> 9 mm.", {("upper lobe", 9.0, "right")}),
        ("8 mm pituitary microadenoma on the right, with deviation of the stalk to the left.", {(None, 8.0, "right")}),
        ("Midline shift to the left of 4 mm.", {(None, 4.0, "left")}),
    ],
)
def test_sizes_go_with_their_places_and_sides_with_what_they_are_of(
    text: str, found: set[tuple[str | None, float, str]]
) -> None:
    said = [fact.attributes for fact in read_report(text, load_lexicon()).facts if fact.polarity == "present"]
    assert {(a.location, a.size_mm[0], a.laterality) for a in said} == found


def test_a_change_is_not_denied_by_what_has_resolved() -> None:
    facts = read_report("The liver lesions are smaller and the ascites has resolved.", load_lexicon()).facts
    assert {fact.concept: fact.attributes.change for fact in facts} == {
        "liver_lesion": "decreased",
        "ascites": "resolved",
    }

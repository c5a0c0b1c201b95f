"""What the lexicon names, region by region: sentences of our own, and what its tables must hold to."""

from collections import defaultdict

import pytest
import yaml

from voxtile.words.phrases import expand
from voxtile_medical.reports.extract import facts_of_report
from voxtile_medical.reports.lexicon import LEXICON, PLACES, lexicon_files, load_lexicon

# Words with which no name of a finding ends.
OPEN_ENDS = {"of", "the", "in", "to", "on", "by", "and", "or", "with", "s", "is", "are", "left", "right"}
# One phrase that names several concepts on purpose: it says them all, or is said of both.
SAID_OF_SEVERAL = {
    "hepatosplenomegaly",
    "kyphoscoliosis",
    "compression deformity",
    "fixation plate",
    "spinal stimulator",
}
SENTENCES = [
    # brain
    ("Acute subarachnoid blood in the basal cisterns.", "subarachnoid_hemorrhage", "present"),
    ("No epidural haematoma.", "epidural_hematoma", "absent"),
    ("Old lacunar infarct of the left thalamus.", "lacunar_infarct", "present"),
    ("The lateral ventricles are dilated.", "hydrocephalus", "present"),
    ("Chronic microangiopathic change of the deep white matter.", "small_vessel_disease", "present"),
    ("No aneurysm of the circle of Willis.", "intracranial_aneurysm", "absent"),
    ("Partially empty sella.", "empty_sella", "present"),
    ("Cytotoxic oedema.", "vasogenic_oedema", "present"),
    # head and neck
    ("Fluid in the left mastoid air cells.", "mastoid_effusion", "present"),
    ("Polypoid mucosal thickening of the maxillary sinuses.", "sinus_disease", "present"),
    ("The parotid gland contains a 14 mm mass.", "salivary_lesion", "present"),
    ("High-grade stenosis of the left internal carotid artery.", "carotid_stenosis", "present"),
    ("No retropharyngeal abscess.", "neck_abscess", "absent"),
    ("Fracture of the left mandible.", "facial_fracture", "present"),
    # spine
    ("Broad-based disc bulge at L3-L4.", "disc_bulge", "present"),
    ("The spinal canal is narrowed at C5-C6.", "spinal_stenosis", "present"),
    ("The left neural foramen is severely stenosed.", "foraminal_stenosis", "present"),
    ("Grade 1 anterolisthesis of L5 on S1.", "spondylolisthesis", "present"),
    ("No compression of the spinal cord.", "cord_compression", "absent"),
    ("Modic type 1 change at L4.", "endplate_change", "present"),
    # chest
    ("Tree-in-bud nodularity in the left lower lobe.", "centrilobular_nodules", "present"),
    ("No mucus plugging.", "mucus_plugging", "absent"),
    ("Calcified pleural plaques and a mesothelioma on the right.", "pleural_lesion", "present"),
    ("The oesophagus is dilated.", "esophageal_dilatation", "present"),
    ("Right lung contusion.", "pulmonary_contusion", "present"),
    # heart and vessels
    ("Moderate tricuspid regurgitation.", "valve_regurgitation", "present"),
    ("Thrombus in the left ventricle.", "cardiac_thrombus", "present"),
    ("The common femoral vein is not compressible.", "deep_vein_thrombosis", "present"),
    ("Occlusion of the left superficial femoral artery.", "arterial_occlusion", "present"),
    ("No type II endoleak.", "endoleak", "absent"),
    # breast
    ("Spiculated mass in the upper outer quadrant of the left breast.", "breast_mass", "present"),
    ("No grouped calcifications.", "breast_calcification", "absent"),
    ("The nipple is retracted.", "nipple_retraction", "present"),
    # abdomen and pelvis
    ("Cholangiocarcinoma at the hilum.", "bile_duct_lesion", "present"),
    ("The gallbladder wall is not thickened, no pericholecystic stranding.", "pericholecystic_fluid", "absent"),
    ("The main pancreatic duct is dilated to 6 mm.", "pancreatic_duct_dilatation", "present"),
    ("Splenic laceration with active extravasation.", "splenic_laceration", "present"),
    ("Atrophic left kidney.", "small_kidneys", "present"),
    ("No perforation.", "bowel_perforation", "absent"),
    ("Sigmoid volvulus.", "volvulus", "present"),
    ("Omental caking.", "peritoneal_lesion", "present"),
    ("Incarcerated umbilical hernia.", "abdominal_hernia", "present"),
    ("Subserosal leiomyoma of the fundus.", "uterine_fibroid", "present"),
    ("The endometrium is thickened.", "endometrial_thickening", "present"),
    ("Left hydrocele.", "hydrocele", "present"),
    ("Placenta praevia is excluded.", "low_lying_placenta", "absent"),
    ("Splenic vein thrombosed.", "splenic_vein_thrombosis", "present"),
    # bones, joints, soft tissue
    ("The end of L2 is sclerotic.", "sclerosis", "present"),
    ("Osteonecrosis of the right femoral head.", "avascular_necrosis", "present"),
    ("Bone marrow oedema of the sacrum.", "bone_marrow_edema", "present"),
    ("The ACL is torn.", "ligament_tear", "present"),
    ("Complex tear of the medial meniscus.", "meniscal_tear", "present"),
    ("The menisci are intact.", "meniscal_tear", "absent"),
    ("Full-thickness tear of the infraspinatus.", "tendon_tear", "present"),
    ("Moderate effusion of the knee.", "joint_effusion", "present"),
    ("No soft-tissue swelling of the ankle.", "soft_tissue_swelling", "absent"),
    # devices and operations
    ("Status post total abdominal hysterectomy.", "hysterectomy", "present"),
    ("The gallbladder is surgically absent.", "cholecystectomy", "present"),
    ("Left nephrectomy.", "nephrectomy", "present"),
    ("A ventriculoperitoneal shunt catheter is in place.", "ventricular_shunt", "present"),
    ("Double-J stent on the right.", "ureteral_stent", "present"),
    ("No loosening of the screws.", "hardware_loosening", "absent"),
    # uptake
    ("Focal hypermetabolic activity of the caecum.", "fdg_uptake", "present"),
    ("FDG-avid left axillary node.", "hypermetabolic_lymph_node", "present"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "concept", "polarity"), SENTENCES, ids=[case[0][:40] for case in SENTENCES])
def test_findings_of_every_region_are_named(text: str, concept: str, polarity: str):
    found = {fact.concept: fact.polarity for fact in facts_of_report(text, load_lexicon())}
    assert found.get(concept) == polarity, found


@pytest.mark.parametrize(
    ("text", "concept"),
    [
        ("Tracheostomy tube tip above the carina.", "biliary_stent"),
        ("Pulmonary infarct of the right lower lobe.", "infarct"),
        ("Mild strain of the right heart.", "muscle_injury"),
        ("No acute or active pleural disease.", "pleural_lesion"),
        ("Enlargement of the left pulmonary artery.", "extraocular_muscle_enlargement"),
        ("The aorta is tortuous, the arteries are calcified.", "arterial_occlusion"),
        ("The mean uptake of the liver is 2.1 SUV.", "fdg_uptake"),
        ("Cruciate and collateral ligaments without tear.", "varices"),
        ("Contrast opacification of the vessels is good.", "lung_opacity"),
        ("The cine clips were reviewed.", "surgical_clips"),
        ("T1, with oedema of the left thalamus.", "bone_marrow_edema"),
        ("Left adrenal haemorrhage.", "intracranial_haemorrhage"),
    ],
)
def test_names_of_one_region_do_not_fire_in_another(text: str, concept: str):
    assert concept not in {fact.concept for fact in facts_of_report(text, load_lexicon())}


def test_words_of_change_are_of_time_only_where_examinations_are_compared():
    """ACR NI-RADS and RANO call enhancement that has grown since the scan before "increased"; a bowel's is strong."""
    told = {
        "Increased enhancement of the terminal ileum.": {("hyperenhancement", None)},
        "Decreased enhancement of the left kidney.": {("hypoenhancement", None)},
        "Increased enhancement at the resection margin since the prior study.": {("enhancement", "increased")},
        "New or increased enhancement in the left temporal lobe.": {("enhancement", "increased")},
        "Interval decreased enhancement.": {("enhancement", "decreased")},
        "Increased kyphosis.": {("kyphosis", None)},
        "New infarct.": {("acute_infarct", None)},
        "Decreased joint effusion.": {("joint_effusion", "decreased")},
        "Decreased joint space.": {("joint_space_narrowing", None)},
    }
    assert {
        text: {(f.concept, f.attributes.change) for f in facts_of_report(text, load_lexicon())} for text in told
    } == told


def test_millimetres_are_no_medial_meniscus():
    told = {
        "12 mm tear of the supraspinatus tendon.": {"tendon_tear"},
        "FULL-THICKNESS 15 MM TEAR OF THE ROTATOR CUFF.": {"tendon_tear"},
        "There is a 5 x 3 mm left tear.": {"tear"},
        "MM tear, LM intact.": {"meniscal_tear"},
        "MM extrusion of 3 mm.": {"meniscal_tear"},
    }
    assert {
        text: {f.concept for f in facts_of_report(text, load_lexicon()) if f.polarity == "present"} for text in told
    } == told


def test_what_entries_refer_to_is_there():
    tables = _tables()
    for name, entry in tables["concepts"].items():
        for organ, quality in (*entry.get("pairs", ()), *entry.get("borderline", ())):
            assert organ in tables["anatomy"], (name, organ)
            assert quality in tables["qualities"], (name, quality)
        assert set(entry.get("denies", ())) <= tables["concepts"].keys(), name
        assert entry.get("places") in (None, *PLACES), name
    for organ, entry in tables["anatomy"].items():
        for kind, denied in entry.get("closes", {}).items():
            assert kind in tables["normal"], (organ, kind)
            assert set(denied) <= tables["concepts"].keys(), organ


def test_a_phrase_names_one_concept_and_is_whole():
    named: dict[str, set[str]] = defaultdict(set)
    for name, entry in _tables()["concepts"].items():
        for words in (words for phrase in entry["terms"] for words in expand(phrase)):
            assert words[-1] not in OPEN_ENDS, (name, words)
            named[" ".join(words)].add(name)
    twice = {phrase: names for phrase, names in named.items() if len(names) > 1 and phrase not in SAID_OF_SEVERAL}
    # Opacities are named by pattern and by place at once.
    assert all("opacity" in phrase or "interstitial" in phrase for phrase in twice), twice


def _tables() -> dict[str, dict]:
    tables: dict[str, dict] = defaultdict(dict)
    for file in lexicon_files(LEXICON):
        for key, value in yaml.safe_load(file.read_text(encoding="utf-8")).items():
            if isinstance(value, dict):
                tables[key] |= value
    for name, phrases in tables["wordings"].items():
        entry = tables["concepts"][name]
        tables["concepts"][name] = {**entry, "terms": [*entry["terms"], *phrases]}
    return tables

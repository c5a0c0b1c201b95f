"""What the reader of pathology reports takes from sentences and reports that were written for this test, by topic."""

import json
import time
from pathlib import Path

import pyarrow as pa
import pytest

import voxtile_pathology
from voxtile.corpus.reader import Corpus
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.errors import InputError
from voxtile_datasets.captions.template import subjects_of
from voxtile_datasets.captions.wordings import load_bank
from voxtile_pathology.reports.command import facts_from_slide_reports
from voxtile_pathology.reports.lexicon import load_lexicon
from voxtile_pathology.reports.read import read_slide_report
from voxtile_pathology.reports.rows import fact_row

GRADE_AND_STAGE = [
    (
        "Invasive ductal carcinoma, Nottingham grade III (3+3+2 = 8/9), 18 mm, LVI present, PNI absent.",
        {
            "invasive_ductal_carcinoma": "present",
            "histologic_grade": "present",
            "lymphovascular_invasion": "present",
            "perineural_invasion": "absent",
        },
    ),
    (
        "pT3 N1b M0, stage IIIB.",
        {"pathologic_t_category": "present", "pathologic_n_category": "present", "stage_group": "present"},
    ),
    (
        "ypT0 ypN0: complete pathological response.",
        {"pathologic_t_category": "present", "pathologic_complete_response": "present"},
    ),
    ("AJCC 8th: pT2a, pN1mi(sn), pMx.", {"pathologic_t_category": "present", "pathologic_n_category": "present"}),
    (
        "Breslow thickness 1.2 mm, Clark level IV, ulceration absent, mitoses 2/mm2. No satellite lesions.",
        {
            "breslow_thickness": "present",
            "clark_level": "present",
            "ulceration": "absent",
            "mitotic_count": "present",
            "satellite_nodule": "absent",
        },
    ),
    (
        "Gleason score 3+4=7 (ISUP grade group 2), pattern 4: 20%. Perineural invasion present.",
        {"gleason_score": "present", "grade_group": "present", "perineural_invasion": "present"},
    ),
    (
        "Leiomyosarcoma, FNCLCC grade 2 (differentiation 2, mitoses 2, necrosis 1).",
        {"leiomyosarcoma": "present", "histologic_grade": "present"},
    ),
    (
        "Endometrioid adenocarcinoma, FIGO grade 2, invading 60% of the myometrium. Cervix free of tumour. No LVSI.",
        {
            "endometrioid_carcinoma": "present",
            "histologic_grade": "present",
            "myometrial_invasion": "present",
            "cervical_stromal_invasion": "absent",
            "lymphovascular_invasion": "absent",
        },
    ),
    (
        "Moderately differentiated adenocarcinoma of the colon invading through the muscularis propria into "
        "pericolic fat.",
        {
            "adenocarcinoma": "present",
            "histologic_grade": "present",
            "muscularis_propria_invasion": "present",
            "pericolic_fat_invasion": "present",
        },
    ),
    ("Grade cannot be assessed.", {"histologic_grade": "uncertain"}),
    ("Tumour regression grade (Mandard): 2. Residual tumour: 20%.", {"tumor_regression_grade": "present"}),
    ("Tumor regression score 1 (near complete response).", {"tumor_regression_grade": "present"}),
    ("Treatment effect: not identified.", {"treatment_effect": "absent"}),
    (
        "Low-grade urothelial carcinoma, non-invasive (pTa). Muscularis propria present, not involved.",
        {
            "urothelial_carcinoma": "present",
            "pathologic_t_category": "present",
            "muscularis_propria_invasion": "absent",
        },
    ),
    ("Residual cancer burden class II (RCB index 2.1).", {"residual_cancer_burden": "present"}),
    ("Depth of invasion 7 mm; worst pattern of invasion 4.", {"depth_of_invasion": "present"}),
]

MARGINS = [
    ("All surgical margins are widely free. Closest margin: deep, 4 mm.", {"margin_involvement": "absent"}),
    ("Margins: positive for DCIS (medial), negative for invasive carcinoma.", {"margin_involvement": "present"}),
    ("Margin status cannot be assessed owing to fragmentation.", {"margin_involvement": "uncertain"}),
    ("The tumour extends to within 0.5 mm of the deep margin.", {"margin_involvement": "absent"}),
    ("Carcinoma is present at the inked superior margin.", {"margin_involvement": "present", "carcinoma": "present"}),
    ("Circumferential resection margin: 0.8 mm, involved.", {"margin_involvement": "present"}),
    ("CRM clear by 12 mm.", {"margin_involvement": "absent"}),
    ("Excision appears complete in the planes examined.", {"margin_involvement": "absent"}),
    ("Tumour transected at the lateral edge; excision incomplete.", {"margin_involvement": "present"}),
    ("Proximal and distal margins uninvolved by invasive carcinoma and dysplasia.", {"margin_involvement": "absent"}),
    ("Resection status: R1.", {"margin_involvement": "present"}),
    ("Compound melanocytic naevus, completely excised.", {"nevus": "present", "margin_involvement": "absent"}),
    (
        "LYMPHOVASCULAR INVASION: NOT IDENTIFIED\nPERINEURAL INVASION: PRESENT\nTUMOR BUDDING: LOW (2)"
        "\nMARGINS: ALL MARGINS NEGATIVE FOR INVASIVE CARCINOMA\nLYMPH NODES: 0/15",
        {
            "lymphovascular_invasion": "absent",
            "perineural_invasion": "present",
            "tumour_budding": "present",
            "margin_involvement": "absent",
            "lymph_node_metastasis": "absent",
        },
    ),
    (
        "Tumour size: 3.5 cm\nHistologic type: Invasive lobular carcinoma\nHistologic grade: 2\nMargins: "
        "involved by invasive carcinoma (posterior)\nDCIS: Not identified\npT2 pN1a(2/18)",
        {
            "invasive_lobular_carcinoma": "present",
            "histologic_grade": "present",
            "margin_involvement": "present",
            "ductal_carcinoma_in_situ": "absent",
            "lymph_node_metastasis": "present",
        },
    ),
]

NODES = [
    (
        "Lymph nodes: 17 examined, 3 positive (3/17). Extranodal extension: present, 2 mm.",
        {"lymph_node_metastasis": "present", "extranodal_extension": "present"},
    ),
    ("Fourteen benign lymph nodes (0/14).", {"lymph_node_metastasis": "absent"}),
    ("No metastatic carcinoma in twelve lymph nodes.", {"lymph_node_metastasis": "absent"}),
    (
        "Metastatic squamous cell carcinoma in two of eighteen nodes, largest deposit 11 mm.",
        {"lymph_node_metastasis": "present"},
    ),
    ("Two sentinel lymph nodes, negative for metastasis (0/2).", {"lymph_node_metastasis": "absent"}),
    ("Number of lymph nodes examined: 22\nNumber of lymph nodes involved: 0", {"lymph_node_metastasis": "absent"}),
    ("One lymph node with micrometastasis (1 of 3).", {"lymph_node_metastasis": "present"}),
]

STAINS = [
    (
        "Immunohistochemistry: tumour cells are positive for CK7, TTF-1 and napsin A, and negative for p40, "
        "CK20 and CDX2.",
        {
            "ck7": "present",
            "ttf_1": "present",
            "napsin_a": "present",
            "p40": "absent",
            "ck20": "absent",
            "cdx2": "absent",
        },
    ),
    (
        "The cells express CD20, PAX5 and BCL6 but lack CD5 and cyclin D1. Ki67 proliferation index approximately 80%.",
        {
            "cd20": "present",
            "pax5": "present",
            "bcl_6": "present",
            "cd5": "absent",
            "cyclin_d1": "absent",
            "ki67": "present",
        },
    ),
    ("CK7+/CK20-/GATA3+.", {"ck7": "present", "ck20": "absent", "gata3": "present"}),
    (
        "Synaptophysin: diffusely positive. Chromogranin: focally positive. INSM1: negative.",
        {"synaptophysin": "present", "chromogranin": "present", "insm1": "absent"},
    ),
    (
        "ER positive (Allred 8/8), PR negative (Allred 0/8), HER2 IHC 2+, FISH not amplified.",
        {"estrogen_receptor": "present", "progesterone_receptor": "absent", "her2_amplification": "absent"},
    ),
    (
        "Estrogen receptor: negative (<1%). Progesterone receptor: 5%, weak. HER2: 3+.",
        {"estrogen_receptor": "absent", "progesterone_receptor": "present", "her2": "present"},
    ),
    ("HER2 (4B5): score 0.", {"her2": "absent"}),
    ("HER2 status: equivocal (score 2+).", {"her2": "uncertain"}),
    (
        "MMR proteins: MLH1, PMS2, MSH2 and MSH6 intact.",
        {"mlh1": "present", "msh6": "present", "mlh1_loss": "absent", "mismatch_repair_deficiency": "absent"},
    ),
    ("Loss of nuclear expression of MSH2 and MSH6.", {"msh2_loss": "present", "msh6_loss": "present"}),
    (
        "KRAS: no mutation detected. BRAF V600E mutation detected. MSI-high.",
        {"kras_mutation": "absent", "braf_v600e": "present", "microsatellite_instability": "present"},
    ),
    (
        "EGFR exon 19 deletion identified; ALK and ROS1 rearrangements not detected. PD-L1 TPS 60%.",
        {"egfr_mutation": "present", "alk_rearrangement": "absent", "pd_l1": "present"},
    ),
    (
        "IDH1 R132H: positive. ATRX: lost. 1p/19q: intact. MGMT promoter methylated.",
        {
            "idh1_mutation": "present",
            "atrx": "absent",
            "codeletion_1p_19q": "absent",
            "mgmt_promoter_methylation": "present",
        },
    ),
    ("p53 shows a wild-type pattern. p16 block positive.", {"p53": "absent", "p16": "present"}),
    ("ADDENDUM: HER2 FISH is amplified (ratio 4.2).", {"her2_amplification": "present"}),
    (
        "Banff: i0 t0 v0 g0; C4d negative. No evidence of T-cell mediated rejection.",
        {"c4d_staining": "absent", "t_cell_mediated_rejection": "absent"},
    ),
    (
        "Hodgkin lymphoma, nodular sclerosis; Reed-Sternberg cells CD30+ CD15+ CD45-.",
        {"hodgkin_lymphoma": "present", "cd30": "present", "cd15": "present", "cd45": "absent"},
    ),
    ("ER and PR pending.", {"estrogen_receptor": None, "progesterone_receptor": None}),
    ("Oestrogen receptor strongly positive in 90% of tumour nuclei.", {"estrogen_receptor": "present"}),
    (
        "Receptors (ER/PR): both negative. Ki-67 about 70 %.",
        {"estrogen_receptor": "absent", "progesterone_receptor": "absent", "ki67": "present"},
    ),
    ("Triple negative: ER 0%, PR 0%, HER2 1+.", {"estrogen_receptor": "absent", "her2": "absent"}),
    (
        "Immunostains show the lesional cells to be S100 and SOX10 positive, while desmin, SMA and CD34 are negative.",
        {"s100": "present", "sox10": "present", "desmin": "absent", "smooth_muscle_actin": "absent", "cd34": "absent"},
    ),
    ("Negative stains include HMB-45, Melan-A and CD45.", {"hmb45": "absent", "melan_a": "absent", "cd45": "absent"}),
    (
        "Positive: CD3, CD4. Negative: CD8, CD56.",
        {"cd3": "present", "cd4": "present", "cd8": "absent", "cd56": "absent"},
    ),
    ("E-cadherin is lost, supporting lobular differentiation.", {"e_cadherin": "absent"}),
    (
        "Spindle cell lipoma vs well-differentiated liposarcoma; MDM2 FISH: not amplified.",
        {"lipoma": "uncertain", "liposarcoma": "uncertain", "mdm2": "absent"},
    ),
]

FINDINGS = [
    (
        "Special stains: PAS and GMS negative for fungal organisms. AFB stain negative.",
        {"fungi": "absent", "acid_fast_bacilli": "absent"},
    ),
    (
        "Fibroadenoma with usual ductal hyperplasia. No atypia or malignancy.",
        {"fibroadenoma": "present", "usual_ductal_hyperplasia": "present", "atypia": "absent", "malignancy": "absent"},
    ),
    ("Leiomyomata uteri, the largest 6.5 cm; adenomyosis.", {"leiomyoma": "present", "adenomyosis": "present"}),
    (
        "Skin, left forearm, shave biopsy: Squamous cell carcinoma in situ, extending to the base.",
        {"carcinoma_in_situ": "present"},
    ),
    ("Mature cystic teratoma of the ovary.", {"teratoma": "present"}),
    ("Findings favour a reactive process over lymphoma.", {"lymphoma": "uncertain"}),
    ("Cannot exclude an underlying invasive component.", {"invasive_carcinoma": "uncertain"}),
    ("Features are highly suspicious for urothelial carcinoma.", {"urothelial_carcinoma": "uncertain"}),
    ("There is no convincing evidence of dysplasia.", {"dysplasia": "absent"}),
    ("Neither granulomas nor fungal organisms are identified.", {"granuloma": "absent", "fungi": "absent"}),
    (
        "The biopsy shows steatosis (30%) and mild portal inflammation, without ballooning or fibrosis.",
        {
            "steatosis": "present",
            "portal_inflammation": "present",
            "hepatocyte_ballooning": "absent",
            "fibrosis": "absent",
        },
    ),
    (
        "History: breast cancer 2015.\nDiagnosis: Liver, needle biopsy: metastatic carcinoma.",
        {"metastasis": "present", "breast_carcinoma": None},
    ),
    (
        "CLINICAL INFORMATION\nRule out lymphoma\n\nFINAL DIAGNOSIS\nLymph node, left neck, excision:"
        "\nReactive follicular hyperplasia. No evidence of lymphoma.",
        {"reactive_lymphoid_hyperplasia": "present", "lymphoma": "absent"},
    ),
    (
        "Status post mastectomy for carcinoma. Seroma wall with granulation tissue; no residual carcinoma.",
        {"carcinoma": "absent", "granulation_tissue": "present"},
    ),
    ("Family history of melanoma. Lesion: compound naevus.", {"melanoma": None, "nevus": "present"}),
    (
        "DIAGNOSIS: Atypical ductal hyperplasia.\nAMENDED DIAGNOSIS: Ductal carcinoma in situ, low grade.",
        {"ductal_carcinoma_in_situ": "present"},
    ),
    (
        "DIAGNOSIS: Suspicious for malignancy.\nADDENDUM: Flow cytometry excludes lymphoma; no malignancy.",
        {"malignancy": "absent", "lymphoma": "absent"},
    ),
    (
        "GROSS DESCRIPTION: Received in formalin is a 3.2 x 2.1 x 1.0 cm tan-white firm nodule with focal "
        "calcification. No necrosis is seen grossly.",
        {"nodule": "present", "calcification": "present", "tissue_necrosis": "absent"},
    ),
    (
        "Grossly, a cystic mass measuring 7 cm with papillary excrescences; the capsule is intact.",
        {"mass": "present", "capsule_rupture": "absent"},
    ),
    ("Lymphovascular invasion - suspicious", {"lymphovascular_invasion": "uncertain"}),
    ("Lymphovascular invasion: Indeterminate", {"lymphovascular_invasion": "uncertain"}),
    ("Necrosis: Not applicable", {"tissue_necrosis": None}),
    ("Tumor necrosis: present, 20%", {"tissue_necrosis": "present"}),
    (
        "Large cell neuroendocrine carcinoma with extensive necrosis and brisk mitotic activity (45 per 10 HPF).",
        {"large_cell_neuroendocrine_carcinoma": "present", "tissue_necrosis": "present"},
    ),
    (
        "Tubular adenoma, low-grade dysplasia. No high-grade dysplasia.",
        {"tubular_adenoma": "present", "high_grade_dysplasia": "absent"},
    ),
    (
        "Chronic active gastritis with Helicobacter pylori organisms and intestinal metaplasia.",
        {"gastritis": "present", "helicobacter_pylori": "present", "intestinal_metaplasia": "present"},
    ),
    (
        "No crypt abscesses, granulomas or viral inclusions.",
        {"crypt_abscess": "absent", "granuloma": "absent", "cytomegalovirus": "absent"},
    ),
    (
        "Acute appendicitis with perforation and periappendicitis.",
        {"appendicitis": "present", "perforation": "present", "periappendicitis": "present"},
    ),
    (
        "The serosa is free of tumour. Visceral pleura not invaded.",
        {"serosal_invasion": "absent", "pleural_invasion": "absent"},
    ),
    (
        "Tumour infiltrates the perirenal fat and the renal vein.",
        {"perinephric_fat_invasion": "present", "renal_vein_invasion": "present"},
    ),
    (
        "Extraprostatic extension: present, focal (right base). Seminal vesicles: not involved.",
        {"extraprostatic_extension": "present", "seminal_vesicle_invasion": "absent"},
    ),
    ("TILs: 5%. Tumour-infiltrating lymphocytes: brisk.", {"tumor_infiltrating_lymphocytes": "present"}),
    (
        "Mitotic figures are readily identified. Coagulative necrosis absent.",
        {"mitoses": "present", "coagulative_necrosis": "absent"},
    ),
    ("Rejection: ISHLT grade 0R (no rejection).", {"rejection": "absent"}),
    (
        "Bone marrow: hypercellular for age; no increase in blasts; reticulin fibrosis MF-1.",
        {"hypercellular_marrow": "present", "increased_blasts": "absent", "marrow_fibrosis": "present"},
    ),
    (
        "Squamous epithelium without koilocytosis; negative for intraepithelial lesion or malignancy.",
        {"koilocytosis": "absent", "squamous_intraepithelial_lesion": "absent"},
    ),
    (
        "High-grade squamous intraepithelial lesion (CIN 3) with endocervical gland extension.",
        {"high_grade_squamous_intraepithelial_lesion": "present", "cervical_intraepithelial_neoplasia": "present"},
    ),
    (
        "Papillary thyroid carcinoma, 1.4 cm; extrathyroidal extension not identified; background "
        "lymphocytic thyroiditis.",
        {"papillary_carcinoma": "present", "extrathyroidal_extension": "absent", "thyroiditis": "present"},
    ),
    ("Chromophobe renal cell carcinoma limited to kidney.", {"renal_cell_carcinoma": "present"}),
    ("No residual tumour in the prostatectomy specimen after hormonal therapy.", {"tumour": "absent"}),
    (
        "Angiolymphatic invasion is seen; perineural infiltration is not.",
        {"lymphovascular_invasion": "present", "perineural_invasion": "absent"},
    ),
    (
        "No vascular, lymphatic or perineural invasion.",
        {"perineural_invasion": "absent", "lymphatic_invasion": "absent"},
    ),
    (
        "Uterus with endometrial polyp, chronic cervicitis and nabothian cysts; ovaries with corpus luteum.",
        {"endometrial_polyp": "present", "cervicitis": "present", "nabothian_cyst": "present"},
    ),
    ("Biopsy non-diagnostic; insufficient for assessment of malignancy.", {"malignancy": None}),
    (
        "Melanoma in situ, lentigo maligna type. Invasive melanoma is not identified.",
        {"melanoma_in_situ": "present", "melanoma": "absent"},
    ),
    (
        "The lesion is entirely benign: no carcinoma, no in situ disease.",
        {"carcinoma": "absent", "carcinoma_in_situ": "absent"},
    ),
    (
        "Differential diagnosis: schwannoma versus neurofibroma.",
        {"schwannoma": "uncertain", "neurofibroma": "uncertain"},
    ),
    ("Consistent with gout. No crystals of CPPD.", {"gout": "present"}),
    ("Ischaemic colitis is favoured; pseudomembranes not seen.", {"colitis": "uncertain"}),
]


OTHER_WORDINGS = [
    ("No evidence of in situ or invasive malignancy.", {"malignancy": "absent"}),
    ("Features of invasion are not appreciated.", {"tumour_invasion": "absent"}),
    ("The sections are devoid of viable tumour.", {"tumour": "absent"}),
    ("Amyloid could not be demonstrated with Congo red.", {"amyloid": "absent"}),
    (
        "There were no mitoses, and necrosis was likewise not a feature.",
        {"mitoses": "absent", "tissue_necrosis": "absent"},
    ),
    ("Pneumocystis was looked for but not found.", {"pneumocystis": "absent"}),
    ("Nothing to suggest lymphoma.", {"lymphoma": "absent"}),
    (
        "Without evidence of malignancy, dysplasia or viral change.",
        {"malignancy": "absent", "dysplasia": "absent", "cytomegalovirus": "absent"},
    ),
    ("Clear of carcinoma.", {"carcinoma": "absent"}),
    ("Ki-67 not increased; no p53 overexpression.", {"p53": "absent"}),
    ("Probable fibroepithelial polyp.", {"fibroepithelial_polyp": "uncertain"}),
    ("Cannot rule out a low-grade B-cell lymphoma.", {"b_cell_lymphoma": "uncertain"}),
    ("An angiosarcoma is less likely but remains in the differential.", {"angiosarcoma": "uncertain"}),
    ("Atypical lymphoid infiltrate; lymphoma is not excluded.", {"lymphoma": "uncertain"}),
    ("These appearances might represent early mycosis fungoides.", {"t_cell_lymphoma": "uncertain"}),
    ("Focal changes that could be interpreted as dysplasia.", {"dysplasia": "uncertain"}),
    ("Indefinite for dysplasia.", {"dysplasia": "uncertain"}),
    ("I favour a diagnosis of solitary fibrous tumour.", {"solitary_fibrous_tumour": "uncertain"}),
    ("Most consistent with metastatic lobular carcinoma.", {"metastasis": "present"}),
    ("In keeping with lichen planus.", {"lichen_planus": "present"}),
    ("Diagnostic of celiac disease.", {"celiac_disease": "present"}),
    (
        "Gleason 4+5 = 9, grade group 5, cribriform pattern present.",
        {"gleason_score": "present", "grade_group": "present", "cribriform_pattern": "present"},
    ),
    ("Invasive carcinoma, overall grade: 3 of 3 (score 9/9).", {"histologic_grade": "present"}),
    (
        "Oligodendroglioma, IDH-mutant and 1p/19q-codeleted, CNS WHO grade 3.",
        {"oligodendroglioma": "present", "histologic_grade": "present", "codeletion_1p_19q": "present"},
    ),
    ("Urothelial carcinoma, high grade (WHO 2022).", {"urothelial_carcinoma": "present"}),
    ("Grade: G2 (moderately differentiated)", {"histologic_grade": "present"}),
    ("Differentiation: poor", {"histologic_grade": "present"}),
    (
        "DCIS, nuclear grade 3, with comedonecrosis.",
        {"ductal_carcinoma_in_situ": "present", "histologic_grade": "present", "comedonecrosis": "present"},
    ),
    ("Follicular lymphoma, grade 1-2 of 3.", {"follicular_lymphoma": "present", "histologic_grade": "present"}),
    ("Fuhrman nuclear grade II.", {"histologic_grade": "present"}),
    ("Chronic hepatitis, grade 2, stage 3.", {"hepatitis": "present"}),
    ("Nearest margin is the superior, at 1.5 mm; all others exceed 5 mm.", {"margin_involvement": "absent"}),
    ("Tumour is present <1 mm from the anterior margin.", {"margin_involvement": "absent"}),
    ("No ink on tumour.", {"margin_involvement": "absent"}),
    ("Tumour on ink at the posterior aspect.", {"margin_involvement": "present"}),
    ("Resection margins tumour-free.", {"margin_involvement": "absent"}),
    ("Bronchial margin negative; parenchymal margin 0.6 cm.", {"margin_involvement": "absent"}),
    ("Deep margin: focally positive for high-grade dysplasia.", {"margin_involvement": "present"}),
    ("Polypectomy: stalk margin free of adenoma.", {"margin_involvement": "absent"}),
    ("Margins cannot be evaluated (piecemeal excision).", {"margin_involvement": "uncertain"}),
    ("Ureteral margin with carcinoma in situ.", {"margin_involvement": "present"}),
    ("R0 resection.", {"margin_involvement": "absent"}),
    ("Donuts free of tumour.", {"margin_involvement": "absent"}),
    ("The vaginal cuff margin shows VAIN 2.", {"margin_involvement": "present"}),
    (
        "ER+ (90 %), PR- , HER2- (IHC 1+).",
        {"estrogen_receptor": "present", "progesterone_receptor": "absent", "her2": "absent"},
    ),
    (
        "ER 8/8, PR 3/8, HER-2 2+ (FISH pending).",
        {"estrogen_receptor": "present", "progesterone_receptor": "present", "her2": "uncertain"},
    ),
    ("Hormone receptors are negative; HER2 overexpressed (3+).", {"her2": "present"}),
    ("HER2-low (IHC 2+/ISH-).", {"her2_amplification": "absent"}),
    ("PD-L1 (22C3) CPS 15.", {"pd_l1": "present"}),
    ("PD-L1 TPS <1%.", {"pd_l1": "absent"}),
    ("Nuclear expression of all four MMR proteins is retained.", {"mismatch_repair_deficiency": "absent"}),
    ("dMMR: isolated loss of PMS2.", {"pms2_loss": "present"}),
    ("Tumour is microsatellite stable (MSS).", {"microsatellite_instability": "absent"}),
    (
        "NGS: TP53 mutated; KRAS G12D mutation present; BRAF wild-type.",
        {"tp53_mutation": "present", "kras_mutation": "present", "braf_v600e": "absent"},
    ),
    ("EWSR1 rearrangement by FISH: detected.", {"ewsr1_rearrangement": "present"}),
    ("EBER in situ hybridisation is negative. HHV8 negative.", {"eber": "absent", "hhv8": "absent"}),
    ("Stains for CMV and HSV are negative.", {"cytomegalovirus": "absent"}),
    ("PAX8 and WT1 strong, p53 null-type.", {"pax8": "present", "wt1": "present", "p53": "present"}),
    ("Desmin: -, myogenin: -, S100: ++", {"desmin": "absent", "myogenin": "absent", "s100": "present"}),
    (
        "Synaptophysin and chromogranin highlight the tumour cells.",
        {"synaptophysin": "present", "chromogranin": "present"},
    ),
    (
        "CD117 and DOG1 are both expressed; SDHB is retained.",
        {"cd117": "present", "dog1": "present", "sdhb": "present"},
    ),
    ("There is no staining with TTF1.", {"ttf_1": "absent"}),
    ("Weak patchy ER; PR wholly absent.", {"estrogen_receptor": "present", "progesterone_receptor": "absent"}),
    ("mpT2(3) pN2a cM0", {"pathologic_t_category": "present", "pathologic_n_category": "present"}),
    (
        "T category: pT1c\nN category: pN0 (sn)\nM category: not applicable",
        {"pathologic_t_category": "present", "pathologic_n_category": "present"},
    ),
    (
        "Pathologic stage classification (pTNM, AJCC 8th ed): pT4b N2b",
        {"pathologic_t_category": "present", "pathologic_n_category": "present"},
    ),
    ("FIGO stage: IC1", {"figo_stage": "present"}),
    (
        "Tumor extent: invades through muscularis propria into pericolorectal tissue",
        {"muscularis_propria_invasion": "present", "pericolic_fat_invasion": "present"},
    ),
    ("Macroscopic tumor perforation: Not identified", {"perforation": "absent"}),
    (
        "Specimen: Right hemicolectomy\nTumor site: cecum\nTumor size: 5.2 x 4.1 cm\nHistologic type: "
        "adenocarcinoma\nLarge vessel invasion: present, extramural\nPerineural invasion: absent\nNumber of "
        "nodes examined: 21; number involved: 4",
        {
            "adenocarcinoma": "present",
            "venous_invasion": "present",
            "perineural_invasion": "absent",
            "lymph_node_metastasis": "present",
        },
    ),
    (
        "Laterality: left\nFocality: unifocal\nCapsular invasion: minimal\nVascular invasion: none",
        {"capsular_invasion": "present", "lymphovascular_invasion": "absent"},
    ),
    (
        "Ureter: free\nUrethra: carcinoma in situ\nProstate: no tumour",
        {"carcinoma_in_situ": "present", "tumour": "absent"},
    ),
    ("TILs scanty (<5%).", {"tumor_infiltrating_lymphocytes": "present"}),
    ("Non-brisk tumour-infiltrating lymphocytes.", {"tumor_infiltrating_lymphocytes": "present"}),
    ("Half of the tumour is necrotic.", {"tissue_necrosis": "present"}),
    (
        "Single-cell necrosis is conspicuous but there is no confluent necrosis.",
        {"tissue_necrosis": "present", "confluent_necrosis": "absent"},
    ),
    ("Necrosis is extensive (70 % of tumour).", {"tissue_necrosis": "present"}),
    ("A dense band-like lymphocytic infiltrate abuts the epidermis.", {"lymphocytic_infiltrate": "present"}),
    ("Necrosis score 0; lymphocytes sparse.", {"tissue_necrosis": "absent"}),
    ("Comedonecrosis: nil.", {"comedonecrosis": "absent"}),
    (
        "Intradermal naevus and a fibroepithelial polyp; verruca vulgaris of the thumb.",
        {"nevus": "present", "fibroepithelial_polyp": "present", "verruca": "present"},
    ),
    (
        "Benign endometrial polyp; leiomyoma 2 cm; no hyperplasia.",
        {"endometrial_polyp": "present", "leiomyoma": "present", "hyperplasia": "absent"},
    ),
    ("Warthin tumour of the parotid.", {"warthin_tumour": "present"}),
    (
        "Multinodular goitre with a follicular adenoma.",
        {"nodular_hyperplasia": "present", "follicular_adenoma": "present"},
    ),
    (
        "Hyperplastic polyp ×3; one sessile serrated lesion without dysplasia.",
        {"hyperplastic_polyp": "present", "sessile_serrated_lesion": "present", "dysplasia": "absent"},
    ),
    ("Papillary oedema and mild chronic inflammation only.", {"inflammation": "present"}),
    ("Reason for biopsy: exclude coeliac disease. Normal villi.", {"celiac_disease": None}),
    (
        "Clinical diagnosis: ?BCC. Microscopy: sebaceous hyperplasia.",
        {"basal_cell_carcinoma": None, "sebaceous_hyperplasia": "present"},
    ),
    (
        "Known Crohn's disease. Active ileitis with granulomas today.",
        {"crohn_disease": None, "enteritis": "present", "granuloma": "present"},
    ),
    ("The patient was treated for Hodgkin lymphoma in 2004; the present node is reactive.", {"hodgkin_lymphoma": None}),
    ("Background of hepatitis C. Liver with cirrhosis.", {"cirrhosis": "present"}),
    ("Post-chemoradiation: mucin pools without viable tumour cells.", {"mucin_pools": "present", "tumour": "absent"}),
    ("Complete response; fibrosis and foamy histiocytes only.", {"fibrosis": "present", "histiocytes": "present"}),
    (
        "Treatment effect is marked, with only scattered residual tumour cells (Ryan score 1).",
        {"tumor_regression_grade": "present", "treatment_effect": "present"},
    ),
    ("No definite response to presurgical therapy in the invasive carcinoma.", {"invasive_carcinoma": "present"}),
    (
        "Radiation changes in the stroma; the carcinoma is still viable.",
        {"radiation_fibrosis": "present", "carcinoma": "present"},
    ),
    (
        "One of two sentinel nodes contains a macrometastasis (4 mm), no extranodal spread.",
        {"lymph_node_metastasis": "present", "extranodal_extension": "absent"},
    ),
    (
        "Right neck levels II-IV: 2/31 nodes, with extracapsular spread.",
        {"lymph_node_metastasis": "present", "extranodal_extension": "present"},
    ),
    ("All nodes (n = 9) are free.", {"lymph_node_metastasis": "absent"}),
    (
        "Nodes are reactive with sinus histiocytosis; no metastases.",
        {"lymph_node_metastasis": "absent", "reactive_lymphoid_hyperplasia": "present"},
    ),
    ("Lymph node: metastatic papillary thyroid carcinoma.", {"lymph_node_metastasis": "present"}),
    (
        "Isolated tumour cells only (0.15 mm); counted as pN0(i+).",
        {"isolated_tumor_cells": "present", "pathologic_n_category": "present"},
    ),
    (
        "The specimen comprises an ellipse of skin 30 x 12 mm bearing a pigmented nodule 6 mm across.",
        {"nodule": "present"},
    ),
    (
        "Cut surface: grey-white, whorled, without haemorrhage or necrosis.",
        {"haemorrhage": "absent", "tissue_necrosis": "absent"},
    ),
    (
        "The gallbladder contains multiple yellow stones; the wall is thickened to 6 mm. No mass lesion.",
        {"cholelithiasis": "present", "mass": "absent"},
    ),
    (
        "Gross: ulcerating tumour, 5.5 cm, 2 cm from the distal margin; attached fat nodular.",
        {"tumour": "present", "ulceration": "present"},
    ),
    ("Calcified fibroid nodule 3 cm; no soft areas.", {"leiomyoma": "present"}),
    ("ADDENDUM (molecular): BRAF V600E not detected; RAS wild type.", {"braf_v600e": "absent"}),
    (
        "SUPPLEMENTARY REPORT: Immunostains confirm metastatic melanoma (S100+, HMB45+).",
        {"s100": "present", "hmb45": "present", "metastasis": "present"},
    ),
    ("CORRECTED REPORT: the side is left, not right. Diagnosis unchanged: lipoma.", {"lipoma": "present"}),
    ("Preliminary diagnosis: reactive. Final diagnosis: follicular lymphoma.", {"follicular_lymphoma": "present"}),
    (
        "Addendum 2: Deeper sections show no further tumour; margins remain negative.",
        {"tumour": "absent", "margin_involvement": "absent"},
    ),
    (
        "Tumour cells invade the parametrium on the left; vaginal cuff uninvolved.",
        {"parametrial_invasion": "present", "vaginal_involvement": "absent"},
    ),
    ("Pleural invasion: not identified (PL0).", {"pleural_invasion": "absent"}),
    ("Muscularis propria is present and uninvolved.", {"muscularis_propria_invasion": "absent"}),
    ("Does not breach the capsule.", {"capsular_invasion": "absent"}),
    (
        "Carcinoma confined to the mucosa; submucosa not invaded.",
        {"carcinoma": "present", "submucosal_invasion": "absent"},
    ),
    (
        "No IM, H. pylori or dysplasia.",
        {"intestinal_metaplasia": "absent", "helicobacter_pylori": "absent", "dysplasia": "absent"},
    ),
    (
        "Oesophageal squamous mucosa with features of reflux; no eosinophils, no Candida, no Barrett's.",
        {"candida": "absent", "eosinophils": "absent"},
    ),
    ("Not malignant.", {"malignancy": "absent"}),
    ("Cytology: no malignant cells seen.", {"malignancy": "absent"}),
    ("Neither LVI nor PNI.", {"lymphovascular_invasion": "absent", "perineural_invasion": "absent"}),
    ("The capsule is intact and vessels are free of tumour.", {"capsule_rupture": "absent"}),
    ("There is a lack of stromal invasion.", {"tumour_invasion": "absent"}),
    (
        "Amyloid, granulomas and vasculitis were all excluded.",
        {"amyloid": "absent", "granuloma": "absent", "vasculitis": "absent"},
    ),
    ("Non-specific chronic inflammation, nothing neoplastic.", {"inflammation": "present", "tumour": "absent"}),
    ("?Lymphoma - await immunos.", {"lymphoma": "uncertain"}),
    ("Adenocarcinoma is strongly suspected but the material is scant.", {"adenocarcinoma": "uncertain"}),
    ("Possibly a metastasis from a breast primary.", {"metastasis": "uncertain", "breast_carcinoma": "uncertain"}),
    ("Spindle cell lesion, query GIST.", {"gastrointestinal_stromal_tumour": "uncertain"}),
    ("Schwannoma would be the first consideration.", {"schwannoma": "uncertain"}),
    ("Leiomyoma favoured over GIST.", {"leiomyoma": "uncertain", "gastrointestinal_stromal_tumour": "uncertain"}),
    ("The features are those of a tubular adenoma.", {"tubular_adenoma": "present"}),
    ("NOS carcinoma grade II; T 3 N 2 M 2.", {"histologic_grade": "present"}),
    (
        "B5b: invasive ductal NST carcinoma, provisional grade 2.",
        {"invasive_ductal_carcinoma": "present", "histologic_grade": "present"},
    ),
    (
        "Prostate cores 1-6: Gleason 3+3=6 in 2 of 6 cores; HGPIN elsewhere.",
        {"gleason_score": "present", "prostatic_intraepithelial_neoplasia": "present"},
    ),
    (
        "Astrocytoma, IDH-mutant, grade 2.",
        {"astrocytoma": "present", "histologic_grade": "present", "idh1_mutation": "present"},
    ),
    (
        "FIGO grade 1 endometrioid carcinoma with squamous differentiation.",
        {"endometrioid_carcinoma": "present", "histologic_grade": "present"},
    ),
    (
        "Poorly differentiated squamous cell carcinoma.",
        {"squamous_cell_carcinoma": "present", "histologic_grade": "present"},
    ),
    ("GVHD, grade 0.", {"graft_versus_host_disease": "absent"}),
    ("GX (biopsy too small to grade).", {"histologic_grade": "uncertain"}),
    ("Superficial margin involved, deep margin clear (3 mm).", {"margin_involvement": "present"}),
    ("Closest radial margin 9 mm.", {"margin_involvement": "absent"}),
    ("Invasive tumour 2 mm from medial margin, DCIS at the inferior margin.", {"margin_involvement": "present"}),
    ("Peripheral margins clear, base involved.", {"margin_involvement": "absent"}),
    ("Margins: not evaluable", {"margin_involvement": "uncertain"}),
    ("Completely removed.", {"margin_involvement": "absent"}),
    ("Final margins (shaves): all negative.", {"margin_involvement": "absent"}),
    ("Tumour focally reaches the cauterised edge of resection.", {"margin_involvement": "present"}),
    ("Positive circumferential margin.", {"margin_involvement": "present"}),
    ("ER: 0 PR: 0 HER2: 0", {"estrogen_receptor": "absent", "progesterone_receptor": "absent", "her2": "absent"}),
    (
        "ER strongly +, PR weakly +, c-erbB2 3+.",
        {"estrogen_receptor": "present", "progesterone_receptor": "present", "her2": "present"},
    ),
    ("Ki-67: <1%", {"ki67": "present"}),
    ("The proliferative index (Ki-67) is 3 %.", {"ki67": "present"}),
    ("p16 diffuse block positivity; HPV ISH positive.", {"p16": "present", "hpv": "present"}),
    (
        "Melan A and HMB45 negative; AE1/AE3 strongly positive.",
        {"melan_a": "absent", "hmb45": "absent", "cytokeratin_ae1_ae3": "present"},
    ),
    (
        "Immunohistochemically CD5, CD23 and CD20 (weak) are expressed; cyclin D1 is not.",
        {"cd5": "present", "cd23": "present", "cyclin_d1": "absent"},
    ),
    ("Loss of INI1 expression in tumour cells.", {"ini1": "absent"}),
    ("BAP1 nuclear staining lost, MTAP retained.", {"bap1": "absent"}),
    ("PSA and NKX3.1 are positive, GATA3 is negative.", {"psa": "present", "nkx3_1": "present", "gata3": "absent"}),
    ("FISH for MDM2 amplification: positive.", {"mdm2": "present"}),
    (
        "ALK FISH negative; ROS1 negative; EGFR wild type; KRAS p.G12C detected.",
        {
            "alk_rearrangement": "absent",
            "ros1_rearrangement": "absent",
            "egfr_mutation": "absent",
            "kras_mutation": "present",
        },
    ),
    ("HER2 gene amplification is absent (HER2/CEP17 ratio 1.1).", {"her2_amplification": "absent"}),
    ("Gram and PAS-D show no organisms.", {"infection": "absent"}),
    ("CD34-/STAT6-", {"cd34": "absent", "stat6": "absent"}),
    ("Tumour cells lack expression of E-cadherin and p120 is cytoplasmic.", {"e_cadherin": "absent"}),
    (
        "Procedure: Total thyroidectomy\nHistologic type: Papillary carcinoma, classic\nTumor size: 2.3 "
        "cm\nAngioinvasion: Absent\nLymphatic invasion: Present\nExtrathyroidal extension: "
        "Microscopic\nMargins: Uninvolved\nLymph nodes involved: 3\nLymph nodes examined: 7\nExtranodal "
        "extension: No\npT2 pN1a",
        {
            "papillary_carcinoma": "present",
            "angioinvasion": "absent",
            "lymphatic_invasion": "present",
            "extrathyroidal_extension": "present",
            "margin_involvement": "absent",
            "lymph_node_metastasis": "present",
            "extranodal_extension": "absent",
            "pathologic_t_category": "present",
        },
    ),
    (
        "HISTOLOGIC TYPE: CLEAR CELL RENAL CELL CARCINOMA\nHISTOLOGIC GRADE: G3\nTUMOR NECROSIS: "
        "PRESENT\nSARCOMATOID FEATURES: NOT IDENTIFIED\nRENAL VEIN INVASION: ABSENT\nMARGINS: NEGATIVE\nPT1B",
        {
            "clear_cell_renal_cell_carcinoma": "present",
            "histologic_grade": "present",
            "tissue_necrosis": "present",
            "sarcomatoid_features": "absent",
            "renal_vein_invasion": "absent",
            "margin_involvement": "absent",
            "pathologic_t_category": "present",
        },
    ),
    (
        "- Lymphovascular invasion .......... absent\n- Perineural invasion .......... present",
        {"lymphovascular_invasion": "absent", "perineural_invasion": "present"},
    ),
    (
        "Lymphovascular invasion | Not identified\nMargins | Involved",
        {"lymphovascular_invasion": "absent", "margin_involvement": "present"},
    ),
    ("pT1c(m) pN0(sn) cM0, stage IA (AJCC 8)", {"pathologic_t_category": "present", "stage_group": "present"}),
    (
        "LVI+, PNI-, ENE-.",
        {"lymphovascular_invasion": "present", "perineural_invasion": "absent", "extranodal_extension": "absent"},
    ),
    ("L0 V1 Pn0", {"lymphatic_invasion": "absent", "venous_invasion": "present", "perineural_invasion": "absent"}),
    (
        "Invasion of the serosal surface by tumour; omentum uninvolved.",
        {"serosal_invasion": "present", "omental_involvement": "absent"},
    ),
    ("Peritoneal washings positive for malignant cells.", {"malignant_cells_in_washings": "present"}),
    (
        "Tumour-infiltrating lymphocytes are absent; no germinal centres.",
        {"tumor_infiltrating_lymphocytes": "absent", "germinal_centers": "absent"},
    ),
    ("Geographic necrosis occupies about a third of the lesion.", {"tissue_necrosis": "present"}),
    ("Mitotic index: 12 per 2 mm²", {"mitotic_count": "present"}),
    ("Up to 6 mitoses/10 HPF.", {"mitotic_count": "present"}),
    ("Mitoses are sparse. No atypical forms.", {"mitoses": "present"}),
    (
        "Scattered plasma cells and eosinophils; neutrophils are inconspicuous.",
        {"plasma_cells": "present", "eosinophils": "present"},
    ),
    ("Ganglion cyst of the wrist; no malignancy.", {"ganglion_cyst": "present", "malignancy": "absent"}),
    ("Angiolipoma, completely benign.", {"lipoma": "present"}),
    (
        "Simple renal cyst and an incidental papillary adenoma (4 mm).",
        {"renal_cyst": "present", "papillary_adenoma": "present"},
    ),
    (
        "Benign breast tissue with sclerosing adenosis and apocrine metaplasia; microcalcifications present.",
        {"sclerosing_adenosis": "present", "apocrine_metaplasia": "present", "microcalcification": "present"},
    ),
    ("Clinical: lump. Dx: fibroadenoma.", {"fibroadenoma": "present"}),
    (
        "Hx of DCIS. Now: atypical lobular hyperplasia only.",
        {"ductal_carcinoma_in_situ": None, "atypical_lobular_hyperplasia": "present"},
    ),
    (
        "Mother had ovarian cancer. Salpingectomy specimen: no STIC.",
        {"serous_tubal_intraepithelial_carcinoma": "absent"},
    ),
    (
        "Referral letter mentions suspected sarcoidosis. Section shows lipid-laden macrophages.",
        {"sarcoidosis": None, "histiocytes": "present"},
    ),
    ("Excluding malignancy was requested; the biopsy shows chronic prostatitis.", {"prostatitis": "present"}),
    (
        "Following chemotherapy no residual tumour is found; ypT0 ypN0 (0/12).",
        {"tumour": "absent", "pathologic_t_category": "present", "lymph_node_metastasis": "absent"},
    ),
    ("Excellent response: Dworak 4.", {"tumor_regression_grade": "present"}),
    (
        "Tumour bed 25 mm with 5 % residual cellularity; RCB-I.",
        {"tumor_bed": "present", "residual_cancer_burden": "present"},
    ),
    ("The previously biopsied carcinoma is no longer present.", {"carcinoma": "absent"}),
    (
        "Ablated Barrett's: neosquamous epithelium, no residual intestinal metaplasia.",
        {"intestinal_metaplasia": "absent"},
    ),
    ("0 of 3 sentinel nodes involved.", {"lymph_node_metastasis": "absent"}),
    ("LN 4/17.", {"lymph_node_metastasis": "present"}),
    ("Metastasis in one lymph node (1/16), 3 mm, without extranodal growth.", {"lymph_node_metastasis": "present"}),
    ("Sixteen lymph nodes without tumour.", {"lymph_node_metastasis": "absent"}),
    ("Both sentinel nodes positive.", {"lymph_node_metastasis": "present"}),
    ("Hilar node: anthracosis, no malignancy.", {"anthracosis": "present", "lymph_node_metastasis": "absent"}),
    ("Axillary contents: 12 nodes, none involved.", {"lymph_node_metastasis": "absent"}),
    ("Node replaced by metastatic seminoma.", {"lymph_node_metastasis": "present"}),
    (
        "The kidney measures 11 cm; a circumscribed yellow mass 3.5 cm with central scar is seen; renal vein free.",
        {"mass": "present", "scar": "present", "renal_vein_invasion": "absent"},
    ),
    (
        "Opened colon shows a polyp 12 mm; no ulcer; diverticula present.",
        {"polyp": "present", "ulceration": "absent", "diverticulosis": "present"},
    ),
    ("Sectioning reveals haemorrhage and cystic change but no solid areas.", {"haemorrhage": "present"}),
    ("Placenta: no infarcts, no clot.", {"infarct": "absent"}),
    ("Amendment: ER status corrected from negative to positive (60%).", {"estrogen_receptor": "present"}),
    ("Addendum: Ki-67 = 35 %. The grade is changed from 2 to 3.", {"ki67": "present"}),
    (
        "Original report: HER2 2+. Addendum report: HER2 ISH negative; final status negative.",
        {"her2_amplification": "absent"},
    ),
    (
        "Supplement: EBER positive; diagnosis amended to EBV-positive DLBCL.",
        {"eber": "present", "diffuse_large_b_cell_lymphoma": "present"},
    ),
    ("ADDENDUM: Levels through the block reveal a 0.2 mm focus of invasion.", {"tumour_invasion": "present"}),
    ("Cancer cells are seen within lymphatic channels.", {"lymphatic_invasion": "present"}),
    (
        "The tumour has breached the muscularis mucosae but not the muscularis propria.",
        {"muscularis_mucosae_invasion": "present", "muscularis_propria_invasion": "absent"},
    ),
]


WHOLE_REPORTS = [
    (
        "SURGICAL PATHOLOGY REPORT\nCLINICAL HISTORY: 58 yo woman with left breast cancer, s/p neoadjuvant "
        "chemotherapy.\nSPECIMEN(S) SUBMITTED:\nA. Left breast, mastectomy\nB. Left axillary sentinel lymph "
        "nodes\n\nFINAL DIAGNOSIS:\nA. LEFT BREAST, MASTECTOMY:\n   - Residual invasive lobular "
        "carcinoma, 1.1 cm, Nottingham grade 2.\n   - Margins negative; closest is posterior at 7 mm.\n   - "
        "No lymphovascular invasion identified.\n   - Lobular carcinoma in situ present.\n   - Skin and "
        "nipple: free of tumor.\nB. SENTINEL LYMPH NODES, LEFT AXILLA:\n   - Two lymph nodes, negative for "
        "carcinoma (0/2).\n\nGROSS DESCRIPTION: The mastectomy weighs 480 g. There is a biopsy clip in "
        "a 1.2 cm firm area.\n\nADDENDUM: ER positive (99%), PR positive (10%), HER2 negative (IHC 1+), "
        "Ki-67 12%.\nElectronically signed: J. Doe MD",
        {
            "invasive_lobular_carcinoma": "present",
            "histologic_grade": "present",
            "margin_involvement": "absent",
            "lymphovascular_invasion": "absent",
            "lobular_carcinoma_in_situ": "present",
            "lymph_node_metastasis": "absent",
            "biopsy_clip": "present",
            "estrogen_receptor": "present",
            "progesterone_receptor": "present",
            "her2": "absent",
            "ki67": "present",
            "breast_carcinoma": None,
        },
    ),
    (
        "Diagnosis:\n1. Duodenum, biopsy: duodenal mucosa with no significant histopathologic "
        "abnormality.\n2. Stomach, antrum, biopsy: chronic inactive gastritis with focal intestinal "
        "metaplasia. Negative for H. pylori on immunostain. Negative for dysplasia.\n3. Esophagus, biopsy: "
        "squamocolumnar mucosa with Barrett's esophagus, indefinite for dysplasia.",
        {
            "abnormality": "absent",
            "gastritis": "present",
            "intestinal_metaplasia": "present",
            "helicobacter_pylori": "absent",
            "barrett_esophagus": "present",
            "dysplasia": "uncertain",
        },
    ),
    (
        "Macroscopy: Sigmoid colon 23 cm with an annular stenosing tumour 45 mm, 30 mm from the nearest "
        "resection end.\nMicroscopy: Moderately differentiated adenocarcinoma infiltrating through the "
        "muscularis propria into subserosal fat (pT3). Extramural vascular invasion is present. No "
        "perineural invasion. Peritoneal surface not involved. 19 lymph nodes, two of which contain "
        "metastases. Both resection ends are clear.\nConclusion: Adenocarcinoma of the sigmoid colon, pT3 "
        "pN1b V1 R0.",
        {
            "adenocarcinoma": "present",
            "tumour": "present",
            "histologic_grade": "present",
            "muscularis_propria_invasion": "present",
            "perineural_invasion": "absent",
            "serosal_invasion": "absent",
            "lymph_node_metastasis": "present",
            "margin_involvement": "absent",
            "pathologic_t_category": "present",
            "venous_invasion": "present",
        },
    ),
    (
        "Skin, upper back, excision: Malignant melanoma, superficial spreading type.\nBreslow "
        "thickness: 0.9 mm\nClark level: III\nUlceration: Not identified\nMitotic "
        "rate: <1/mm2\nMicrosatellites: Not identified\nRegression: Present, partial\nTILs: "
        "Non-brisk\nPeripheral margins: uninvolved, 8 mm\nDeep margin: uninvolved\npT1b",
        {
            "melanoma": "present",
            "breslow_thickness": "present",
            "clark_level": "present",
            "ulceration": "absent",
            "mitotic_count": "present",
            "satellite_nodule": "absent",
            "regression": "present",
            "tumor_infiltrating_lymphocytes": "present",
            "margin_involvement": "absent",
            "pathologic_t_category": "present",
        },
    ),
    (
        "Bladder, TURBT: High-grade papillary urothelial carcinoma with invasion of the lamina propria. "
        "Muscularis propria (detrusor muscle) is present and not involved. Flat carcinoma in situ is seen "
        "in adjacent mucosa. No lymphovascular invasion.",
        {
            "urothelial_carcinoma": "present",
            "lamina_propria_invasion": "present",
            "muscularis_propria_invasion": "absent",
            "carcinoma_in_situ": "present",
            "lymphovascular_invasion": "absent",
        },
    ),
    (
        "Kidney biopsy. LM: 14 glomeruli, 3 globally sclerosed. Mild mesangial hypercellularity. No "
        "crescents, no necrosis. IFTA 20 %. IF: IgA 2+ mesangial; IgG, C1q negative; C3 1+. EM: mesangial "
        "electron-dense deposits. Diagnosis: IgA nephropathy, M1 E0 S0 T0 C0.",
        {
            "global_sclerosis": "present",
            "crescent": "absent",
            "tissue_necrosis": "absent",
            "interstitial_fibrosis": "present",
            "immunoglobulin_a_deposit": "present",
            "c1q_deposit": "absent",
            "c3_deposit": "present",
            "glomerulonephritis": "present",
            "immune_complex_deposit": "present",
        },
    ),
    (
        "Bone marrow trephine: involvement by follicular lymphoma (30 %), paratrabecular. CD20+, CD10+, bcl-2+, CD5-.",
        {"follicular_lymphoma": "present", "cd20": "present", "cd10": "present", "bcl_2": "present", "cd5": "absent"},
    ),
    (
        "Cervix, LLETZ: CIN 2 with HPV effect. No invasive malignancy and no CGIN. Ectocervical margin "
        "positive, endocervical margin negative.",
        {
            "cervical_intraepithelial_neoplasia": "present",
            "koilocytosis": "present",
            "malignancy": "absent",
            "margin_involvement": "present",
        },
    ),
    (
        "Lung, RUL, lobectomy: Adenocarcinoma, acinar predominant (60%), lepidic 30%, micropapillary 10%. "
        "Visceral pleura not invaded (PL0). STAS present. LVI not seen. pT1c N0.",
        {
            "adenocarcinoma": "present",
            "pleural_invasion": "absent",
            "spread_through_air_spaces": "present",
            "lymphovascular_invasion": "absent",
            "pathologic_t_category": "present",
        },
    ),
    (
        "Brain, right frontal, resection: Glioblastoma, IDH-wildtype, CNS WHO grade 4. Microvascular "
        "proliferation and palisading necrosis are present. MGMT promoter unmethylated. EGFR amplified.",
        {
            "glioblastoma": "present",
            "histologic_grade": "present",
            "microvascular_proliferation": "present",
            "palisading_necrosis": "present",
            "mgmt_promoter_methylation": "absent",
            "egfr_amplification": "present",
            "idh1_mutation": "absent",
        },
    ),
    (
        "Liver, core biopsy: Steatohepatitis, moderately active (NAS 5/8: steatosis 2, inflammation 2, "
        "ballooning 1); fibrosis stage 3/4. Iron: negative. No alpha-1-antitrypsin globules.",
        {"steatohepatitis": "present", "fibrosis": "present", "iron_deposition": "absent"},
    ),
    (
        "Soft tissue, thigh: dedifferentiated liposarcoma, FNCLCC grade 3, MDM2 amplified; necrosis 40 %; "
        "margins focally involved.",
        {
            "liposarcoma": "present",
            "histologic_grade": "present",
            "mdm2": "present",
            "tissue_necrosis": "present",
            "margin_involvement": "present",
        },
    ),
    (
        "Right ovary: mucinous borderline tumour, no stromal invasion, surface free. Left ovary: "
        "haemorrhagic corpus luteum. Omentum: negative.",
        {"borderline_tumour": "present", "tumour_invasion": "absent", "omental_involvement": "absent"},
    ),
    (
        "Placenta: acute chorioamnionitis (maternal stage 2) with funisitis. No villitis.",
        {"chorioamnionitis": "present", "funisitis": "present", "villitis": "absent"},
    ),
    ("Thyroid FNA: Bethesda IV, follicular neoplasm.", {"follicular_neoplasm": "present"}),
    (
        "Appendix: acute suppurative appendicitis; no tumour, no parasites.",
        {"appendicitis": "present", "tumour": "absent", "parasite": "absent"},
    ),
    ("Temporal artery biopsy: no giant cells, no arteritis.", {"giant_cells": "absent", "arteritis": "absent"}),
    ("Endomyocardial biopsy: ISHLT 1R rejection.", {"rejection": "present"}),
    (
        "Colon polyps x2: tubular adenomas with low grade dysplasia, no high-grade dysplasia or malignancy.",
        {"tubular_adenoma": "present", "high_grade_dysplasia": "absent", "malignancy": "absent"},
    ),
    (
        "Gallbladder: Chronic cholecystitis with cholelithiasis. No dysplasia or malignancy.",
        {"cholecystitis": "present", "cholelithiasis": "present", "dysplasia": "absent", "malignancy": "absent"},
    ),
    (
        "Testis: seminoma confined to the testis; rete testis free; LVI absent; GCNIS present; cord margin "
        "negative; pT1a.",
        {
            "seminoma": "present",
            "rete_testis_invasion": "absent",
            "lymphovascular_invasion": "absent",
            "germ_cell_neoplasia_in_situ": "present",
            "margin_involvement": "absent",
            "pathologic_t_category": "present",
        },
    ),
    (
        "Tongue SCC: DOI 6 mm, PNI present, WPOI 5, closest margin 4 mm (deep).",
        {
            "squamous_cell_carcinoma": "present",
            "depth_of_invasion": "present",
            "perineural_invasion": "present",
            "margin_involvement": "absent",
        },
    ),
    (
        "Parathyroid adenoma 1.2 g. No atypical features or invasion.",
        {"parathyroid_adenoma": "present", "tumour_invasion": "absent"},
    ),
    (
        "Fibrous scar, foreign body reaction, no recurrence.",
        {"scar": "present", "foreign_body_reaction": "present", "recurrence": "absent"},
    ),
    (
        "Metastatic adenocarcinoma in pleura; TTF-1 and napsin positive, calretinin and WT1 negative, "
        "consistent with lung origin.",
        {"metastasis": "present", "ttf_1": "present", "napsin_a": "present", "calretinin": "absent", "wt1": "absent"},
    ),
    (
        "Angiomatous polyp; surface ulceration and granulation tissue; no atypia seen.",
        {"ulceration": "present", "granulation_tissue": "present", "atypia": "absent"},
    ),
    (
        "Invasive carcinoma is not seen in this biopsy, but cannot be excluded elsewhere.",
        {"invasive_carcinoma": "absent"},
    ),
    ("The tumour shows squamous differentiation; glandular differentiation is not apparent.", {"tumour": "present"}),
    ("Myocyte necrosis is minimal and there is no haemorrhage.", {"haemorrhage": "absent"}),
    (
        "Scattered eosinophils (up to 5/HPF), insufficient for eosinophilic oesophagitis.",
        {"eosinophils": "present", "esophagitis": None},
    ),
]


def read(text):
    return read_slide_report(text, load_lexicon())


def polarities(text):
    found = {}
    for fact in read(text).facts:
        found.setdefault(fact.concept, set()).add(fact.polarity)
    return found


def first(text, concept):
    return next(fact for fact in read(text).facts if fact.concept == concept)


@pytest.mark.parametrize(
    ("text", "said"), [*GRADE_AND_STAGE, *MARGINS, *NODES, *STAINS, *FINDINGS, *OTHER_WORDINGS, *WHOLE_REPORTS]
)
def test_what_is_said_is_read(text, said):
    """The polarity of each concept; None where the text says nothing of this specimen."""
    found = polarities(text)
    assert {concept: polarity for concept, polarity in said.items() if polarity not in found.get(concept, {None})} == {}


@pytest.mark.parametrize(
    ("text", "concept", "attributes"),
    [
        ("Invasive carcinoma, Nottingham grade 2 (tubules 3, nuclei 2, mitoses 1; total 6).", "histologic_grade",
         {"grade": "2", "system": "Nottingham", "tubules": 3.0, "nuclei": 2.0, "mitoses": 1.0}),
        ("Adenocarcinoma, Gleason 3+4=7.", "gleason_score", {"grade": "3+4=7"}),
        ("Adenocarcinoma. ISUP grade group 4.", "grade_group", {"grade": "4"}),
        ("Clear cell RCC, WHO/ISUP grade 3.", "histologic_grade", {"grade": "3", "system": "WHO/ISUP"}),
        ("Moderately differentiated adenocarcinoma.", "histologic_grade", {"grade": "moderately differentiated"}),
        ("pT3N1bM0", "pathologic_t_category", {"stage": "pT3"}),
        ("pT3N1bM0", "pathologic_n_category", {"stage": "pN1b"}),
        ("YPT2 YPN0(I-)", "pathologic_t_category", {"stage": "ypT2"}),
        ("Stage IIIA.", "stage_group", {"stage": "IIIA"}),
        ("The deep margin is 3 mm from tumour.", "margin_involvement", {"margin": "negative", "distance_mm": 3.0}),
        ("Deep margin close (0.4 mm).", "margin_involvement", {"margin": "close", "distance_mm": 0.4}),
        ("Lateral margin: involved.", "margin_involvement", {"margin": "positive", "location": "lateral margin"}),
        ("Metastasis in 2 of 14 lymph nodes.", "lymph_node_metastasis", {"positive": 2.0, "examined": 14.0}),
        ("ER positive (95%, strong).", "estrogen_receptor", {"percent": 95.0, "intensity": "strong"}),
        ("HER2: 2+ (equivocal).", "her2", {"status": "equivocal", "score": "2+"}),
        ("HER2 FISH amplified, ratio 3.1.", "her2_amplification", {"status": "amplified", "ratio": 3.1}),
        ("Loss of MLH1.", "mlh1", {"status": "lost"}),
        ("Tumour necrosis: 30 %.", "tissue_necrosis", {"percent": 30.0}),
        ("RCB-II.", "residual_cancer_burden", {"grade": "RCB-II"}),
        ("Left breast, excision: fibroadenoma, 2.1 x 1.8 cm.", "fibroadenoma",
         {"laterality": "left", "location": "breast", "size_mm": [21.0, 18.0]}),
    ],
)  # fmt: skip
def test_attributes(text, concept, attributes):
    assert first(text, concept).attributes.as_json().items() >= attributes.items()


@pytest.mark.parametrize(
    ("text", "concept", "polarity", "least", "most"),
    [
        ("Ki-67 less than 5 %.", "ki67", "present", None, 5.0),
        ("Ki-67: no more than 5 per cent.", "ki67", "present", None, 5.0),
        ("Ki-67 proliferation index at least 20%.", "ki67", "present", 20.0, None),
        ("Ki-67 > 90%.", "ki67", "present", 90.0, None),
        ("Ki-67: 20-30 %.", "ki67", "present", 20.0, 30.0),
        ("Ki-67 between 10 and 15 %.", "ki67", "present", 10.0, 15.0),
        ("ER: positive in more than 95% of cells.", "estrogen_receptor", "present", 95.0, None),
        ("ER: 90-100%.", "estrogen_receptor", "present", 90.0, 100.0),
        ("PR: <1%.", "progesterone_receptor", "absent", None, 1.0),
        ("PR: <5%.", "progesterone_receptor", "uncertain", None, 5.0),  # on either side of 1 %
        ("Tumour necrosis: 10 to 20 %.", "tissue_necrosis", "present", 10.0, 20.0),
        ("Tumour necrosis: <5 %.", "tissue_necrosis", "present", None, 5.0),
    ],
)
def test_ranges_and_bounds_are_no_numbers(text, concept, polarity, least, most):
    fact = first(text, concept)
    shares = {key: value for key, value in fact.attributes.details if key.startswith("percent")}
    assert (fact.polarity, fact.value) == (polarity, None)
    assert shares == {k: v for k, v in {"percent_min": least, "percent_max": most}.items() if v is not None}


def test_numbers_are_values_with_units():
    text = "Ki-67: 22 %. Breslow thickness 1.3 mm. Mitoses 4 per 10 HPF. Nodes: 3/12."
    values = {fact.concept: (fact.value, fact.unit) for fact in read(text).facts}
    assert values["ki67"] == (22.0, "%")
    assert values["breslow_thickness"] == (1.3, "mm")
    assert values["mitotic_count"] == (4.0, "/10 HPF")
    assert values["lymph_node_metastasis"] == (3.0, "nodes")


@pytest.mark.parametrize(
    "text",
    ["Fibroadenoma.", "Leiomyoma.", "Benign prostatic hyperplasia.", "Tubular adenoma.", "Compound naevus.",
     "Schwannoma.", "Usual ductal hyperplasia.", "Seborrhoeic keratosis.",
     "Follicular adenoma.", "Adenomyosis.", "Oncocytoma."],
)  # fmt: skip
def test_what_is_benign_is_no_malignancy(text):
    found = polarities(text)
    assert not {"carcinoma", "malignancy", "sarcoma", "melanoma"} & found.keys()
    assert "present" in set().union(*found.values())


def test_a_kind_implies_what_it_is_a_kind_of():
    facts = {fact.concept: fact for fact in read("Invasive ductal carcinoma.").facts}
    assert facts["invasive_ductal_carcinoma"].implied_by is None
    assert {facts[name].implied_by for name in ("carcinoma", "malignancy")} == {"invasive_ductal_carcinoma"}
    assert "tumour" not in facts, "the tasks ask it of each patch"
    assert "carcinoma" not in polarities("No invasive ductal carcinoma."), "the denial of a kind denies no other kind"


def test_a_structure_without_tumour_denies_none_elsewhere():
    found = polarities("Adenocarcinoma. The serosa is free of tumour.")
    assert found["serosal_invasion"] == {"absent"}
    assert found.get("tumour", {"present"}) == {"present"}


def test_every_fact_points_to_its_words():
    text = "Liver, wedge: hepatocellular carcinoma, 4.2 cm, grade 2. Margin free, 11 mm. CK7 negative. pT1b pN0 (0/3)."
    facts = read(text).facts
    assert len(facts) > 8
    for fact in facts:
        assert fact.evidence, fact
        if fact.implied_by is None:
            assert fact.words, fact
            assert all(word in text for word in fact.words.split()), fact


def test_an_addendum_replaces_what_it_amends():
    text = "DIAGNOSIS: Adenocarcinoma. HER2 equivocal (2+).\nADDENDUM 1: HER2: negative (score 1+)."
    facts = {fact.concept: fact for fact in read(text).facts}
    assert (facts["her2"].polarity, facts["her2"].addendum) == ("absent", 1)
    assert facts["adenocarcinoma"].polarity == "present"


def test_an_amended_diagnosis_replaces_the_whole_diagnosis():
    text = "DIAGNOSIS: Atypical ductal hyperplasia.\nAMENDED DIAGNOSIS: Ductal carcinoma in situ."
    found = polarities(text)
    assert found["ductal_carcinoma_in_situ"] == {"present"}
    assert "atypical_ductal_hyperplasia" not in found
    assert "atypical_ductal_hyperplasia" in polarities(text.replace("AMENDED DIAGNOSIS", "COMMENT"))


def test_a_diagnosis_that_is_revised_is_none():
    assert "adenoma" not in polarities("Addendum: the diagnosis is revised from adenoma to adenocarcinoma.")


def test_specimens_keep_their_own_sides_and_organs():
    text = "SPECIMENS:\nA) Right breast\nB) Left breast\n\nDIAGNOSIS:\nA) Fibroadenoma.\nB) Invasive ductal carcinoma."
    facts = {fact.concept: fact.attributes for fact in read(text).facts}
    assert facts["fibroadenoma"].laterality == "right"
    assert facts["invasive_ductal_carcinoma"].laterality == "left"


def test_what_is_not_read_is_told():
    problems = read("ER: pending.\nTumour budding: Bd-like pattern of unclear kind").problems
    assert [problem.reason for problem in problems] == ["result-pending", "not-read"]


def test_reports_of_a_corpus_become_facts_in_worker_processes(tmp_path):
    corpus = tmp_path / "corpus"
    new_corpus(corpus)
    texts = [f"DIAGNOSIS: Invasive ductal carcinoma. Lymph nodes: {number}/20." for number in range(12)]
    texts += ["Keine Anzeichen für ein Karzinom in der Probe und auch kein Befund an den Lymphknoten.", "ER: pending."]
    writer = JobWriter(corpus, "reports")
    rows = [{"caption_id": f"c{n}", "uid": f"{n:032x}", "text": text, "kind": "raw"} for n, text in enumerate(texts)]
    writer.add_rows("captions", rows)
    writer.publish()
    facts_from_slide_reports(corpus, workers=2)
    facts = Corpus(corpus).table("facts").to_pylist()
    nodes = {row["uid"]: row for row in facts if row["concept"] == "lymph_node_metastasis"}
    assert {uid: row["value"] for uid, row in nodes.items()} == {f"{n:032x}": float(n) for n in range(12)}
    assert json.loads(nodes[f"{3:032x}"]["attributes"])["examined"] == 20.0
    assert nodes[f"{0:032x}"]["polarity"] == "absent"
    assert {row["code"] for row in facts if row["concept"] == "invasive_ductal_carcinoma"} == {"ICDO:8500/3"}
    assert {row["source"] for row in facts} == {f"reports@{load_lexicon().version}"}
    known = {row["concept"]: json.loads(row["attributes"]) for row in facts}
    assert "of_case" in known["lymph_node_metastasis"]
    assert "of_case" not in known["invasive_ductal_carcinoma"]
    assert known["carcinoma"]["implied_by"] == "invasive_ductal_carcinoma"
    scopes = Corpus(corpus).table("scopes").to_pylist()
    assert {(row["vocabulary"], row["closed"]) for row in scopes} == {("slide-findings", False)}
    reasons = {row["reason"] for row in Corpus(corpus).ledger().to_pylist()}
    assert {"report-not-english", "result-pending"} <= reasons


def test_templates_word_what_can_be_seen_and_each_finding_once():
    text = "Invasive ductal carcinoma, grade 2. ER positive (90%). pT2. Margins free."
    rows = [fact_row("u", fact, load_lexicon()) for fact in read(text).facts]
    assert {row["concept"] for row in rows} > {
        "carcinoma",
        "histologic_grade",
        "estrogen_receptor",
        "margin_involvement",
    }
    facts = pa.Table.from_pylist([{**dict.fromkeys(["value", "unit"]), **row} for row in rows])
    samples = pa.Table.from_pylist([{"uid": "u", "modality": "SM", "attributes": None, "spacing": None}])
    scopes = pa.table({"uid": ["u"], "closed": [False], "concepts": [["carcinoma"]]})
    bank = load_bank(Path(voxtile_pathology.__file__).parent / "wordings" / "histology.yaml")
    [(subject, _)] = subjects_of(samples, facts, scopes, [bank])
    assert [fact.concept for fact in subject.facts] == ["invasive_ductal_carcinoma"]


def test_labels_of_a_vocabulary_file(tmp_path):
    from voxtile_pathology.reports.labels import load_labels

    file = tmp_path / "labels.yaml"
    file.write_text(
        "vocabulary: mine\nversion: '1'\nlabels:\n  cancer: {is: [malignancy]}\n  spread: {is: "
        "[metastasis], also: [isolated_tumor_cells]}\n"
    )
    labels = load_labels(str(file), load_lexicon())
    found = {
        fact.concept: fact.polarity
        for fact in labels.facts(read("Adenocarcinoma. Isolated tumor cells in one node.").facts)
    }
    assert found == {"cancer": "present", "spread": "present"}
    assert [f.polarity for f in labels.facts(read("No malignancy.").facts)] == ["absent"]
    file.write_text("vocabulary: mine\nversion: '1'\nlabels:\n  cancer: {is: [malignancies]}\n")
    load_labels.cache_clear()
    with pytest.raises(InputError, match="malignancies"):
        load_labels(str(file), load_lexicon())


def test_a_lexicon_of_organs_and_qualities_is_refused_with_the_way_to_read_it(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("version: '1'\nconcepts:\n  cyst: {terms: [cyst], pairs: [[liver, cystic]]}\n")
    with pytest.raises(InputError, match="--from reports --lexicon"):
        load_lexicon(file)


def test_long_lines_and_odd_marks_are_read_in_time():
    odd = [
        "Invasive carcinoma, margins free; (((" * 400,
        "a" * 5000,
        "1/" * 3000,
        "ER " * 3000,
        "(" * 5000,
        "x " * 5000,
    ]
    started = time.process_time()
    assert polarities("\0".join(odd))["margin_involvement"] == {"absent"}
    assert time.process_time() - started < 10


@pytest.mark.parametrize(
    ("text", "concept"), [("Bethesda III.", "bethesda_category"), ("OLGA stage II.", "olga_stage")]
)
def test_a_category_without_its_number_is_of_the_case_and_not_worded(text, concept):
    row = fact_row("u", first(text, concept), load_lexicon())
    assert json.loads(row["attributes"])["of_case"]
    lesion = fact_row("u", first("Invasive ductal carcinoma.", "invasive_ductal_carcinoma"), load_lexicon())
    assert "of_case" not in json.loads(lesion["attributes"])

"""What the reader of pathology reports takes from sentences of many authors: stains, margins, statements, diagnoses.

Written from what the field says in these situations (WHO, CAP and RCPath wordings), each row with all that it states.
"""

import pytest

from voxtile_pathology.reports.lexicon import load_lexicon
from voxtile_pathology.reports.read import read_slide_report

STAINS = [
    ("IgG, C1q negative.", {"c1q_deposit": "absent", "immunoglobulin_g_deposit": "absent"}),
    ("Beta-catenin: nuclear.", {"beta_catenin": "present"}),
    ("Neither ER nor PR is expressed.", {"estrogen_receptor": "absent", "progesterone_receptor": "absent"}),
    (
        "ALK negative, EGFR wild-type, KRAS G12C mutated.",
        {"alk": "absent", "egfr_mutation": "absent", "kras_mutation": "present"},
    ),
    (
        "The tumor is ER/PR positive and HER2 negative.",
        {"estrogen_receptor": "present", "her2": "absent", "progesterone_receptor": "present"},
    ),
    (
        "Hormone receptors positive, HER2-negative.",
        {"estrogen_receptor": "present", "her2": "absent", "progesterone_receptor": "present"},
    ),
    ("ER 8/8, PR 0/8, HER2 0.", {"estrogen_receptor": "present", "her2": "absent", "progesterone_receptor": "absent"}),
    (
        "MMR proficient (MLH1, PMS2, MSH2, MSH6 all retained).",
        {
            "mismatch_repair_deficiency": "absent",
            "mlh1": "present",
            "mlh1_loss": "absent",
            "msh2": "present",
            "msh2_loss": "absent",
            "msh6": "present",
            "msh6_loss": "absent",
            "pms2": "present",
            "pms2_loss": "absent",
        },
    ),
    (
        "Loss of PMS2 and MLH1 with retained MSH2 and MSH6.",
        {
            "mlh1": "absent",
            "mlh1_loss": "present",
            "msh2": "present",
            "msh2_loss": "absent",
            "msh6": "present",
            "msh6_loss": "absent",
            "pms2": "absent",
            "pms2_loss": "present",
        },
    ),
    ("p53: wild-type staining; p16: block-type positivity.", {"p16": "present", "p53": "absent"}),
    ("p53 mutant pattern (overexpression).", {"p53": "present"}),
    ("CK7 +, CK20 -, CDX2 focally +.", {"cdx2": "present", "ck20": "absent", "ck7": "present"}),
    (
        "Cytokeratin highlights no metastatic tumour cells in the lymph nodes.",
        {"cytokeratin": "present", "lymph_node_metastasis": "absent"},
    ),
    ("PAS-D and GMS stains fail to reveal fungal organisms.", {"fungi": "absent"}),
    ("Congo red: negative for amyloid.", {"amyloid": "absent"}),
    ("Ziehl-Neelsen: no acid fast bacilli found.", {"acid_fast_bacilli": "absent"}),
    (
        "Immunofluorescence: IgA 3+ mesangial, C3 2+, IgG, IgM and C1q negative.",
        {
            "c1q_deposit": "absent",
            "c3_deposit": "present",
            "immunoglobulin_a_deposit": "present",
            "immunoglobulin_g_deposit": "absent",
            "immunoglobulin_m_deposit": "absent",
        },
    ),
    ("C4d is negative in peritubular capillaries.", {"c4d_staining": "absent"}),
    ("SV40 negative.", {"sv40": "absent"}),
    ("PD-L1 (22C3) CPS 15.", {"pd_l1": "present"}),
    ("Ki-67 labelling index of approximately 2%.", {"ki67": "present"}),
    (
        "CD117 and DOG1 strongly and diffusely positive; SMA, desmin and S100 negative.",
        {"cd117": "present", "desmin": "absent", "dog1": "present", "s100": "absent", "smooth_muscle_actin": "absent"},
    ),
    (
        "Synaptophysin and chromogranin are both positive, whereas TTF1 is not expressed.",
        {"chromogranin": "present", "synaptophysin": "present", "ttf_1": "absent"},
    ),
    ("Staining for HMB45 was negative, as was Melan-A.", {"hmb45": "absent", "melan_a": "absent"}),
    (
        "Adenocarcinoma with loss of SMAD4 expression.",
        {"adenocarcinoma": "present", "smad4": "absent", "smad4_loss": "present"},
    ),
    ("BRAF V600E immunostain is negative.", {"braf_v600e": "absent"}),
    ("INI1 is lost.", {"ini1": "absent", "ini1_loss": "present"}),
    (
        "Calretinin is weakly positive; BAP1 shows loss of nuclear staining.",
        {"bap1": "absent", "bap1_loss": "present", "calretinin": "present"},
    ),
]

MARGINS_AND_STAGES = [
    ("FISH for MDM2 amplification was negative.", {"mdm2": "absent"}),
    ("R0 resection.", {"margin_involvement": "absent"}),
    ("Resection status R2.", {"margin_involvement": "present"}),
    ("Residual tumour classification: R0.", {"margin_involvement": "absent"}),
    ("Tumour extends to the inked margin.", {"margin_involvement": "present", "tumour": "present"}),
    ("Margins are tumour free.", {"margin_involvement": "absent"}),
    ("Margin status: free (closest 3 mm, medial).", {"margin_involvement": "absent"}),
    (
        "Melanoma in situ reaches the peripheral edge of the specimen.",
        {"margin_involvement": "present", "melanoma_in_situ": "present"},
    ),
    ("The lesion appears completely excised in the plane of section.", {"margin_involvement": "absent"}),
    ("Excision margins: peripheral 2.1 mm, deep 1.0 mm.", {"margin_involvement": "absent"}),
    ("Carcinoma is seen at the 6 o'clock margin.", {"carcinoma": "present", "margin_involvement": "present"}),
    (
        "BCC extends to the deep margin and one lateral margin.",
        {"basal_cell_carcinoma": "present", "margin_involvement": "present"},
    ),
    ("Bronchial resection margin not involved.", {"margin_involvement": "absent"}),
    ("Tumour is present at the ureteric margin.", {"margin_involvement": "present", "tumour": "present"}),
    (
        "Positive proximal margin for high-grade dysplasia.",
        {"high_grade_dysplasia": "present", "margin_involvement": "present"},
    ),
    ("The apical margin is involved over 3 mm.", {"margin_involvement": "present"}),
    ("Doughnuts free of tumour.", {"margin_involvement": "absent"}),
    ("Narrowly excised at the deep margin (0.3 mm).", {"margin_involvement": "absent"}),
    (
        "Incompletely excised basal cell carcinoma.",
        {"basal_cell_carcinoma": "present", "margin_involvement": "present"},
    ),
    ("All margins clear by more than 10 mm.", {"margin_involvement": "absent"}),
    ("Margins cannot be evaluated due to piecemeal resection.", {"margin_involvement": "uncertain"}),
    ("The circumferential margin is threatened but clear at 1.2 mm.", {"margin_involvement": "absent"}),
    ("Parametrial margins: uninvolved.", {"margin_involvement": "absent"}),
    ("Tumor at ink.", {"margin_involvement": "present", "tumour": "present"}),
    ("Resection margins affected.", {"margin_involvement": "present"}),
    ("The anterior margin is contaminated by carcinoma.", {"carcinoma": "present", "margin_involvement": "present"}),
    ("Deep aspect: 0.2 mm clear.", {"margin_involvement": "absent"}),
    ("Tumour-free margin: 6 mm.", {"margin_involvement": "absent"}),
    ("Distance to nearest margin: 0.4 cm.", {"margin_involvement": "absent"}),
    ("Nearest margin (posterior): 3 mm.", {"margin_involvement": "absent"}),
    ("Ureteral margin with carcinoma in situ.", {"carcinoma_in_situ": "present", "margin_involvement": "present"}),
    ("Tumor touches ink at the lateral margin.", {"margin_involvement": "present", "tumour": "present"}),
    ("Vaginal cuff margin: free.", {"margin_involvement": "absent"}),
    ("Cut end of vas: no tumour.", {"margin_involvement": "absent"}),
    ("In sano resected.", {"margin_involvement": "absent"}),
    ("Excised with a clearance of 5 mm.", {"margin_involvement": "absent"}),
    ("Closest margin >1 cm.", {"margin_involvement": "absent"}),
    ("Margins: R0, minimal distance 1.4 cm.", {"margin_involvement": "absent"}),
    ("The surgical resection edges are without tumor.", {"margin_involvement": "absent"}),
    ("Enucleation margin cannot be assessed.", {"margin_involvement": "uncertain"}),
    ("Specimen edges involved by DCIS.", {"ductal_carcinoma_in_situ": "present", "margin_involvement": "present"}),
    ("Skin margins not involved; deep margin focally involved.", {"margin_involvement": "both"}),
    ("pT3a(m), pN1a.", {"pathologic_n_category": "present", "pathologic_t_category": "present"}),
    ("ypT0N0.", {"pathologic_n_category": "present", "pathologic_t_category": "present"}),
    (
        "Stage pT1c N0(sn) Mx.",
        {"pathologic_m_category": "present", "pathologic_n_category": "present", "pathologic_t_category": "present"},
    ),
    ("pN0(i+)(sn).", {"pathologic_n_category": "present"}),
    (
        "T1N0M0.",
        {"pathologic_m_category": "present", "pathologic_n_category": "present", "pathologic_t_category": "present"},
    ),
    ("AJCC stage IIA.", {"stage_group": "present"}),
    ("Dukes C1.", {"stage_group": "present"}),
    ("Ann Arbor IIIA.", {"stage_group": "present"}),
    ("pTis (DCIS).", {"pathologic_t_category": "present"}),
    ("pM1a (hep).", {"pathologic_m_category": "present"}),
    ("Tumour stage: T4b.", {"pathologic_t_category": "present"}),
]

STATEMENTS = [
    (
        "Absence of necrosis, vascular invasion and perineural infiltration is noted.",
        {"lymphovascular_invasion": "absent", "perineural_invasion": "absent", "tissue_necrosis": "absent"},
    ),
    ("Chronic gastritis, H. pylori negative.", {"gastritis": "present", "helicobacter_pylori": "absent"}),
    ("HPV-positive squamous cell carcinoma of the tonsil.", {"hpv": "present", "squamous_cell_carcinoma": "present"}),
    ("Node-negative breast carcinoma.", {"breast_carcinoma": "present", "lymph_node_metastasis": "absent"}),
    ("Granulomas and dysplasia absent.", {"dysplasia": "absent", "granuloma": "absent"}),
    (
        "No A, granuloma, dysplasia nor carcinoma was found.",
        {"carcinoma": "absent", "dysplasia": "absent", "granuloma": "absent"},
    ),
    ("Evidence of dysplasia or malignancy is lacking.", {"dysplasia": "absent", "malignancy": "absent"}),
    (
        "There is neither dysplasia nor intestinal metaplasia.",
        {"dysplasia": "absent", "intestinal_metaplasia": "absent"},
    ),
    (
        "The polyp lacks high-grade dysplasia and invasive growth.",
        {"high_grade_dysplasia": "absent", "invasive_carcinoma": "absent", "tumour_invasion": "absent"},
    ),
    ("Malignancy was excluded on deeper levels.", {"malignancy": "absent"}),
    ("Cirrhosis is not established.", {"cirrhosis": "absent"}),
    (
        "The biopsy is free from dysplasia, viral inclusions and parasites.",
        {"dysplasia": "absent", "parasite": "absent", "viral_infection": "absent"},
    ),
    ("None of the twelve cores contains carcinoma.", {"carcinoma": "absent"}),
    ("In none of the sections is vascular invasion observed.", {"lymphovascular_invasion": "absent"}),
    ("Not a single mitosis is encountered.", {"mitoses": "absent"}),
    ("At no point is the capsule breached.", {"capsular_invasion": "absent"}),
    ("Vascular invasion could not be proven.", {"lymphovascular_invasion": "absent"}),
    ("Without any sign of malignancy.", {"malignancy": "absent"}),
    (
        "Negative for dysplasia and malignancy; positive for Helicobacter pylori.",
        {"dysplasia": "absent", "helicobacter_pylori": "present", "malignancy": "absent"},
    ),
    ("METAVIR A2 F3.", {"active_inflammation": "present", "fibrosis": "present"}),
    ("Ishak stage 4/6, grade 6/18.", {"fibrosis": "present"}),
    ("Marsh 3b lesion consistent with coeliac disease.", {"celiac_disease": "present", "marsh_lesion": "present"}),
    ("OLGA stage II.", {"olga_stage": "present"}),
    (
        "Bethesda VI: papillary thyroid carcinoma.",
        {"bethesda_category": "present", "papillary_thyroid_carcinoma": "present"},
    ),
    ("Thyroid FNA: benign (Bethesda II).", {"bethesda_category": "present"}),
    ("Urine cytology: negative for high grade urothelial carcinoma.", {"high_grade_urothelial_carcinoma": "absent"}),
    ("NILM.", {"malignancy": "absent", "squamous_intraepithelial_lesion": "absent"}),
    (
        "HSIL (CIN 2-3).",
        {"cervical_intraepithelial_neoplasia": "present", "high_grade_squamous_intraepithelial_lesion": "present"},
    ),
    ("Normal liver parenchyma without steatosis.", {"steatosis": "absent"}),
    ("Benign prostatic tissue, no evidence of malignancy.", {"malignancy": "absent"}),
    (
        "Favour reactive atypia over dysplasia.",
        {"atypia": "uncertain", "dysplasia": "uncertain", "reactive_change": "uncertain"},
    ),
    ("Suspicious for, but not diagnostic of, malignancy.", {"malignancy": "uncertain"}),
    ("Cannot exclude invasive carcinoma; deeper levels recommended.", {"invasive_carcinoma": "uncertain"}),
    ("Possible early invasion.", {"tumour_invasion": "uncertain"}),
    ("Lymphoma should be considered.", {"lymphoma": "uncertain"}),
    ("A neuroendocrine tumour enters the differential diagnosis.", {"neuroendocrine_tumour": "uncertain"}),
    ("Metastasis is less likely.", {"metastasis": "uncertain"}),
    ("The possibility of sarcoidosis is raised.", {"sarcoidosis": "uncertain"}),
    ("Query lymphoma.", {"lymphoma": "uncertain"}),
    ("Appearances are those of a leiomyoma.", {"leiomyoma": "present"}),
    (
        "Features in keeping with chronic cholecystitis with cholelithiasis.",
        {"cholecystitis": "present", "cholelithiasis": "present"},
    ),
    ("Compatible with hypersensitivity pneumonitis.", {"hypersensitivity_pneumonitis": "present"}),
    ("Known prostate cancer. Lymph node biopsy: no metastasis.", {"lymph_node_metastasis": "absent"}),
    (
        "Addendum: PAS stain shows no fungi. The diagnosis is changed from adenoma to adenocarcinoma.",
        {"adenocarcinoma": "present", "fungi": "absent"},
    ),
    ("Addendum: On deeper levels a focus of invasive carcinoma is now seen.", {"invasive_carcinoma": "present"}),
    (
        "The previously reported high-grade dysplasia is downgraded to low-grade dysplasia.",
        {"low_grade_dysplasia": "present"},
    ),
    (
        "Liver: cirrhotic, with bile plugs; iron not increased.",
        {"cholestasis": "present", "cirrhosis": "present", "iron_deposition": "absent"},
    ),
    (
        "The kidney shows 2 globally sclerosed glomeruli of 18, mild arteriosclerosis, no crescents.",
        {"arteriosclerosis": "present", "crescent": "absent", "global_sclerosis": "present"},
    ),
    (
        "Interstitial fibrosis and tubular atrophy 10%.",
        {"interstitial_fibrosis": "present", "tubular_atrophy": "present"},
    ),
    ("Banff grade IA acute T-cell mediated rejection.", {"t_cell_mediated_rejection": "present"}),
    (
        "GB: chr cholecystitis, stones, no malig.",
        {"cholecystitis": "present", "cholelithiasis": "present", "malignancy": "absent"},
    ),
    ("Perforation of the serosa: no.", {"perforation": "absent"}),
    (
        "Lymph vessel invasion (L1), no venous invasion (V0), perineural sheath invasion (Pn1).",
        {"lymphatic_invasion": "present", "perineural_invasion": "present", "venous_invasion": "absent"},
    ),
    (
        "Lymphangioinvasion present; haemangioinvasion absent.",
        {"lymphatic_invasion": "present", "venous_invasion": "absent"},
    ),
    ("Vessel invasion: LVI+, PNI−.", {"lymphovascular_invasion": "present", "perineural_invasion": "absent"}),
    ("CD30-positive lymphoproliferative disorder.", {"cd30": "present", "lymphoma": "present"}),
    ("Desmin-negative spindle cell tumour.", {"desmin": "absent", "spindle_cell_lesion": "present"}),
    ("Margin-negative resection.", {"margin_involvement": "absent"}),
    ("The diagnosis has been revised to adenocarcinoma.", {"adenocarcinoma": "present"}),
    ("Ishak fibrosis score 0/6.", {"fibrosis": "absent"}),
    (
        "Steatosis grade 1, ballooning 0, lobular inflammation 1.",
        {"hepatocyte_ballooning": "absent", "lobular_inflammation": "present", "steatosis": "present"},
    ),
]

DIAGNOSES = [
    (
        "Macroscopy: skin ellipse 25 x 12 x 6 mm bearing a pigmented lesion 7 mm in diameter. Inked black.",
        {"lesion": "present"},
    ),
    (
        "Specimen weighs 48 g and measures 6.5 x 4 x 3 cm; cut surface shows a yellow nodule of 1.8 cm.",
        {"nodule": "present"},
    ),
    (
        "Gallbladder 8 cm, wall 3 mm thick, containing three stones up to 9 mm. No polyp.",
        {"cholelithiasis": "present", "polyp": "absent"},
    ),
    ("Uterus 210 g with several intramural nodules, whorled, up to 5 cm. Endometrium 2 mm.", {"nodule": "present"}),
    ("The cut surface is haemorrhagic and necrotic.", {"haemorrhage": "present", "tissue_necrosis": "present"}),
    (
        "Chorionic villi and decidua, consistent with products of conception; no molar change.",
        {
            "chorionic_villi": "present",
            "decidua": "present",
            "hydatidiform_mole": "absent",
            "products_of_conception": "present",
        },
    ),
    (
        "Endometrium in secretory phase; no hyperplasia, no atypia.",
        {"atypia": "absent", "hyperplasia": "absent", "secretory_endometrium": "present"},
    ),
    (
        "Compound naevus with mild dysplasia, margins clear.",
        {"dysplasia": "present", "margin_involvement": "absent", "nevus": "present"},
    ),
    (
        "Subepidermal blister with eosinophils, in keeping with bullous pemphigoid; DIF: linear IgG and C3 at the "
        "basement membrane.",
        {
            "bullous_pemphigoid": "present",
            "c3_deposit": "present",
            "eosinophils": "present",
            "immunoglobulin_g_deposit": "present",
            "subepidermal_blister": "present",
        },
    ),
    (
        "Lymph node: effaced architecture by diffuse proliferation of large B cells; CD20+, CD10-, BCL6+, MUM1+; "
        "Ki-67 90%. Diagnosis: DLBCL, non-GCB type.",
        {
            "bcl_6": "present",
            "cd10": "absent",
            "cd20": "present",
            "diffuse_large_b_cell_lymphoma": "present",
            "ki67": "present",
            "mum1": "present",
        },
    ),
    (
        "Reed-Sternberg cells, CD15 and CD30 positive, CD20 negative, EBER positive: classic Hodgkin lymphoma, "
        "mixed cellularity.",
        {
            "cd15": "present",
            "cd20": "absent",
            "cd30": "present",
            "eber": "present",
            "hodgkin_lymphoma": "present",
            "reed_sternberg_cells": "present",
        },
    ),
    (
        "Liver biopsy: macrovesicular steatosis (40%), ballooning present, lobular inflammation mild, "
        "pericellular fibrosis; no Mallory bodies.",
        {
            "hepatocyte_ballooning": "present",
            "lobular_inflammation": "present",
            "mallory_hyaline": "absent",
            "perisinusoidal_fibrosis": "present",
            "steatosis": "present",
        },
    ),
    (
        "Native kidney: 15 glomeruli, 3 globally sclerosed; mesangial hypercellularity (M1), no endocapillary "
        "proliferation (E0), segmental sclerosis (S1), tubular atrophy <25% (T0), no crescents (C0). IgA dominant.",
        {
            "crescent": "absent",
            "endocapillary_hypercellularity": "absent",
            "global_sclerosis": "present",
            "immunoglobulin_a_deposit": "present",
            "mesangial_hypercellularity": "present",
            "segmental_sclerosis": "present",
            "tubular_atrophy": "present",
        },
    ),
    (
        "Duodenum: villous blunting, IEL 60/100, crypt hyperplasia: Marsh 3a.",
        {
            "crypt_hyperplasia": "present",
            "intraepithelial_lymphocytosis": "present",
            "marsh_lesion": "present",
            "villous_atrophy": "present",
        },
    ),
    (
        "Antral mucosa with moderate chronic active gastritis, H. pylori +, no atrophy, no IM.",
        {
            "atrophy": "absent",
            "gastritis": "present",
            "helicobacter_pylori": "present",
            "intestinal_metaplasia": "absent",
        },
    ),
    (
        "Oesophagus: Barrett's mucosa, indefinite for dysplasia.",
        {"barrett_esophagus": "present", "dysplasia": "uncertain"},
    ),
    (
        "Temporal lobe: glioblastoma, IDH-wildtype, with palisading necrosis and microvascular proliferation. "
        "MGMT unmethylated. TERT promoter mutated. EGFR amplified.",
        {
            "egfr_amplification": "present",
            "glioblastoma": "present",
            "idh1_mutation": "absent",
            "mgmt_promoter_methylation": "absent",
            "microvascular_proliferation": "present",
            "palisading_necrosis": "present",
            "tert_promoter_mutation": "present",
        },
    ),
    (
        "Meningioma WHO grade I; no brain invasion, no necrosis, mitoses 2/10 HPF.",
        {
            "brain_invasion": "absent",
            "histologic_grade": "present",
            "meningioma": "present",
            "mitotic_count": "present",
            "tissue_necrosis": "absent",
        },
    ),
    (
        "Thyroid lobectomy: follicular adenoma, oncocytic type, capsule intact, no vascular invasion.",
        {"capsule_rupture": "absent", "follicular_adenoma": "present", "lymphovascular_invasion": "absent"},
    ),
    ("Parotid: Warthin tumour 2.2 cm, completely enucleated.", {"warthin_tumour": "present"}),
    (
        "Left vocal cord biopsy: severe squamous dysplasia / carcinoma in situ; invasion cannot be excluded.",
        {"carcinoma_in_situ": "present", "dysplasia": "present", "tumour_invasion": "uncertain"},
    ),
    (
        "Lung wedge: adenocarcinoma, acinar predominant (60%), lepidic 40%, 1.8 cm, visceral pleura not invaded "
        "(PL0), STAS present.",
        {
            "adenocarcinoma": "present",
            "lepidic_growth": "present",
            "pleural_invasion": "absent",
            "spread_through_air_spaces": "present",
        },
    ),
    (
        "Transbronchial biopsy: non-caseating granulomas, no AFB or fungi on special stains, suggestive of "
        "sarcoidosis.",
        {
            "acid_fast_bacilli": "absent",
            "fungi": "absent",
            "noncaseating_granuloma": "present",
            "sarcoidosis": "uncertain",
        },
    ),
    (
        "Pleural fluid: reactive mesothelial cells, lymphocytes; negative for malignant cells.",
        {"malignancy": "absent", "reactive_mesothelial_cells": "present"},
    ),
    (
        "TURBT: high grade papillary urothelial carcinoma invading lamina propria; detrusor muscle present and "
        "free of tumour.",
        {
            "detrusor_invasion": "absent",
            "high_grade_urothelial_carcinoma": "present",
            "lamina_propria_invasion": "present",
        },
    ),
    (
        "Seminoma, 3.1 cm, limited to testis, rete testis invaded, no LVI; GCNIS in adjacent tubules.",
        {
            "germ_cell_neoplasia_in_situ": "present",
            "lymphovascular_invasion": "absent",
            "rete_testis_invasion": "present",
            "seminoma": "present",
        },
    ),
    (
        "Cervix LLETZ: CIN3 with extension into crypts; no invasion; ectocervical margin involved, endocervical "
        "margin clear.",
        {"cervical_intraepithelial_neoplasia": "present", "margin_involvement": "both", "tumour_invasion": "absent"},
    ),
    (
        "Ovary: mature cystic teratoma, 6 cm. Contralateral ovary: corpus luteum cyst.",
        {"ovarian_cyst": "present", "teratoma": "present"},
    ),
    (
        "Breast core: B3, papillary lesion without atypia; columnar cell change with microcalcifications.",
        {
            "atypia": "absent",
            "columnar_cell_change": "present",
            "microcalcification": "present",
            "papillary_lesion": "present",
        },
    ),
    (
        "Breast: fibrocystic changes, usual ductal hyperplasia, apocrine metaplasia; no atypia, no in situ carcinoma.",
        {
            "apocrine_metaplasia": "present",
            "atypia": "absent",
            "carcinoma_in_situ": "absent",
            "fibrocystic_change": "present",
            "usual_ductal_hyperplasia": "present",
        },
    ),
    (
        "Invasive lobular carcinoma, grade 2, 23 mm, E-cadherin negative, LCIS present; SLN 0/2.",
        {
            "e_cadherin": "absent",
            "histologic_grade": "present",
            "invasive_lobular_carcinoma": "present",
            "lobular_carcinoma_in_situ": "present",
            "lymph_node_metastasis": "absent",
        },
    ),
    (
        "Synovium with chronic synovitis and rheumatoid nodule.",
        {"rheumatoid_nodule": "present", "synovitis": "present"},
    ),
    (
        "Well-differentiated liposarcoma, MDM2 amplified by FISH.",
        {"mdm2": "present", "well_differentiated_liposarcoma": "present"},
    ),
    (
        "GIST, spindle cell type, 4.5 cm, 3 mitoses / 50 HPF, low risk; CD117+, DOG1+.",
        {
            "cd117": "present",
            "dog1": "present",
            "gastrointestinal_stromal_tumour": "present",
            "mitotic_count": "present",
        },
    ),
    (
        "Appendix: low-grade appendiceal mucinous neoplasm, acellular mucin on serosa.",
        {"acellular_mucin": "present", "low_grade_appendiceal_mucinous_neoplasm": "present"},
    ),
    (
        "Pancreas: IPMN with low grade dysplasia, no high grade dysplasia or invasive carcinoma.",
        {
            "high_grade_dysplasia": "absent",
            "intraductal_papillary_mucinous_neoplasm": "present",
            "invasive_carcinoma": "absent",
            "low_grade_dysplasia": "present",
        },
    ),
    (
        "Adrenal: pheochromocytoma, PASS 3; no capsular or vascular invasion.",
        {"capsular_invasion": "absent", "lymphovascular_invasion": "absent", "pheochromocytoma": "present"},
    ),
    ("Conjunctiva: pterygium.", {"pterygium": "present"}),
    (
        "Heart: lymphocytic myocarditis, no giant cells, mild interstitial fibrosis.",
        {"giant_cells": "absent", "interstitial_fibrosis": "present", "myocarditis": "present"},
    ),
    (
        "Artery: no evidence of vasculitis; intimal thickening only.",
        {"intimal_thickening": "present", "vasculitis": "absent"},
    ),
    (
        "Kidney transplant: acute T-cell mediated rejection, Banff IB; C4d negative; no SV40.",
        {"c4d_staining": "absent", "sv40": "absent", "t_cell_mediated_rejection": "present"},
    ),
    ("Bladder: acute and chronic cystitis, no malignancy.", {"cystitis": "present", "malignancy": "absent"}),
    ("Anal skin tag. Haemorrhoids.", {"fibroepithelial_polyp": "present", "hemorrhoid": "present"}),
    (
        "Tonsil: follicular hyperplasia, Actinomyces colonies.",
        {"actinomyces": "present", "follicular_hyperplasia": "present"},
    ),
    (
        "Sinus contents: inflammatory polyps, abundant eosinophils, no fungal hyphae.",
        {"eosinophils": "present", "fungi": "absent", "inflammatory_polyp": "present"},
    ),
    ("Nail clipping: PAS positive for fungal hyphae - onychomycosis.", {"dermatophytosis": "present"}),
]

COURSE_AND_NODES = [
    (
        "Three of eleven axillary nodes contain metastatic carcinoma with extracapsular spread.",
        {"extranodal_extension": "present", "lymph_node_metastasis": "present"},
    ),
    ("Lymph nodes (12): no metastasis.", {"lymph_node_metastasis": "absent"}),
    ("Level II: 1/8 positive; level III: 0/5.", {"lymph_node_metastasis": "both"}),
    ("Sentinel node biopsy: micrometastasis (0.8 mm) in 1 of 2 nodes.", {"lymph_node_metastasis": "present"}),
    ("Isolated tumour cells only, pN0(i+).", {"isolated_tumor_cells": "present", "pathologic_n_category": "present"}),
    ("No nodal involvement (0 of 22).", {"lymph_node_metastasis": "absent"}),
    ("Mediastinal nodes 4R, 7 and 11L are negative for malignancy.", {"lymph_node_metastasis": "absent"}),
    ("Twelve lymph nodes, all benign.", {"lymph_node_metastasis": "absent"}),
    (
        "Poorly differentiated (G3) squamous cell carcinoma.",
        {"histologic_grade": "present", "squamous_cell_carcinoma": "present"},
    ),
    (
        "Moderately to poorly differentiated adenocarcinoma.",
        {"adenocarcinoma": "present", "histologic_grade": "present"},
    ),
    ("Nuclear grade 3, Nottingham score 8/9.", {"histologic_grade": "present"}),
    (
        "Low-grade DCIS, solid and cribriform patterns, with comedonecrosis.",
        {
            "comedonecrosis": "present",
            "cribriform_pattern": "present",
            "ductal_carcinoma_in_situ": "present",
            "growth_pattern": "present",
        },
    ),
    ("WHO grade 2 ependymoma.", {"ependymoma": "present", "histologic_grade": "present"}),
    ("Probably reactive, but a low-grade lymphoma cannot be ruled out.", {"lymphoma": "uncertain"}),
    ("Morphologically consistent with metastasis from a breast primary.", {"metastasis": "present"}),
    (
        "Most likely a schwannoma; neurofibroma is in the differential.",
        {"neurofibroma": "uncertain", "schwannoma": "uncertain"},
    ),
    ("Worrisome for, although not diagnostic of, invasive carcinoma.", {"invasive_carcinoma": "uncertain"}),
    ("Indeterminate for vascular invasion.", {"lymphovascular_invasion": "uncertain"}),
    ("Vascular invasion: suspicious, not definite.", {"lymphovascular_invasion": "uncertain"}),
    (
        "Scattered atypical cells, suspicious for high grade urothelial carcinoma.",
        {"atypia": "present", "high_grade_urothelial_carcinoma": "uncertain"},
    ),
    (
        "Status post chemoradiation: no viable tumour, extensive fibrosis and calcification; TRG 0.",
        {"calcification": "present", "fibrosis": "present", "tumor_regression_grade": "present", "tumour": "absent"},
    ),
    (
        "Residual adenocarcinoma, ypT2, regression grade 2 (Dworak).",
        {"adenocarcinoma": "present", "pathologic_t_category": "present", "tumor_regression_grade": "present"},
    ),
    (
        "Patient with a history of melanoma; the current lesion is a seborrhoeic keratosis.",
        {"seborrheic_keratosis": "present"},
    ),
    (
        "Clinical: ?SCC. Histology: actinic keratosis, no SCC.",
        {"actinic_keratosis": "present", "squamous_cell_carcinoma": "absent"},
    ),
    (
        "Indication: rule out lymphoma.\nDiagnosis: Reactive follicular hyperplasia.",
        {"follicular_hyperplasia": "present"},
    ),
    ("Clinical diagnosis: adenoma.\nMicroscopy: hyperplastic polyp.", {"hyperplastic_polyp": "present"}),
    ("Addendum report: ER is now available: positive 90 %.", {"estrogen_receptor": "present"}),
    (
        "Corrected report: the previously stated diagnosis of adenocarcinoma should read adenoma.",
        {"adenoma": "present"},
    ),
    (
        "Revised diagnosis after consultation: atypical lipomatous tumour (previously lipoma).",
        {"atypical_lipomatous_tumour": "present"},
    ),
    ("Stromal TILs 40%.", {"tumor_infiltrating_lymphocytes": "present"}),
    ("Tumour infiltrating lymphocytes: sparse.", {"tumor_infiltrating_lymphocytes": "present"}),
    ("Brisk lymphocytic response at the tumour edge.", {"lymphocytic_infiltrate": "present"}),
    (
        "Extensive comedo-type necrosis; coagulative necrosis is not seen.",
        {"coagulative_necrosis": "absent", "comedonecrosis": "present"},
    ),
    ("Necrosis: 30%.", {"tissue_necrosis": "present"}),
    (
        "Focal necrosis and haemorrhage, less than 5% of tumor volume.",
        {"haemorrhage": "present", "tissue_necrosis": "present"},
    ),
    ("Peritumoral lymphocytic infiltrate absent.", {"lymphocytic_infiltrate": "absent"}),
    ("Dense chronic inflammation rich in lymphocytes.", {"lymphocytic_infiltrate": "present"}),
    ("An infiltrate composed of small lymphocytes.", {"lymphocytic_infiltrate": "present"}),
    ("No lymphocyte-rich infiltrate.", {"lymphocytic_infiltrate": "absent"}),
    ("Crohn-like reaction prominent.", {"tumor_infiltrating_lymphocytes": "present"}),
    (
        "Granulation tissue with acute and chronic inflammation and foreign body giant cells.",
        {"foreign_body_giant_cells": "present", "granulation_tissue": "present", "inflammation": "present"},
    ),
    ("Keloid. No malignancy.", {"keloid": "present", "malignancy": "absent"}),
    ("Inflamed epidermal inclusion cyst, ruptured.", {"epidermal_cyst": "present", "inflammation": "present"}),
    (
        "Hashimoto thyroiditis with oncocytic change.",
        {"hashimoto_thyroiditis": "present", "oncocytic_change": "present"},
    ),
    (
        "Endometriosis of the ovary with haemosiderin-laden macrophages.",
        {"endometriosis": "present", "hemosiderin": "present"},
    ),
    ("Simple cyst lined by cuboidal epithelium.", {"cyst": "present"}),
    (
        "Chronic cholecystitis, cholesterolosis, cholelithiasis; no dysplasia.",
        {"cholecystitis": "present", "cholelithiasis": "present", "cholesterolosis": "present", "dysplasia": "absent"},
    ),
    ("Fibroepithelial polyp.", {"fibroepithelial_polyp": "present"}),
    ("Lactational changes; no neoplasm.", {"lactational_change": "present", "tumour": "absent"}),
    ("Hemangioma, cavernous type.", {"cavernous_hemangioma": "present"}),
    ("Osteochondroma without malignant transformation.", {"malignancy": "absent", "osteochondroma": "present"}),
    ("Squamous papilloma, no HPV effect.", {"hpv": "absent", "squamous_papilloma": "present"}),
    ("Extranodal extension: present (<2 mm).", {"extranodal_extension": "present"}),
    (
        "Tumor focality: unifocal. Lymphovascular invasion: cannot be determined.",
        {"lymphovascular_invasion": "uncertain"},
    ),
    (
        "Tumor deposits: not identified. Tumor budding: high (Bd3).",
        {"tumour_budding": "present", "tumour_deposits": "absent"},
    ),
    (
        "Microscopic tumor extension: tumor invades the visceral peritoneum.",
        {"serosal_invasion": "present", "tumour": "present"},
    ),
    ("Macroscopic tumor perforation: not identified.", {"perforation": "absent"}),
    (
        "Additional findings: diverticulosis, two hyperplastic polyps.",
        {"diverticulosis": "present", "hyperplastic_polyp": "present"},
    ),
]

HISTORY_AND_WHAT_IS_TO_COME = [
    "Ulcerative colitis in remission.",
    "Clinical history: breast cancer 2010. Now liver lesion.",
    "The patient is on treatment for tuberculosis.",
    "To exclude coeliac disease.",
    "Mother had ovarian cancer.",
    "Recommend follow-up colonoscopy to exclude recurrence.",
    "If symptoms persist, consider re-biopsy to exclude lymphoma.",
    "Immunohistochemistry for CMV will follow.",
    "Clinical stage T2.",
]


def said(text):
    """What a report says itself: concept → polarity, `both` where it differs by place."""
    found: dict[str, str] = {}
    for fact in read_slide_report(text, load_lexicon()).facts:
        if fact.implied_by is None:
            found[fact.concept] = fact.polarity if found.get(fact.concept, fact.polarity) == fact.polarity else "both"
    return found


@pytest.mark.parametrize(("text", "facts"), [*STAINS, *MARGINS_AND_STAGES, *STATEMENTS, *DIAGNOSES, *COURSE_AND_NODES])
def test_a_sentence_says_this_and_nothing_else(text, facts):
    assert said(text) == facts


@pytest.mark.parametrize("text", HISTORY_AND_WHAT_IS_TO_COME)
def test_history_and_what_is_to_come_are_no_findings(text):
    assert said(text) == {}


@pytest.mark.parametrize(
    ("text", "concept"),
    [
        ("Carcinoma of the right breast.", "breast_carcinoma"),
        ("Breast, left, core biopsy: invasive carcinoma.", "breast_carcinoma"),
        ("Rectal adenocarcinoma.", "adenocarcinoma"),
        ("Prostate: adenocarcinoma.", "prostatic_adenocarcinoma"),
    ],
)
def test_the_carcinoma_of_an_organ_by_either_name(text, concept):
    facts = {fact.concept: fact for fact in read_slide_report(text, load_lexicon()).facts}
    assert facts[concept].polarity == "present"
    assert facts[concept].implied_by is not None


def test_what_is_doubted_makes_what_it_is_a_kind_of_uncertain():
    facts = {f.concept: f for f in read_slide_report("Suspicious for mycosis fungoides.", load_lexicon()).facts}
    assert facts["mycosis_fungoides"].polarity == facts["t_cell_lymphoma"].polarity == "uncertain"
    assert facts["t_cell_lymphoma"].implied_by == "mycosis_fungoides"

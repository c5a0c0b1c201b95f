"""The medical domain's entry point."""

from pathlib import Path

from voxtile.domain import Command, Domain, files_beside

domain = Domain(
    name="medical",
    title="CT and MR volumes, X-rays: DICOM and NIfTI",
    files=files_beside(__file__),
    converters={
        "dicom": Command(
            "voxtile_medical.convert.dicom:convert_dicom", "CT, MR and X-ray DICOM, grouped into series and judged"
        ),
        "figures": Command(
            "voxtile_medical.figures.command:convert_figures",
            "figures of articles with their captions: packages of PubMed Central, JATS or BioC with pictures",
            "voxtile convert figures packages corpus --licence cc-by,cc0",
        ),
        "nifti": Command("voxtile_medical.convert.nifti:convert_nifti", "NIfTI volumes, 4D split, header units"),
    },
    phantoms={
        "articles": Command(
            "voxtile_medical.phantom.articles.command:write_articles_phantom",
            "invented open-access articles as packages of PubMed Central, with known truth",
        ),
        "mr": Command(
            "voxtile_medical.phantom.mr.command:write_mr_phantom",
            "synthetic brain MR of several sequences as DICOM, with reports",
        ),
        "ct": Command(
            "voxtile_medical.phantom.ct.command:write_ct_phantom",
            "synthetic torso CT as DICOM, with reports and known truth",
        ),
        "cxr": Command(
            "voxtile_medical.phantom.cxr.command:write_cxr_phantom",
            "synthetic chest X-rays as DICOM, with reports and known truth",
        ),
        "petct": Command(
            "voxtile_medical.phantom.petct.command:write_petct_phantom",
            "synthetic PET/CT as DICOM, reports naming SUVmax and slice",
        ),
    },
    recipes={
        "gmai-vl": Command(
            "voxtile_medical.recipes.questions:build_gmai_vl", "GMAI-VL-5.5M: instructions about medical pictures"
        ),
        "medmax": Command(
            "voxtile_medical.recipes.questions:build_medmax", "MedMax: questions and chats about medical pictures"
        ),
        "llava-med": Command(
            "voxtile_medical.recipes.questions:build_llava_med", "LLaVA-Med: conversations about figures"
        ),
        "slake": Command(
            "voxtile_medical.recipes.questions:build_slake",
            "SLAKE: questions about CT, MR and X-rays, with boxes",
        ),
        "vqa-rad": Command(
            "voxtile_medical.recipes.questions:build_vqa_rad", "VQA-RAD: questions about radiology pictures"
        ),
        "abdomenatlas3": Command(
            "voxtile_medical.recipes.volumes.commands:build_abdomenatlas3",
            "AbdomenAtlas 3.0: CT, masks, RadGPT's reports",
        ),
        "amos": Command(
            "voxtile_medical.recipes.volumes.commands:build_amos", "AMOS 2022: CT and MR, 15 organs as masks"
        ),
        "autopet": Command(
            "voxtile_medical.recipes.volumes.commands:build_autopet", "AutoPET: FDG and PSMA PET/CT, lesions as masks"
        ),
        "brats": Command(
            "voxtile_medical.recipes.volumes.commands:build_brats",
            "BraTS 2020 to 2024: four MR sequences, tumor parts as masks",
        ),
        "busi": Command(
            "voxtile_medical.recipes.pictures.commands:build_busi", "BUSI: breast ultrasound with masks of lesions"
        ),
        "chexpert": Command(
            "voxtile_medical.recipes.pictures.commands:build_chexpert",
            "CheXpert: chest X-rays, 14 labels, uncertain ones among them",
        ),
        "chexpert-5x200": Command(
            "voxtile_medical.recipes.pictures.commands:build_chexpert_5x200",
            "CheXpert 5x200: pictures with one of five findings alone, a test set",
        ),
        "chexpert-plus": Command(
            "voxtile_medical.recipes.pictures.commands:build_chexpert_plus", "CheXpert Plus: chest X-rays with reports"
        ),
        "deepdrid": Command(
            "voxtile_medical.recipes.pictures.benchmark_commands:build_deepdrid",
            "DeepDRiD: fundus photographs, a grade for each eye",
        ),
        "fives": Command(
            "voxtile_medical.recipes.pictures.benchmark_commands:build_fives",
            "FIVES: fundus photographs, one of four diagnoses",
        ),
        "isic-2018": Command(
            "voxtile_medical.recipes.pictures.commands:build_isic_2018",
            "ISIC 2018 (HAM10000): skin lesions, seven diagnoses",
        ),
        "isic-2019": Command(
            "voxtile_medical.recipes.pictures.commands:build_isic_2019", "ISIC 2019: skin lesions, eight diagnoses"
        ),
        "isic-2020": Command(
            "voxtile_medical.recipes.pictures.commands:build_isic_2020",
            "ISIC 2020: skin lesions by patient, benign or malignant",
        ),
        "iu-xray": Command(
            "voxtile_medical.recipes.pictures.commands:build_iu_xray", "Indiana University chest X-rays with reports"
        ),
        "knee-acl": Command(
            "voxtile_medical.recipes.pictures.benchmark_commands:build_knee_acl",
            "tears of the cruciate ligament on MR, one of five folds",
        ),
        "knee-meniscus": Command(
            "voxtile_medical.recipes.pictures.benchmark_commands:build_knee_meniscus",
            "tears of the meniscus on MR, one of five folds",
        ),
        "medtrinity": Command(
            "voxtile_medical.recipes.pictures.commands:build_medtrinity",
            "MedTrinity-25M: pictures, captions of a model",
        ),
        "messidor": Command(
            "voxtile_medical.recipes.pictures.commands:build_messidor", "MESSIDOR: fundus photographs with grades"
        ),
        "messidor-2": Command(
            "voxtile_medical.recipes.pictures.commands:build_messidor_2", "Messidor-2: both eyes, adjudicated grades"
        ),
        "mimic-cxr": Command(
            "voxtile_medical.recipes.pictures.commands:build_mimic_cxr",
            "MIMIC-CXR: chest X-rays as DICOM, reports, labels",
        ),
        "mimic-cxr-jpg": Command(
            "voxtile_medical.recipes.pictures.commands:build_mimic_cxr_jpg",
            "MIMIC-CXR-JPG: chest X-rays, reports, labels, views",
        ),
        "ms-cxr": Command(
            "voxtile_medical.recipes.pictures.commands:build_ms_cxr",
            "MS-CXR: sentences of reports and the boxes that they mean",
        ),
        "nih-cxr14": Command(
            "voxtile_medical.recipes.pictures.commands:build_nih_cxr14",
            "NIH ChestX-ray14: 14 labels, boxes, official splits",
        ),
        "odir-200x3": Command(
            "voxtile_medical.recipes.pictures.benchmark_commands:build_odir_200x3",
            "ODIR 200x3: normal, cataract, myopia; a test set",
        ),
        "open-i": Command(
            "voxtile_medical.recipes.pictures.commands:build_open_i", "Indiana University chest X-rays, reports as XML"
        ),
        "padchest": Command(
            "voxtile_medical.recipes.pictures.commands:build_padchest",
            "PadChest: 16-bit chest X-rays, Spanish reports, labels",
        ),
        "refuge": Command(
            "voxtile_medical.recipes.pictures.benchmark_commands:build_refuge",
            "REFUGE: fundus photographs with and without glaucoma",
        ),
        "roco-v2": Command(
            "voxtile_medical.recipes.pictures.commands:build_roco_v2", "ROCOv2: figures with captions and UMLS concepts"
        ),
        "rsna-pneumonia": Command(
            "voxtile_medical.recipes.pictures.commands:build_rsna_pneumonia",
            "RSNA 2018: chest X-rays as DICOM, boxes of pneumonia",
        ),
        "siim-acr": Command(
            "voxtile_medical.recipes.pictures.commands:build_siim_acr",
            "SIIM-ACR: chest X-rays as DICOM, masks of pneumothorax",
        ),
        "thyroid-us": Command(
            "voxtile_medical.recipes.pictures.benchmark_commands:build_thyroid_us",
            "nodules of the thyroid on ultrasound, one of five folds",
        ),
        "vindr-cxr": Command(
            "voxtile_medical.recipes.pictures.commands:build_vindr_cxr",
            "VinDr-CXR: chest X-rays as DICOM, findings and boxes of readers",
        ),
        "ct-rate": Command(
            "voxtile_medical.recipes.volumes.commands:build_ct_rate", "CT-RATE: chest CT, reports, 18 abnormalities"
        ),
        "inspect": Command(
            "voxtile_medical.recipes.volumes.commands:build_inspect",
            "INSPECT: pulmonary embolism, impressions, outcomes",
        ),
        "kits": Command("voxtile_medical.recipes.volumes.commands:build_kits", "KiTS: kidney, tumor and cyst as masks"),
        "lidc-idri": Command(
            "voxtile_medical.recipes.volumes.lidc:build_lidc_idri", "LIDC-IDRI: DICOM, nodules that four readers marked"
        ),
        "merlin": Command(
            "voxtile_medical.recipes.volumes.commands:build_merlin", "Merlin: abdominal CT, findings, 30 labels"
        ),
        "msd": Command(
            "voxtile_medical.recipes.volumes.commands:build_msd", "Medical Segmentation Decathlon: ten tasks with masks"
        ),
        "rad-chestct": Command(
            "voxtile_medical.recipes.volumes.commands:build_rad_chestct",
            "RAD-ChestCT: 84 abnormalities and where they are",
        ),
        "totalsegmentator": Command(
            "voxtile_medical.recipes.volumes.commands:build_totalsegmentator",
            "TotalSegmentator CT: 117 structures as masks",
        ),
        "totalsegmentator-mr": Command(
            "voxtile_medical.recipes.volumes.commands:build_totalsegmentator_mr",
            "TotalSegmentator MR: 50 structures as masks",
        ),
    },
    facts={
        "concepts": Command(
            "voxtile_medical.concept_tags.command:facts_from_concepts",
            "concepts of a vocabulary (UMLS, SNOMED CT, a table of terms and codes) that captions name",
            "voxtile facts corpus --from concepts --vocabulary terms.csv",
        ),
        "masks": Command(
            "voxtile_medical.measurements.command:facts_from_masks",
            "sizes, attenuation, sides, neighbours and stages, measured on masks in millimetres",
            "voxtile facts corpus --from masks --masks phantom/segmentations",
        ),
        "series": Command(
            "voxtile_medical.series_roles.command:facts_from_series",
            "what each series is in its study: T1, FLAIR, arterial phase, lung kernel, frontal view",
        ),
        "series-choice": Command(
            "voxtile_medical.series_roles.choice_command:facts_from_series_choice",
            "which series of each study is trained on, by rules that one can read, and why",
        ),
        "mentions": Command(
            "voxtile_medical.mentions.command:facts_from_mentions",
            "regions of the PET from sentences that name an SUVmax and a slice",
        ),
        "reports": Command(
            "voxtile_medical.reports.command:facts_from_reports",
            "findings that the free-text reports state or deny",
            "voxtile facts corpus --from reports --vocabulary chexpert-14",
        ),
    },
    exports={
        "dicomweb": Command(
            "voxtile_medical.dicomweb.send:export_dicomweb",
            "DICOM files to an archive by its DICOMweb address: segmentations, reports, series",
            "voxtile export found https://pacs.example/dicom-web --to dicomweb",
        ),
    },
    report_language=Command("voxtile_medical.reports.assertion.english:English", "how reports affirm, deny and doubt"),
    describers={
        "report": Command(
            "voxtile_medical.reports.compose.command:describe_with_report",
            "a radiology report of each sample from its facts, without a language model",
            "voxtile describe corpus --with report --style structured",
        ),
    },
    report_reader=Command("voxtile_medical.reports.command:rules_of_vocabulary", "labels of a vocabulary in reports"),
    report_labellers={"chexbert": Command("voxtile_medical.reports.chexbert:open_chexbert", "CheXbert's own labels")},
    report_words=tuple(
        Path(__file__).parent / name for name in ("reports", "claims", "phrases", "wordings", "measurements")
    ),
    claims=(Path(__file__).parent / "claims" / "radiology.yaml",),
    wordings=tuple(
        Path(__file__).parent / "wordings" / f"{name}.yaml" for name in ("radiology", "ultrasound", "ophthalmology")
    ),
    phrases=Path(__file__).parent / "phrases" / "radiology.yaml",
    prompts=tuple(sorted((Path(__file__).parent / "prompts").glob("*.yaml"))),
    questions=(Path(__file__).parent / "questions" / "radiology.yaml",),
    variables=("VOXTILE_DICOMWEB_LOGIN", "VOXTILE_DICOMWEB_TOKEN"),
)

"""The pathology domain's entry point."""

from pathlib import Path

from voxtile.domain import Command, Domain, files_beside

domain = Domain(
    name="pathology",
    title="whole-slide images: SVS, NDPI, MIRAX, DICOM, OME-TIFF",
    files=files_beside(__file__),
    converters={
        "wsi": Command(
            "voxtile_pathology.convert.convert:convert_wsi",
            "whole slides to tissue patches at an exact scale",
            "voxtile convert wsi slides corpus --mpp 0.5 --patch-px 256",
        ),
    },
    importers={
        "features": Command(
            "voxtile_pathology.coordinates.importing:import_features",
            "vectors of patches by TRIDENT or CLAM",
            "voxtile import features 20x_256px_0px_overlap/features_uni_v1 corpus --model hf:MahmoodLab/UNI",
        ),
    },
    readers={"wsi": Command("voxtile_pathology.convert.reference:open_reference", "patches that stay in their slides")},
    slides=Command("voxtile_pathology.slides.open:open_slide", "whole slides for viewers"),
    phantoms={
        "he": Command(
            "voxtile_pathology.phantom.he:write_he_phantom",
            "synthetic H&E slides as tiled TIFF, with annotations and reports",
        ),
    },
    recipes={
        "path-mmu": Command(
            "voxtile_pathology.recipes.questions:build_path_mmu", "PathMMU: pathology, questions of several choices"
        ),
        "path-vqa": Command(
            "voxtile_pathology.recipes.questions:build_path_vqa", "PathVQA: questions about pictures of pathology"
        ),
        "arch": Command(
            "voxtile_pathology.recipes.pairs:build_arch", "ARCH: BookSet and PubmedSet, figures and captions"
        ),
        "bach": Command("voxtile_pathology.recipes.class_folders:build_bach", "BACH: breast, four classes"),
        "breakhis": Command(
            "voxtile_pathology.recipes.class_folders:build_breakhis", "BreakHis: breast tumours, by patient"
        ),
        "camelyon16": Command(
            "voxtile_pathology.recipes.slides:build_camelyon16", "Camelyon16: slides, lesions, official test"
        ),
        "digestpath": Command("voxtile_pathology.recipes.segmented:build_digestpath", "DigestPath 2019: colonoscopy"),
        "lc25000": Command(
            "voxtile_pathology.recipes.class_folders:build_lc25000", "LC25000: lung and colon, copies kept together"
        ),
        "mhist": Command("voxtile_pathology.recipes.labelled:build_mhist", "MHIST: colorectal polyps"),
        "nct-crc": Command(
            "voxtile_pathology.recipes.class_folders:build_nct_crc", "NCT-CRC-HE-100K and CRC-VAL-HE-7K: nine tissues"
        ),
        "openpath": Command("voxtile_pathology.recipes.pairs:build_openpath", "OpenPath, in the layout of PLIP"),
        "osteosarcoma": Command(
            "voxtile_pathology.recipes.labelled:build_osteosarcoma", "osteosarcoma: viable and necrotic tumour, by case"
        ),
        "pathgen-1.6m": Command(
            "voxtile_pathology.recipes.pathgen_set:build_pathgen", "PathGen-1.6M: captions, patches from TCGA slides"
        ),
        "pcam": Command("voxtile_pathology.recipes.pcam:build_pcam", "PatchCamelyon: HDF5 files, official splits"),
        "quilt-1m": Command("voxtile_pathology.recipes.pairs:build_quilt", "Quilt-1M: a million pairs, by video"),
        "sicap": Command("voxtile_pathology.recipes.labelled:build_sicap", "SICAPv2: Gleason grades, by patient"),
        "skin-cancer": Command("voxtile_pathology.recipes.labelled:build_skin_cancer", "skin: 16 tissues and tumours"),
        "tcga": Command("voxtile_pathology.recipes.slides:build_tcga", "TCGA slides with the reports of their cases"),
        "wsss4luad": Command("voxtile_pathology.recipes.segmented:build_wsss4luad", "WSSS4LUAD: lung, several classes"),
    },
    facts={
        "annotations": Command(
            "voxtile_pathology.facts.annotations:facts_from_annotations", "the tissue of patches, from drawn regions"
        ),
        "slide-reports": Command(
            "voxtile_pathology.reports.command:facts_from_slide_reports",
            "findings that reports of slides state or deny",
        ),
    },
    describers={
        "pathgen": Command(
            "voxtile_pathology.pathgen.command:describe_patches", "describe, revise and summarise chosen patches"
        ),
    },
    exports={
        "clam": Command(
            "voxtile_pathology.coordinates.export:export_clam", "coordinates and features as CLAM has them"
        ),
        "trident": Command(
            "voxtile_pathology.coordinates.export:export_trident", "coordinates and features as TRIDENT has them"
        ),
    },
    scores={
        "representatives": Command(
            "voxtile_pathology.pathgen.choose:score_representatives", "the few patches that stand for a slide"
        ),
        "stain": Command("voxtile_pathology.stain.scores:score_stain", "haematoxylin and eosin of every patch"),
    },
    classes=("voxtile_pathology:HistologyPreset",),
    old_classes={
        "voxtile_pathology.stain.preset.HistologyPreset": "voxtile_pathology.HistologyPreset",
        "voxtile_pathology.tissue.mask.OtsuTissue": "voxtile_pathology.OtsuTissue",
        "voxtile_pathology.tissue.network.NetworkTissue": "voxtile_pathology.NetworkTissue",
    },
    report_reader=Command("voxtile_pathology.reports.command:rules_of_vocabulary", "labels of a vocabulary in reports"),
    report_words=tuple(
        Path(__file__).parent / name for name in ("reports", "claims", "phrases", "wordings", "phantom")
    ),
    claims=(Path(__file__).parent / "claims" / "histology.yaml",),
    wordings=(Path(__file__).parent / "wordings" / "histology.yaml",),
    phrases=Path(__file__).parent / "phrases" / "histology.yaml",
    prompts=tuple(sorted((Path(__file__).parent / "prompts").glob("*.yaml"))),
    questions=(Path(__file__).parent / "questions" / "histology.yaml",),
)

"""The pathology domain's entry point."""

from pathlib import Path

from voxtile.domain import Command, Domain, files_beside

domain = Domain(
    name="pathology",
    title="whole-slide images: SVS, NDPI, MIRAX, DICOM, OME-TIFF",
    files=files_beside(__file__),
    converters={},
    phantoms={
        "he": Command(
            "voxtile_pathology.phantom.he:write_he_phantom",
            "synthetic H&E slides as tiled TIFF, with annotations and reports",
        ),
    },
    recipes={},
    facts={
        "annotations": Command(
            "voxtile_pathology.facts.annotations:facts_from_annotations", "the tissue of patches, from drawn regions"
        ),
        "slide-reports": Command(
            "voxtile_pathology.reports.command:facts_from_slide_reports",
            "findings that reports of slides state or deny",
        ),
    },
    scores={
        "stain": Command("voxtile_pathology.stain.scores:score_stain", "haematoxylin and eosin of every patch"),
    },
    wordings=(Path(__file__).parent / "wordings" / "histology.yaml",),
)

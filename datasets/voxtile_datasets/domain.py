"""The general domain: what works for pictures of any field."""

from pathlib import Path

from voxtile.domain import Command, Domain

domain = Domain(
    name="general",
    title="pictures of any field: folders of PNG and JPEG, public datasets, labels to facts",
    converters={
        "image": Command(
            "voxtile_datasets.converters.image:convert_image", "folders of PNG or JPEG, with a CSV or class folders"
        ),
    },
    recipes={
        "conversations": Command(
            "voxtile_datasets.recipes.talks.commands:build_conversations",
            "conversations as LLaVA's (GMAI-VL, PA-LLaVA, your own)",
        ),
        "medmnist": Command(
            "voxtile_datasets.recipes.medmnist:build_medmnist", "MedMNIST's official .npz files (2D and 3D)"
        ),
    },
    facts={
        "labels": Command("voxtile_datasets.captions.labels:facts_from_labels", "a label table (CSV or Parquet)"),
    },
    deidentifier=Command(
        "voxtile_datasets.deidentification.replace:deidentified", "names, days, numbers and places out of report texts"
    ),
    claims=(Path(__file__).parent / "captions" / "checker" / "vocabularies" / "general.yaml",),
    scores={
        "text": Command("voxtile_datasets.curation.scores.text:score_texts", "captions: length, letters, repetition"),
        "image": Command(
            "voxtile_datasets.curation.scores.image:score_images", "pictures: sharpness, contrast, perceptual hash"
        ),
        "language": Command("voxtile_datasets.curation.scores.language:score_languages", "captions: their language"),
        "safety": Command("voxtile_datasets.curation.scores.safety:score_safety", "captions: words of a list"),
        "alignment": Command(
            "voxtile_datasets.curation.scores.alignment:score_alignment", "captions: agreement with the facts"
        ),
        "clip": Command(
            "voxtile_datasets.curation.scores.clip:score_clip",
            "captions: cosine with their picture, by any image-text model",
            "voxtile score corpus --from clip --model open_clip:ViT-B-32/openai",
        ),
        "learned": Command(
            "voxtile_datasets.curation.scores.learned:score_learned",
            "samples: a filter trained from a good set",
            'voxtile score corpus --from learned --good "sharpness > 8"',
        ),
    },
    wordings=(Path(__file__).parent / "captions" / "wordings" / "general.yaml",),
    prompts=tuple(sorted((Path(__file__).parent / "captions" / "prompts").glob("*.yaml"))),
)

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
        "medmnist": Command(
            "voxtile_datasets.recipes.medmnist:build_medmnist", "MedMNIST's official .npz files (2D and 3D)"
        ),
    },
    facts={
        "labels": Command("voxtile_datasets.captions.labels:facts_from_labels", "a label table (CSV or Parquet)"),
    },
    claims=(Path(__file__).parent / "captions" / "checker" / "vocabularies" / "general.yaml",),
    wordings=(Path(__file__).parent / "captions" / "wordings" / "general.yaml",),
    prompts=tuple(sorted((Path(__file__).parent / "captions" / "prompts").glob("*.yaml"))),
)

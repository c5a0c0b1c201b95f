"""The config of a model of pictures that is small enough to be trained in a test."""

from typing import Any


def small_model(**encoder: Any) -> dict[str, Any]:
    """Settings of a `ContrastiveModule`, with further ones of its encoder."""
    image = {"dimensions": 2, "channels": 3, "widths": [8], "blocks": [1], "width": 8}
    return {
        "encoder": {
            "image": {"class_path": "voxtile.models.ConvTower", "init_args": image},
            "text": {"class_path": "voxtile.models.TextBag", "init_args": {"vocabulary": 300, "width": 8}},
            "embed_dim": 8,
            **encoder,
        },
        "objectives": {"contrastive": {"class_path": "voxtile.objectives.Contrastive"}},
    }

"""What is looked at before a command's module is imported, which takes seconds: corpora, models and reports by name.

Each function takes the command's values by name and raises what the command itself would, only sooner.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voxtile.corpus.header import check_corpus
from voxtile.corpus.remote.address import parse_address
from voxtile.errors import ConfigError


def require_corpus(folder: Path) -> None:
    """Refuse a folder that is no corpus; one in a store is looked at when it is opened.

    Raises:
        CorpusError: it is none, or a newer version made it.
    """
    if parse_address(folder) is None:
        check_corpus(Path(folder))


def embedding(values: Mapping[str, Any]) -> None:
    """`voxtile embed`: the corpus and the model."""
    from voxtile.stages.embed.names import check_extractor_name

    require_corpus(values["corpus"])
    check_extractor_name(values["model"])


def drafting(values: Mapping[str, Any]) -> None:
    """`voxtile draft` and `voxtile prefer`: the corpus and the model."""
    from voxtile.inference.names import check_model_name

    require_corpus(values["corpus"])
    check_model_name(values["model"])


def grounding(values: Mapping[str, Any]) -> None:
    """`voxtile ground`: the image and the model."""
    from voxtile.inference.names import check_model_name
    from voxtile.stages.ground.image_file import require_image

    if values.get("phrases"):
        require_image(values["image"])
        check_model_name(values["model"])


def assisting(values: Mapping[str, Any]) -> None:
    """`voxtile report`, `ask` and `chat`: the scans, a prior and the checkpoint."""
    from voxtile.stages.ground.image_file import require_image
    from voxtile.training.named_inputs import require_checkpoint

    prior = values.get("prior")
    for path in (values["scan"], *map(Path, (values.get("question") or ())[:-1]), *([prior] if prior else [])):
        require_image(path)
    require_checkpoint(Path(values["model"]))


def export(values: Mapping[str, Any]) -> None:
    """`voxtile export` of a model: the checkpoint, and the corpus whose samples prove it."""
    from voxtile.training.named_inputs import require_checkpoint

    require_checkpoint(values["checkpoint"])
    require_corpus(values["corpus"])


def comparison(values: Mapping[str, Any]) -> None:
    """`voxtile compare`: both reports."""
    from voxtile.evaluation.comparison.report_folder import scores_file

    for report in (values["first"], values["second"]):
        scores_file(report)


def planning(values: Mapping[str, Any]) -> None:
    """`voxtile plan`: the card and the config."""
    from voxtile.training.config_file import config_path
    from voxtile.training.planning.cards import require_card

    if not 0 < (share := values.get("mfu", 0.3)) <= 1:
        raise ConfigError(f"--mfu must be a share above 0 and at most 1, not {share}")
    for option in ("micro", "items"):
        if values.get(option) is not None and values[option] < 1:
            raise ConfigError(f"--{option} must be at least 1, not {values[option]}")
    require_card(values.get("gpu", "here"))
    config_path(values["name"])

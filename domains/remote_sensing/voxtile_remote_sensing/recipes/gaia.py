"""`voxtile build gaia`: GAIA."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxtile.engine.run import RunOptions
from voxtile_remote_sensing.recipes.dataset import Dataset
from voxtile_remote_sensing.recipes.layouts.tar_pairs import TarPairs
from voxtile_remote_sensing.recipes.task import build

# Columns, splits and the command that makes the tars: README.md of https://github.com/Orion-AI-Lab/GAIA; licence:
# https://huggingface.co/datasets/azavras/GAIA.
DATASET = Dataset(
    name="gaia",
    title="GAIA",
    source="https://github.com/Orion-AI-Lab/GAIA (Zavras et al., IEEE GRSM 14(2), 2026; arXiv:2502.09598)",
    licence="MIT (lists and captions); pictures under the terms that their credits name",
    modality="RGB",
    layout=TarPairs(
        ("train/*.tar", "val/*.tar", "test/*.tar"),
        ("png", "jpg", "webp"),
        json_texts={"json": ("captions",)},
        tables=(
            "{split}_data.json",
            "id",
            ("lat", "lon", "satellite", "sensor", "modalities", "resolution", "location", "tag", "credits"),
        ),
    ),
    caption_kind="vlm",
)


def build_gaia(
    source: Path,
    corpus: Path,
    *,
    split_fractions: str = "0.8,0.1,0.1",
    **run: Any,  # noqa: ANN401
) -> None:
    """Build a corpus from GAIA.

    Tars that img2dataset makes of the published lists, with the columns id and captions, in train, val and test;
    the lists ({split}_data.json) beside them add place, satellite and sensor.

    Args:
        source: the folder that the download is unpacked to.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test for samples without an official split.
        run: options of the run.

    Raises:
        InputError: the folder is not laid out like the dataset.
    """
    build(DATASET, source, corpus, split_fractions, RunOptions(**run))

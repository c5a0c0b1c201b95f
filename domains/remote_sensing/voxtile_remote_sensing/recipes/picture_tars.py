"""`voxtile build rs5m` and `gaia`: tars of pictures with their captions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxtile.engine.run import RunOptions
from voxtile_datasets.recipes.build import build
from voxtile_remote_sensing.recipes.dataset import Dataset
from voxtile_remote_sensing.recipes.layouts.tar_pairs import TarPairs
from voxtile_remote_sensing.recipes.scene_files import SceneFiles

# Names of the tars and of their members: dataloader.py of the source; licence: https://huggingface.co/datasets/Zilun/RS5M.
RS5M_DATASET = Dataset(
    name="rs5m",
    title="RS5M",
    source="https://github.com/om-ai-lab/RS5M (Zhang et al., IEEE TGRS 62, 2024)",
    licence="CC BY-NC 4.0 (captions); pictures under the terms of their sources",
    modality="RGB",
    layout=TarPairs(("train/*.tar", "val/*.tar", "*.tar"), ("img_content", "jpg", "png"), ("caption", "txt")),
    caption_kind="vlm",
)


def build_rs5m(source: Path, corpus: Path, *, split_fractions: str = "0.8,0.1,0.1", **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from RS5M.

    WebDataset tars (pub11-*.tar and rs3-*.tar in train and val) with the members img_content, img_name and caption;
    do not unpack them.

    Args:
        source: the folder that the download is unpacked to.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test for samples without an official split.
        run: options of the run.
    """
    build(SceneFiles(RS5M_DATASET), source, corpus, split_fractions, RunOptions(**run))


# Columns, splits and the command that makes the tars: README.md of https://github.com/Orion-AI-Lab/GAIA; licence:
# https://huggingface.co/datasets/azavras/GAIA.
GAIA_DATASET = Dataset(
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
            (
                "lat",
                "lon",
                "satellite",
                "sensor",
                "modalities",
                "resolution",
                "location",
                "tag",
                "credits",
                "image_alt",
            ),
        ),
    ),
    caption_kind="vlm",
)


def build_gaia(source: Path, corpus: Path, *, split_fractions: str = "0.8,0.1,0.1", **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from GAIA.

    Tars that img2dataset makes of the published lists, with the columns id and captions, in train, val and test;
    the lists ({split}_data.json) beside them add place, satellite, sensor and the alternative text of the web page.

    Args:
        source: the folder that the download is unpacked to.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test for samples without an official split.
        run: options of the run.
    """
    build(SceneFiles(GAIA_DATASET), source, corpus, split_fractions, RunOptions(**run))

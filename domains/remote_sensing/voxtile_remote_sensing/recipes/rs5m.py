"""`voxtile build rs5m`: RS5M."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxtile.engine.run import RunOptions
from voxtile_remote_sensing.recipes.dataset import Dataset
from voxtile_remote_sensing.recipes.layouts.tar_pairs import TarPairs
from voxtile_remote_sensing.recipes.task import build

# Names of the tars and of their members: dataloader.py of the source; licence: https://huggingface.co/datasets/Zilun/RS5M.
DATASET = Dataset(
    name="rs5m",
    title="RS5M",
    source="https://github.com/om-ai-lab/RS5M (Zhang et al., IEEE TGRS 62, 2024)",
    licence="CC BY-NC 4.0 (captions); pictures under the terms of their sources",
    modality="RGB",
    layout=TarPairs(("train/*.tar", "val/*.tar", "*.tar"), ("img_content", "jpg", "png"), ("caption", "txt")),
    caption_kind="vlm",
)


def build_rs5m(
    source: Path,
    corpus: Path,
    *,
    split_fractions: str = "0.8,0.1,0.1",
    **run: Any,  # noqa: ANN401
) -> None:
    """Build a corpus from RS5M.

    WebDataset tars (pub11-*.tar and rs3-*.tar in train and val) with the members img_content, img_name and caption;
    do not unpack them.

    Args:
        source: the folder that the download is unpacked to.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test for samples without an official split.
        run: options of the run.

    Raises:
        InputError: the folder is not laid out like the dataset.
    """
    build(DATASET, source, corpus, split_fractions, RunOptions(**run))
